"""Streams of a login: state, changes, messages, resume, and what survives a kill."""
import base64
import http.client
import json
import signal
import socket
import threading
import time

import pytest
from follower import LATER, Follower
from stream_client import Stream


@pytest.fixture
def opened():
    """Opens streams and closes them at the end: opened(account, path)."""
    made = []

    def make(account, path=None, **how):
        stream = Stream(account.system, path or account.login, token=account.token(), **how)
        made.append(stream)
        return stream

    yield make
    for stream in made:
        stream.close()


def send(sender, to, body, **how):
    answer = sender.request("SEND", to.login, data=body, headers={"Content-Type": "text/plain"}, **how)
    assert answer.status_code == 202, answer.text
    return answer.json()


def status_of(sender, sent):
    return sender.request("GET", sent["url"]).json()["status"]


def register(account, contact):
    answer = account.request("POST", account.login, json={"contact": contact})
    assert answer.status_code == 201, answer.text
    return answer.json()


def contacts(event):
    return [c["contact"] for c in event.data]


@pytest.mark.parametrize("sse", [False, True])
def test_state_then_changes(account, opened, sse):
    alice = account("alice")
    stream = opened(alice, sse=sse)
    assert stream.status == 200
    assert stream.headers["Content-Type"] == ("text/event-stream" if sse else "application/x-ndjson")
    assert stream.wait("state").data == []
    made = register(alice, "sip:a@192.0.2.1")
    change = stream.wait(lambda e: e.name == "change" and contacts(e) == ["sip:a@192.0.2.1"], 1)
    got = alice.request("GET", alice.login)
    assert change.data == got.json() and f'"{change.id.split(".")[0]}"' == got.headers["ETag"]
    alice.request("DELETE", made["self"])
    stream.wait(lambda e: e.name == "change" and e.data == [], 1)


def test_others_see_changes_but_no_messages(account, opened):
    alice, bob = account("alice"), account("bob")
    theirs, hers = opened(bob, alice.login), opened(alice)
    theirs.wait("state")
    hers.wait("state")
    send(bob, alice, "secret")
    hers.wait_message("secret", 1)
    register(alice, "sip:a@192.0.2.1")
    change = theirs.wait("change", 1)
    assert contacts(change) == ["sip:a@192.0.2.1"] and "." not in change.id
    assert theirs.named("message") == []


def test_me_is_the_caller(account, opened):
    alice = account("alice")
    register(alice, "sip:a@192.0.2.1")
    assert contacts(opened(alice, "/login/me").wait("state")) == ["sip:a@192.0.2.1"]


def test_query_stream_is_ndjson(account, opened):
    alice = account("alice")
    stream = opened(alice, alice.login + "?stream", headers={"Accept": "*/*"})
    assert stream.headers["Content-Type"] == "application/x-ndjson"
    stream.wait("state")


def test_a_message_is_delivered_once_written(account, opened, until):
    alice, bob = account("alice"), account("bob")
    stream = opened(alice)
    stream.wait("state")
    sent = send(bob, alice, "hello")
    message = stream.wait_message("hello", 1)
    assert message.data["from"] == bob.email and message.data["content_type"] == "text/plain"
    assert message.data["id"] == sent["id"] and message.data["sent_at"] == sent["created_at"]
    until(lambda: status_of(bob, sent) == "delivered")
    assert [r["kind"] for r in bob.request("GET", sent["url"]).json()["recipients"]] == ["stream"]


@pytest.mark.parametrize("body", [b"\x00", b"\xff\xfe", b"a\x00b", bytes(range(256)), b"\xed\xa0\x80"],
                         ids=["nul", "bom", "inside", "all", "surrogate"])
def test_bytes_that_are_no_text_come_in_base64(account, opened, body):
    alice = account("alice")
    stream = opened(alice, sse=True)
    stream.wait("state")
    send(alice, alice, body)
    data = stream.wait("message").data
    assert "body" not in data and base64.b64decode(data["body_base64"]) == body


