"""HTTP as people send it: with curl's defaults, and with mistakes; each answer says what to change, without the docs."""
import json
import re
import secrets
import subprocess

import pytest
import requests

from answers import is_json, is_problem

JSON, FORM, TEXT = "application/json", "application/x-www-form-urlencoded", "text/plain; charset=utf-8"
STREAM = {"Accept": "application/x-ndjson"}


def curl(account, *args):
    """What curl prints, as this user; --fail-with-body is not given: a newcomer does not give it."""
    return subprocess.run(["curl", "-s", "--noproxy", "*", "-m", "20", "-H", f"Authorization: Bearer {account.token()}", *args],
                          check=True, capture_output=True, timeout=30).stdout


def body(data, kind=JSON):
    return {"data": data.encode() if isinstance(data, str) else data, "headers": {"Content-Type": kind}}


# Method, path, what else, the status, and what the sentence has to say: what was expected, and what came.
WRONG = [
    # the body
    ("POST", "/session", body('{"expires":5}'), 400, r"`expires` is 60 to 2592000 seconds; this is 5\."),
    ("POST", "/session", body('{"expires":"day"}'), 400, r'`expires` is a number of seconds; this is the string "day"'),
    ("POST", "/login/me", body('{"contact":"sip:a@192.0.2.1","expires":-5}'), 400, r"`expires` is at least 1 seconds; this is -5"),
    ("POST", "/login/me", body('{"contact":"alice"}'), 400, r'`contact` is a SIP URI such as sip:\S+; this is the string "alice"'),
    ("POST", "/login/me", body('{"contact":["sip:a@192.0.2.1"]}'), 400, r"`contact` is a string; this is an array of 1"),
    ("POST", "/login/me", body("{}"), 400, r"`contact` is missing: a SIP URI such as sip:"),
    ("POST", "/login/me", body("[]"), 400, r"1 to 64 contacts; this has 0"),
    ("POST", "/login/me", body('{"lifetime":"page"}'), 400, r'`lifetime` can only be "stream"'),
    ("POST", "/login/me", body('{"contact":"sip:a@192.0.2.1"'), 400, r"not JSON: it ends too early, after 28 bytes"),
    ("POST", "/login/me", body("{'contact':'sip:a@192.0.2.1'}"), 400, r"not JSON, read up to byte 2: lexical error: invalid char"),
    ("POST", "/login/me", body('{"contact" "sip:a@192.0.2.1"}'), 400, r"not JSON, read up to byte \d+: parse error.*colon"),
    ("POST", "/login/me", body('{"a":1,"a":2}'), 400, r"there twice"),
    ("POST", "/login/me", body(b'{"note":"\xff"}'), 400, r"not UTF-8. \(At byte 9 of the body"),
    ("POST", "/login/me", body(""), 400, r"body is empty; it is to be JSON"),
    ("POST", "/login/me", body("contact=sip:a@192.0.2.1", FORM), 400, r"not JSON, read up to byte 1: lexical error"),
    ("POST", "/login/me", body("<x/>", "image/png"), 415, r"Content-Type is image/png; taken here are application/json, text/plain"),
    ("PUT", "/login/me", body("alice\n", "text/plain"), 400, r'a SIP URI such as sip:\S+; this is the string "alice"'),
    ("PATCH", "/user/me", body("[1]"), 400, r'to be an object, \{"name": value\}; it is an array of 1'),
    ("PATCH", "/user/me", body('{"revoke":true}'), 400, r"goes with a new `password`"),
    ("PATCH", "/user/me", body('{"email":"new@example.net"}'), 400, r"email is not set by a PATCH: sign up with the new one"),
    ("PATCH", "/user/me", body('{"password":"short"}'), 400, r"at least 8 characters; this has 5"),
    ("PATCH", "/user/me", body('{"password":12345678}'), 400, r"`password` is a string; this is a number\."),
    ("POST", "/user", body('{"email":"alice"}'), 400, r'`email` is an email such as alice@example.net; this is the string "alice"'),
    ("POST", "/user", body('{"name":"alice"}'), 400, r"`email` is missing: a string"),
    ("POST", "/user", body('{"email":"a@example.org"}'), 403, r"these domains: example.net; this is for example.org"),
    ("POST", "/user/me/credential", body('{"label":"' + "x" * 300 + '"}'), 400, r"`label` has 0 to 200 bytes; this has 300"),
    ("POST", "/call", body('{"open":"yes"}'), 400, r'`open` is true or false; this is the string "yes"'),
    ("POST", "/call", body('{"starts_at":"tomorrow"}'), 400, r'`starts_at` is a time such as \S+ .*; this is the string "tomorrow"'),
    ("POST", "/call", body('{"state":"ended"}'), 400, r"state is not set by a POST: a call is scheduled where starts_at is later"),
    ("POST", "/call", body('{"invited":["bob"]}'), 400, r'`invited/0` is an email such as \S+; this is the string "bob"'),
    ("POST", "/call", body('{"invited":["nobody@example.net"]}'), 400, r"There is no user nobody@example\.net\."),
    ("POST", "/call", body('{"invite":["nobody@example.net"]}'), 400, r"There is no user nobody@example\.net\."),
    ("POST", "/user/me/messages", body('{"url":"javascript:x"}'), 400, r'`url` is a URL of http, .*; this is the string "javascript:x"'),
    ("POST", "/user/me/messages", body('{"url":"/x","type":"fax"}'), 400, r'`type` is voice, video or text; this is the string "fax"'),
    ("POST", "/user/me/messages", body("{}"), 400, r"a `url` or a `text`; there is neither"),
    ("POST", "/user/me/messages", body("", "text/plain"), 400, r"body is empty"),
    ("PATCH", "/user/me", body('{"x":"' + "y" * 65536 + '"}'), 413, r"at most 65536 bytes"),
    ("SEND", "/login/me", body("x" * 70000, "text/plain"), 413, r"at most 65536 bytes"),
    ("SEND", "/login/me", body("x", "text"), 400, r"media type such as text/plain; this is `text`"),
    # the query
    ("GET", "/login?limit=5000", {}, 400, r"`limit` is a number from 1 to 1000; this is `5000`"),
    ("GET", "/call?after=x", {}, 400, r"`after` is a number.*; this is `x`"),
    ("GET", "/login?page=2", {}, 400, r"no parameter `page` here; there are: limit after stream wait updates since lastEventId ticket"),
    ("GET", "/login/me?contact=x", {}, 400, r"no parameter `contact` here"),
    ("DELETE", "/login/me?all=yes", {}, 400, r"takes no parameters; there is `all`"),
    ("SEND", "/login/me?offline=maybe", body("x", "text/plain"), 400, r"`offline` is yes or no; this is `maybe`"),
    ("SEND", "/login/me?send_at=soon", body("x", "text/plain"), 400, r"`send_at` is a time such as \S+ .*; this is `soon`"),
    ("GET", "/login/me?stream&update=diff", {}, 400, r"no parameter `update` here; there are: stream"),
    ("GET", "/login/me?stream&updates=some", {}, 400, r"`updates` is full or diff; this is `some`"),
    ("GET", "/login/me?wait=3000", {}, 400, r"`wait` is 0 to 300 seconds; this is `3000`"),
    ("GET", "/login/me?stream&since=x", {}, 400, r"`since` is the id of an event; this is `x`"),
    ("GET", "/login/me?stream&lastEventId=x", {}, 400, r"`lastEventId` is the id of an event; this is `x`"),
    ("GET", "/watch", {}, 400, r"`r` names a resource to watch, such as r=/login/me"),
    ("GET", "/watch?r=/login%3Fpage=2", {}, 400, r"no parameter `page`"),
    ("GET", "/call?state=ended", {}, 400, r"`state` is active or scheduled; this is `ended`"),
    ("POST", "/login/me", body('{"contact":"sip:a@192.0.2.1","q":7}'), 400, r"`q` is a number from 0 to 1; this is 7\."),
    ("POST", "/login/me", body('{"contact":"sip:a@192.0.2.1","q":"high"}'), 400, r'`q` is a number from 0 to 1; this is "high"'),
    # where to, and how
    ("POST", "/login/alice@example.net", body('{"contact":"sip:a@192.0.2.1"}'), 403,
     r"Only alice@example.net may do this; these are the credentials of quick-alice\S+@example.net\."),
    ("GET", "/user/alice@example.net/messages", {"headers": STREAM}, 403, r"Only alice@example.net may do this; these are"),
    ("POST", "/user/me/credential", body("{}"), 403, r"password; a token does not do: sign this request with Basic"),
    ("PATCH", "/user/me", body('{"password":"long enough"}'), 403, r"the one before; a token does not do: sign .* Basic"),
    ("GET", "/logins/me", {}, 404, r"nothing at this path; /docs lists .* under /user /session /login /call /watch /health /metrics /problems\."),
    ("GET", "/call/abc", {}, 404, r"there are: /call /call/{call} /call/{call}/{n} /call/{call}/trace\. {call} and {n} are numbers"),
    ("DELETE", "/user/me/credential/desk", {}, 404, r"there are: /user .* /user/{email}/credential/{n} "),
    ("GET", "/watch?r=/call/abc", {}, 404, r"there are: /call /call/{call} /call/{call}/{n} /call/{call}/trace\."),
    ("GET", "/health", {}, 404, r"there are: /health/live /health/ready\."),
    ("GET", "/watch?" + "&".join(["r=/login/me"] * 129), {}, 400, r"at most 128 parameters"),
    ("GET", "/login/alice", {}, 404, r"named by emails such as alice@example.net, or `me`"),
    ("GET", "/login/nobody@example.net", {}, 404, r"no user nobody@example.net"),
    ("PATCH", "/login/me", body("{}"), 405, r"takes GET, HEAD, POST.*; PATCH is none of them"),
    ("GET", "/login/me", {"headers": {"Accept": "image/png"}}, 406, r"Accept is image/png; to be had are application/json, text/plain"),
    ("GET", "/user/me/credential", {"headers": {"Accept": "text/event-stream"}}, 406, r"not to be had as a stream"),
    ("POST", "/call", {"headers": {"Idempotency-Key": "a b"}}, 400, r"1 to 255 visible ASCII"),
    ("PUT", "/user/me", {**body("{}"), "headers": {"If-Match": "x", "Content-Type": JSON}}, 412, r"If-Match names no version"),
]


