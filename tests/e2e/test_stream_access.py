"""What ends a stream because its caller may not go on: sessions, passwords, calls that are closed."""
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from stream_client import Stream
from stream_steps import contacts, ended_with, insist, patch, private_call, problem, register, send


def test_a_ticket_opens_one_stream(account, system):
    alice = account("alice")
    made = alice.request("POST", "/session/ticket")
    assert made.status_code == 201, made.text
    path = f"/login/me?stream&ticket={made.json()['ticket']}"
    stream = Stream(system, path)
    assert stream.status == 200 and stream.wait("state")
    stream.close()
    assert Stream(system, path).status == 401


def test_a_session_that_ends_ends_its_stream(system, account):
    alice = account("alice")
    stream = Stream(system, alice.login, token=alice.session(2))
    assert stream.wait("end", 10).data == {"reason": "session-ended"}
    stream.wait_end()


@pytest.mark.parametrize("how", ["stream", "wait=0"])
def test_a_ticket_opens_a_sent_message_too(account, system, how):
    """Its number could be a contact's, which is looked for first."""
    alice, bob = account("alice"), account("bob")
    sent = send(bob, alice, "x")
    ticket = bob.request("POST", "/session/ticket").json()["ticket"]
    path = f"{sent['url']}?{how}&ticket={ticket}"
    if how == "stream":
        stream = Stream(system, path)
        assert stream.status == 200 and stream.wait("state").data["status"] == "stored"
        stream.close()
    else:
        assert system.request("GET", path).json()["status"] == "stored"
    assert system.request("GET", path).status_code == 401


def test_who_waits_for_a_lock_does_not_hold_up_the_heartbeat(system, account, until):
    alice = account("alice")
    token = alice.session(600)
    waiting = "select 1 from pg_stat_activity where usename = 'restsip_stream' and wait_event_type = 'Lock'"

    def beat_at():
        return system.query_owner("select max(beat_at) as at from app.stream_process")[0]["at"]

    with ThreadPoolExecutor(8) as pool:
        with psycopg.connect(system.pg_owner) as holds:
            holds.execute("select from app.session s join app.account a on a.id = s.account_id where a.email = %s for update of s",
                          [alice.email])
            opened = [pool.submit(Stream, system, alice.login, token=token) for _ in range(8)]
            until(lambda: system.query_owner(waiting))
            before = beat_at()
            until(lambda: beat_at() > before, 4)
        for stream in opened:
            stream.result(10).close()
    stream = Stream(system, alice.login, token=token)
    assert stream.status == 200 and stream.wait("state")
    stream.close()


@pytest.mark.parametrize("how", ["expiry", "logout"])
def test_a_session_that_ends_ends_its_long_poll(system, account, until, how):
    alice, bob = account("alice"), account("bob")
    headers = {"Authorization": f"Bearer {alice.session(3 if how == 'expiry' else 600)}"}
    paths = [bob.login, "/call"]
    answers = {}
    versions = [system.request("GET", path + "?wait=0", headers=headers).headers["ETag"].strip('"') for path in paths]

    def poll(path, version):
        answers[path] = system.request("GET", f"{path}?wait=15&since={version}", headers=headers)

    waiting = [threading.Thread(target=poll, args=both) for both in zip(paths, versions)]
    for thread in waiting:
        thread.start()
    if how == "logout":
        until(lambda: system.query_owner("""select 1 from app.watch w join app.account a on a.id = w.id
            where w.kind = 'login' and a.email = %s and w.closed_at is null""", (bob.email,)))
        system.request("DELETE", "/session", headers=headers)
    for thread in waiting:
        thread.join(10)
        assert not thread.is_alive()
    register(bob, "sip:b@192.0.2.1")
    assert [answers[path].status_code for path in paths] == [401, 401]


