"""Every row of the interface with every refusal that it can meet: what is said, and that nothing has changed.

TABLE below is the interface; each entry of a row is one test. What is refused for everybody alike is made by the
functions of COLUMNS, what is the row's own stands in the row.
"""
import collections
import json
import os
import subprocess

import psycopg
import pytest
import requests

from answers import is_json, is_problem, time_in
from restsip_system import Account, TOP

PNG = {"Content-Type": "image/png"}
GZIP = {"Content-Encoding": "gzip"}
XML = {"Content-Type": "application/xml"}
KEPT_TABLES = ("account", "credential", "resource", "change", "login", "send", "delivery", "call", "invitation",
               "participant", "message", "session")
STATE = "select " + ", ".join(f"(select md5(string_agg(t::text, e'\\n' order by t::text)) from app.{table} t)"
                              for table in KEPT_TABLES)

# Bodies that would do.
SIGNUP = {"email": "new@example.net", "password": "0123456789"}
CONTACT = {"contact": "sip:new@192.0.2.9"}
CALL = {"subject": "new"}
JOIN = {"url": "{login}", "session": "rtsp://new"}
MAIL = {"url": "rtsp://new"}
TEXT = b"new"
BIG = b'{"x":"' + b"x" * 66_000 + b'"}'

Row = collections.namedtuple("Row", "method path body refusals")
Own = collections.namedtuple("Own", "slug pointer body path who headers")


def own(slug, pointer=None, body=None, path=None, who="alice", headers=None):
    """A refusal of one row: the problem, and what of the row's good request is to be another."""
    return Own(slug, pointer, body, path, who, headers or {})


def bob(slug="not-owner"):
    return own(slug, who="bob")


def at(path, slug):
    return own(slug, path=path)


LATER = "?send_at=" + time_in(86400)  # so that nobody works on it meanwhile
USER_404 = "/user/nobody@example.net"
LOGIN_404 = "/login/nobody@example.net"
NO_USER, NO_CONTACT, NO_MESSAGE = "user-not-found", "contact-not-found", "message-not-found"
NO_CALL, NO_PART = "call-not-found", "participant-not-found"
MEMBER = "invalid-member"
ALL = object()  # as COLUMNS has it for everybody

