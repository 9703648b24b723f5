"""What nginx answers by itself: always problem+json with the request's id."""
import socket

import pytest


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
    slow.down()


def test_a_dead_pool_is_502_with_retry_after(own_system):
    (own_system.state / "sock/api.sock").unlink()
    for name in own_system.names():
        if name.startswith("restsip-api"):
            own_system.kill_and_wait(name)  # nor is there a kept connection
    answer = own_system.request("SEND", "/login/a@example.net", data=b"x")
    problem(answer, 502, "unavailable")
    assert answer.headers["Retry-After"] == "1"


def test_the_log_has_the_request_id_and_no_query(system, until):
    request_id = problem(system.request("GET", "/_problem?ticket=secret"), 404, "not-found")["request_id"]
    line = until(lambda: [x for x in system.log("access").splitlines() if request_id in x])[0]
    assert 'path="/_problem"' in line and "secret" not in line
