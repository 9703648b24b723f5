"""Messages on the streams of their recipient."""
import base64
import json
import threading

import pytest
from stream_steps import register, send, slow_client, status_of


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


def test_what_is_taken_back_is_not_shown_and_what_is_shown_is_not_taken_back(account, opened):
    alice, bob = account("alice"), account("bob")
    stream = opened(alice)
    stream.wait("state")
    codes = {}
    for i in range(150):
        sent = send(bob, alice, f"race {i}")
        codes[f"race {i}"] = bob.request("CANCEL", sent["url"]).status_code
    send(bob, alice, "last")
    stream.wait_message("last")
    assert set(codes.values()) <= {200, 409}
    assert {body for body, code in codes.items() if code == 409} | {"last"} == set(stream.bodies())


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


def test_others_who_look_on_do_not_stand_for_the_owner(account, opened, until):
    """Whoever watches her login: when her own streams have gone, nobody is there for messages."""
    alice, bob = account("alice"), account("bob")
    theirs = opened(bob, alice.login)
    for path in (alice.login, f"/watch?r={alice.login}&r=/user/me"):
        hers = opened(alice, path)
        hers.wait("state")
        assert send(bob, alice, "x")["status"] == "queued"
        hers.close()
        until(lambda: send(bob, alice, "x")["status"] == "stored")
    register(alice, "sip:a@192.0.2.1")
    theirs.wait("change")


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
