"""Accept, query and path: who answers, a worker or the stream program, and in which form; and that a stream which a worker
has handed over is as one that nginx sent there."""
import collections
import http.client
import json

import pytest

from answers import is_problem
from stream_client import Stream
from stream_steps import problem, register, send

JSON, TEXT, SSE, LINES = "application/json", "text/plain", "text/event-stream", "application/x-ndjson"
PROBLEM = "application/problem+json"
WORKER, STREAM, BOTH = ("api",), ("stream",), ("api", "stream")

Case = collections.namedtuple("Case", "accept live login")  # (who, type) of a resource that is JSON, and of a login

CASES = [
    Case(None, (WORKER, JSON), (WORKER, JSON)),
    Case("", (WORKER, JSON), (WORKER, JSON)),
    Case("*/*", (WORKER, JSON), (WORKER, JSON)),
    Case(JSON, (WORKER, JSON), (WORKER, JSON)),
    Case("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", (WORKER, JSON), (WORKER, JSON)),
    Case(SSE, (STREAM, SSE), (STREAM, SSE)),
    Case("Text/Event-Stream", (STREAM, SSE), (STREAM, SSE)),
    Case(LINES, (STREAM, LINES), (STREAM, LINES)),
    Case(f"{SSE}; charset=utf-8", (BOTH, SSE), (BOTH, SSE)),
    Case(f"{LINES}, {SSE}", (BOTH, SSE), (BOTH, SSE)),
    Case(f"{LINES}, {SSE};q=0.9", (BOTH, LINES), (BOTH, LINES)),
    Case(f"{SSE};q=0.5", (BOTH, SSE), (BOTH, SSE)),
    Case(f"{SSE}, image/png", (BOTH, SSE), (BOTH, SSE)),
    Case(f"{SSE}, {JSON};q=0.9", (BOTH, SSE), (BOTH, SSE)),
    Case(f"{JSON};q=0.9, {SSE}", (BOTH, SSE), (BOTH, SSE)),
    Case(f"{LINES}, */*;q=0.1", (BOTH, LINES), (BOTH, LINES)),
    Case(f"{SSE}, {TEXT};q=0.5", (BOTH, SSE), (BOTH, SSE)),
    Case(f"{SSE}, {TEXT}", (BOTH, SSE), (WORKER, TEXT)),
    Case(f"{JSON}, {SSE}", (WORKER, JSON), (WORKER, JSON)),
    Case(f"{SSE}, {JSON}", (WORKER, JSON), (WORKER, JSON)),
    Case(f"{SSE};q=0.5, {JSON}", (WORKER, JSON), (WORKER, JSON)),
    Case(f"{SSE}, */*", (WORKER, JSON), (WORKER, JSON)),
    Case(f"{SSE};q=0, */*", (WORKER, JSON), (WORKER, JSON)),
    Case("text/*", (WORKER, JSON), (WORKER, TEXT)),
    Case(f"{SSE};q=0", (WORKER, JSON), (WORKER, PROBLEM)),
]

# What is asked for otherwise, of any resource that can be a stream: path behind it, Accept, who, status, type.
ASKED = [
    ("?stream", None, STREAM, 200, LINES),
    ("?stream=", JSON, STREAM, 200, LINES),
    ("?_=1&stream", SSE, STREAM, 200, SSE),
    ("?stream", f"{JSON}, {SSE};q=0.1", STREAM, 200, SSE),
    ("?%73tream", None, BOTH, 200, LINES),
    ("?streams=1", None, WORKER, 400, PROBLEM),
    ("?wait=0", None, STREAM, 200, JSON),
    ("?wait=0", SSE, STREAM, 200, JSON),
    ("?wai%74=0", None, BOTH, 200, JSON),
    ("?wait=x", None, STREAM, 400, PROBLEM),
    ("?wait", None, STREAM, 400, PROBLEM),
]