@pytest.mark.parametrize("method, path, more, status, said", WRONG, ids=range(len(WRONG)))
def test_what_is_wrong_is_said(quick, method, path, more, status, said):
    if method == "POST" and path == "/session":
        answer = quick.system.request(method, path, auth=quick.auth, **more)
    else:
        answer = quick.request(method, path, **more)
    problem = is_problem(answer, status)
    assert re.search(said, problem["detail"]), problem


# The same of calls: who (of CALL alice is the owner and bob is in it, both by page; carol is not), method, path, what else, ...
WRONG_CALLS = [
    ("alice", "GET", "/user/BOB/calls", None, 403, r"Only bob\S+ may do this; these are the credentials of alice"),
    ("alice", "GET", "/user/me/calls?type=missed", None, 400, r"no parameter `type` here; there are: limit after stream"),
    ("alice", "GET", "/user/me/calls?after=yesterday", None, 400, r"`after` is a number, of the page before this; this is `yesterday`"),
    ("alice", "GET", "/user/me/calls/5", None, 404, r"there are: .* /user/{email}/calls\."),
    ("alice", "DELETE", "/user/me/calls", None, 405, r"takes GET, HEAD, OPTIONS; DELETE is none"),
    ("bob", "GET", "CALL/trace", None, 403, r"Only the call's owner"),
    ("carol", "GET", "CALL/trace", None, 404, r"no such call"),
    ("alice", "GET", "CALL/trace?stream", None, 406, r"not to be had as a stream"),
    ("alice", "GET", "CALL/trace?format=svg", None, 400, r"takes no parameters; there is `format`"),
    ("alice", "SEND", "/login/BOB", {"command": "transfer"}, 400, r"`to` is whom .* as /login/carol@example.net; it is missing\."),
    ("alice", "SEND", "/login/BOB", {"command": "transfer", "to": "carol"}, 400, r'`to` is whom .*; this is the string "carol"\.'),
    ("alice", "SEND", "/login/BOB", {"command": "transfer", "to": "sip:CAROL"}, 400, r'`to` is whom .*; this is the string "sip:carol'),
    ("alice", "SEND", "/login/BOB", {"command": "transfer", "to": ["/login/CAROL"]}, 400, r"`to` is whom .*; this is an array\."),
    ("alice", "SEND", "/login/BOB", {"command": "transfer", "to": "no@example.net"}, 400, r"There is no user no@example\.net\."),
    ("alice", "SEND", "/login/CAROL", {"command": "transfer", "to": "/login/BOB"}, 404, r"carol\S+ is not in the call\."),
    ("alice", "SEND", "/login/BOB", {"command": "transfer", "to": "CAROL"}, 404, r"bob\S+ has nobody at the other end .* by phone\."),
    ("alice", "SEND", "/login/BOB", {"command": "dtmf", "digits": 5}, 400, r"`digits` is a string of 1 to 32 keys: .*; this is 5\."),
    ("alice", "SEND", "/login/BOB", {"command": "dtmf", "digits": "hello"}, 400, r'`digits` is .*; this is the string "hello"\.'),
    ("alice", "POST", "/call", {"invite": "/login/BOB"}, 400, r'`invite` is an array; this is the string "/login/bob'),
    ("alice", "POST", "/call", {"invite": ["/user/BOB"]}, 400, r'`invite/0` is a login such as /login/\S+; this is the string "/user/bob'),
    ("alice", "POST", "/call", {"invite": ["sip:BOB"]}, 400, r'`invite/0` is a login such as /login/\S+; this is the string "sip:bob'),
    ("alice", "POST", "CALL", {"invite": ["/login/CAROL"]}, 400, r"Whom to ring is said by PATCH of the call"),
    ("bob", "PATCH", "CALL", {"invite": ["/login/CAROL"]}, 403, r"Only the call's owner"),
    ("alice", "POST", "/call", {"starts_at": "2030-01-31T09:00:00"}, 400, r'`starts_at` is a time such as .*, with its zone, Z or \+01:00'),
    ("alice", "POST", "/call", {"starts_at": 1900000000}, 400, r"`starts_at` is a string; this is 1900000000\."),
    ("alice", "PATCH", "CALL", {"state": "ended"}, 400, r"state is not set by a PATCH: DELETE of the call ends it"),
    ("alice", "PUT", "CALL/1", {"state": "hold"}, 400, r"state is not set by a PUT: DELETE of the participant leaves the call\."),
    ("alice", "PUT", "CALL/1", {"hold": True}, 400, r"hold is not set by a PUT: a session whose media are sendonly or inactive is what holds"),
]


