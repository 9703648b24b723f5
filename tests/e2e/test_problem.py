"""What every request may meet: paths and methods that are not there, HEAD, OPTIONS, CORS, limits, ids."""
import http.client
import socket
import urllib.parse

import pytest

from answers import is_empty, is_json, is_problem

ORIGIN = "https://app.example.org"


def raw(system, request):
    """Sends bytes to nginx and reads until it closes or 5 s are over."""
    url = urllib.parse.urlsplit(system.url)
    with socket.create_connection((url.hostname, url.port), timeout=5) as s:
        s.sendall(request)
        out = b""
        try:
            while data := s.recv(65536):
                out += data
        except TimeoutError:
            pass
    return out


@pytest.mark.parametrize("path", ["/login/me/x/y", "/user/a@b/c/d/e/f/g/h/i/j", "/callx", "/session/nothing",
                                  "/call/abc", "/call/0", "/login//1", "/problems"])
def test_what_is_not_there_is_404(quick, path):
    answer = quick.request("GET", path)
    assert answer.status_code in (400, 404)
    is_problem(answer, answer.status_code)


@pytest.mark.parametrize("method, path, allow", [
    ("PATCH", "/login/me", {"GET", "HEAD", "POST", "PUT", "DELETE", "SEND", "OPTIONS"}),
    ("DELETE", "/login", {"GET", "HEAD", "OPTIONS"}),
    ("SEND", "/login", {"GET", "HEAD", "OPTIONS"}),
    ("PUT", "/session", {"GET", "HEAD", "POST", "DELETE", "OPTIONS"}),
    ("CANCEL", "/user/me", {"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"}),
    ("FOO", "/login/me/1", {"GET", "HEAD", "PUT", "DELETE", "SEND", "CANCEL", "OPTIONS"}),
])
def test_a_method_that_is_none_of_the_resource_is_405(quick, method, path, allow):
    answer = quick.request(method, path)
    is_problem(answer, 405, "method-not-allowed")
    assert set(answer.headers["Allow"].split(", ")) == allow


def test_options_tells_the_methods(system):
    answer = system.request("OPTIONS", "/login/alice@example.net")
    is_empty(answer)
    assert "SEND" in answer.headers["Allow"] and "OPTIONS" in answer.headers["Allow"]


def test_head_is_get_without_the_body(quick):
    alice = quick
    alice.request("POST", "/login/me", json={"contact": "sip:a@192.0.2.1"})
    for path in ("/login/me", "/user/me", "/login", "/health/live"):
        get, head = alice.request("GET", path), alice.request("HEAD", path)
        assert head.status_code == get.status_code == 200 and head.content == b""
        for name in ("Content-Type", "Content-Length", "ETag", "Cache-Control"):
            assert head.headers.get(name) == get.headers.get(name)
    assert alice.request("HEAD", "/login/nobody@example.net").status_code == 404


@pytest.mark.parametrize("path", ["/login/%", "/login/%zz", "/login/%ff", "/login/%c3", "/login/me?a=%",
                                  "/login/me?%ff=1", "/login/a%00b"])
def test_a_bad_escape_is_400(system, path):
    assert b" 400 " in raw(system, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())[:20]


def test_an_email_is_decoded_once(quick):
    alice = quick
    local, domain = alice.email.split("@")
    assert alice.request("GET", f"/login/{local}%40{domain}").status_code == 200
    is_problem(alice.request("GET", f"/login/{local}%2540{domain}"), 404, "user-not-found")


def test_every_answer_has_nginxs_id_and_the_logs_have_it_too(system, account, until):
    answer = account().request("GET", "/login/nobody@example.net")
    request_id = is_problem(answer, 404)["request_id"]
    until(lambda: request_id in system.log("access"))


def test_an_id_of_the_client_is_not_taken(system):
    answer = system.request("GET", "/health/live", headers={"X-Request-Id": "mine", "Request-Id": "mine"})
    assert answer.headers["X-Request-Id"] != "mine"


def test_headers_that_guard_are_there(quick):
    answer = quick.request("GET", "/login/me")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "private, no-cache"


def test_a_body_of_json_is_at_most_64_kib(account):
    alice = account("alice")
    headers = {"Content-Type": "application/json"}
    fits = b'{"x":"' + b"y" * 60000 + b'"' + b" " * (65536 - 60008) + b"}"  # a profile has a bound of its own
    assert len(fits) == 65536
    assert alice.request("PATCH", "/user/me", data=fits, headers=headers).status_code == 200
    is_problem(alice.request("PATCH", "/user/me", data=fits + b" ", headers=headers), 413, "content-too-large")
    answer = alice.request("PATCH", "/user/me", data=fits * 5, headers=headers)
    assert answer.status_code == 413 and answer.json()["status"] == 413


