"""What nginx answers by itself: always problem+json with the request's id."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess

import pytest
from stream_client import Stream


def problem(answer, status, name):
    assert answer.status_code == status
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    body = answer.json()
    assert body["type"] == f"/problems/{name}" and body["status"] == status and body["title"]
    assert len(body["request_id"]) == 32
    return body


def test_a_body_that_is_too_large_is_413(system):
    problem(system.request("POST", "/login/a@example.net", data=b"x" * 70_000), 413, "content-too-large")


def test_a_chunked_body_that_is_too_large_is_413(system):
    chunks = (b"x" * 10_000 for _ in range(7))
    problem(system.request("POST", "/login/a@example.net", data=chunks), 413, "content-too-large")


def test_a_uri_that_is_too_long_is_414(system):
    problem(system.request("GET", "/" + "x" * 20_000), 414, "uri-too-long")


def test_a_header_that_is_too_large_is_400(system):
    problem(system.request("GET", "/login", headers={"X-Long": "x" * 20_000}), 400, "bad-request")


@pytest.mark.parametrize("request_text", [b"GARB AGE\r\n\r\n", b"get / HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_what_is_no_http_is_400(system, request_text):
    with socket.create_connection(system.url[7:].split(":"), timeout=5) as s:
        s.sendall(request_text)
        answer = b""
        while part := s.recv(4096):
            answer += part
    assert answer.startswith(b"HTTP/1.1 400 ") and b"application/problem+json" in answer
    assert b'"type":"/problems/bad-request"' in answer


def test_inner_locations_are_hidden(system):
    problem(system.request("GET", "/_problem"), 404, "not-found")


def test_a_flood_is_429_with_retry_after(systems):
    slow = systems("rate", {"RESTSIP_RATE": "1", "RESTSIP_DEMO": "no"})
    for _ in range(1000):
        answer = slow.request("GET", "/health/live")
        if answer.status_code == 429:
            break
    problem(answer, 429, "too-many-requests")
    assert answer.headers["Retry-After"] == "1"
    assert "limiting" not in slow.log("nginx")  # the access log has it
    slow.down()


def test_a_dead_pool_is_502_with_retry_after(own_system):
    (own_system.state / "sock/api.sock").unlink()
    for name in own_system.names():
        if name.startswith("restsip-api"):
            own_system.kill_and_wait(name)  # nor is there a kept connection
    answer = own_system.request("SEND", "/login/a@example.net", data=b"x")
    problem(answer, 502, "unavailable")
    assert answer.headers["Retry-After"] == "1"


def no_files(system, folder):
    """From now on nginx can make no temporary file of that kind, as where the disk is full."""
    path = system.state / "tmp" / folder
    shutil.rmtree(path)
    path.touch()


def test_a_body_that_finds_no_room_on_the_disk_is_503(own_system, own_account):
    alice = own_account("alice")
    no_files(own_system, "body")
    answer = alice.request("POST", "/user/me/messages", data=b"x" * 300_000, headers={"Content-Type": "audio/wav"})
    problem(answer, 503, "unavailable")
    assert answer.headers["Retry-After"] == "1"


def read_slowly(system, account, path, until):
    """The body of a 200, by a client that takes 4 KiB at a time, while nginx can make no file. The kernel holds little of it."""
    no_files(system, "fastcgi")
    conf = system.state / "nginx/nginx.conf"
    conf.write_text(conf.read_text().replace(" default_server;", " default_server sndbuf=16k;"))
    assert "sndbuf" in conf.read_text()
    reload(system, until)
    host, port = system.url[7:].split(":")
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(20)
        s.connect((host, int(port)))
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                  f"Authorization: Bearer {account.token()}\r\n\r\n".encode())
        answer = bytearray()
        while part := s.recv(4096):
            answer += part
    head, _, body = bytes(answer).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    return body


def test_what_is_read_slowly_needs_no_file(own_system, own_account, until):
    """A page of nearly 1 MiB, the most that a document has."""
    alice = own_account("alice")
    for n in range(16):
        made = alice.request("POST", "/user/me/messages", json={"type": "text", "url": f"https://x/{n}", "pad": "x" * 60_000})
        assert made.status_code == 201, made.text
    body = read_slowly(own_system, alice, "/user/me/messages", until)
    assert len(json.loads(body)) == 16 and len(body) > 960_000


def test_mail_that_is_read_slowly_needs_no_file(own_system, own_account, until):
    """The largest that there is."""
    alice, content = own_account("alice"), os.urandom(4 << 20)
    made = alice.request("POST", "/user/me/messages", data=content, headers={"Content-Type": "audio/wav"})
    assert made.status_code == 201, made.text
    assert read_slowly(own_system, alice, made.json()["self"], until) == content


def test_no_ticket_is_in_the_error_log(own_system, own_account, until):
    """Both ways that a stream's request goes, with nobody behind either."""
    token = own_account("alice").token()
    (own_system.state / "sock/stream.sock").unlink()
    (own_system.state / "sock/api.sock").unlink()
    for name in own_system.names():
        if name.startswith(("restsip-api", "restsip-stream")):
            own_system.kill_and_wait(name)
    for path, accept in (("/login/me?stream&ticket=secret1", "*/*"), ("/login/me?ticket=secret2", "text/event-stream"),
                         ("/login/me?ticket=secret3", "text/event-stream, */*"), ("/watch?r=/login/me&ticket=secret4", "*/*")):
        answer = own_system.request("GET", path, headers={"Accept": accept})
        assert answer.status_code == 502, answer.text
    headers = {"Authorization": f"Bearer {token}"}
    assert own_system.request("GET", "/login/me?plain", headers=headers).status_code == 502
    until(lambda: "/login/me?plain" in own_system.log("nginx"))  # what is logged at all is there by now
    assert "secret" not in own_system.log("nginx"), own_system.log("nginx")


