"""/call: conferences, who is in them, and who may see them."""
import datetime

import pytest

from answers import TIME, is_empty, is_json, is_problem

SESSION = {"sdp": "v=0", "keys": [1, 2.50, None]}


def make_call(who, **members):
    return is_json(who.request("POST", "/call", json=members), 201)


def join(who, call, **members):
    return is_json(who.request("POST", call["url"], json={"url": who.login, **members}), 201)


def in_future(**delta):
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(**delta)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


# ---- making one ----

def test_a_call_says_where_it_is(account):
    alice = account("alice")
    answer = alice.request("POST", "/call", json={"subject": "some discussion topic", "topic": {"deep": [1.50]}})
    call = is_json(answer, 201)
    assert isinstance(call["id"], str) and call["url"] == f"/call/{call['id']}" == answer.headers["Location"]
    assert call["subject"] == "some discussion topic" and call["topic"] == {"deep": [1.5]}
    assert call["owner"] == alice.email and call["open"] is True and call["state"] == "active"
    assert call["children"] == [] and TIME.match(call["created_at"])
    answer = alice.request("GET", call["url"])
    assert is_json(answer) == call
    assert answer.headers["ETag"]


def test_a_call_needs_no_members(account):
    alice = account("alice")
    assert "subject" not in make_call(alice)
    assert is_json(alice.request("POST", "/call"), 201)["open"] is True
    assert "subject" not in make_call(alice, subject=None, starts_at=None, open=None, invited=None)


def test_members_of_the_server_cannot_be_taken(account):
    alice = account("alice")
    call = make_call(alice, id="7", url="/x", owner="x@example.net", state="active", children=[1], created_at="x")
    assert call["id"] != "7" and call["owner"] == alice.email and call["state"] == "active"
    assert call["children"] == [] and TIME.match(call["created_at"])


@pytest.mark.parametrize("body, pointer", [
    ({"subject": 5}, "/subject"),
    ({"subject": "x" * 1001}, "/subject"),
    ({"starts_at": "tomorrow"}, "/starts_at"),
    ({"state": "ended"}, "/state"),
    ({"state": "scheduled"}, "/state"),
    ({"state": "active", "starts_at": "2099-01-01T00:00:00Z"}, "/state"),
    ({"starts_at": "2027-02-29T00:00:00Z"}, "/starts_at"),
    ({"starts_at": "2027-01-01T24:00:00Z"}, "/starts_at"),
    ({"starts_at": "2027-01-01T00:00:00"}, "/starts_at"),
    ({"starts_at": "2027-01-01T00:00:00+16:00"}, "/starts_at"),
    ({"open": "yes"}, "/open"),
    ({"invited": "x"}, "/invited"),
    ({"invited": [5]}, "/invited/0"),
    ({"invited": ["not an email"]}, "/invited/0"),
    ({"invited": ["nobody-at-all@example.net"]}, "/invited/0"),
])
def test_a_wrong_member_is_named(account, body, pointer):
    answer = account("alice").request("POST", "/call", json=body)
    is_problem(answer, 400, "invalid-member", pointer)


def test_bodies_that_are_no_call(account):
    alice = account("alice")
    is_problem(alice.request("POST", "/call", json=[]), 400, "invalid-member")
    is_problem(alice.request("POST", "/call", data="{", headers={"Content-Type": "application/json"}), 400,
               "invalid-body")
    is_problem(alice.request("POST", "/call", data="x", headers={"Content-Type": "text/plain"}), 415)
    is_problem(alice.request("POST", "/call", json={"x": "y" * 65536}), 413, "content-too-large")


def test_nobody_makes_or_sees_a_call_unless_signed_in(system, account):
    call = make_call(account("alice"))
    for method, path in (("GET", "/call"), ("POST", "/call"), ("GET", call["url"]), ("POST", call["url"]),
                         ("PATCH", call["url"]), ("DELETE", call["url"]), ("GET", call["url"] + "/1"),
                         ("PUT", call["url"] + "/1"), ("DELETE", call["url"] + "/1")):
        is_problem(system.request(method, path), 401, "unauthorized")


def test_methods_that_are_none_here(account):
    alice = account("alice")
    answer = alice.request("PUT", "/call")
    is_problem(answer, 405)
    assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))
    answer = alice.request("PUT", make_call(alice)["url"])
    is_problem(answer, 405)
    assert {"GET", "POST", "PATCH", "DELETE"} <= set(answer.headers["Allow"].split(", "))


