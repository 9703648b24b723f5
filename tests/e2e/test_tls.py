"""The nginx site that is deployed, as `make install` lays it out: TLS, HTTP/2 and its limits, on loopback."""
import json
import os
import re
import socket
import ssl
import subprocess

import pytest

from ports import free_ports
from restsip_system import TOP, Account, until

ORIGIN = "https://app.example.org"
SECRET = "a" * 12
MAIL, READS = 3, 5  # that a source may read at once


def replaced(text, *pairs):
    """The text with each pattern, which must be there, replaced."""
    for pattern, by in pairs:
        text, n = re.subn(pattern, by, text)
        assert n, pattern
    return text


class Site:
    """An nginx of its own before a running system, from the installed files; only what a host would set is set."""

    def __init__(self, system, folder, rate=None):
        self.system, self.folder = system, folder
        self.port, self.plain = free_ports(), free_ports()
        env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")}
        subprocess.run(["make", "-s", "-C", TOP, "install", f"DESTDIR={folder}"], env=env, check=True, timeout=500,
                       capture_output=True)
        self.ca = folder / "fullchain.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                        "-keyout", folder / "key.pem", "-out", self.ca], check=True, capture_output=True)
        nginx = folder / "etc/nginx"
        sockets = next(line.split("\t")[2] for line in (system.state / "programs").read_text().splitlines()
                       if line.startswith("socket\tapi")).rsplit("/", 1)[0]
        site = nginx / "sites-available/restsip"
        site.write_text(replaced(
            site.read_text(), (r"listen \[::\].*", ""), (r"listen 443", f"listen 127.0.0.1:{self.port} sndbuf=64k"),
            (r"listen 80", f"listen 127.0.0.1:{self.plain}"), (r"/etc/restsip/tls", str(folder)),
            (r"/run/restsip", sockets), (r"/var/log/nginx", str(folder)),
            (r"/usr/local/share/restsip/web", str(folder / "usr/local/share/restsip/web"))))
        origins = nginx / "restsip/origins.conf"
        origins.write_text(replaced(origins.read_text(), (r'# ("https://)app.example.net"', r'\1app.example.org"')))
        server = nginx / "restsip/server.conf"
        server.write_text(replaced(server.read_text(), (r"(client_(header|body)_timeout) 15s", r"\1 1s")))
        limits = nginx / "restsip/limits.conf"
        limits.write_text(replaced(limits.read_text(), (r"rate=\w+/s", f"rate={rate}" if rate else r"\g<0>"),
                                   (r"restsip_mail 32", f"restsip_mail {MAIL}"),
                                   (r"restsip_read 256", f"restsip_read {READS}")))
        temp = "".join(f"{kind}_temp_path {folder}/temp-{kind};\n"
                       for kind in ("client_body", "fastcgi", "proxy", "scgi", "uwsgi"))
        (nginx / "nginx.conf").write_text(
            ("user root;\n" if os.geteuid() == 0 else "")
            + f"pid {folder}/nginx.pid;\nerror_log {folder}/error.log;\nevents {{}}\n"
            + f"http {{\ninclude /etc/nginx/mime.types;\n{temp}include sites-available/restsip;\n}}\n")
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            ["/usr/sbin/nginx", "-e", folder / "error.log", "-c", nginx / "nginx.conf", "-g", "daemon off;"])
        until(self.answers, 20, "nginx")

    def answers(self):
        assert self.process.poll() is None, (self.folder / "error.log").read_text()
        return self.curl("/login")["code"] == 401

    def curl(self, path, *arguments, port=None, scheme="https"):
        """What curl says of one request: code, version, headers and body."""
        head = self.folder / "head"
        out = subprocess.run(
            ["curl", "-s", "--noproxy", "*", "--cacert", self.ca, "-m", "20", "-D", head, "-w", "\n%{http_code} %{http_version}",
             *arguments, f"{scheme}://localhost:{port or self.port}{path}"], capture_output=True, timeout=30, check=False)
        assert out.returncode == 0, out
        body, _, last = out.stdout.rpartition(b"\n")
        code, version = last.decode().split()
        lines = [line.split(": ", 1) for line in head.read_text().splitlines() if ": " in line]
        return {"code": int(code), "version": version, "body": body, "headers": {k.lower(): v for k, v in lines}}

    def shake(self, low, high, alpn=()):
        """A handshake with these versions; returns the socket's version and protocol."""
        context = ssl.create_default_context(cafile=self.ca)
        context.minimum_version, context.maximum_version = low, high
        context.set_ciphers("ALL:@SECLEVEL=0")  # the client itself would offer it
        if alpn:
            context.set_alpn_protocols(alpn)
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as s:
                return s.version(), s.selected_alpn_protocol()

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture(scope="module")
def site(strict_open, tmp_path_factory):
    made = Site(strict_open, tmp_path_factory.mktemp("site"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def strict_open(systems):
    made = systems("tls", {"RESTSIP_DEMO": "no", "RESTSIP_HTTP_CORS_ORIGINS": ORIGIN})
    yield made
    made.down()


@pytest.fixture(scope="module")
def user(strict_open):
    email = "tls@example.net"
    answer = strict_open.request("POST", "/user", json={"email": email, "password": SECRET})
    assert answer.status_code == 201, answer.text
    made = Account(strict_open, email, SECRET)
    made.token()
    return made


def is_own_problem(answer, code, slug, origin=True):
    """nginx's own error, which a page of the listed origin may read, and no other."""
    assert answer["code"] == code, answer
    body = json.loads(answer["body"])
    assert answer["headers"]["content-type"].startswith("application/problem+json")
    assert body["type"] == f"/problems/{slug}" and body["status"] == code
    assert body["request_id"] == answer["headers"]["x-request-id"]
    assert answer["headers"].get("access-control-allow-origin") == (ORIGIN if origin else None)
    assert ("X-Request-Id" in answer["headers"].get("access-control-expose-headers", "")) == origin
    assert "Origin" in answer["headers"]["vary"]


# ---- TLS ----

def test_tls_1_1_is_refused_and_1_2_and_1_3_are_not(site):
    with pytest.raises(ssl.SSLError, match="(?i)alert protocol version"):
        site.shake(ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1)
    assert site.shake(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)[0] == "TLSv1.2"
    assert site.shake(ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3)[0] == "TLSv1.3"


def test_http_2_is_negotiated(site):
    assert site.shake(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3, ["h2", "http/1.1"])[1] == "h2"
    assert site.curl("/login", "--http2")["version"] == "2"
    assert site.curl("/login", "--http1.1")["version"] == "1.1"


def test_clear_text_is_sent_to_tls(site):
    answer = site.curl("/login/me?x=1", port=site.plain, scheme="http")
    assert answer["code"] == 308 and answer["headers"]["location"] == "https://localhost/login/me?x=1"
    for path in ("/login", "/", "/docs"):
        assert "max-age" in site.curl(path)["headers"]["strict-transport-security"]


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_an_origin_is_our_own_by_scheme_and_port(site, version):
    for origin, code in ((f"https://localhost:{site.port}", 401), (f"http://localhost:{site.port}", 403),
                         ("https://localhost", 403), ("https://evil.example", 403), (ORIGIN, 401)):
        answer = site.curl("/login/me", version, "-X", "POST", "-H", f"Origin: {origin}")
        assert answer["code"] == code, (origin, answer)


def test_send_and_cancel_over_http_2(site, user):
    bearer = ["--http2", "-H", f"Authorization: Bearer {user.token()}"]
    for body in (b"", b"\0\r\n\xff" * 1000, b"x" * 65536):
        file = site.folder / "body"
        file.write_bytes(body)
        answer = site.curl(user.login, "-X", "SEND", *bearer, "-H", "Content-Type: application/octet-stream",
                           "--data-binary", f"@{file}")
        assert (answer["code"], answer["version"]) == (202, "2"), answer
        sent = json.loads(answer["body"])
        row, = site.system.query_owner("select s.body from app.send s where s.n = %s", (sent["id"],))
        assert bytes(row["body"]) == body
        answer = site.curl(sent["url"], "-X", "CANCEL", *bearer)
        assert (answer["code"], answer["version"]) == (200, "2")
        assert json.loads(answer["body"])["status"] == "cancelled"


# ---- limits ----

@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
@pytest.mark.parametrize("origin", [ORIGIN, "https://evil.example"])
def test_what_is_too_large_is_a_problem_that_pages_can_read(site, version, origin):
    ask, listed = [version, "-H", f"Origin: {origin}"], origin == ORIGIN
    big = site.folder / "big"
    big.write_bytes(b"x" * 70_000)
    is_own_problem(site.curl("/login/me", *ask, "-H", "Expect:", "--data-binary", f"@{big}"), 413, "content-too-large",
                   listed)
    if version == "--http1.1":  # of an h2 header that is too large, nothing is known but the connection
        # The origin stands behind the URI: nobody has read it.
        is_own_problem(site.curl("/" + "x" * 20_000, *ask), 414, "uri-too-long", False)
        is_own_problem(site.curl("/login", *ask, "-H", "X-Long: " + "x" * 20_000), 400, "bad-request", listed)
    is_own_problem(site.curl("/_problem", *ask), 404, "not-found", listed)


@pytest.mark.parametrize("sent", [b"POST /login/me HT", b"POST /login/me HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx"])
def test_who_is_too_slow_is_let_go(site, sent):
    context = ssl.create_default_context(cafile=site.ca)
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as s:
            s.sendall(sent)
            answer = b""
            while part := s.recv(4096):
                answer += part
    assert b" 200 " not in answer and b" 202 " not in answer
    until(lambda: "status=408" in (site.folder / "restsip.log").read_text(), 5, "408 in the log")


def test_a_flood_is_a_problem_that_pages_can_read(strict_open, tmp_path):
    site = Site(strict_open, tmp_path, rate="1r/m")
    try:
        for _ in range(5):
            site.curl("/login?_=[1-100]", "--http2", "-o", "/dev/null")  # over one connection
        is_own_problem(site.curl("/login", "--http2", "-H", f"Origin: {ORIGIN}"), 429, "too-many-requests")
    finally:
        site.stop()


def read_no_further(site, account, path):
    """A connection whose answer has begun, and is not read; None: it was refused for now, on a busy machine."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.settimeout(20)
    plain.connect(("127.0.0.1", site.port))
    s = ssl.create_default_context(cafile=site.ca).wrap_socket(plain, server_hostname="localhost")
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {account.token()}\r\n\r\n".encode())
    status = s.recv(12)
    if status == b"HTTP/1.1 503":
        s.close()
        return None
    assert status == b"HTTP/1.1 200"
    return s


def test_a_source_has_so_many_mails_read_at_once(site, user):
    """nginx holds what is read slowly, but for what the kernel does, which is little here."""
    made = user.request("POST", "/user/me/messages", data=bytes(2 << 20), headers={"Content-Type": "audio/wav"})
    assert made.status_code == 201, made.text
    mail, ask = made.json()["self"], ["-H", f"Authorization: Bearer {user.token()}"]
    readers = [until(lambda: read_no_further(site, user, mail), 30, "the mail") for _ in range(MAIL)]
    is_own_problem(site.curl(mail, *ask, "-H", f"Origin: {ORIGIN}"), 429, "too-many-requests")
    assert site.curl("/user/me/messages", *ask)["code"] == 200
    readers.pop().close()
    until(lambda: site.curl(mail, *ask)["code"] == 200, 30, "the mail")
    for s in readers:
        s.close()


def test_a_source_reads_so_much_at_once(site, user):
    for _ in range(4):
        made = user.request("POST", "/user/me/messages", data=b"x", headers={"Content-Type": "audio/wav"})
        assert user.request("PATCH", made.json()["self"], json={"note": "x" * 60000}).status_code == 200
    box, ask = "/user/me/messages", ["-H", f"Authorization: Bearer {user.token()}"]
    readers = [until(lambda: read_no_further(site, user, box), 30, "the mailbox") for _ in range(READS)]
    is_own_problem(site.curl(box, *ask, "-H", f"Origin: {ORIGIN}"), 429, "too-many-requests")
    assert site.curl("/watch?r=/login&wait=1", *ask)["code"] in (200, 204), "a stream is none of them"
    readers.pop().close()
    until(lambda: site.curl(box, *ask)["code"] == 200, 30, "the mailbox")
    for s in readers:
        s.close()


def test_a_dead_pool_is_a_problem_that_pages_can_read(site):
    nginx = site.folder / "etc/nginx"
    config = nginx / "sites-available/restsip"
    before = config.read_text()
    config.write_text(replaced(before, (r"/api\.sock", "/gone.sock")))
    try:
        site.process.send_signal(1)  # SIGHUP: read again

        def gone():  # an nginx worker of before may still take a few
            is_own_problem(site.curl("/login", "-H", f"Origin: {ORIGIN}"), 502, "unavailable")
            return True
        until(gone, 20)
    finally:
        config.write_text(before)
        site.process.send_signal(1)
        until(lambda: site.curl("/login")["code"] == 401, 10, "the pool to be back")