SECURE = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'"}


@pytest.mark.parametrize("path,status", [
    ("/", 200), ("/docs", 200), ("/openapi.json", 200), ("/restsip.js", 200), ("/nothing", 404), ("/nothing/at/all", 404),
    ("/login", 401), ("/problems/busy", 200), ("/user/me/messages", 401), ("/watch", 400), ("/login/me?stream", 401),
    ("/health/live", 200), ("/_problem", 404), ("/" + "x" * 20_000, 414)])
def test_each_answer_says_what_a_browser_may_make_of_it(system, path, status):
    answer = system.request("GET", path)
    assert answer.status_code == status, answer.text
    for name, value in SECURE.items():
        assert answer.headers.get(name, "").startswith(value), (name, answer.headers)


def reload(system, until):
    """Has nginx read its configuration; returns once those that were there before take no more requests."""
    master = system.pid("nginx")

    def titles():
        found = {}
        for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                if int(path.read_text().rsplit(")", 1)[1].split()[1]) == master:
                    found[path.parent.name] = (path.parent / "cmdline").read_text()
            except OSError:
                pass
        return found
    before = titles()
    os.kill(master, signal.SIGHUP)
    until(lambda: all("shutting down" in title for pid, title in titles().items() if pid in before) and
          len(titles().keys() - before.keys()) >= 2, 10, "a reload")


def test_a_reload_ends_streams_in_the_end(own_system, own_account, until):
    """Workers of before a reload would else stay as long as their streams."""
    conf = own_system.state / "nginx/nginx.conf"
    text = conf.read_text()
    assert "worker_shutdown_timeout 310s;" in text
    conf.write_text(text.replace("worker_shutdown_timeout 310s;", "worker_shutdown_timeout 1s;"))
    reload(own_system, until)
    alice = own_account("alice")
    stream = Stream(own_system, alice.login, token=alice.token())
    stream.wait("state")
    reload(own_system, until)
    stream.wait_end(15)
    assert alice.request("GET", alice.login).status_code == 200


def test_the_log_has_the_request_id_and_no_query(system, until):
    request_id = problem(system.request("GET", "/_problem?ticket=secret"), 404, "not-found")["request_id"]
    line = until(lambda: [x for x in system.log("access").splitlines() if request_id in x])[0]
    assert 'path="/_problem"' in line and "secret" not in line


def connect(system, source):
    host, port = system.url[7:].split(":")
    return socket.create_connection((host, int(port)), timeout=20, source_address=(source, 0))


def served(system, source):
    """The status of a request from that address."""
    with connect(system, source) as s:
        s.sendall(b"GET /problems/busy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return int(s.makefile("rb").readline().split()[1])


def test_half_headers_of_one_source_hold_up_nobody_and_end_after_5_s(system, until):
    halves = []
    for _ in range(1000):
        halves.append(connect(system, "127.0.0.2"))
        halves[-1].sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Half: ")
    assert served(system, "127.0.0.3") == 200

    def ended():
        """Whether the first and the last are closed, with or without an answer."""
        for s in (halves[0], halves[-1]):
            s.setblocking(False)
            try:
                while s.recv(4096):
                    pass
            except BlockingIOError:
                return False
            except OSError:
                pass
        return True
    until(ended, 14)  # 15 s is what it was
    for s in halves:
        s.close()


def test_a_source_has_a_bounded_number_of_connections(systems, until):
    few = systems("connections", {"RESTSIP_CONNECTIONS": "5", "RESTSIP_DEMO": "no"})
    alice = until(lambda: few.account("alice@example.net"), 10)  # connections of the start may not have ended yet
    request = f"GET /login/me?stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice.token()}\r\n\r\n".encode()
    streams = [connect(few, "127.0.0.2") for _ in range(5)]
    for s in streams:
        s.sendall(request)
        assert b" 200 " in s.recv(4096)
    assert served(few, "127.0.0.2") == 429
    assert served(few, "127.0.0.3") == 200
    streams.pop().close()
    for s in streams:
        s.close()
    few.down()


# In a network namespace: at most a few connections of one source to port 80, as nftables.conf says with another number.
KERNEL = """
import socket, subprocess, sys
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(["nft", "-c", "-f", sys.argv[1]], check=True)
text = open(sys.argv[1]).read()
assert text.count("count over 5000") == 2
subprocess.run(["nft", "-f", "-"], input=text.replace("count over 5000", "count over 20"), text=True, check=True)
door = socket.create_server(("127.0.0.1", 80), backlog=200)
def opened(source):
    try:
        return socket.create_connection(("127.0.0.1", 80), 5, (source, 0))
    except ConnectionRefusedError:
        return None
many = [opened("127.0.0.2") for _ in range(40)]
assert sum(s is not None for s in many) == 20, many
assert opened("127.0.0.3")
many[0].close(), door.accept()[0].close()
print("bounded")
"""


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("nft"), reason="needs root and nft")
def test_the_kernel_counts_connections_without_a_header():
    rules = pathlib.Path(__file__).resolve().parents[2] / "deploy/nftables.conf"
    ran = subprocess.run(["unshare", "-n", "/usr/bin/python3", "-c", KERNEL, rules], text=True, check=False,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    assert ran.returncode == 0 and "bounded" in ran.stdout, ran.stdout
