"""Streams of each resource: state, changes, resume; the long poll; what is refused."""
import threading

import pytest
from stream_client import Stream
from stream_steps import contacts, problem, register, send


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


@pytest.mark.parametrize("many", [False, True])
def test_a_page_resumes_by_its_url_where_it_has_no_header(account, opened, many):
    alice, bob = account("alice"), account("bob")
    path = f"/watch?r={alice.login}&" if many else f"{alice.login}?"
    stream = opened(alice, path, sse=True)
    first = stream.wait("state").id
    send(bob, alice, "one")
    second = stream.wait("message").id
    stream.close()
    send(bob, alice, "two")
    by_url = opened(alice, f"{path}lastEventId={second}", sse=True)
    assert by_url.wait("message").id not in (first, second)
    assert not by_url.named("state") and len(by_url.named("message")) == 1
    # The browser's own header is newer than the URL that the page made.
    by_both = opened(alice, f"{path}lastEventId={first}", sse=True, last=second)
    by_both.wait("message")
    assert not by_both.named("state") and len(by_both.named("message")) == 1
    problem(opened(alice, f"{path}lastEventId=x"), 400, "invalid-parameter")


def test_the_first_state_alone_is_enough_to_resume(account, opened):
    alice, bob = account("alice"), account("bob")
    send(bob, alice, "one")
    stream = opened(alice)
    first = stream.wait("state").id
    stream.wait_message("one")
    stream.close()
    assert opened(alice, last=first).wait_message("one")


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


def test_a_call_streams(account, opened):
    alice, bob = account("alice"), account("bob")
    call = alice.request("POST", "/call", json={"subject": "one"}).json()["url"]
    stream = opened(bob, call)
    assert stream.wait("state").data["subject"] == "one"
    alice.request("PATCH", call, json={"subject": "two"})
    stream.wait(lambda e: e.name == "change" and e.data["subject"] == "two", 1)


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