def test_what_is_wrong_of_calls_is_said(account):
    who = {name: account(name) for name in ("alice", "bob", "carol")}
    call = is_json(who["alice"].request("POST", "/call", json={"open": False, "session": "x", "invited": [who["bob"].email]}), 201)["url"]
    is_json(who["bob"].request("POST", call, json={}), 201)

    def fill(text):
        for name in ("bob", "carol"):
            text = text.replace(name.upper(), who[name].email)
        return text.replace("CALL", call)

    for name, method, path, members, status, said in WRONG_CALLS:
        more = {} if members is None else body(fill(json.dumps({"url": call, **members} if method == "SEND" else members)))
        problem = is_problem(who[name].request(method, fill(path), **more), status)
        assert re.search(said, problem["detail"]), (name, method, path, members, problem)
        if status == 400 and members:
            assert problem["errors"][0]["pointer"].startswith(tuple(f"/{m}" for m in ("to", *members) if m != "command")), problem
    doc = is_json(who["alice"].request("GET", call))
    assert doc["children"][0]["session"] == "x" and doc["state"] == "active", "nothing has come of it"


def test_there_are_forty_of_them():
    assert len(WRONG) >= 40


@pytest.mark.parametrize("args, status, said", [
    (["/login/%zz"], 400, "% before two hex digits"),
    (["/login/me", "-X", "send"], 400, "in capitals"),
    (["/login/me", "-H", "X: " + "a" * 40000], 400, "header line has at most 16384 bytes"),
    (["/login/me?x=" + "a" * 20000], 414, "at most 16384 bytes"),
    (["/docs", "-d", "x"], 405, "GET and HEAD"),
    (["/user/me", "-H", "Transfer-Encoding: foo"], 501, "chunked"),
], ids=range(6))
def test_what_nginx_refuses_is_said(quick, args, status, said):
    problem = json.loads(curl(quick, "--path-as-is", quick.system.url + args[0], *args[1:]))
    assert problem["status"] == status and said in problem["detail"], problem


