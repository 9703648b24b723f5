"""What streams cost the database: who listens, and what is rung."""
import re

import psycopg
import pytest
from stream_client import Stream

WORKERS, STREAMS = 3, 40


def test_a_registration_that_nobody_watches_rings_nothing(system, account, until):
    alice, bob = account("alice"), account("bob")
    heard_of = []
    with psycopg.connect(system.pg_owner, autocommit=True) as db:
        db.add_notify_handler(lambda note: heard_of.append(note.payload))
        db.execute("listen restsip_change")
        # Lists that another test has watched count as watched for a minute.
        db.execute("delete from app.watch where kind = 'list' and closed_at is not null")
        for n in range(20):
            assert alice.request("POST", alice.login, json={"contact": f"sip:{n}@192.0.2.1"}).status_code == 201
        alice.request("DELETE", alice.login)
        # What rings now comes after all that could have been rung before.
        stream = Stream(system, bob.login, token=alice.token())
        stream.wait("state")
        bob.request("POST", bob.login, json={"contact": "sip:b@192.0.2.1"})

        def rung():
            db.execute("select 1")
            return f"login/{bob.email}" in heard_of

        until(rung)
        assert not [topic for topic in heard_of if alice.email in topic or topic == "list/login"]
        stream.close()


def test_one_listener_a_stream_process_and_one_an_agent(systems, until):
    system = systems("listen", {"RESTSIP_WORKERS": str(WORKERS)})
    system.query_owner("select 1")
    with psycopg.connect(system.pg_owner.replace("user=restsip_owner", "user=postgres"), autocommit=True) as db:
        db.execute("alter system set log_statement = 'all'")
        db.execute("select pg_reload_conf()")
        until(lambda: db.execute("show log_statement").fetchone()[0] == "all")
        for name in system.names():
            if name.startswith("restsip-"):
                system.kill_and_wait(name)
        system.await_ready(30)
        auth = ("alice@example.net", "alice-demo")
        paths = ["/login/me", "/login", "/call", "/user/me", "/watch?r=/login/me&r=/call"]
        token = system.request("POST", "/session", auth=auth).json()["token"]
        until(lambda: Stream(system, "/login/me", token=token).status == 200, 10)
        streams = [Stream(system, paths[n % len(paths)], token=token) for n in range(STREAMS)]
        for stream in streams:
            stream.wait(lambda e: e.name in ("state", "message"))
        there = {pid: name for pid, name in db.execute(
            "select pid, application_name from pg_stat_activity where application_name like 'restsip-%'")}
        listening = {int(pid) for pid in re.findall(r"pid=(\d+) .*LISTEN ", system.log("postgres"), re.IGNORECASE)}
        assert sorted(there[pid].split()[0].split(":")[0] for pid in listening & set(there)) \
            == ["restsip-agent", "restsip-stream"], there
        assert len([name for name in there.values() if name.startswith("restsip-api")]) >= 2 * WORKERS
        db.execute("alter system reset log_statement")
        for stream in streams:
            stream.close()
