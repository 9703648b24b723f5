"""An agent or stream process that others cannot see: a connection that has died without a word, a process that hung."""
import os
import signal
import subprocess

import psycopg
import pytest
from follower import Follower
from phone import new_account
from silent_proxy import behind_proxy
from test_message import delivered, send

LONG = os.environ.get("RESTSIP_LONG") == "1"


@pytest.fixture(scope="module", name="proxied")
def fixture_proxied(systems):
    yield from behind_proxy(systems, "proxied")


def agent_row(system):
    return system.query("select id, name, alive, dead_at, started_at, beat_at from inspect.agent order by id")[0]


def test_a_listener_that_dies_without_a_word_is_replaced(proxied, phone, until):
    alice, bob = new_account(proxied, "alice"), new_account(proxied, "bob")
    p = phone(alice)
    assert p.register().code == 200
    until(lambda: agent_row(proxied)["beat_at"])
    before, pid = agent_row(proxied), proxied.pid("restsip-agent")
    proxied.proxy.silence(b"agent_start")
    until(lambda: agent_row(proxied)["started_at"] > before["started_at"], 15)
    until(lambda: agent_row(proxied)["beat_at"], 5)
    after = agent_row(proxied)
    assert (after["id"], after["alive"], after["dead_at"]) == (before["id"], True, None)
    assert proxied.pid("restsip-agent") == pid, "the same process, which has lost nothing"
    status = send(bob, alice, b"after")
    assert p.next_request(10).body == b"after"
    until(lambda: delivered(status))


def test_an_agent_that_another_process_has_become_begins_anew(proxied, until):
    row, pid = agent_row(proxied), proxied.pid("restsip-agent")
    holder = "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and classid = 29285 and objid = %s"
    with psycopg.connect(proxied.pg_owner, autocommit=True) as other:

        def becomes():
            other.execute(holder, [row["id"]])
            for _ in range(50):
                try:
                    return other.execute("select agent from api.agent_start(%s, 'other')", [row["name"]]).fetchone()
                except psycopg.Error:  # its session has not quite ended
                    pass
            return None

        until(becomes, 10)
        until(lambda: proxied.pid("restsip-agent") not in (None, pid), 10)
        assert "event=replaced" in proxied.log("restsip-agent")
    until(lambda: agent_row(proxied)["alive"] and agent_row(proxied)["beat_at"], 10)


def test_so_is_that_of_a_stream_process(proxied, until):
    alice, bob = new_account(proxied, "alice"), new_account(proxied, "bob")
    follower = Follower(alice)
    until(follower.connected)
    row = "select started_at, beat_at, alive from inspect.stream"
    until(lambda: proxied.query(row)[0]["beat_at"])
    before, pid = proxied.query(row)[0], proxied.pid("restsip-stream")
    proxied.proxy.silence(b"stream_start")
    until(lambda: proxied.query(row)[0]["started_at"] > before["started_at"], 30)
    assert proxied.pid("restsip-stream") == pid
    send(bob, alice, b"after")
    until(lambda: "after" in follower.bodies(), 10)
    assert follower.refused == []
    follower.stop()


@pytest.fixture(scope="module", name="two")
def fixture_two(systems):
    """Two agents, and nobody who kills what hangs."""
    made = systems("two", {"RESTSIP_AGENTS": "2", "RESTSIP_DEMO": "no", "RESTSIP_WATCHDOG_S": "0"})
    yield made
    made.down()


def give_up(system, table, until, name=None):
    """After 30 s in which it says nothing; as a rule these are made short. Of several by its name."""
    which = f"where name = '{name}'" if name else ""
    row = f"select id, free_since, dead_at from app.{table} {which}"
    until(lambda: system.query_owner(row)[0]["free_since"], 20)
    if not LONG:
        system.query_owner(f"update app.{table} set free_since = now() - interval '31 s' where id = %s returning id",
                           [system.query_owner(row)[0]["id"]])
    until(lambda: system.query_owner(row)[0]["dead_at"], 40)


def test_an_agent_that_was_given_up_begins_anew(two, phone, until):
    first, second = two.sip_all
    alice, bob = new_account(two, "alice"), new_account(two, "bob")
    udp, tcp = phone(alice, server=first), phone(alice, server=first, transport="tcp")
    assert udp.register().code == 200 and tcp.register().code == 200
    pid = two.kill("restsip-agent", signal.SIGSTOP)
    try:
        give_up(two, "agent", until, f"{first[0]}:{first[1]}")
        status = send(bob, alice, b"meanwhile")
        assert udp.next_request(10).source == second
        until(lambda: delivered(status), 10)
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: two.pid("restsip-agent") != pid, 10)
    assert "event=given_up" in two.log("restsip-agent")
    until(lambda: two.query("select 1 from inspect.agent where alive having count(*) = 2"), 10)
    until(lambda: udp.register().code == 200, 10)
    assert list(udp.register(contacts=[]).contacts) == [udp.contact], "what came over its connections is gone with them"
    assert [m.body for m in udp.seen if not m.is_response and m.method == "MESSAGE"] == [b"meanwhile"]


def test_a_stream_process_that_was_given_up_begins_anew(two, until):
    alice, bob = new_account(two, "alice"), new_account(two, "bob")
    follower = Follower(alice)
    until(follower.connected)
    until(lambda: two.query("select 1 from inspect.stream where beat_at is not null"))
    pid = two.kill("restsip-stream", signal.SIGSTOP)
    try:
        give_up(two, "stream_process", until)
        send(bob, alice, b"meanwhile")
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: "meanwhile" in follower.bodies(), 10)
    until(lambda: two.query("select 1 from inspect.stream where alive and watched > 0"), 10)
    send(bob, alice, b"after")
    until(lambda: "after" in follower.bodies(), 10)
    assert two.pid("restsip-stream") == pid
    follower.stop()


def test_nobody_is_given_up_for_a_database_that_hung(two, phone, until):
    alice, bob = new_account(two, "alice"), new_account(two, "bob")
    p, follower = phone(alice, transport="tcp"), Follower(alice)
    assert p.register().code == 200
    until(follower.connected)
    names = ("restsip-agent", "restsip-agent-2", "restsip-stream")
    before = {name: two.pid(name) for name in names}
    lost = {name: two.log(name).count("the server does not answer") for name in names}
    postmaster = two.pid("postgres")
    children = subprocess.run(["pgrep", "-P", str(postmaster)], check=True, capture_output=True, text=True).stdout.split()
    stopped = [postmaster, *map(int, children)]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: not two.ready(), 20)
        # the listeners, too, have found that nobody answers: nobody has said for long that it is there
        until(lambda: all(two.log(name).count("the server does not answer") > n for name, n in lost.items()), 40)
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    until(two.ready, 20)
    status = send(bob, alice, b"after")
    assert p.next_request(10).body == b"after"
    until(lambda: delivered(status))
    until(lambda: "after" in follower.bodies(), 10)
    assert two.query("select 1 from inspect.agent where dead_at is not null") == []
    assert {name: two.pid(name) for name in names} == before
    follower.stop()
