"""Whom a call's owner has rung after it was made: by PATCH, or when it starts."""
import pytest

from answers import is_json, is_problem, time_in

WAIT_S = 15
LATE_S = 2  # at most


@pytest.fixture(name="people")
def fixture_people(account, opened):
    """Alice, and bob with a page: its stream."""
    alice, bob = account("alice"), account("bob")
    stream = opened(bob)
    stream.wait("state", WAIT_S)
    return alice, bob, stream


def make_call(owner, **members):
    return is_json(owner.request("POST", "/call", json={"open": False, **members}), 201)


def rings(stream, call, timeout_s=WAIT_S):
    """That it is rung: the event."""
    return stream.wait(lambda e: e.name == "message" and e.data.get("json") == {
        **e.data.get("json", {}), "command": "invite", "url": call["url"]}, timeout_s)


def state_of(who, call):
    """{email: state} of who is in it."""
    return {c["email"]: c["state"] for c in is_json(who.request("GET", call["url"]))["children"]}


def test_a_patch_rings(people):
    alice, bob, stream = people
    call = make_call(alice)
    answer = alice.request("PATCH", call["url"], json={"invite": [bob.login], "subject": "lunch"})
    doc = is_json(answer)
    assert doc["subject"] == "lunch" and [c["email"] for c in doc["children"]] == [bob.email] and "invite" not in doc
    assert answer.headers["ETag"] == alice.request("GET", call["url"]).headers["ETag"]
    rings(stream, call)
    is_json(bob.request("POST", call["url"], json={}), 201)
    assert state_of(alice, call) == {bob.email: "joined"}


def test_who_is_in_it_already_is_not_rung_again(people):
    """Whoever has had no answer to a PATCH sends it once more: the answer shows that they ring, or are there."""
    alice, bob, stream = people
    call = make_call(alice)
    is_json(alice.request("POST", call["url"], json={}), 201)
    for state in ("calling", "calling", "joined"):
        if state == "joined":
            is_json(bob.request("POST", call["url"], json={}), 201)
        doc = is_json(alice.request("PATCH", call["url"], json={"invite": [bob.login, alice.login]}))
        assert {c["email"]: c["state"] for c in doc["children"]} == {alice.email: "joined", bob.email: state}
    assert alice.request("SEND", bob.login, data="last").status_code == 202
    stream.wait(lambda e: e.name == "message" and e.data["body"] == "last", WAIT_S)
    assert len([e for e in stream.named("message") if e.data.get("json", {}).get("command") == "invite"]) == 1


def test_a_watcher_sees_each_step_of_it(people, opened):
    alice, bob, _ = people
    call = make_call(alice)
    watch = opened(alice, f"{call['url']}?updates=diff")
    watch.wait("state", WAIT_S)
    alice.request("PATCH", call["url"], json={"invite": [bob.login], "subject": "lunch"})
    assert watch.wait("change", WAIT_S).data == [{"op": "add", "path": "/subject", "value": "lunch"}]
    step = watch.wait(lambda e: e.name == "change" and e.data[0]["path"].startswith("/children"), WAIT_S).data
    assert step[0]["value"]["email"] == bob.email


def test_only_the_owner_s(people):
    alice, bob, _ = people
    call = make_call(alice, invited=[bob.email])
    is_problem(bob.request("PATCH", call["url"], json={"invite": [alice.login]}), 403, "not-owner")
    is_problem(alice.request("PATCH", call["url"], json={"invite": ["/login/no@example.net"]}), 400, "invalid-member", "/invite/0")
    is_problem(alice.request("PATCH", call["url"], json={"invite": []}), 400, "invalid-member", "/invite")
    assert state_of(alice, call) == {}


def test_who_is_to_ring_later_can_be_taken_back_though_somebody_has_come(people):
    alice, bob, _ = people
    call = make_call(alice, starts_at=time_in(600), invite=[bob.login])
    is_json(alice.request("POST", call["url"], json={}), 201)
    doc = is_json(alice.request("GET", call["url"]))
    assert doc["state"] == "active" and doc["invite"] == [bob.email]
    assert "invite" not in is_json(alice.request("PATCH", call["url"], json={"invite": None}))


def test_a_scheduled_call_rings_when_it_starts(people, until):
    alice, bob, stream = people
    call = make_call(alice, starts_at=time_in(1.5), invite=[bob.login, bob.email])
    assert call["state"] == "scheduled" and call["invite"] == [bob.email, bob.email] and call["children"] == []
    assert not stream.named("message")
    rings(stream, call)
    due = is_json(alice.request("GET", call["url"]))
    assert due["state"] == "active" and "invite" not in due and state_of(alice, call) == {bob.email: "calling"}
    late = alice.system.query_owner("""select extract(epoch from p.rung_at - c.starts_at)::float8 as s
        from app.call c join app.participant p on p.call_id = c.id where c.id = %s""", (call["id"],))[0]["s"]
    assert 0 <= late <= LATE_S
    is_json(bob.request("POST", call["url"], json={}), 201)
    assert alice.request("DELETE", call["url"]).status_code == 204
    until(lambda: len([e for e in stream.named("message") if e.data["json"]["command"] == "invite"]) == 1, WAIT_S)


def test_whom_and_when_can_be_changed(people):
    alice, bob, stream = people
    call = make_call(alice, starts_at=time_in(3600))
    doc = is_json(alice.request("PATCH", call["url"], json={"invite": [bob.login]}))
    assert doc["invite"] == [bob.email] and doc["state"] == "scheduled"
    doc = is_json(alice.request("PATCH", call["url"], json={"invite": None}))
    assert "invite" not in doc
    is_problem(alice.request("PATCH", call["url"], json={"invite": ["no@example.net"]}), 400, "invalid-member", "/invite/0")
    is_json(alice.request("PATCH", call["url"], json={"invite": [bob.login]}))
    is_json(alice.request("PATCH", call["url"], json={"starts_at": None}))
    rings(stream, call)


def test_a_call_that_is_deleted_rings_nobody(people, until):
    alice, bob, stream = people
    gone = make_call(alice, starts_at=time_in(1), invite=[bob.login])
    kept = make_call(alice, starts_at=time_in(1.2), invite=[bob.login])
    assert alice.request("DELETE", gone["url"]).status_code == 204
    rings(stream, kept)
    assert [e.data["json"]["url"] for e in stream.named("message")] == [kept["url"]]


def test_one_who_cannot_be_rung_keeps_no_other_from_it(people, account):
    alice, bob, stream = people
    carol = account("carol")
    call = make_call(alice, starts_at=time_in(1.5), invite=[carol.login, bob.login])
    assert carol.request("DELETE", "/user/me").status_code == 204
    rings(stream, call)
    assert state_of(alice, call) == {bob.email: "calling"}


def test_it_rings_after_everything_was_killed(systems, until):
    """Once, and at its time, whichever process comes by."""
    system = systems("later")
    alice, bob = system.account("later-a@example.net"), system.account("later-b@example.net")
    assert bob.request("POST", bob.login, json={"contact": "sip:b@127.0.0.1:9", "expires": 600}).status_code == 201
    call = make_call(alice, starts_at=time_in(3), invite=[bob.login])
    for name in system.names():
        system.kill(name)
    system.await_ready()
    until(lambda: state_of(alice, call), 20)
    assert system.query("select count(*) as n from inspect.participant where call = %s", (call["id"],))[0]["n"] == 1