# ---- who sees it ----

def test_an_open_call_is_seen_by_all_and_its_sessions_by_who_is_in_it(account):
    alice, bob, carol = account("alice"), account("bob"), account("carol")
    call = make_call(alice, subject="open")
    join(bob, call, session="rtsp://192.0.2.1/x")
    inside = is_json(bob.request("GET", call["url"]))
    assert inside["children"][0]["session"] == "rtsp://192.0.2.1/x"
    for who in (alice, carol):
        outside = is_json(who.request("GET", call["url"]))
        assert outside["subject"] == "open" and outside["children"][0]["email"] == bob.email
        assert "session" not in outside["children"][0]
    assert "session" not in is_json(carol.request("GET", inside["children"][0]["url"]))


def test_a_closed_call_is_for_its_owner_and_whom_it_invites(account):
    alice, bob, carol = account("alice"), account("bob"), account("carol")
    call = make_call(alice, open=False, invited=[bob.email.replace("example.net", "EXAMPLE.net")])
    assert call["invited"] == [bob.email]
    is_json(bob.request("GET", call["url"]))
    child = join(bob, call, session=SESSION)
    is_json(bob.request("GET", child["url"]))
    for method, path in (("GET", call["url"]), ("POST", call["url"]), ("PATCH", call["url"]),
                         ("DELETE", call["url"]), ("GET", child["url"]), ("DELETE", child["url"])):
        body = {} if method in ("POST", "PATCH") else None
        is_problem(carol.request(method, path, json=body), 404, "call-not-found")
    assert call["id"] not in [c["id"] for c in is_json(carol.request("GET", "/call?limit=1000"))]
    assert call["id"] in [c["id"] for c in is_json(bob.request("GET", "/call?limit=1000"))]


def test_calls_that_are_not_there(account):
    alice = account("alice")
    for path in ("/call/999999999", "/call/0", "/call/x", "/call/99999999999999999999"):
        is_problem(alice.request("GET", path), 404)
    call = make_call(alice)
    is_problem(alice.request("GET", call["url"] + "/77"), 404, "participant-not-found")


# ---- joining ----

def test_joining_gives_a_participant(account):
    alice, bob = account("alice"), account("bob")
    call = make_call(alice)
    answer = bob.request("POST", call["url"], json={"url": bob.login, "session": SESSION, "nick": "b"})
    part = is_json(answer, 201)
    assert part["url"] == f"{call['url']}/{part['id']}" == answer.headers["Location"]
    assert part["email"] == bob.email and part["login"] == bob.login and part["state"] == "joined"
    assert part["session"] == SESSION and part["nick"] == "b" and TIME.match(part["joined_at"])
    assert is_json(bob.request("GET", part["url"])) == part
    assert is_json(bob.request("GET", call["url"]))["children"] == [part]


@pytest.mark.parametrize("session", ["", "rtsp://...", 0, -0.25, 12345678901234567890123, True, None, [], {}, [{}],
                                     {"a": {"b": ["c", "é☃😀\u0001"]}}])
def test_a_session_is_any_json(account, session):
    alice = account("alice")
    part = join(alice, make_call(alice), session=session)
    assert part["session"] == session and type(part["session"]) is type(session)


def test_ways_to_say_who_joins(account):
    alice = account("alice")
    for who in ({"url": alice.login}, {"email": alice.email}, {"url": "/login/me"}, {},
                {"url": alice.login.replace("@", "%40")}, {"email": alice.email.replace("net", "NET")}):
        part = is_json(alice.request("POST", make_call(alice)["url"], json=who), 201)
        assert part["email"] == alice.email and "session" not in part


def test_nobody_joins_for_another(account):
    alice, bob = account("alice"), account("bob")
    call = make_call(alice)
    for who in ({"url": alice.login}, {"email": alice.email}):
        is_problem(bob.request("POST", call["url"], json=who), 403, "not-owner")


@pytest.mark.parametrize("body, pointer", [
    ({"url": 5}, "/url"),
    ({"url": "/user/x@example.net"}, "/url"),
    ({"url": "/login/"}, "/url"),
    ({"url": "/login/%zz@example.net"}, "/url"),
    ({"url": "/login/a@example.net/x"}, "/url"),
    ({"email": "x"}, "/email"),
    ({"email": "me", "url": "/login/me"}, "/email"),
    ({"email": "me", "url": "/login/me/1"}, "/email"),
    ({"email": "me", "url": 5}, "/url"),
])
def test_who_joins_must_be_somebody(account, body, pointer):
    alice = account("alice")
    answer = alice.request("POST", make_call(alice)["url"], json=body)
    is_problem(answer, 400, "invalid-member", pointer)