TABLE = [
    Row("POST", "/user", SIGNUP, {
        400: own(MEMBER, "/email", {"email": "no email"}),
        403: own("domain-not-hosted", "/email", {**SIGNUP, "email": "a@example.org"}),
        405: ALL, 409: own("account-exists", "/email", {**SIGNUP, "email": "{email}"}), 413: ALL, 415: ALL, 429: ALL}),
    Row("GET", "/user", None, {
        400: at("/user?limit=0", "invalid-parameter"), 401: ALL, 405: ALL, 429: ALL}),
    Row("GET", "/user/{email}", None, {401: ALL, 404: at(USER_404, NO_USER), 405: ALL, 429: ALL}),
    Row("PUT", "/user/{email}", {"name": "new"}, {
        400: own(MEMBER, "/password", {"password": 1}), 401: ALL, 403: bob(), 405: ALL,
        412: ALL, 413: ALL, 415: ALL, 429: ALL}),
    Row("PATCH", "/user/{email}", {"name": "new"}, {
        400: own(MEMBER, "/password", {"password": None}), 401: ALL, 403: own("password-needed", body={"password": "12345678"}),
        405: ALL,
        412: ALL, 413: ALL, 415: ALL, 429: ALL}),
    Row("DELETE", "/user/{email}", None, {
        401: ALL, 403: bob(), 405: ALL, 412: ALL, 429: ALL}),

    Row("POST", "/session", {"expires": 60}, {
        400: own(MEMBER, "/expires", {"expires": 0}, who="basic"), 401: ALL, 405: ALL, 413: own("content-too-large", body=BIG, who="basic"),
        415: own("unsupported-media-type", body=TEXT, who="basic", headers=PNG), 429: ALL}),
    Row("GET", "/session", None, {401: ALL, 405: ALL, 429: ALL}),
    Row("DELETE", "/session", None, {401: ALL, 405: ALL, 429: ALL}),
    Row("POST", "/session/ticket", None, {401: ALL, 405: ALL, 429: ALL}),

    Row("POST", "/user/{email}/credential", {"label": "new"}, {
        400: own(MEMBER, "/algorithm", {"label": "new", "algorithm": "SHA-1"}, who="basic"), 401: ALL,
        403: own("password-needed"), 405: ALL, 413: ALL, 415: ALL, 429: ALL}),
    Row("GET", "/user/{email}/credential", None, {
        401: ALL, 403: bob(), 405: ALL, 429: ALL}),
    Row("GET", "/user/{email}/credential/{credential}", None, {
        401: ALL, 403: bob(), 404: at("/user/me/credential/999", "credential-not-found"), 405: ALL, 429: ALL}),
    Row("DELETE", "/user/{email}/credential/{credential}", None, {
        401: ALL, 403: bob(), 404: at("/user/me/credential/999", "credential-not-found"), 405: ALL, 429: ALL}),

    Row("POST", "/user/{email}/messages", MAIL, {
        400: own(MEMBER, "/url", {"url": 1}), 401: ALL, 404: at(USER_404 + "/messages", NO_USER), 405: ALL,
        413: own("content-too-large", body=b"x" * 65_600, who="nobody", headers={"Content-Type": "audio/wav"}),
        415: own("unsupported-media-type", body=TEXT, headers=PNG), 422: ALL, 429: ALL}),
    Row("GET", "/user/{email}/messages", None, {
        400: at("/user/me/messages?after=x", "invalid-parameter"), 401: ALL, 403: bob(), 405: ALL, 429: ALL}),
    Row("GET", "/user/{email}/calls", None, {
        400: at("/user/me/calls?after=x", "invalid-parameter"), 401: ALL, 403: bob(), 405: ALL, 429: ALL}),
    Row("GET", "/user/{email}/messages/{mail}", None, {
        401: ALL, 403: bob(), 404: at("/user/me/messages/999", NO_MESSAGE), 405: ALL, 406: ALL,
        416: own("range-not-satisfiable", headers={"Accept": "text/*", "Range": "bytes=9999-"}), 429: ALL}),
    Row("PATCH", "/user/{email}/messages/{mail}", {"seen": True}, {
        400: own(MEMBER, "/seen", {"seen": "yes"}), 401: ALL, 403: bob(),
        404: at("/user/me/messages/999", NO_MESSAGE), 405: ALL, 412: ALL, 413: ALL, 415: ALL, 429: ALL}),
    Row("DELETE", "/user/{email}/messages/{mail}", None, {
        401: ALL, 403: bob(), 404: at("/user/me/messages/999", NO_MESSAGE), 405: ALL, 412: ALL, 429: ALL}),

    Row("GET", "/login", None, {400: at("/login?limit=x", "invalid-parameter"), 401: ALL, 405: ALL, 429: ALL}),
    Row("GET", "/login/{email}", None, {401: ALL, 404: at(LOGIN_404, NO_USER), 405: ALL, 406: ALL, 429: ALL}),
    Row("POST", "/login/{email}", CONTACT, {
        400: own(MEMBER, "/contact", {"contact": "mailto:a@example.net"}), 401: ALL, 403: bob(), 405: ALL,
        409: own("too-many-contacts", body=[{"contact": f"sip:c{i}@192.0.2.8"} for i in range(32)]),
        412: ALL, 413: ALL, 415: ALL, 422: ALL, 429: ALL}),
    Row("PUT", "/login/{email}", CONTACT, {
        400: own(MEMBER, "/1/contact", [CONTACT, {"contact": 1}]), 401: ALL, 403: bob(), 405: ALL, 409: own("too-many-contacts", body=[{"contact": f"sip:c{i}@192.0.2.8"} for i in range(33)]),
        412: ALL, 413: ALL, 415: ALL, 429: ALL}),
    Row("DELETE", "/login/{email}", None, {
        401: ALL, 403: bob(), 405: ALL, 412: ALL, 429: ALL}),
    Row("GET", "/login/{email}/{contact}", None, {
        401: ALL, 404: at("/login/me/999", NO_CONTACT), 405: ALL, 429: ALL}),
    Row("PUT", "/login/{email}/{contact}", CONTACT, {
        400: own(MEMBER, "/expires", {"expires": 0}), 401: ALL, 403: bob(),
        404: at("/login/me/999", NO_CONTACT), 405: ALL,
        409: own("contact-exists", "/contact", {"contact": "sip:second@192.0.2.2"}),
        412: ALL, 413: ALL, 415: ALL, 429: ALL}),
    Row("DELETE", "/login/{email}/{contact}", None, {
        401: ALL, 403: bob(), 404: at("/login/me/999", NO_CONTACT), 405: ALL, 412: ALL, 429: ALL}),

    Row("SEND", "/login/{email}" + LATER, TEXT, {
        400: own("invalid-parameter", path="/login/me?send_at=soon"), 401: ALL, 404: at(LOGIN_404, NO_USER), 405: ALL,
        409: own("not-reachable", path="/login/{bob}?offline=no"), 413: ALL, 415: own("unsupported-media-type", headers=GZIP),
        422: ALL, 429: ALL}),
    Row("POST", "/login/{email}/messages" + LATER, TEXT, {
        400: own("invalid-parameter", path="/login/me/messages?send_at=soon"), 401: ALL,
        404: at(LOGIN_404 + "/messages", NO_USER), 405: ALL,
        409: own("not-reachable", path="/login/{bob}/messages?offline=no"), 413: ALL, 415: own("unsupported-media-type", headers=GZIP),
        422: ALL, 429: ALL}),
    Row("SEND", "/login/{email}/{contact}" + LATER, TEXT, {
        401: ALL, 404: at("/login/me/999", NO_CONTACT), 405: ALL, 413: ALL, 415: own("unsupported-media-type", headers=GZIP),
        422: ALL, 429: ALL}),
    Row("POST", "/login/{email}/{contact}/messages" + LATER, TEXT, {
        401: ALL, 404: at("/login/me/999/messages", NO_CONTACT), 405: ALL, 413: ALL, 415: own("unsupported-media-type", headers=GZIP),
        422: ALL, 429: ALL}),
    Row("CANCEL", "/login/{email}/{sent}", None, {
        401: ALL, 404: at("/login/me/999", NO_MESSAGE), 405: ALL,
        409: own("message-not-cancellable", path="/login/{email}/{delivered}"), 429: ALL}),
    Row("DELETE", "/login/{email}/messages/{sent}", None, {
        401: ALL, 404: at("/login/me/messages/999", NO_MESSAGE), 405: ALL,
        409: own("message-not-cancellable", path="/login/{email}/messages/{delivered}"), 429: ALL}),
    Row("GET", "/login/{email}/{sent}/trace", None, {
        401: ALL, 404: own(NO_MESSAGE, who="bob"), 405: ALL, 429: ALL}),

    Row("GET", "/call", None, {400: at("/call?limit=-1", "invalid-parameter"), 401: ALL, 405: ALL, 429: ALL}),
    Row("POST", "/call", CALL, {
        400: own(MEMBER, "/starts_at", {"starts_at": "soon"}), 401: ALL, 405: ALL, 413: ALL, 415: ALL, 422: ALL,
        429: ALL}),
    Row("GET", "/call/{call}", None, {401: ALL, 404: bob(NO_CALL), 405: ALL, 406: ALL, 429: ALL}),
    Row("GET", "/call/{call}/trace", None, {401: ALL, 404: bob(NO_CALL), 405: ALL, 406: ALL, 429: ALL}),
    Row("POST", "/call/{call}", JOIN, {
        400: own(MEMBER, "/url", {"url": "/nothing"}), 401: ALL,
        403: own("not-owner", body={**JOIN, "url": "/login/{bob}"}), 404: own(NO_CALL, body={"email": "{bob}"}, who="bob"),
        405: ALL, 413: ALL, 415: ALL, 422: ALL, 429: ALL}),
    Row("PATCH", "/call/{call}", CALL, {
        400: own(MEMBER, "/open", {"open": "no"}), 401: ALL, 403: own("not-owner", path="/call/{open}", who="bob"),
        404: bob(NO_CALL), 405: ALL, 412: ALL, 413: ALL, 415: ALL, 429: ALL}),
    Row("DELETE", "/call/{call}", None, {
        401: ALL, 403: own("not-owner", path="/call/{open}", who="bob"), 404: bob(NO_CALL), 405: ALL, 412: ALL,
        429: ALL}),
    Row("GET", "/call/{call}/{part}", None, {401: ALL, 404: bob(NO_CALL), 405: ALL, 429: ALL}),
    Row("PUT", "/call/{call}/{part}", {"session": "rtsp://new"}, {
        400: own(MEMBER, body=[]), 401: ALL, 403: own("not-owner", path="/call/{open}/{open_part}", who="bob"),
        404: at("/call/{call}/999", NO_PART), 405: ALL, 412: ALL, 413: ALL, 415: ALL, 429: ALL}),
    Row("DELETE", "/call/{call}/{part}", None, {
        401: ALL, 403: own("not-owner", path="/call/{open}/{open_part}", who="bob"),
        404: at("/call/{call}/999", NO_PART), 405: ALL, 412: ALL, 429: ALL}),

    Row("GET", "/watch?r=/login/{email}", None, {
        400: at("/watch", "invalid-parameter"), 401: ALL, 404: at("/watch?r=" + LOGIN_404, NO_USER), 405: ALL,
        406: at("/watch?r=/user", "not-acceptable"), 429: ALL}),

    Row("GET", "/health/live", None, {405: ALL}),
    Row("GET", "/health/ready", None, {405: ALL}),
    Row("GET", "/metrics", None, {405: ALL}),
    Row("GET", "/openapi.json", None, {405: ALL}),
    Row("GET", "/docs", None, {405: ALL}),
]