@pytest.mark.parametrize("body", ["", "two\nlines\r\n\n", '{"a":1}', "ü€😀\u2028", "\x01\x1f\x7f\"\\", "x" * 65536,
                                  "\x01" * 65536],
                         ids=["empty", "lines", "json", "unicode", "controls", "large", "largest"])
def test_text_comes_as_it_is(account, opened, body):
    alice = account("alice")
    stream = opened(alice, sse=True)
    stream.wait("state")
    send(alice, alice, body.encode())
    assert stream.wait("message").data["body"] == body


def test_what_was_stored_comes_when_a_stream_opens(account, opened, until):
    alice, bob = account("alice"), account("bob")
    sent = [send(bob, alice, f"m{i}") for i in range(40)]
    assert {s["status"] for s in sent} == {"stored"}
    stream = opened(alice)
    stream.wait_message("m39")
    assert stream.bodies() == [f"m{i}" for i in range(40)]
    assert stream.events[0].name == "state" and stream.events[0].id.endswith(".0")
    until(lambda: all(status_of(bob, s) == "delivered" for s in sent[-3:]))
    again = opened(alice)
    again.wait("state")
    send(bob, alice, "later")
    again.wait_message("later")
    assert again.bodies() == ["later"]


def test_a_resume_replays_what_was_thought_delivered(account, opened, until):
    alice, bob = account("alice"), account("bob")
    stream = opened(alice)
    stream.wait("state")
    last = send(bob, alice, "one") and stream.wait_message("one").id
    sent = send(bob, alice, "two")
    stream.wait_message("two")
    until(lambda: status_of(bob, sent) == "delivered")
    stream.close()
    again = opened(alice, last=last)
    again.wait_message("two")
    send(bob, alice, "three")
    again.wait_message("three")
    assert again.bodies() == ["two", "three"] and again.named("state") == []


def test_a_resume_has_each_change_in_between(account, opened):
    alice = account("alice")
    stream = opened(alice)
    stream.wait("state")
    register(alice, "sip:a0@192.0.2.1")
    last = stream.wait("change").id
    stream.close()
    for i in range(1, 4):
        register(alice, f"sip:a{i}@192.0.2.1")
    again = opened(alice, alice.login + f"?since={last}")
    again.wait(lambda e: len(e.data) == 4)
    assert [(e.name, len(e.data)) for e in again.events] == [("change", 2), ("change", 3), ("change", 4)]


def test_a_resume_with_nothing_new_says_nothing(account, opened):
    alice = account("alice")
    stream = opened(alice)
    last = stream.wait("state").id
    stream.close()
    again = opened(alice, last=last)
    register(alice, "sip:a@192.0.2.1")
    again.wait("change")
    assert len(again.events) == 1


def test_a_resume_from_an_unknown_version_is_a_state(account, opened):
    alice = account("alice")
    assert opened(alice, last="999999999.999999").wait("state").data == []


def test_the_first_state_alone_is_enough_to_resume(account, opened):
    alice, bob = account("alice"), account("bob")
    send(bob, alice, "one")
    stream = opened(alice)
    first = stream.wait("state").id
    stream.wait_message("one")
    stream.close()
    assert opened(alice, last=first).wait_message("one")


def test_all_tabs_get_it(account, opened):
    alice, bob = account("alice"), account("bob")
    tabs = [opened(alice, sse=i % 2 == 0) for i in range(4)]
    for tab in tabs:
        tab.wait("state")
    for i in range(5):
        send(bob, alice, f"m{i}")
    for tab in tabs:
        tab.wait_message("m4")
        assert tab.bodies() == [f"m{i}" for i in range(5)]


def test_a_cancelled_message_does_not_come(account, opened):
    alice, bob = account("alice"), account("bob")
    sent = send(bob, alice, "oops")
    assert bob.request("CANCEL", sent["url"]).status_code == 200
    send(bob, alice, "fine")
    stream = opened(alice)
    stream.wait_message("fine")
    assert stream.bodies() == ["fine"]
    assert opened(alice, last="1.0").wait_message("fine") and stream.bodies() == ["fine"]