def test_a_token_where_the_password_is_needed_is_told_so(quick):
    assert "A token does not do" in is_problem(quick.request("POST", "/session", **body("{}")), 401)["detail"]


def test_a_range_that_is_not_there_is_told_what_is(account):
    alice = account("alice")
    sound = is_json(alice.request("POST", "/user/me/messages", data=b"x" * 70, headers={"Content-Type": "audio/wav"}), 201)["url"]
    answer = alice.request("GET", sound, headers={"Accept": "audio/wav", "Range": "bytes=900-"})
    assert "no byte of the 70 that there are" in is_problem(answer, 416)["detail"]


@pytest.mark.parametrize("headers, said", [
    ({}, r"needs credentials: Basic \(email and password\) or Bearer \(a token of POST /session\)"),
    ({"Authorization": "Bearer x y"}, r"malformed: it is `Basic` and base64 of email:password, or `Bearer` and a token"),
    ({"Authorization": "Bearer made-up"}, r"wrong or have expired"),
])
def test_who_calls_is_said(system, headers, said):
    assert re.search(said, is_problem(system.request("GET", "/login/me", headers=headers), 401 if "x y" not in str(headers) else 400)
                     ["detail"])


def test_a_made_up_ticket_says_so(system):
    for path, headers in (("/login/me?stream&ticket=made-up", {}), ("/login/me?ticket=made-up", {"Accept": "text/event-stream"}),
                          ("/watch?r=/login/me&ticket=made-up", {})):
        problem = is_problem(system.request("GET", path, headers=headers), 401)
        assert "no such ticket" in problem["detail"] and "POST /session/ticket" in problem["detail"], path
    assert "opens a stream" in is_problem(system.request("GET", "/login/me?ticket=made-up"), 401)["detail"]


