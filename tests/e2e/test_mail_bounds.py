"""What a mailbox, anonymous mail and the log of changes have room for."""
import contextlib

import pytest
from answers import is_json, is_problem
from json_patch import follow
from stream_client import Stream

KIB = 1024


@pytest.fixture(name="bound")
def fixture_bound(system):
    """Sets bounds; afterwards they are as they were."""
    with contextlib.ExitStack() as stack:
        def set_bound(name, amount):
            was = system.query_owner("select inspect.set_bound(%s, %s) as was", (name, amount))[0]["was"]
            stack.callback(system.query_owner, "select inspect.set_bound(%s, %s)", (name, was))
        yield set_bound


def box(account):
    return f"/user/{account.email}/messages"


def anonymous(system, account, **how):
    return system.request("POST", box(account), json={"url": "rtsp://media.example.net/x"}, **how)


def test_a_source_leaves_so_many_an_hour(system, account, bound):
    alice, bob = account("alice"), account("bob")
    system.query_owner("delete from app.mail_turn returning key")
    bound("anonymous_mail_source", 20)
    for _ in range(20):
        is_json(anonymous(system, alice), 201)
    answer = anonymous(system, bob)
    is_problem(answer, 429, "too-much-mail")
    assert 3500 < int(answer.headers["Retry-After"]) <= 3600
    is_json(bob.request("POST", box(alice), json={"url": "rtsp://x"}), 201)
    system.query_owner("update app.mail_turn set until = now() + interval '2.5 s' where key ~ '^s:' returning key")
    answer = anonymous(system, bob)
    is_problem(answer, 429, "too-much-mail")
    assert int(answer.headers["Retry-After"]) in (1, 2, 3)
    system.query_owner("update app.mail_turn set until = now() where key ~ '^s:' returning key")
    is_json(anonymous(system, bob), 201)


def test_a_mailbox_takes_so_many_a_day(system, account, bound):
    alice, bob = account("alice"), account("bob")
    bound("anonymous_mail_mailbox", 3)
    for _ in range(3):
        is_json(anonymous(system, alice), 201)
    answer = anonymous(system, alice)
    is_problem(answer, 429, "too-much-mail")
    assert 86000 < int(answer.headers["Retry-After"]) <= 86400
    is_json(anonymous(system, bob), 201)
    is_json(bob.request("POST", box(alice), json={"url": "rtsp://x"}), 201)


def test_a_quarter_of_a_mailbox_is_for_strangers(system, account, bound):
    alice, bob = account("alice"), account("bob")
    bound("mailbox_messages", 8)
    for _ in range(2):
        is_json(anonymous(system, alice), 201)
    is_problem(anonymous(system, alice), 507, "mailbox-full")
    for _ in range(6):
        is_json(bob.request("POST", box(alice), json={"url": "rtsp://x"}), 201)
    is_problem(bob.request("POST", box(alice), json={"url": "rtsp://x"}), 507, "mailbox-full")


def test_a_stream_shows_the_newest_that_fit_into_a_document(account, until):
    alice = account("alice")
    for i in range(20):
        is_json(alice.request("POST", box(alice), json={"url": "rtsp://x", "i": i, "pad": "x" * 60 * KIB}), 201)
    with contextlib.closing(Stream(alice.system, box(alice) + "?updates=diff", token=alice.token())) as stream:
        state = stream.wait("state").data
        assert [m["i"] for m in state] == list(range(19, 19 - len(state), -1)) and len(state) == 17
        is_json(alice.request("PATCH", state[5]["self"], json={"seen": True}))
        small = alice.request("POST", box(alice), json={"url": "rtsp://x", "i": 20, "pad": "y" * 60 * KIB})
        is_json(small, 201)
        until(lambda: len(stream.named("change")) == 2)
        now = follow(stream.events)
        assert [m["i"] for m in now] == list(range(20, 3, -1)) and now[6]["seen"]


def test_who_comes_from_before_what_is_kept_gets_the_state(account, bound, until):
    alice = account("alice")

    def change(i):
        is_json(alice.request("PUT", alice.login, json={"contact": "sip:a@192.0.2.1", "i": i, "pad": str(i % 10) * 1000}),
                200 if i else 201)

    change(0)
    bound("change_log", 16 * KIB)
    live = Stream(alice.system, alice.login + "?updates=diff", token=alice.token())
    live.wait("state")
    change(1)
    until(lambda: len(live.named("change")) == 1)
    old = live.last_id
    for i in range(2, 40):
        change(i)
        until(lambda i=i: follow(live.events)[0]["i"] == i)
    recent = live.events[-5].id
    live.close()
    now = is_json(alice.request("GET", alice.login))
    with contextlib.closing(Stream(alice.system, alice.login + "?updates=diff", token=alice.token(), last=old)) as again:
        assert again.wait("state").data == now
    with contextlib.closing(Stream(alice.system, alice.login + "?updates=diff", token=alice.token(),
                                   last=recent)) as again:
        until(lambda: len(again.named("change")) == 4)
        assert not again.named("state")