def test_no_one_there_any_more_is_stored_again(account, opened, until):
    alice, bob = account("alice"), account("bob")
    stream = opened(alice)
    stream.wait("state")
    stream.close()
    until(lambda: send(bob, alice, "x")["status"] == "stored")


def test_a_ticket_opens_one_stream(account, system):
    alice = account("alice")
    made = alice.request("POST", "/session/ticket")
    assert made.status_code == 201, made.text
    path = f"/login/me?stream&ticket={made.json()['ticket']}"
    stream = Stream(system, path)
    assert stream.status == 200 and stream.wait("state")
    stream.close()
    assert Stream(system, path).status == 401


def problem(stream, status, name):
    assert stream.status == status
    assert stream.headers["Content-Type"].startswith("application/problem+json")
    body = json.loads(stream.body)
    assert body["type"] == f"/problems/{name}" and body["request_id"]


def test_refusals(account, system, opened):
    alice = account("alice")
    nobody = Stream(system, alice.login)
    problem(nobody, 401, "unauthorized")
    assert "Basic" in nobody.headers["WWW-Authenticate"]
    problem(Stream(system, alice.login, token="x" * 43), 401, "unauthorized")
    problem(Stream(system, alice.login, auth=(alice.email, "wrong")), 401, "unauthorized")
    problem(opened(alice, "/login/nobody@example.net"), 404, "user-not-found")
    problem(opened(alice, "/login/no-address"), 404, "user-not-found")
    problem(opened(alice, "/nothing"), 404, "not-found")
    problem(opened(alice, f"/user/{alice.email}/credential"), 406, "not-acceptable")
    problem(opened(alice, alice.login + "?since=x"), 400, "invalid-parameter")
    problem(opened(alice, alice.login + "?updates=some"), 400, "invalid-parameter")


def test_basic_works_too(account, system):
    alice = account("alice")
    stream = Stream(system, alice.login, auth=alice.auth)
    assert stream.status == 200 and stream.wait("state")
    stream.close()


def test_head_has_the_headers_of_a_stream(account):
    alice = account("alice")
    answer = alice.request("HEAD", alice.login, headers={"Accept": "text/event-stream"})
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "text/event-stream"


def test_the_long_poll(account):
    alice = account("alice")
    now = alice.request("GET", alice.login + "?wait=5")
    assert now.status_code == 200 and now.json() == []
    version = now.headers["ETag"].strip('"')
    assert alice.request("GET", alice.login + f"?wait=0&since={version}").status_code == 304
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(
        alice.request("GET", alice.login + f"?wait=10&since={version}")))
    waiting.start()
    register(alice, "sip:a@192.0.2.1")
    waiting.join(5)
    assert answers[0].status_code == 200 and len(answers[0].json()) == 1
    assert answers[0].headers["ETag"] != now.headers["ETag"]


def test_a_heartbeat_every_15_s(account, opened, until):
    streams = [opened(account("alice"), sse=sse) for sse in (True, False)]
    for stream in streams:
        until(lambda s=stream: s.heartbeats, 18)


def test_a_session_that_ends_ends_its_stream(system, account):
    alice = account("alice")
    made = system.request("POST", "/session", auth=alice.auth, json={"lifetime": 2})
    stream = Stream(system, alice.login, token=made.json()["token"])
    assert stream.wait("end", 10).data == {"reason": "session-ended"}
    stream.wait_end()


def ended_with(stream, reason, timeout_s=1):
    assert stream.wait("end", timeout_s).data == {"reason": reason}
    stream.wait_end()


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
              "password": lambda: alice.request("PATCH", "/user/me", json={"password": "another secret"}),
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
    assert own_system.request("PATCH", "/user/me", headers=alice.headers,
                              json={"password": "another secret"}).status_code == 200
    for stream in streams:
        ended_with(stream, "session-ended")