class World:
    """Alice has one of everything, bob has nothing; both have tokens."""

    def __init__(self, system):
        self.system, self.kinds = system, set()
        self.db = psycopg.connect(system.pg_owner, autocommit=True)
        self.alice, self.bob = self._account("alice"), self._account("bob")
        a, me = self.alice, self.alice.email
        first = self._made("POST", a.login, json={"contact": "sip:first@192.0.2.1"})
        self._made("POST", a.login, json={"contact": "sip:second@192.0.2.2"})
        call = self._made("POST", "/call", json={"subject": "closed", "open": False})
        opened = self._made("POST", "/call", json={"subject": "open"})
        delivered = self._made("SEND", a.login + LATER, data=b"x")["id"]
        system.query_owner("update app.delivery d set state = 'delivered', settled_at = now() from app.send s where s.id = d.send_id "
                           "and s.account_id = (select id from app.account where email = %s) and s.n = %s returning d.id",
                           (me, delivered))
        self.names = {
            "email": me, "login": a.login, "bob": self.bob.email, "contact": first["id"], "delivered": delivered,
            "sent": self._made("SEND", a.login + LATER, data=b"x")["id"],
            "mail": self._made("POST", f"/user/{me}/messages", data=b"text", headers={"Content-Type": "text/plain"})["id"],
            "credential": a.credential()["id"], "call": call["id"], "open": opened["id"],
            "part": self._made("POST", call["url"], json={"url": a.login})["id"],
            "open_part": self._made("POST", opened["url"], json={"url": a.login})["id"],
        }

    def _account(self, name):
        email, password = f"{name}@example.net", f"{name}-password"
        answer = self.system.request("POST", "/user", json={"email": email, "password": password})
        assert answer.status_code == 201, answer.text
        made = Account(self.system, email, password)
        made.token()
        return made

    def _made(self, method, path, **kwargs):
        answer = self.alice.request(method, path, **kwargs)
        assert answer.status_code in (201, 202), answer.text
        return answer.json()

    def fill(self, value):
        """The names of alice's things for {their kind}."""
        if isinstance(value, str):
            for name, is_ in self.names.items():
                value = value.replace("{%s}" % name, str(is_))
            return value
        if isinstance(value, dict):
            return {k: self.fill(v) for k, v in value.items()}
        return [self.fill(v) for v in value] if isinstance(value, list) else value

    def state(self):
        """All that a refusal must not change."""
        return self.db.execute(STATE).fetchone()

    def ask(self, row, who="alice", method=None, path=None, body=None, headers=None):
        """The row's good request, with what is to be another."""
        body = self.fill(row.body if body is None else body)
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        kind = {} if data is None else {"Content-Type": "text/plain" if body is TEXT else "application/json"}
        signed = {"alice": lambda: self.alice.headers, "bob": lambda: self.bob.headers}.get(who, dict)()
        auth = self.alice.auth if who == "basic" else None
        answer = self.system.request(method or row.method, self.fill(path or row.path), data=data, auth=auth,
                                     headers={**signed, **kind, **(headers or {})})
        if answer.status_code >= 400:
            self.explained(answer.json()["type"])
        return answer

    def explained(self, kind):
        """The type of a problem is a URL that says what it is."""
        if kind not in self.kinds:
            assert is_json(requests.get(self.system.url + kind, timeout=20))["title"], kind
            self.kinds.add(kind)