def test_who_signs_up_where_it_is_closed_hears_how(strict):
    assert "restsipctl user add" in is_problem(strict.request("POST", "/user", json={"email": "a@example.net"}), 403)["detail"]


# ---- curl's defaults ----

@pytest.mark.parametrize("sent, kind", [
    ("hello, bob", TEXT), ("a=b&c=d%20e", TEXT), ('{"command":"invite"}', JSON), ("[1,2]", JSON), ('{"a":', TEXT), ("grüß dich", TEXT), ("482913", TEXT)])
def test_curl_sends_what_it_is_given(account, sent, kind):
    """curl says of any -d that it were a form."""
    alice, bob = account("alice"), account("bob")
    url = alice.system.url + alice.login
    made = curl(bob, "-X", "SEND", url, "-d", sent)
    assert f'"content_type":"{kind}"'.encode() in made, made
    answer = alice.request("GET", alice.login + "?stream", stream=True)
    lines = (line for line in answer.iter_lines() if b'"message"' in line)
    event = next(lines)
    answer.close()
    assert f'"content_type":"{kind}"'.encode() in event and b'"size"' not in event


@pytest.mark.parametrize("sent, kind, content", [
    ("call me back", "text", b"call me back"), ("a=b", "text", b"a=b"), ("42", "text", b"42"), ('{"text":"hi"}', "text", b"hi"),
    ('{"url":"/x"}', "voice", None)])
