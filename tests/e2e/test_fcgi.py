"""A worker on a TCP socket of its own, and peers that are not as good as nginx."""
import os
import pathlib
import random
import signal
import socket
import subprocess

import pytest

import fastcgi
from ports import free_ports
from restsip_system import TOP, until

PROGRAM = TOP / os.environ.get("BUILD", "build") / "restsip-api"


class Worker:
    def __init__(self, system, log):
        self.port = free_ports()
        env = {k: v for k, v in os.environ.items() if not k.startswith("LISTEN_")}
        self.log = log
        # libfcgi loses 48 bytes of a FCGI_GET_VALUES that is cut off
        suppressions = log.with_suffix(".lsan")
        suppressions.write_text("leak:libfcgi.so\n")
        env["LSAN_OPTIONS"] = f"suppressions={suppressions}:print_suppressions=0"
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            [PROGRAM, "-c", system.ini], stderr=log.open("wb"),
            env={**env, "RESTSIP_API_LISTEN": f"127.0.0.1:{self.port}"})
        until(lambda: self.ask("GET", "/health/ready")[0] == 200, 10)

    def ask(self, *args, **kwargs):
        with fastcgi.connect(self.port) as s:
            s.sendall(fastcgi.request(*args, **kwargs))
            return fastcgi.answer(s)

    def lives(self):
        assert self.process.poll() is None, self.log.read_text()[-2000:]
        assert self.ask("GET", "/health/live")[0] == 200


@pytest.fixture(scope="module")
def worker(system, tmp_path_factory):
    if not PROGRAM.exists():
        pytest.skip(f"there is no {PROGRAM}")
    made = Worker(system, tmp_path_factory.mktemp("worker") / "log")
    yield made
    made.process.terminate()
    assert made.process.wait(30) == 0, made.log.read_text()[-2000:]
    assert "Sanitizer" not in made.log.read_text(errors="replace")


def test_it_serves_over_tcp_with_the_others(system, worker, account):
    alice = account("alice")
    token = f"Bearer {alice.token()}"
    status, headers, _ = worker.ask("POST", "/login/me", b'{"contact":"sip:a@192.0.2.1"}', HTTP_AUTHORIZATION=token,
                                    CONTENT_TYPE="application/json")
    assert status == 201 and headers["Location"]
    # what one worker wrote the others know
    assert len(alice.request("GET", "/login/me").json()) == 1
    assert system.request("GET", "/health/live").status_code == 200


def test_a_kept_connection_serves_again_and_another_is_closed(worker):
    with fastcgi.connect(worker.port) as s:
        for i in range(100):
            s.sendall(fastcgi.request("GET", "/health/live", b"x" * (i % 3)))
            assert fastcgi.answer(s)[0] == 200
        s.sendall(fastcgi.request("GET", "/health/live", keep=False))
        assert fastcgi.answer(s)[0] == 200
        assert s.recv(1) == b""


def test_a_large_answer_and_a_large_body(worker):
    status, _, body = worker.ask("POST", "/user", b"x" * 65537)
    assert status == 413 and b"content-too-large" in body
    assert worker.ask("POST", "/user", b"x" * 3_000_000)[0] == 413


def test_many_connections_that_say_nothing_hinder_nobody(worker):
    idle = [fastcgi.connect(worker.port) for _ in range(200)]
    try:
        for _ in range(20):
            worker.lives()
    finally:
        for s in idle:
            s.close()


