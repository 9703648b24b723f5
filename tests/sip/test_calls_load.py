"""Calls one after the other and at once: what each costs the database, and that nothing of them stays."""
import os
import pathlib
import re
import signal
import subprocess

import psycopg
import pytest
from limited import SANITIZED
from ports import free_ports
from restsip_system import TOP, until

LONG = os.environ.get("RESTSIP_LONG") == "1"
SECONDS = 600 if LONG else 10
WARM_UP_S = 30 if LONG else 3
RATE = 20  # calls a second
CALLERS = 10  # who call ten others
CALLS = 20  # whose statements are counted
GROWTH = 8 << 20  # bytes of each program, over all
STATEMENTS_MAX = 6  # of a call: challenge, credential, INVITE, 200, end, news
# They come by time, or by what others do: the polls, and what is rung.
POLLS = {"leg_claim", "delivery_claim", "notify_claim", "agent_beat", "janitor", "ring", "schema_version", "agent_start",
         "agent_flow_lost", "delivery_due", "notify_due", "leg_traced"}


def superuser(system):
    return re.sub(r"user=\S+", "user=postgres", system.pg_owner)


def ask(system, sql):
    """As a superuser; nothing comes back."""
    with psycopg.connect(superuser(system), autocommit=True) as db:
        db.execute(sql)


@pytest.fixture(scope="module", name="loaded")
def fixture_loaded(systems):
    """A system whose database counts statements, with twenty accounts."""
    system = systems("calls-load", {"RESTSIP_DEMO": "no"})
    ask(system, "alter system set shared_preload_libraries = 'pg_stat_statements'")
    os.kill(int((system.state / "pg/postmaster.pid").read_text().splitlines()[0]), signal.SIGINT)
    until(lambda: system.query("select 1 where current_setting('shared_preload_libraries') = 'pg_stat_statements'",
                               conninfo=superuser(system)), 60)
    system.await_ready(60)
    ask(system, "create extension pg_stat_statements")
    system.query_owner("select count(u.version) from generate_series(0, %s) i, api.user_create("
                       "format('load%%s@example.net', i), '$y$j9T$abcdefghijklmnopqrstu.$none', '{}') u", [2 * CALLERS - 1])
    system.query_owner("select count(app.credential_put(format('load%%s@example.net', i), format('load%%s', i), 'example.net', 'MD5',"
                       "md5(format('load%%s:example.net:pw', i)), 'load')::text) from generate_series(0, %s) i", [2 * CALLERS - 1])
    system.callee_port = free_ports()
    return system


def load(system, *options, between=lambda: None):
    """What callload says at its end, as a dict; `between`: done once all have registered."""
    host, port = system.sip
    # those who are called have one contact in all runs
    command = [TOP / os.environ.get("BUILD", "build") / "callload", "-s", f"{host}:{port}", "-n", str(CALLERS), "-i",
               "-l", str(system.callee_port), *map(str, options)]
    with subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == "bound\n"
            between()
            said, _ = process.communicate("\n", timeout=SECONDS + WARM_UP_S + 120)
        finally:
            process.kill()
    print(said)
    return dict(word.split("=", 1) for word in said.split())


def statements(system):
    """How often the agent's role has asked each function since the last reset."""
    rows = system.query("""
        select substring(s.query from 'api\\.(\\w+)') as name, s.query, sum(s.calls)::int as calls
        from pg_stat_statements s join pg_roles r on r.oid = s.userid
        where r.rolname = 'restsip_agent' group by 1, 2""", conninfo=superuser(system))
    return {row["name"] or row["query"]: row["calls"] for row in rows}


def test_an_agent_makes_the_plans_of_calls_before_there_are_any(loaded):
    """The first call of a connection took 50 ms more, on a machine that does nothing else."""
    warm = {"sip_invite_many", "leg_news", "leg_claim", "leg_ended"}
    until(lambda: warm <= statements(loaded).keys(), 60)


def test_a_call_asks_the_database_six_times(loaded):
    load(loaded, "-r", RATE, "-c", 2 * CALLERS, "-t", 60, "-h", 100)
    said = load(loaded, "-r", RATE, "-c", CALLS, "-t", 60, "-g", 200, "-h", 600, "-f",
                between=lambda: ask(loaded, "select pg_stat_statements_reset()"))
    assert said["done"] == str(CALLS) and said["failed"] == "0"
    found = {name: calls for name, calls in statements(loaded).items() if name not in POLLS}
    print(found)
    assert 0 < found["sip_invite_many"] <= CALLS and 0 < found["leg_answered_many"] <= CALLS
    assert sum(found.values()) <= STATEMENTS_MAX * CALLS, found


@pytest.mark.parametrize("more,rate,most", [
    pytest.param(["-x", 5], RATE, STATEMENTS_MAX, id="refreshed"), pytest.param(["-m"], RATE / 4, 2 * STATEMENTS_MAX, id="handed on")])
def test_what_is_done_in_a_call_costs_no_more_than_it_must(loaded, more, rate, most):
    """A refresh costs nothing (RFC 4028); who hands a call on has another one rung, and three end."""
    load(loaded, "-r", rate, "-c", CALLERS, "-t", 60, "-g", 100, "-h", 400, *more)
    said = load(loaded, "-r", rate, "-c", CALLS, "-t", 60, "-g", 100, "-h", 400, *more,
                between=lambda: ask(loaded, "select pg_stat_statements_reset()"))
    assert said["done"] == str(CALLS) and said["failed"] == "0"
    found = {name: calls for name, calls in statements(loaded).items() if name not in POLLS}
    print(found)
    assert sum(found.values()) <= most * CALLS, found


def resident(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def live(system):
    return system.query("select call, state from inspect.leg where state <> 'ended'") or system.query(
        "select id, state from inspect.call where state <> 'ended'")


@pytest.mark.timeout(SECONDS + 300)
def test_twenty_calls_a_second_leave_nothing_behind(loaded):
    names = [name for name in loaded.names() if name.startswith("restsip-")]
    pids = {name: loaded.pid(name) for name in names}
    load(loaded, "-r", RATE, "-t", WARM_UP_S, "-g", 200, "-h", 500)
    before = {name: resident(pid) for name, pid in pids.items()}
    said = load(loaded, "-r", RATE, "-t", SECONDS, "-g", 200, "-h", 500)
    assert said["failed"] == "0" and int(said["begun"]) >= RATE * SECONDS - 1
    until(lambda: not live(loaded), 10)
    after = {name: resident(pid) for name, pid in pids.items()}
    print({name: (before[name], after[name]) for name in names})
    assert {name: loaded.pid(name) for name in names} == pids
    if not SANITIZED:  # AddressSanitizer keeps what was freed
        assert [name for name in names if after[name] > before[name] + GROWTH] == []