class Asked:
    """Requests, and afterwards, from nginx's log, who has answered them."""

    def __init__(self, account):
        self.account, self.rows = account, []

    def ask(self, expected, path, accept=None, method="GET", headers=None):
        """expected: (who, status, type)."""
        host, port = self.account.system.url[7:].split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=20)
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in {**self.account.headers, "Accept": accept, **(headers or {})}.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        kind = (answer.headers["Content-Type"] or "").split(";")[0]
        self.rows.append((answer.headers["X-Request-Id"], f"{method} {path} {accept}", expected, (answer.status, kind)))
        connection.close()

    def wrong(self, until):
        """What was not as expected, once all is in the log."""
        def upstreams():
            log = self.account.system.log("access").splitlines()
            lines = {line.split("request_id=")[1].split()[0]: line for line in log if "request_id=" in line}
            found = [lines[row[0]].split('upstream="')[1].split('"')[0] for row in self.rows]
            return [tuple(part.split("/")[-1].split(".")[0] for part in text.split(" : ")) for text in found]
        who = until(upstreams, 10)
        got = [(what, expected, (by, *answer)) for (_, what, expected, answer), by in zip(self.rows, who)]
        return [row for row in got if row[1] != row[2]]


@pytest.fixture
def asked(account, until):
    made = Asked(account("alice"))
    made.account.token()
    yield made
    assert made.rows and not made.wrong(until)


@pytest.fixture
def world(asked):
    """Paths of what alice has: what is live and JSON alone, and what is to be had once."""
    alice = asked.account
    contact = register(alice, "sip:a@192.0.2.1")["self"]
    call = alice.request("POST", "/call", json={"subject": "x"}).json()["url"]
    part = f"{call}/{alice.request('POST', call, json={'url': alice.login}).json()['id']}"
    sent = send(alice, alice, "x")["url"]
    credential = f"/user/me/credential/{alice.credential()['id']}"
    return {"live": ["/user/me", "/user/me/messages", "/login", "/call", contact, part, sent], "call": call,
            "once": ["/user", "/user/me/credential", credential, sent + "/trace"]}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_each_accept_finds_who_answers(asked, world, method):
    for case in CASES:
        for path in world["live"]:
            asked.ask((case.live[0], 200, case.live[1]), path, case.accept, method)
        who, kind = case.login
        asked.ask((who, 406 if kind == PROBLEM else 200, kind), "/login/me", case.accept, method)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_who_asks_for_a_stream_gets_one(asked, world, method):
    for query, accept, who, status, kind in ASKED:
        for path in ("/login/me", "/user/me", world["call"]):
            asked.ask((who, status, kind), path + query, accept, method)


def test_a_call_has_a_form_of_its_own(asked, world):
    info = "application/conference-info+xml"
    asked.ask((WORKER, 200, info), world["call"], f"{info}, {SSE}")
    asked.ask((BOTH, 200, SSE), world["call"], f"{info};q=0.9, {SSE}")


def test_a_watch_is_a_stream_whatever_is_accepted(asked):
    for accept, kind in ((None, LINES), (JSON, LINES), (f"{JSON}, {SSE};q=0.1", SSE), (f"{SSE};q=0", LINES)):
        asked.ask((STREAM, 200, kind), "/watch?r=/user/me", accept)
    asked.ask((WORKER, 405, PROBLEM), "/watch", method="DELETE")


def test_what_cannot_be_a_stream_is_none(asked, world):
    for path in world["once"]:
        asked.ask((STREAM, 406, PROBLEM), path, SSE)
        asked.ask((STREAM, 406, PROBLEM), path + "?stream")
        asked.ask((WORKER, 200, JSON), path, f"{SSE}, {JSON};q=0.9")
    asked.ask((STREAM, 404, PROBLEM), "/nothing", SSE)
    asked.ask((WORKER, 404, PROBLEM), "/nothing", f"{SSE}, {JSON};q=0.9")
    asked.ask((STREAM, 406, PROBLEM), "/session", SSE)
    asked.ask((STREAM, 405, PROBLEM), "/session/ticket", SSE)


def test_other_methods_are_a_workers(asked):
    asked.ask((WORKER, 405, PROBLEM), "/user", SSE, "PUT", {"Content-Length": "0"})
    asked.ask((WORKER, 200, JSON), "/user/me?stream", SSE, "POST", {"Content-Length": "0", "X-HTTP-Method-Override": "GET"})