def test_a_head_or_a_long_poll_takes_no_messages(account, until):
    alice, bob = account("alice"), account("bob")
    now = alice.request("GET", alice.login + "?wait=0")
    assert now.status_code == 200 and now.json() == []
    version = now.headers["ETag"].strip('"')
    waiting = threading.Thread(target=lambda: alice.request("GET", alice.login + f"?wait=3&since={version}"))
    waiting.start()
    until(lambda: alice.system.query("select 1 from inspect.stream where watched > 0"))
    for _ in range(20):
        assert alice.request("HEAD", alice.login, headers={"Accept": "text/event-stream"}).status_code == 200
        assert send(bob, alice, "x")["status"] == "stored"
    waiting.join()


def test_many_undelivered_come_alone(account, opened, until):
    """More than a page: what was delivered in between does not come to one that is new."""
    alice, bob = account("alice"), account("bob")
    sent = [send(bob, alice, f"m{i}") for i in range(60)]
    alice.system.query_owner("""update app.delivery d set kind = 'stream', state = 'delivered',
        settled_at = now() - interval '1 hour' from app.send s join app.account a on a.id = s.account_id
        where d.send_id = s.id and a.email = %s and s.n %% 2 = 0 returning d.id""", (alice.email,))
    stream = opened(alice)
    odd = [f"m{i}" for i in range(60) if sent[i]["id"] % 2]
    stream.wait_message(odd[-1])
    assert stream.bodies() == odd


def slow_client(account):
    """A connection that asks for a stream and does not read it."""
    host, port = account.system.url[7:].split(":")
    client = http.client.HTTPConnection(host, int(port), timeout=10)
    client.sock = socket.socket()
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.sock.settimeout(10)
    client.sock.connect((host, int(port)))
    client.request("GET", account.login + "?stream", headers=account.headers)
    return client


def test_who_does_not_read_stops_nobody(account, opened):
    """Ten clients that never read, beside one that does: that one gets everything at once."""
    alice, bob = account("alice"), account("bob")
    stuck = [slow_client(alice) for _ in range(10)]
    reader = opened(alice)
    reader.wait("state")
    body = "x" * 60_000
    for i in range(60):
        send(bob, alice, body + str(i))
    reader.wait_message(body + "59")
    assert reader.bodies() == [body + str(i) for i in range(60)]
    # Who wakes up has missed nothing.
    late = stuck[0].getresponse()
    came = []
    while body + "59" not in came:
        event = json.loads(late.readline() or b'{"event": "end"}')
        assert event["event"] in ("state", "message")
        came.append(event["data"]["body"] if event["event"] == "message" else None)
    assert came == [None] + [body + str(i) for i in range(60)]
    for client in stuck:
        client.close()


# ---- what is no login ----

def test_a_call_streams(account, opened):
    alice, bob = account("alice"), account("bob")
    call = alice.request("POST", "/call", json={"subject": "one"}).json()["url"]
    stream = opened(bob, call)
    assert stream.wait("state").data["subject"] == "one"
    alice.request("PATCH", call, json={"subject": "two"})
    stream.wait(lambda e: e.name == "change" and e.data["subject"] == "two", 1)


def private_call(owner, *invited):
    answer = owner.request("POST", "/call", json={"subject": "one", "open": False,
                                                  "invited": [account.email for account in invited]})
    assert answer.status_code == 201, answer.text
    return answer.json()["url"]


def patch(owner, path, **members):
    answer = owner.request("PATCH", path, json=members)
    assert answer.status_code == 200, answer.text


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


def test_a_profile_streams(account, opened):
    alice = account("alice")
    stream = opened(alice, "/user/me", sse=True)
    assert "nick" not in stream.wait("state").data
    alice.request("PATCH", "/user/me", json={"nick": "al"})
    assert stream.wait("change", 1).data["nick"] == "al"