# ---- what is refused for everybody alike ----

def unknown_caller(world, row):
    """Nobody where somebody is wanted; and a token that is none, even where nobody would do."""
    if row.path not in ANYONE or row.method not in ANYONE[row.path]:
        is_problem(world.ask(row, who="nobody"), 401, "unauthorized")
    is_problem(world.ask(row, who="nobody", headers={"Authorization": "Bearer " + "A" * 43}), 401, "unauthorized")


ANYONE = {"/user/{email}": {"GET"}, "/user/{email}/messages": {"POST"}}
FILES = {"/openapi.json", "/docs"}  # nginx answers these by itself
# Of the same path: they may stand behind another name of the table's.
SAME = {"{sent}": "{n}", "{contact}": "{n}", "{mail}": "{n}", "{credential}": "{n}", "{part}": "{n}"}


def normal(path):
    path = path.split("?")[0]
    for name, same in SAME.items():
        path = path.replace(name, same)
    return path


def other_method(world, row):
    answer = world.ask(row, method="FOO")
    is_problem(answer, 405, "method-not-allowed")
    there = {r.method for r in TABLE if normal(r.path) == normal(row.path)}
    there |= ({"HEAD"} if "GET" in there else set()) | (set() if row.path in FILES else {"OPTIONS"})
    assert set(answer.headers["Allow"].split(", ")) == there