def test_curl_leaves_mail(account, sent, kind, content):
    alice, bob = account("alice"), account("bob")
    curl(bob, f"{alice.system.url}/user/{alice.email}/messages", "-d", sent)
    message, = is_json(alice.request("GET", "/user/me/messages"))
    assert message["type"] == kind
    if content is not None:
        answer = alice.request("GET", message["url"])
        assert answer.content == content and answer.headers["Content-Type"] == TEXT


def test_a_form_that_is_no_text_is_refused_as_mail_and_sent_as_bytes(quick):
    assert "Content-Type" in is_problem(quick.request("POST", "/user/me/messages", **body(b"\xff\xfe", FORM)), 400)["detail"]
    sent = is_json(quick.request("SEND", "/login/me", **body(b"\xff\xfe", FORM)), 202)
    assert sent["content_type"] == "application/octet-stream"


# ---- answers ----

def test_answers_end_with_a_newline(account):
    alice = account("alice")
    alice.request("POST", "/login/me", json={"contact": "sip:a@192.0.2.1"})
    call = is_json(alice.request("POST", "/call", json={}), 201)["url"]
    for path, accept in (("/login/me", JSON), ("/login/me", "text/plain"), ("/login/me", "application/pidf+xml"), ("/login", JSON),
                         ("/user/me", JSON), (call, JSON), (call, "application/conference-info+xml"), ("/user/me/messages", JSON),
                         ("/nothing", JSON), ("/login/me?wait=0", JSON), ("/health/live", JSON)):
        answer = alice.request("GET", path, headers={"Accept": accept})
        assert answer.content.endswith(b"\n") and not answer.content.endswith(b"\n\n"), (path, accept)
        assert int(answer.headers["Content-Length"]) == len(answer.content)
        if not "wait" in path:
            assert alice.request("HEAD", path, headers={"Accept": accept}).headers["Content-Length"] == answer.headers["Content-Length"]


def test_what_somebody_left_comes_as_it_was(account):
    alice = account("alice")
    sound = secrets.token_bytes(1000) + b"x"
    made = is_json(alice.request("POST", "/user/me/messages", data=sound, headers={"Content-Type": "audio/wav"}), 201)
    assert alice.request("GET", made["url"], headers={"Accept": "audio/wav"}).content == sound
    part = alice.request("GET", made["url"], headers={"Accept": "audio/wav", "Range": "bytes=3-9"})
    assert part.content == sound[3:10]


@pytest.mark.parametrize("accept", ["application/xml", "text/xml", "application/xml;q=0.9, image/png", "text/xml, application/json;q=0.5"])
def test_xml_is_the_resources_xml(account, accept):
    alice = account("alice")
    call = is_json(alice.request("POST", "/call", json={}), 201)["url"]
    for path, kind in (("/login/me", "application/reginfo+xml"), (call, "application/conference-info+xml")):
        answer = alice.request("GET", path, headers={"Accept": accept})
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, kind)
        assert answer.content.startswith(b"<?xml")
    pidf = alice.request("GET", "/login/me", headers={"Accept": f"{accept}, application/pidf+xml"})
    assert pidf.headers["Content-Type"] in ("application/pidf+xml", "application/reginfo+xml")


def test_a_resource_without_xml_is_406_and_a_browser_gets_json(account):
    alice = account("alice")
    sound = is_json(alice.request("POST", "/user/me/messages", data=b"x", headers={"Content-Type": "audio/wav"}), 201)["url"]
    is_problem(alice.request("GET", sound, headers={"Accept": "application/xml"}), 406)
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
    is_json(alice.request("GET", "/login/me", headers={"Accept": browser}))


def test_pages_of_any_origin_may_import_the_library(system):
    answer = requests.get(system.url + "/restsip.js", headers={"Origin": "https://elsewhere.example"}, timeout=20)
    assert answer.status_code == 200 and answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "javascript" in answer.headers["Content-Type"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_an_underscore_passes_by_caches(quick):
    for path in ("/login/me?_=1", "/user/me?_", "/login?limit=1&_=17"):
        is_json(quick.request("GET", path))
