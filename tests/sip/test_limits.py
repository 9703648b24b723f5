"""An agent that has no descriptors or no memory left."""
import socket

import pytest

from limited import SANITIZED, Program, give_descriptors, memory_is_taken, take_descriptors, take_memory
from phone import new_account
from restsip_system import until

AGENT = "restsip-agent"
STRANGERS = 120


@pytest.fixture(scope="module", name="limited")
def fixture_limited(systems):
    return systems("limits", {"RESTSIP_DEMO": "no"})


@pytest.fixture(name="agent")
def fixture_agent(limited, tmp_path):
    made = []

    def make(**how):
        one = Program(limited, AGENT, tmp_path / f"agent-{len(made)}.log", **how)
        made.append(one)
        until(lambda: "event=ready" in one.log() and "connection=asked" in one.log(), 20, one.log)
        return one
    yield make
    for one in made:
        one.end()


@pytest.fixture(name="alice")
def fixture_alice(limited):
    limited.await_ready(30)
    return new_account(limited, "alice")


def is_closed(s):
    """Whether the other side has ended a connection."""
    s.settimeout(5)
    try:
        return s.recv(1) == b""
    except ConnectionResetError:
        return True


def test_without_descriptors_connections_are_closed(agent, alice, phone):
    one = agent()
    server = ("127.0.0.1", one.port)
    inside, other = phone(alice, transport="tcp", server=server), phone(alice, server=server)
    assert inside.register().code == other.register().code == 200
    take_descriptors(one.pid)
    waiting = [socket.create_connection(server, timeout=5) for _ in range(20)]
    for s in waiting:
        s.sendall(b"OPTIONS sip:example.net SIP/2.0\r\n")
    assert all(is_closed(s) for s in waiting)
    assert inside.register().code == other.register().code == 200, "who is in stays in"
    for s in waiting:
        s.close()
    give_descriptors(one.pid)
    assert phone(alice, transport="tcp", server=server).register().code == 200
    assert len(one.lines("connection_refused")) == 1, "the next is written after a minute"


def test_strangers_connections_take_neither_phones_nor_the_databases_descriptors(limited, agent, alice, phone):
    one = agent(descriptors=120)
    assert "for=connections" in one.lines("descriptors_few")[0]
    server = ("127.0.0.1", one.port)
    inside = phone(alice, transport="tcp", server=server)
    assert inside.register().code == 200
    strangers = [socket.create_connection(server, 5, ("127.0.0.2", 0)) for _ in range(STRANGERS)]
    try:
        assert inside.register().code == 200
        assert phone(alice, transport="tcp", server=server).register().code == 200, "a stranger made room"
        backends = "select pid from pg_stat_activity where usename = 'restsip_agent'"
        before = limited.query_owner(backends)
        limited.query_owner("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'restsip_agent'")
        until(lambda: len(limited.query_owner(backends)) == len(before), 20, one.log)
        until(lambda: inside.register().code == 200, 10)
    finally:
        for s in strangers:
            s.close()
    assert not one.lines("connection_refused")


@pytest.mark.skipif(SANITIZED, reason="a sanitizer wants all of the address space")
def test_an_agent_without_memory_ends_and_is_started_anew(limited, alice, phone):
    one = phone(alice)
    assert one.register().code == 200
    pid = limited.pid(AGENT)
    take_memory(pid, 0)
    assert one.register().code == 200, "it still has enough for that"
    until(lambda: limited.pid(AGENT) != pid, 20, "the next agent")
    until(lambda: one.is_served(5), 20)
    assert memory_is_taken(limited.log(AGENT)) and "event=stopped" in limited.log(AGENT)