def test_a_scheduled_call_starts_when_somebody_joins(account):
    alice = account("alice")
    call = make_call(alice, starts_at=in_future(hours=1))
    assert call["state"] == "scheduled" and TIME.match(call["starts_at"])
    join(alice, call)
    assert is_json(alice.request("GET", call["url"]))["state"] == "active"


def test_a_scheduled_call_starts_in_time(account, until):
    alice = account("alice")
    call = make_call(alice, starts_at=in_future(seconds=2))
    assert call["state"] == "scheduled"
    until(lambda: is_json(alice.request("GET", call["url"]))["state"] == "active", 10)


def test_times_have_any_offset(account):
    alice = account("alice")
    call = make_call(alice, starts_at="2099-12-31T23:30:00.5-01:30")
    assert call["starts_at"] == "2100-01-01T01:00:00.500Z"


# ---- changing it ----

def test_a_participant_has_a_new_session(account):
    alice, bob = account("alice"), account("bob")
    call = make_call(alice)
    part = join(bob, call, session="old", nick="b")
    answer = bob.request("PUT", part["url"], json={"session": "new"})
    changed = is_json(answer)
    assert changed["session"] == "new" and "nick" not in changed and changed["id"] == part["id"]
    assert answer.headers["ETag"] == bob.request("GET", call["url"]).headers["ETag"]
    is_problem(alice.request("PUT", part["url"], json={"session": "x"}), 403, "not-owner")
    is_problem(bob.request("PUT", part["url"], json="x"), 400, "invalid-member")


def test_a_patch_merges(account):
    alice, bob = account("alice"), account("bob")
    call = make_call(alice, subject="one", a={"b": 1, "c": 2}, d=1)
    answer = alice.request("PATCH", call["url"], json={"subject": "two", "a": {"b": None, "e": 3}, "d": None},
                           headers={"Content-Type": "application/merge-patch+json"})
    changed = is_json(answer)
    assert changed["subject"] == "two" and changed["a"] == {"c": 2, "e": 3} and "d" not in changed
    assert changed["open"] is True
    changed = is_json(alice.request("PATCH", call["url"], json={"subject": None, "open": False,
                                                                "invited": [bob.email]}))
    assert "subject" not in changed and changed["open"] is False and changed["invited"] == [bob.email]
    changed = is_json(alice.request("PATCH", call["url"], json={"invited": None, "starts_at": in_future(hours=1)}))
    assert "invited" not in changed and changed["state"] == "scheduled"
    is_problem(bob.request("PATCH", call["url"], json={}), 404, "call-not-found")


def test_only_the_owner_changes_or_ends_it(account):
    alice, bob = account("alice"), account("bob")
    call = make_call(alice)
    join(bob, call)
    is_problem(bob.request("PATCH", call["url"], json={"subject": "mine"}), 403, "not-owner")
    is_problem(bob.request("DELETE", call["url"]), 403, "not-owner")


def test_leaving_and_being_put_out(account):
    alice, bob, carol = account("alice"), account("bob"), account("carol")
    call = make_call(alice)
    first, second = join(bob, call), join(carol, call)
    is_problem(carol.request("DELETE", first["url"]), 403, "not-owner")
    is_empty(bob.request("DELETE", first["url"]))
    is_problem(bob.request("DELETE", first["url"]), 404, "participant-not-found")
    is_empty(alice.request("DELETE", second["url"]))
    assert is_json(alice.request("GET", call["url"]))["children"] == []


def test_the_end_of_a_call_is_the_end_of_all_that_is_in_it(account):
    alice, bob = account("alice"), account("bob")
    call = make_call(alice)
    part = join(bob, call)
    is_empty(alice.request("DELETE", call["url"]))
    for who in (alice, bob):
        for method, path in (("POST", call["url"]), ("DELETE", call["url"]), ("GET", part["url"]), ("DELETE", part["url"])):
            answer = who.request(method, path, json={} if method == "POST" else None)
            is_problem(answer, 404, "call-not-found")
    is_problem(alice.request("GET", call["url"]), 404, "call-not-found")
    ended = is_json(bob.request("GET", call["url"]))  # who was in it
    assert ended["state"] == "ended" and ended["ended_at"]
    assert ended["ended"] == {"by": alice.email, "cause": "hangup"}
    child, = ended["children"]
    assert child["url"] == part["url"] and child["state"] == "ended" and child["ended"] == {"cause": "hangup"}
    assert "session" not in child