def not_acceptable(world, row):
    answer = world.ask(row, headers={"Accept": "image/png"})
    assert "application/json" in is_problem(answer, 406, "not-acceptable")["acceptable"]


def another_version(world, row):
    for version in ('"999999"', "*x", 'W/"1"'):
        is_problem(world.ask(row, headers={"If-Match": version}), 412, "precondition-failed")


def too_large(world, row):
    is_problem(world.ask(row, body=BIG), 413, "content-too-large")
    answer = world.ask(row, body=b"x" * 70_000)  # nginx's own, as all of nginx's with charset or without
    assert answer.status_code == 413 and answer.json()["type"] == "/problems/content-too-large"


def another_type(world, row):
    answer = world.ask(row, headers=XML)
    assert "application/json" in is_problem(answer, 415, "unsupported-media-type")["acceptable"]
    assert "application/json" in answer.headers["Accept"]


def key_used_before(world, row):
    key = {"Idempotency-Key": os.urandom(8).hex()}
    first = world.ask(row, headers=key)
    assert first.status_code in (200, 201, 202), first.text
    before = world.state()
    changed = {**row.body, "more": 1} if isinstance(row.body, dict) else b"another"
    is_problem(world.ask(row, headers=key, body=changed), 422, "idempotency-key-reused")
    assert world.state() == before
    again = world.ask(row, headers=key)
    assert (again.status_code, again.json()) == (first.status_code, first.json())