def test_a_mailbox_streams_for_its_owner(account, opened):
    alice, bob = account("alice"), account("bob")
    path = f"/user/{alice.email}/messages"
    problem(opened(bob, path), 403, "not-owner")
    stream = opened(alice, path)
    assert stream.wait("state").data == []
    assert bob.request("POST", path, data="hi", headers={"Content-Type": "text/plain"}).status_code == 201
    assert stream.wait("change", 1).data[0]["from"] == bob.email


def test_one_contact_streams_until_it_is_gone(account, opened):
    alice, bob = account("alice"), account("bob")
    path = register(alice, "sip:a@192.0.2.1")["self"]
    stream = opened(bob, path)
    assert stream.wait("state").data["contact"] == "sip:a@192.0.2.1"
    alice.request("DELETE", path)
    stream.wait("gone", 1)
    stream.wait_end()
    problem(opened(bob, path), 404, "message-not-found")


def test_a_sent_message_streams_its_status(account, opened):
    alice, bob, carol = account("alice"), account("bob"), account("carol")
    sent = send(bob, alice, "x")
    stream = opened(bob, sent["url"])
    assert stream.wait("state").data["status"] == "stored"
    problem(opened(carol, sent["url"]), 404, "message-not-found")
    opened(alice).wait("message")
    stream.wait(lambda e: e.name == "change" and e.data["status"] == "delivered", 2)


# ---- what survives a kill ----

def insist(fn, timeout_s=15):
    """Calls fn until it is answered with 2xx."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = fn()
        if answer.status_code < 300:
            return answer
        assert answer.status_code in LATER, answer.text
        assert answer.headers["Retry-After"] and time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("how", ["stream-kill", "stream-term", "postgres-kill", "postgres-stop"])
def test_nothing_is_missed_over_a_restart(own_system, own_account, until, how):
    alice, bob = own_account("alice"), own_account("bob")
    follower = Follower(alice, sse=True)
    until(follower.connected, 10)
    for round_ in range(3):
        for i in range(5):
            if i == 2:
                name, sig = {"stream-kill": ("restsip-stream", signal.SIGKILL),
                             "stream-term": ("restsip-stream", signal.SIGTERM),
                             "postgres-kill": ("postgres", signal.SIGKILL),
                             "postgres-stop": ("postgres", signal.SIGINT)}[how]
                own_system.kill(name, sig)
            # A key, so that what was done and not answered is not done twice.
            insist(lambda: bob.request("SEND", alice.login, data=f"{round_}.{i}",
                                       headers={"Content-Type": "text/plain",
                                                "Idempotency-Key": f"{round_}.{i}"}))
        until(lambda: follower.bodies()[-1:] == [f"{round_}.4"], 15)
        until(lambda: all(row["status"] == "delivered" for row in own_system.query(
            "select status from inspect.send where recipient = %s", (alice.email,))), 15)
        insist(lambda: alice.request("PUT", alice.login, json=[{"contact": f"sip:r{round_}@192.0.2.1"}]))
        until(lambda: [c["contact"] for c in follower.last_doc()] == [f"sip:r{round_}@192.0.2.1"], 15)
        insist(lambda: alice.request("DELETE", alice.login))
        until(lambda: follower.last_doc() == [], 15)
    follower.stop()
    assert follower.refused == []
    assert follower.bodies() == [f"{r}.{i}" for r in range(3) for i in range(5)]


def test_an_open_stream_outlives_the_database(own_system, own_account, until):
    alice, bob = own_account("alice"), own_account("bob")
    stream = Stream(own_system, alice.login, token=alice.token())
    stream.wait("state")
    own_system.kill_and_wait("postgres")
    own_system.await_ready()
    insist(lambda: bob.request("SEND", alice.login, data="after", headers={"Content-Type": "text/plain"}))
    insist(lambda: alice.request("POST", alice.login, json={"contact": "sip:a@192.0.2.1"}))
    stream.wait_message("after", 10)
    stream.wait(lambda e: e.name in ("change", "state") and len(e.data) == 1, 10)
    assert not stream.ended
    stream.close()