def test_who_was_put_out_of_a_call_does_not_see_its_end(account):
    alice, carol = account("alice"), account("carol")
    call = make_call(alice)
    part = join(carol, call)
    is_empty(alice.request("DELETE", part["url"]))
    is_json(alice.request("PATCH", call["url"], json={"open": False, "subject": "not for her"}))
    is_empty(alice.request("DELETE", call["url"]))
    is_problem(carol.request("GET", call["url"]), 404, "call-not-found")


def test_a_patch_does_not_end_a_call(account):
    alice = account("alice")
    call = make_call(alice)
    problem = is_problem(alice.request("PATCH", call["url"], json={"state": "ended"}), 400, "invalid-member", "/state")
    assert "DELETE of the call ends it" in str(problem)
    assert is_json(alice.request("PATCH", call["url"], json=is_json(alice.request("GET", call["url"]))))["state"] == "active"


# ---- versions, keys, pages, forms ----

def test_versions(account):
    alice = account("alice")
    call = make_call(alice)
    old = alice.request("GET", call["url"]).headers["ETag"]
    answer = alice.request("GET", call["url"], headers={"If-None-Match": old})
    is_empty(answer, 304)
    assert answer.headers["ETag"] == old
    part = join(alice, call)
    assert alice.request("GET", call["url"], headers={"If-None-Match": old}).status_code == 200
    stale = {"If-Match": old}
    is_problem(alice.request("PATCH", call["url"], json={}, headers=stale), 412, "precondition-failed")
    is_problem(alice.request("PUT", part["url"], json={}, headers=stale), 412, "precondition-failed")
    is_problem(alice.request("DELETE", part["url"], headers=stale), 412, "precondition-failed")
    is_problem(alice.request("DELETE", call["url"], headers=stale), 412, "precondition-failed")
    fresh = {"If-Match": alice.request("GET", call["url"]).headers["ETag"]}
    is_json(alice.request("PATCH", call["url"], json={}, headers=fresh))
    is_empty(alice.request("DELETE", call["url"], headers={"If-Match": "*"}))


def test_an_idempotency_key_makes_one_call_and_one_participant(account):
    alice = account("alice")
    key = {"Idempotency-Key": "one"}
    first = is_json(alice.request("POST", "/call", json={"subject": "x"}, headers=key), 201)
    assert is_json(alice.request("POST", "/call", json={"subject": "x"}, headers=key), 201) == first
    is_problem(alice.request("POST", "/call", json={"subject": "y"}, headers=key), 422, "idempotency-key-reused")
    key = {"Idempotency-Key": "two"}
    part = is_json(alice.request("POST", first["url"], json={}, headers=key), 201)
    assert is_json(alice.request("POST", first["url"], json={}, headers=key), 201) == part
    assert len(is_json(alice.request("GET", first["url"]))["children"]) == 1
    is_problem(alice.request("POST", "/call", json={}, headers={"Idempotency-Key": "x" * 256}), 400)


def test_pages(account):
    alice = account("alice")
    made = [make_call(alice, open=False)["id"] for _ in range(5)]
    seen, path = [], "/call?limit=2"
    while path:
        answer = alice.request("GET", path)
        page = is_json(answer)
        assert len(page) <= 2
        seen += [c["id"] for c in page if c["owner"] == alice.email]
        path = answer.links["next"]["url"] if "next" in answer.links else None
    assert seen == made
    for bad in ("limit=0", "limit=1001", "limit=x", "after=x", "after=-1"):
        is_problem(alice.request("GET", f"/call?{bad}"), 400, "invalid-parameter")