def guessed_too_often(world, row):
    answer = world.system.request(row.method, world.fill(row.path), auth=("guessed@example.net", "anything"))
    world.explained(is_problem(answer, 429, "too-many-guesses")["type"])
    assert int(answer.headers["Retry-After"]) > 0


COLUMNS = {401: unknown_caller, 405: other_method, 406: not_acceptable, 412: another_version, 413: too_large,
           415: another_type, 422: key_used_before, 429: guessed_too_often}


def cells(throttled):
    for row in TABLE:
        for status, cell in row.refusals.items():
            if (status == 429) == throttled:
                yield pytest.param(row, status, cell, id=f"{row.method} {row.path} {status}")


@pytest.fixture(scope="module")
def world(systems):
    made = World(systems("refusals", {"RESTSIP_DEMO": "no"}))
    yield made
    made.db.close()
    made.system.down()


@pytest.fixture(scope="module")
def guessed(world):
    """An account that somebody has tried too many passwords of."""
    for _ in range(60):
        answer = world.system.request("GET", "/user/me", auth=("guessed@example.net", os.urandom(4).hex()))
        if answer.status_code == 429:
            return
    pytest.fail("guesses are not stopped")


def test_every_route_has_its_row():
    program = TOP / os.environ.get("BUILD", "build") / "restsip-api"
    out = subprocess.run([program, "--routes"], check=True, capture_output=True, text=True, timeout=10).stdout
    routes = {tuple(line.split(" ")[:2]) for line in out.splitlines()} - {("GET", "/problems/{slug}")}
    assert {(row.method, normal(row.path)) for row in TABLE if row.path not in FILES} == routes


@pytest.mark.parametrize("row, status, cell", cells(throttled=False))
def test_a_refusal(world, row, status, cell):
    before = world.state()
    if cell is ALL:
        COLUMNS[status](world, row)
    else:
        answer = world.ask(row, cell.who, path=cell.path, body=cell.body, headers=cell.headers)
        is_problem(answer, status, cell.slug, cell.pointer)
    if status != 422:  # has done what it is to do once, and looked by itself
        assert world.state() == before


@pytest.mark.parametrize("row", [row for row in TABLE if row.method != "GET"], ids=lambda row: f"{row.method} {row.path}")
def test_a_page_of_another_site_changes_nothing(world, row):
    before = world.state()
    for who in ("alice", "basic"):
        is_problem(world.ask(row, who, headers={"Sec-Fetch-Site": "cross-site"}), 403, "cross-site")
    assert world.state() == before


@pytest.mark.parametrize("row", [row for row in TABLE if row.path.startswith("/call/{call}")],
                         ids=lambda row: f"{row.method} {row.path}")
@pytest.mark.parametrize("headers", [{}, {"If-Match": '"1"'}], ids=["plain", "if-match"])
def test_a_call_that_is_not_shown_is_as_one_that_is_not_there(world, row, headers):
    body = {**row.body, "url": "/login/{bob}"} if row.body and "url" in row.body else None
    hidden = world.ask(row, "bob", body=body, headers=headers)
    none = world.ask(row, "bob", path=row.path.replace("{call}", "999999"), body=body, headers=headers)
    is_problem(hidden, 404, "call-not-found")
    is_problem(none, 404, "call-not-found")
    assert {**hidden.json(), "request_id": 0} == {**none.json(), "request_id": 0}
    assert hidden.headers.keys() == none.headers.keys()


@pytest.mark.usefixtures("guessed")
@pytest.mark.parametrize("row, status, cell", cells(throttled=True))
def test_a_refusal_after_many_guesses(world, row, status, cell):
    assert cell is ALL
    before = world.state()
    COLUMNS[status](world, row)
    assert world.state() == before