# ---- handed over ----

HANDED = {"Accept": f"{SSE}, {JSON};q=0.9"}


def told(headers):
    """What an answer says that is not of the moment."""
    return sorted((k, v) for k, v in headers.items() if k not in ("Date", "X-Request-Id"))


def test_one_that_was_handed_over_is_as_any(account, opened, until):
    alice, bob = account("alice"), account("bob")
    direct, handed = opened(alice, sse=True), opened(alice, sse=True, headers=HANDED)
    assert told(handed.headers) == told(direct.headers)
    first = handed.wait("state").id
    register(alice, "sip:a@192.0.2.1")
    send(bob, alice, "hello")
    for stream in (direct, handed):
        stream.wait("change", 2)
        stream.wait_message("hello", 2)
    assert [(e.name, e.id, e.data) for e in handed.events] == [(e.name, e.id, e.data) for e in direct.events]
    again = opened(alice, sse=True, headers=HANDED, last=first)
    again.wait_message("hello")
    assert again.events[0].name == "change"
    handed.close()
    request_id = handed.headers["X-Request-Id"]
    line = until(lambda: [x for x in alice.system.log("access").splitlines() if request_id in x], 10)[0]
    assert " status=200 " in line and line.split('upstream="')[1].split('"')[0].count(" : ") == 1


def test_one_that_was_handed_over_ends_with_its_client(account, opened, until):
    alice, bob = account("alice"), account("bob")
    stream = opened(alice, sse=True, headers=HANDED)
    stream.wait("state")
    stream.close()
    until(lambda: send(bob, alice, "x")["status"] == "stored")


def test_whoever_may_not_is_told_by_the_stream_program(account, system):
    alice = account("alice")
    nobody = Stream(system, alice.login, headers=HANDED)
    problem(nobody, 401, "unauthorized")
    problem(Stream(system, alice.login, token="x" * 43, headers=HANDED), 401, "unauthorized")
    problem(Stream(system, "/login/nobody@example.net", token=alice.token(), headers=HANDED), 404, "user-not-found")
    page = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    problem(Stream(system, alice.login, token=alice.token(), headers={**HANDED, **page}), 403, "cross-site")
    assert alice.request("GET", alice.login, headers={**page, "Accept": f"{SSE};q=0.5, {JSON}"}).status_code == 200


def test_a_ticket_and_basic_go_along(account, system):
    alice = account("alice")
    for how in ({"path": f"{alice.login}?ticket={alice.request('POST', '/session/ticket').json()['ticket']}"},
                {"path": alice.login, "auth": alice.auth}):
        stream = Stream(system, sse=True, headers=HANDED, **how)
        assert stream.status == 200 and stream.wait("state")
        stream.close()


def test_a_body_of_a_get_goes_along_and_the_connection_is_kept(quick):
    host, port = quick.system.url[7:].split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    headers = {"Authorization": f"Bearer {quick.token()}", **HANDED}
    for path, body in (("/login/me?wai%74=0", b"x" * 60_000), ("/login/me", None)):
        connection.request("HEAD" if body is None else "GET", path, body=body, headers=headers)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200 and (body is None or json.loads(text) == [])
    connection.request("GET", "/login/me", headers={**headers, "Accept": JSON})
    assert connection.getresponse().status == 200
    connection.close()


def test_the_inner_location_is_out_of_reach(system, quick):
    for path in ("/@stream", "/%40stream", "/login/@stream", "/@stream/login/me"):
        is_problem(quick.request("GET", path, headers={"X-Accel-Redirect": "@stream"}), 404)
    answer = system.request("GET", "/health/live", headers={"X-Accel-Redirect": "/openapi.json"})
    assert answer.status_code == 200 and "X-Accel-Redirect" not in answer.headers and "openapi" not in answer.json()
    answer = quick.request("GET", "/login/me", headers={"X-Accel-Redirect": "@stream", "Accept": "*/*"})
    assert answer.headers["Content-Type"] == JSON and answer.json() == []