def test_a_call_as_conference_info(account):
    alice, bob = account("alice"), account("bob")
    call = make_call(alice, subject="a < b & c")
    join(bob, call, session="secret")
    kind = "application/conference-info+xml"
    answer = alice.request("GET", call["url"], headers={"Accept": kind})
    assert answer.status_code == 200 and answer.headers["Content-Type"] == kind
    assert "Accept" in answer.headers["Vary"]
    assert "a &lt; b &amp; c" in answer.text and f"sip:{bob.email}" in answer.text and "secret" not in answer.text
    body = is_problem(alice.request("GET", call["url"], headers={"Accept": "image/png"}), 406)
    assert body["acceptable"] == ["application/json", kind]


def test_head(account):
    alice = account("alice")
    call = make_call(alice)
    get, head = alice.request("GET", call["url"]), alice.request("HEAD", call["url"])
    assert head.status_code == 200 and head.content == b""
    for name in ("Content-Length", "Content-Type", "ETag"):
        assert head.headers[name] == get.headers[name]


def test_a_page_of_large_calls_ends_early(account):
    alice = account("alice")
    made = [make_call(alice, open=False, big="x" * 16000)["id"] for _ in range(70)]
    seen, path, pages = [], "/call?limit=1000", 0
    while path:
        answer = alice.request("GET", path)
        page = is_json(answer)
        assert len(answer.content) <= 1024 * 1024
        seen += [c["id"] for c in page if c["owner"] == alice.email]
        path = answer.links["next"]["url"] if "next" in answer.links else None
        pages += 1
    assert seen == made and pages > 1
    for call in made:
        alice.request("DELETE", f"/call/{call}")


# ---- how large it may be ----

def test_who_joins_again_has_a_new_session_and_the_same_number(account):
    alice = account("alice")
    call = make_call(alice)
    part = join(alice, call, session="old", nick="a")
    answer = alice.request("POST", call["url"], json={"session": "new"})
    again = is_json(answer, 200)
    assert again["id"] == part["id"] and again["session"] == "new" and "nick" not in again
    assert answer.headers["Location"] == part["url"]
    assert is_json(alice.request("GET", call["url"]))["children"] == [again]
    is_empty(alice.request("DELETE", part["url"]))
    assert is_json(alice.request("POST", call["url"], json={}), 201)["id"] != part["id"]


def test_what_is_too_large_to_be_kept_is_named(account):
    alice = account("alice")
    call = make_call(alice, a="x" * (16384 - 9))
    is_problem(alice.request("POST", "/call", json={"a": "x" * (16384 - 8)}), 413, "document-too-large", "/a")
    is_problem(alice.request("PATCH", call["url"], json={"b": 1}), 413, "document-too-large", "/a")
    is_json(alice.request("PATCH", call["url"], json={"a": "x" * (16384 - 17), "b": 1}))
    join(alice, call, session="x" * (49152 - 2), a="x" * (4096 - 9))
    is_problem(alice.request("POST", call["url"], json={"session": "x" * (49152 - 1)}), 413, "document-too-large",
               "/session")
    is_problem(alice.request("POST", call["url"], json={"a": "x" * (4096 - 8)}), 413, "document-too-large", "/a")


@pytest.mark.parametrize("body", ['{"x":1e131071}', '[' + ",".join("1" * 22000) + ']', '{"x":1e-16000,"y":1e60000}'])
def test_a_body_that_is_too_large_once_it_is_written_out(account, body):
    for method, path in (("POST", "/call"), ("PATCH", "/user/me"), ("POST", "/login/me")):
        answer = account("alice").request(method, path, data=body, headers={"Content-Type": "application/json"})
        is_problem(answer, 413, "content-too-large")


def test_more_than_can_be_invited(account):
    alice, bob = account("alice"), account("bob")
    is_json(alice.request("POST", "/call", json={"invited": [bob.email] * 200}), 201)
    is_problem(alice.request("POST", "/call", json={"invited": [bob.email] * 201}), 409, "call-full", "/invited")


def test_who_watches_a_call_sees_how_it_ended(account, opened):
    alice, bob = account("alice"), account("bob")
    call = make_call(alice)
    join(bob, call)
    stream = opened(alice, call["url"])
    stream.wait("state")
    is_empty(alice.request("DELETE", call["url"]))
    stream.wait("gone")
    last, gone = [e for e in stream.events if e.name in ("change", "gone")][-2:]
    assert gone.name == "gone" and last.name == "change" and last.data["state"] == "ended" and last.data["ended_at"]
    assert last.data["ended"] == {"by": alice.email, "cause": "hangup"}
    assert [(c["email"], c["state"]) for c in last.data["children"]] == [(bob.email, "ended")]
