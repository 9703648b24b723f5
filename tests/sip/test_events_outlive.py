"""SIP subscriptions outlive the agent that has them, and go from one agent to another."""
import os
import signal

import pytest

from phone import new_account
from test_events import bound, subscriptions

AGENT = "restsip-agent"


@pytest.fixture(scope="module", name="own_system")
def fixture_own_system(systems):
    """A system to kill the agent of."""
    return systems("events", {"RESTSIP_DEMO": "no"})


@pytest.fixture(name="own_account")
def fixture_own_account(own_system):
    own_system.await_ready(30)
    return lambda name: new_account(own_system, name)


def test_a_killed_agent_goes_on_in_the_same_dialog(own_system, own_account, phone, until):
    alice, bob = own_account("alice"), own_account("bob")
    b = phone(bob)
    sub = b.subscribe(f"sip:{alice.email}", "presence")
    first = sub.next()
    until(lambda: subscriptions(bob)[0]["until"] is None)
    own_system.kill_and_wait(AGENT)
    bound(alice, "sip:alice@192.0.2.1")
    second = sub.next(20)
    assert (first.get("cseq"), second.get("cseq")) == ("1 NOTIFY", "2 NOTIFY")
    assert first.get("from") == second.get("from") and first.get("to") == second.get("to")
    assert b"192.0.2.1" in second.body
    assert sub.refresh().code == 200
    assert sub.next().get("cseq") == "3 NOTIFY"


def test_what_a_killed_agent_had_under_way_is_sent_again(own_system, own_account, phone, until):
    alice, bob = own_account("alice"), own_account("bob")
    b = phone(bob, answer=None)
    sub = b.subscribe(f"sip:{alice.email}", "presence")
    first = sub.next()
    own_system.kill_and_wait(AGENT)
    b.answer = 200
    again = sub.next(20)
    assert (first.get("cseq"), again.get("cseq")) == ("1 NOTIFY", "2 NOTIFY")
    assert again.body == first.body
    until(lambda: subscriptions(bob)[0]["code"] == 200)


def test_a_terminated_agent_gives_back_what_has_no_answer(own_system, own_account, phone):
    alice, bob = own_account("alice"), own_account("bob")
    b = phone(bob, answer=None)
    sub = b.subscribe(f"sip:{alice.email}", "presence")
    sub.next()
    own_system.kill_and_wait(AGENT, signal.SIGTERM)
    b.answer = 200
    assert sub.next(20).get("cseq") == "2 NOTIFY"
    stopped = [line for line in own_system.log(AGENT).splitlines() if "event=stopped" in line]
    assert stopped[-1].endswith("unfinished=0")


def test_an_equal_subscribe_to_a_restarted_agent_makes_no_second_one(own_system, own_account, phone, until):
    alice, bob = own_account("alice"), own_account("bob")
    b = phone(bob)
    sub = b.subscribe(f"sip:{alice.email}", "presence")
    sub.next()
    tag, cseq, sub.to_tag = sub.to_tag, b.cseq, None
    own_system.kill_and_wait(AGENT)

    def fresh_nonce():
        other = b.request("SUBSCRIBE", f"sip:{alice.email}", [("Event", "presence"), ("Contact", f"<{b.contact}>")],
                          auth=False, call_id="only-for-a-nonce", timeout_s=1)
        b.challenge, b.nc = other.get("www-authenticate"), 0
        return other.code == 401

    until(fresh_nonce, 10)
    answer = sub._request(sub.to, 600, [], {**sub.more, "cseq": cseq})  # pylint: disable=protected-access
    assert answer.code == 200 and sub.to_tag == tag
    assert len(subscriptions(bob)) == 1


def test_many_changes_while_it_dies(own_system, own_account, phone, until):
    """However often it is killed, the last NOTIFY is of the last state."""
    alice, bob = own_account("alice"), own_account("bob")
    b = phone(bob)
    sub = b.subscribe(f"sip:{alice.email}", "presence")
    sub.next()
    where = bound(alice, "sip:alice@192.0.2.1")
    for i in range(3):
        for k in range(5):
            alice.request("PUT", where, json={"presence": {"basic": "open", "note": f"note {i}.{k}"}})
        own_system.kill_and_wait(AGENT)
    until(lambda: any(b"note 2.4" in m.body for m in b.seen if not m.is_response), 30)
    cseqs = [int(m.get("cseq").split()[0]) for m in sorted(
        (m for m in b.seen if not m.is_response), key=lambda m: m.at)]
    assert cseqs == sorted(cseqs)


# ---- several agents ----

@pytest.fixture(scope="module", name="two")
def fixture_two(systems):
    return systems("events-two", {"RESTSIP_AGENTS": "2", "RESTSIP_DEMO": "no"})


def target(server):
    return "sip:{}:{}".format(*server)


def test_it_moves_to_the_agent_that_gets_the_refresh(two, phone):
    first, second = two.sip_all
    alice, bob = new_account(two, "alice"), new_account(two, "bob")
    b = phone(bob, server=first)
    sub = b.subscribe(f"sip:{alice.email}", "presence")
    assert sub.next().get("contact") == f"<{target(first)}>"
    b.server = second
    assert sub.refresh().code == 200
    assert sub.target == target(second)
    assert sub.next().source == second
    bound(alice, "sip:alice@192.0.2.1")
    again = sub.next()
    assert (again.source, again.get("contact"), again.get("cseq")) == (second, f"<{target(second)}>", "3 NOTIFY")


def test_another_agent_takes_over_a_dead_ones(two, phone, until):
    first, second = two.sip_all
    alice, bob = new_account(two, "alice"), new_account(two, "bob")
    b = phone(bob, server=first)
    sub = b.subscribe(f"sip:{alice.email}", "presence")
    sub.next()
    until(lambda: subscriptions(bob)[0]["until"] is None)
    pid = two.pid(AGENT)
    os.kill(pid, signal.SIGSTOP)
    try:
        two.query_owner(
            "select app.orphan_subscriptions(g.id) from app.agent g where g.name = %s", ["{}:{}".format(*first)])
        taken = sub.next(10)
        assert (taken.source, taken.get("contact"), taken.get("cseq")) == (second, f"<{target(second)}>", "2 NOTIFY")
        b.server, sub.target = second, target(second)
        assert sub.refresh().code == 200
        assert sub.next().source == second
    finally:
        os.kill(pid, signal.SIGCONT)
