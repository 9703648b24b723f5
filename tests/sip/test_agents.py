"""Several agents at once: what is for a phone goes by the agent that has its connection, and a dead agent's phones and
messages go on at another."""
import os
import signal

import pytest
import requests

from phone import new_account
from swarm import Swarm, TcpPhone, make_accounts
from test_message import delivered, send

PHONES = 1000


@pytest.fixture(scope="module", name="two")
def fixture_two(systems):
    two = systems("agents", {"RESTSIP_AGENTS": "2", "RESTSIP_DEMO": "no"})
    # One account sends to a hundred phones that do not answer, and to all others meanwhile.
    two.query_owner("select inspect.set_bound('deliveries_account', 1000)")
    return two


@pytest.fixture(scope="module", name="swarm")
def fixture_swarm(two):
    """Phones over TCP, every other one at the second agent."""
    names = make_accounts(two, PHONES, "swarm")
    both = two.sip_all
    swarm = Swarm([TcpPhone(name, both if i % 2 else both[::-1]) for i, name in enumerate(names)])
    swarm.until_registered(both, 60)
    yield swarm
    swarm.close()


@pytest.fixture(name="sender")
def fixture_sender(two):
    return new_account(two, "sender")


def send_to_all(sender, swarm, body):
    """A SEND to each phone's account."""
    with requests.Session() as session:
        session.headers.update({**sender.headers, "Content-Type": "text/plain"})
        for phone in swarm.phones:
            answer = session.request("SEND", f"{sender.system.url}/login/{phone.user}@example.net", data=body, timeout=20)
            assert answer.status_code == 202, answer.text


def missing(swarm, body):
    return [p.user for p in swarm.phones if body not in [m[3] for m in p.messages]]


def agent_at(system, server):
    """The name of the program that listens there."""
    return "restsip-agent" if server == system.sip_all[0] else "restsip-agent-2"


def test_a_send_reaches_every_phone_at_its_agent(two, swarm, sender, until):
    rows = two.query("select flow, agent from inspect.login where email like 'swarm%%'")
    assert len(rows) == PHONES
    assert sorted({row["agent"] for row in rows}) == sorted("{}:{}".format(*a) for a in two.sip_all)
    send_to_all(sender, swarm, b"to all")
    until(lambda: not missing(swarm, b"to all"), 60, lambda: missing(swarm, b"to all")[:5])
    assert all([m[3] for m in p.messages].count(b"to all") == 1 for p in swarm.phones)


def test_a_killed_agents_phones_and_messages_go_on_at_the_other(two, swarm, sender, until):
    first, second = two.sip_all
    mine = [p for p in swarm.phones if p.registered == first]
    silent = mine[:100]
    for phone in silent:
        phone.answers = False  # it has the message, the agent never hears so
    send_to_all(sender, swarm, b"before")
    until(lambda: not missing(swarm, b"before"), 60)
    os.kill(two.pid(agent_at(two, first)), signal.SIGKILL)
    send_to_all(sender, swarm, b"meanwhile")
    for phone in silent:
        phone.answers = True
    swarm.until_registered(two.sip_all, 90)
    assert all(p.registered == second for p in mine), "it went to the other"
    until(lambda: not missing(swarm, b"meanwhile"), 90, lambda: missing(swarm, b"meanwhile")[:5])

    def repeated():
        return all([m[3] for m in p.messages].count(b"before") == 2 for p in silent)
    until(repeated, 60)
    for phone in silent:
        identities = {m[:3] for m in phone.messages if m[3] == b"before"}
        assert len(identities) == 1, identities
    rows = until(lambda: (lambda r: len(r) == PHONES and r)(
        two.query("select email from inspect.login where email like 'swarm%%' and source = 'sip'")), 60)
    assert len({row["email"] for row in rows}) == PHONES, "nothing is left of the connections that are gone"


def test_any_agent_takes_a_message_in_for_a_phone_of_the_other(two, phone, until):
    first, second = two.sip_all
    alice, bob = new_account(two, "alice"), new_account(two, "bob")
    a, b = phone(alice, transport="tcp", server=first), phone(bob, server=second)
    assert a.register().code == b.register().code == 200
    assert b.message(f"sip:{alice.email}", "across").code == 200
    assert a.next_request().body == b"across"
    assert a.message(f"sip:{bob.email}", "and back").code == 200
    assert b.next_request().body == b"and back"
    status = send(alice, bob, b"from the web")
    until(lambda: delivered(status))


def test_what_the_lost_connection_did_not_bring_comes_over_the_next(two, phone, until):
    """The phone is back before the agent knows that its old connection has gone."""
    first, second = two.sip_all
    alice, bob = new_account(two, "alice"), new_account(two, "bob")
    old = phone(alice, transport="tcp", server=first, answer=None)
    old.register()
    status = send(bob, alice, b"for whoever is there")
    got = old.next_request()
    new = phone(alice, transport="tcp", server=second)
    new.register()
    old.close()
    again = new.next_request(10)
    assert [again.get(h) for h in ("call-id", "cseq", "from")] == [got.get(h) for h in ("call-id", "cseq", "from")]
    until(lambda: delivered(status))


def test_no_agents_address_is_a_contact(two, phone):
    """By one rule for both doors, whichever agent is asked."""
    alice = new_account(two, "alice")
    for host, port in two.sip_all + two.sips_all:
        own = f"sip:alice@{host}:{port}"
        for server in two.sip_all:
            assert phone(alice, server=server).register(contacts=[f"<{own}>"]).code == 403
        answer = alice.request("POST", alice.login, json={"contact": own})
        assert answer.status_code == 403 and answer.json()["type"] == "/problems/contact-not-allowed", answer.text
    assert alice.request("GET", alice.login).json() == []
