"""The agent killed, and the database away: nothing that was acknowledged is lost."""
import os
import signal
import threading

import pytest

from phone import Silence, new_account
from restsip_system import SMALL
from test_message import delivered, send

AGENT = "restsip-agent"


@pytest.fixture(scope="module", name="own_system")
def fixture_own_system(systems):
    """One system for all that is done to it here: each test leaves it running."""
    return systems("failures", {**SMALL, "RESTSIP_DEMO": "no"})


@pytest.fixture(name="own_account")
def fixture_own_account(own_system):
    own_system.await_ready(30)
    return lambda name: new_account(own_system, name)


@pytest.fixture
def agent_up(own_system, until):
    """Waits until the agent on the test's own system serves registrations again."""
    def wait(probe, timeout_s=10):
        until(lambda: probe.is_served(5), timeout_s)
    return wait


def backends(system):
    """The processes of PostgreSQL that serve the agent."""
    rows = system.query_owner("select pid from pg_stat_activity where usename = 'restsip_agent'")
    return [row["pid"] for row in rows]


def test_it_has_as_many_connections_as_its_setting_says(system, own_system, until):
    for of, queries in ((system, 4), (own_system, int(SMALL["RESTSIP_AGENT_QUERIES"]))):
        until(lambda of=of, queries=queries: len(backends(of)) == 2 * queries + 5, 10)


def identity(message):
    return [message.get(h) for h in ("call-id", "cseq", "from", "to", "date", "content-type")] + [message.body]


def test_a_killed_agent_repeats_the_same_message(own_system, own_account, phone, until, deliveries):
    alice, bob = own_account("alice"), own_account("bob")
    p = phone(alice, answer=None)
    p.register()
    status = send(bob, alice, b"once more")
    first = p.next_request()
    own_system.kill_and_wait(AGENT)
    p.answer = 200
    repeat = p.next_request(timeout_s=15)
    while repeat.branch == first.branch:  # retransmissions from before the kill
        repeat = p.next_request(timeout_s=15)
    assert identity(repeat) == identity(first)
    until(lambda: delivered(status), 10)
    assert deliveries(alice)[0]["attempt"] == 2


def test_482_to_a_repeat_means_that_the_phone_has_it(own_system, own_account, phone, until):
    alice, bob = own_account("alice"), own_account("bob")
    p = phone(alice, answer=None)
    p.register()
    status = send(bob, alice)
    p.next_request()
    own_system.kill_and_wait(AGENT)
    p.answer = (482, "Loop Detected")
    until(lambda: status()["status"] == "delivered", 20)


def test_a_terminated_agent_gives_back_what_has_no_answer(own_system, own_account, phone, until):
    alice, bob = own_account("alice"), own_account("bob")
    p = phone(alice, answer=None)
    p.register()
    status = send(bob, alice)
    p.next_request()
    own_system.kill_and_wait(AGENT, signal.SIGTERM)
    p.answer = 200
    until(lambda: delivered(status), 20)


def test_a_terminated_agent_answers_who_waits(own_system, own_account, phone, agent_up):
    alice, bob = own_account("alice"), own_account("bob")
    a, b = phone(alice, answer=None), phone(bob)
    a.register()
    got = []
    waiting = threading.Thread(target=lambda: got.append(b.message(f"sip:{alice.email}", timeout_s=8).code))
    waiting.start()
    a.next_request()
    a.answer = 200
    own_system.kill(AGENT, signal.SIGTERM)
    waiting.join(10)
    assert got == [202]
    agent_up(b)


def test_tcp_bindings_of_who_does_not_listen_go_with_the_agent(own_system, own_account, phone, logins, until, agent_up):
    alice, bob = own_account("alice"), own_account("bob")
    udp, tcp, probe = phone(alice), phone(alice, transport="tcp"), phone(bob)
    listens = phone(alice, transport="tcp").listen()
    for p in (udp, tcp, listens):
        p.register()
    assert set(logins(alice)) == {udp.contact, tcp.contact, listens.contact}
    own_system.kill_and_wait(AGENT)
    agent_up(probe)
    until(lambda: set(logins(alice)) == {udp.contact, listens.contact}, 10)
    send(bob, alice, b"over a new one")
    assert listens.next_request(10).body == b"over a new one"


def test_an_equal_register_to_a_restarted_agent_gets_200(own_system, own_account, phone, agent_up):
    p, probe = phone(own_account("alice")), phone(own_account("bob"))
    assert p.register(expires=600).code == 200
    cseq = p.cseq
    own_system.kill_and_wait(AGENT)
    agent_up(probe)
    other = p.request("REGISTER", f"sip:{p.domain}", auth=False, call_id="only-for-a-nonce")
    p.challenge, p.nc = other.get("www-authenticate"), 0
    answer = p.register(expires=600, cseq=cseq)
    assert answer.code == 200
    assert list(answer.contacts) == [p.contact]


def test_without_the_database_it_says_503_and_comes_back(own_system, own_account, phone, until, agent_up):
    alice, bob = own_account("alice"), own_account("bob")
    p, sender = phone(alice), phone(bob)
    p.register()
    assert sender.register().code == 200
    stopped = backends(own_system)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)  # first it hangs, then it is gone
    try:
        answer = p.register(expires=600, timeout_s=8)
        assert answer.code == 503
        assert answer.get("retry-after")
        assert p.exchange(p.build("OPTIONS", "sip:example.net")).code == 200, "the loop is not blocked"
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    own_system.kill("postgres", signal.SIGQUIT)
    until(lambda: sender.message(f"sip:{alice.email}", timeout_s=8).code == 503, 5)
    agent_up(sender, 20)
    status = send(bob, alice, b"after")
    assert p.next_request(10).body == b"after"
    until(lambda: delivered(status))


def test_nothing_acknowledged_is_lost_when_connections_break(own_system, own_account, phone, until):
    """The agent's backends are ended again and again while messages pass."""
    alice, bob = own_account("alice"), own_account("bob")
    a = phone(alice)
    a.register()
    stop = threading.Event()
    acknowledged = []

    def talk(p, name):
        i = 0
        while not stop.is_set():
            body = f"{name}-{i}"
            i += 1
            try:
                if p.message(f"sip:{alice.email}", body, timeout_s=20).code in (200, 202):
                    acknowledged.append(body)
            except Silence:
                continue  # it may be there, or not

    threads = [threading.Thread(target=talk, args=(phone(bob), n)) for n in range(4)]
    for t in threads:
        t.start()
    for _ in range(10):
        for pid in backends(own_system):
            os.kill(pid, signal.SIGTERM)
        before = len(acknowledged)
        until(lambda n=before: len(acknowledged) > n + 5, 15)
    stop.set()
    for t in threads:
        t.join(30)

    def arrived():
        return {m.body.decode() for m in a.seen if not m.is_response and m.method == "MESSAGE"}

    until(lambda: set(acknowledged) <= arrived(), 60)