def test_a_uri_or_header_that_is_too_long_is_refused(quick):
    alice = quick
    for length, codes in ((9000, {200}), (40000, {414})):
        answer = alice.request("GET", "/login/me?_=" + "y" * length)
        assert answer.status_code in codes
        assert length < 10000 or answer.headers["Content-Type"] == "application/problem+json"
    got = raw(alice.system, b"GET /login/me HTTP/1.1\r\nHost: x\r\nX-Long: " + b"y" * 40000 + b"\r\n\r\n")
    assert got.split()[1] in (b"400", b"431")
    is_problem(alice.request("GET", "/login/me?" + "&".join(f"a{i}=1" for i in range(500))), 400)


@pytest.mark.parametrize("request_line", [b"send /login/me HTTP/1.1", b"GET /login/me HTTP/9.9", b"GET", b"\0",
                                          b"GET http://x/login/me HTTP/1.1", b"OPTIONS * HTTP/1.1"])
def test_a_request_that_is_none_gets_an_answer_and_no_crash(system, request_line):
    raw(system, request_line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert system.request("GET", "/health/live").status_code == 200


def test_a_connection_serves_many_requests(system, quick):
    alice = quick
    url = urllib.parse.urlsplit(system.url)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=10)
    for i in range(50):
        method = ("GET", "PUT", "HEAD", "SEND", "PATCH")[i % 5]
        body = {"PUT": b'{"contact":"sip:a@192.0.2.1"}', "SEND": b"x" * 30000}.get(method)
        connection.request(method, "/login/me", body, {**alice.headers, "Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == {"GET": 200, "PUT": 201 if i == 1 else 200, "HEAD": 200, "SEND": 202, "PATCH": 405}[method]
    connection.close()


def test_a_refused_body_does_not_spoil_the_connection(system, quick):
    alice = quick
    url = urllib.parse.urlsplit(system.url)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=10)
    for _ in range(20):
        for path, body, code in (("/login/me", b"x" * 66000, 413), ("/nothing/here", b"x" * 60000, None),
                                 ("/login/nobody@example.net", b"{}" * 20000, None)):
            connection.request("POST", path, body, alice.headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == code if code else 400 <= answer.status < 500
        connection.request("GET", "/login/me", headers=alice.headers)
        answer = connection.getresponse()
        assert answer.status == 200 and answer.read()
    connection.close()


def test_a_client_that_goes_away_harms_nobody(system, quick):
    alice = quick
    alice.token()
    url = urllib.parse.urlsplit(system.url)
    for i in range(100):
        with socket.create_connection((url.hostname, url.port), timeout=5) as s:
            head = f"POST /login/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice.token()}\r\n"
            s.sendall(f"{head}Content-Length: {[0, 40][i % 2]}\r\n\r\n".encode() + b'{"contact":'[:i % 12])
    assert alice.request("GET", "/login/me").status_code == 200


# ---- other origins ----

def test_pages_of_a_listed_origin_may_call(strict):
    for path, code in (("/login/me", 401), ("/health/live", 200), ("/nothing", 404)):
        answer = strict.request("GET", path, headers={"Origin": ORIGIN})
        assert answer.status_code == code
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "ETag" in answer.headers["Access-Control-Expose-Headers"]
        assert "Origin" in answer.headers["Vary"]
        assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_preflight_is_answered(strict):
    answer = strict.request("OPTIONS", "/login/alice@example.net", headers={
        "Origin": ORIGIN, "Access-Control-Request-Method": "SEND",
        "Access-Control-Request-Headers": "authorization, content-type"})
    is_empty(answer)
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "SEND" in answer.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]


@pytest.mark.parametrize("origin", ["https://evil.example", "https://app.example.org.evil.example",
                                    "http://app.example.org", "null", "", "https://app.example.org:444"])
def test_pages_of_other_origins_may_not(strict, origin):
    for method in ("GET", "OPTIONS"):
        answer = strict.request(method, "/health/live", headers={
            "Origin": origin, "Access-Control-Request-Method": "GET"})
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_without_a_list_no_origin_may(system):
    answer = system.request("GET", "/health/live", headers={"Origin": ORIGIN})
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert is_json(answer)["status"] == "live"


def test_what_is_refused_is_no_error_in_the_log_of_postgresql(system, account):
    """There, an ERROR is what an operator must look at."""
    log = system.logs / "postgres.log"
    before = log.stat().st_size
    alice, bob = account("alice"), account("bob")
    is_problem(bob.request("GET", "/login/nobody@example.net"), 404)
    is_problem(bob.request("DELETE", f"/user/{alice.email}"), 403)
    is_problem(bob.request("POST", "/user", json={"email": alice.email, "password": "0123456789"}), 409)
    written = log.read_bytes()[before:].decode()
    assert "ERROR" not in written and "STATEMENT" not in written, written