@pytest.mark.parametrize("how", ["logout", "logout-all", "password", "account"])
def test_what_ends_a_session_ends_its_streams_at_once(system, account, opened, how):
    alice, bob = account("alice"), account("bob")
    streams = [opened(alice, bob.login), opened(alice, sse=True)]
    other = system.request("POST", "/session", auth=alice.auth).json()["token"]
    others = Stream(system, bob.login, token=other)
    ticket = alice.request("POST", "/session/ticket").json()["ticket"]
    streams.append(Stream(system, f"{bob.login}?stream&ticket={ticket}"))
    basic = Stream(system, bob.login, auth=alice.auth)
    bobs = opened(bob)
    for stream in [*streams, others, basic, bobs]:
        stream.wait("state")
    answer = {"logout": lambda: alice.request("DELETE", "/session"),
              "logout-all": lambda: system.request("DELETE", "/session", auth=alice.auth),
              "password": lambda: system.request("PATCH", "/user/me", auth=alice.auth, json={"password": "another secret"}),
              "account": lambda: alice.request("DELETE", "/user/me")}[how]()
    assert answer.status_code in (200, 204)
    if how == "account":
        own = streams.pop(1)
        own.wait(lambda e: e.name == "gone" or e.data == {"reason": "session-ended"}, 1)
        own.wait_end()
    for stream in streams:
        ended_with(stream, "session-ended")
    for stream, ends in ((others, how != "logout"), (basic, how in ("password", "account")), (bobs, False)):
        if ends:
            ended_with(stream, "session-ended")
        else:  # it goes on, and all is as it was
            contact = f"sip:{id(stream)}@192.0.2.1"
            register(bob, contact)
            stream.wait(lambda e: e.name == "change" and contact in contacts(e), 1)
            assert not stream.named("end")
        stream.close()


def test_a_session_that_ended_without_a_bell_is_found(system, account, opened, until):
    alice = account("alice")
    stream = opened(alice)
    stream.wait("state")
    system.query_owner("""with gone as (delete from app.session s using app.account a
        where a.id = s.account_id and a.email = %s returning a.id)
        update app.account a set access = access + 1 from gone where a.id = gone.id returning a.id""", (alice.email,))
    ended_with(stream, "session-ended", 10)


def test_a_stream_by_ticket_outlives_the_database(own_system, own_account):
    alice = own_account("alice")
    paths = []
    for how in ({"headers": alice.headers}, {"auth": alice.auth}):
        ticket = own_system.request("POST", "/session/ticket", **how).json()["ticket"]
        paths.append(f"/login/me?stream&ticket={ticket}")
    streams = [Stream(own_system, path) for path in paths]
    for stream in streams:
        stream.wait("state")
    own_system.kill_and_wait("postgres")
    own_system.await_ready()
    insist(lambda: alice.request("POST", alice.login, json={"contact": "sip:a@192.0.2.1"}))
    for stream in streams:
        stream.wait(lambda e: e.name in ("change", "state") and len(e.data) == 1, 10)
        assert not stream.ended
    assert own_system.request("PATCH", "/user/me", auth=alice.auth,
                              json={"password": "another secret"}).status_code == 200
    for stream in streams:
        ended_with(stream, "session-ended")


def test_a_call_that_may_not_be_seen_any_more_ends_its_stream(account, opened):
    alice, bob, carol = account("alice"), account("bob"), account("carol")
    call = private_call(alice, bob)
    hers, his = opened(alice, call), opened(bob, call)
    for stream in (hers, his):
        stream.wait("state")
    problem(opened(carol, call), 404, "call-not-found")
    patch(alice, call, invited=[carol.email], subject="secret")
    ended_with(his, "access-ended")
    hers.wait(lambda e: e.name == "change" and e.data["subject"] == "secret", 1)
    assert "secret" not in str(his.events)
    theirs = opened(carol, call)
    theirs.wait("state")
    patch(alice, call, open=True, invited=[])
    late = opened(bob, call)
    late.wait("state")
    theirs.wait(lambda e: e.name in ("change", "state") and e.data["open"], 1)
    patch(alice, call, open=False)
    ended_with(theirs, "access-ended")
    ended_with(late, "access-ended")
    assert not hers.named("end")


def test_who_joins_sees_sessions_and_who_leaves_does_not(account, opened):
    alice, bob = account("alice"), account("bob")
    call = alice.request("POST", "/call", json={"subject": "one"}).json()["url"]
    alice.request("POST", call, json={"url": alice.login, "session": "alice's"})
    stream = opened(bob, call)
    assert "session" not in stream.wait("state").data["children"][0]
    joined = bob.request("POST", call, json={"url": bob.login, "session": "bob's"}).json()["url"]
    stream.wait(lambda e: [c.get("session") for c in e.data["children"]] == ["alice's", "bob's"], 1)
    bob.request("DELETE", joined)
    stream.wait(lambda e: len(e.data["children"]) == 1 and len(stream.events) > 2, 1)
    alice.request("PUT", call + "/1", json={"session": "new"})
    patch(alice, call, subject="two")
    stream.wait(lambda e: e.data["subject"] == "two", 1)
    assert "new" not in str(stream.events) and not stream.named("end")