@pytest.mark.parametrize("garbage", [
    b"GET / HTTP/1.1\r\n\r\n", b"\0" * 64, b"\xff" * 64, fastcgi.record(99), fastcgi.record(fastcgi.STDIN, b"x"),
    fastcgi.begin(role=77), fastcgi.begin() + fastcgi.record(fastcgi.PARAMS, b"\xff\xff\xff\xff\xff\xff\xff\xff"),
    fastcgi.begin() + fastcgi.record(fastcgi.PARAMS, b"\x05\x05ab"), fastcgi.record(fastcgi.BEGIN, b""),
    fastcgi.begin() + fastcgi.begin(), fastcgi.record(fastcgi.BEGIN, b"\0\1\1\0\0\0\0\0", version=7),
    fastcgi.begin() + fastcgi.record(fastcgi.ABORT), fastcgi.begin() + fastcgi.record(fastcgi.PARAMS),
    fastcgi.record(fastcgi.PARAMS, b"x" * 60000, padding=255), fastcgi.begin(request_id=65535),
    fastcgi.begin() + fastcgi.params("GET", "/") + fastcgi.record(fastcgi.STDIN, b"x", request_id=2),
], ids=range(16))
def test_garbage_is_survived(worker, garbage):
    for cut in (len(garbage), len(garbage) // 2, 1):
        with fastcgi.connect(worker.port) as s:
            s.sendall(garbage[:cut])
            s.shutdown(socket.SHUT_WR)
            s.settimeout(5)
            try:
                while s.recv(65536):
                    pass
            except OSError:
                pass
    worker.lives()


def test_requests_cut_anywhere_are_survived(worker):
    whole = fastcgi.request("POST", "/user", b'{"email":"x"}' * 100, CONTENT_TYPE="application/json")
    for cut in range(0, len(whole), 7):
        with fastcgi.connect(worker.port) as s:
            s.sendall(whole[:cut])
    worker.lives()


def test_bits_that_flip_are_survived(worker):
    rng = random.Random(7)
    whole = fastcgi.request("SEND", "/login/me?x=y", b"hello" * 20, HTTP_AUTHORIZATION="Bearer x", CONTENT_TYPE="a/b")
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        with fastcgi.connect(worker.port) as s:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
    worker.lives()


@pytest.mark.parametrize("more", [
    {"REQUEST_URI": ""}, {"REQUEST_METHOD": ""}, {"REQUEST_URI": "x" * 30000}, {"REQUEST_URI": "/" * 20000},
    {"CONTENT_LENGTH": "-1"}, {"CONTENT_LENGTH": "99999999999999999999"}, {"CONTENT_TYPE": b"\xff\xfe"},
    {"HTTP_AUTHORIZATION": b"Basic \xff\xff"}, {"HTTP_IF_MATCH": b"\x01\x02"}, {"REMOTE_ADDR": ""},
    {"REQUEST_ID": "a b\nc"}, {"HTTP_IDEMPOTENCY_KEY": b"\xff"}, {"HTTP_ORIGIN": "\r\nX: y"}, {"": "x"},
], ids=range(14))
def test_parameters_that_nginx_would_not_send(worker, more):
    for method, uri in (("GET", "/user/a@example.net"), ("POST", "/user"), ("SEND", "/login/me")):
        status, headers, body = raw(worker, method, uri, more)
        assert status < 500, (status, headers, body)
    worker.lives()


def raw(worker, method, uri, more):
    """A request some of whose own parameters are replaced."""
    given = {"REQUEST_METHOD": method, "REQUEST_URI": uri, "REMOTE_ADDR": "127.0.0.1", "CONTENT_LENGTH": "2", **more}
    content = b"".join(fastcgi.pair(k, v) for k, v in given.items())
    with fastcgi.connect(worker.port) as s:
        s.sendall(fastcgi.begin() + fastcgi.record(fastcgi.PARAMS, content) + fastcgi.record(fastcgi.PARAMS) +
                  fastcgi.record(fastcgi.STDIN, b"{}") + fastcgi.record(fastcgi.STDIN))
        return fastcgi.answer(s)


def test_health_is_for_loopback_only(worker):
    for address, status in (("192.0.2.1", 404), ("2001:db8::1", 404), ("127.0.0.2", 200), ("::1", 200), ("", 404)):
        assert raw(worker, "GET", "/health/live", {"REMOTE_ADDR": address})[0] == status, address


def test_term_finishes_what_is_under_way(system, tmp_path):
    worker = Worker(system, tmp_path / "log")
    with fastcgi.connect(worker.port) as s, fastcgi.connect(worker.port) as idle:
        # a password takes a while to be hashed
        s.sendall(fastcgi.request("GET", "/login/me", HTTP_AUTHORIZATION="Basic YUBleGFtcGxlLm5ldDp4"))
        until(lambda: b"restsip_api_requests" in worker.ask("GET", "/metrics")[2])
        worker.process.send_signal(signal.SIGTERM)
        assert fastcgi.answer(s)[0] in (401, 429)
        assert idle.recv(1) == b""
    assert worker.process.wait(30) == 0
    with pytest.raises(OSError):
        fastcgi.connect(worker.port)


def test_bad_settings_are_named(tmp_path):
    if not PROGRAM.exists():
        pytest.skip(f"there is no {PROGRAM}")
    path = pathlib.Path(tmp_path / "bad.ini")
    path.write_text("[api]\nwriters = many\n")
    done = subprocess.run([PROGRAM, "-c", path], capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode != 0 and "writers" in done.stderr
