"""Workers and streams that have no descriptors or no memory left, and what the log says of a failure that all meet."""
import base64
import re
import time

import psycopg
import pytest

import fastcgi
from limited import SANITIZED, Program, give_descriptors, memory_is_taken, take_descriptors, take_memory
from restsip_system import until
from stream_client import Stream

WAITING = 30  # connections at once
ASKED = {"restsip-api": ("/health/ready", 200), "restsip-stream": ("/login/me", 401)}  # and the answer
STREAM = {"HTTP_ACCEPT": "text/event-stream"}
needs_address_space = pytest.mark.skipif(SANITIZED, reason="a sanitizer wants all of the address space")


@pytest.fixture(scope="module", name="limited")
def fixture_limited(systems):
    """One worker, which is all that a request can come to."""
    return systems("limits", {"RESTSIP_DEMO": "no", "RESTSIP_WORKERS": "1"})


@pytest.fixture(name="program")
def fixture_program(limited, tmp_path):
    made = []

    def make(name, **how):
        one = Program(limited, name, tmp_path / f"{name}-{len(made)}.log", **how)
        made.append(one)
        path, good = ASKED[name]
        until(lambda: one.ask("GET", path, **STREAM)[0] == good, 20, one.log)
        return one
    yield make
    for one in made:
        one.end()


@pytest.fixture(name="user")
def fixture_user(limited):
    limited.await_ready(30)
    return limited.account(f"user-{time.monotonic_ns()}@example.net", "a password of its own")


def ask_all(one, path):
    """The answers to requests that all wait at the same time."""
    waiting = [one.connect() for _ in range(WAITING)]
    for s in waiting:
        s.sendall(fastcgi.request("GET", path, **STREAM))
    answers = [fastcgi.answer(s) for s in waiting]
    for s in waiting:
        s.close()
    return answers


@pytest.mark.parametrize("name", sorted(ASKED))
def test_without_descriptors_each_request_is_answered(program, name):
    path, good = ASKED[name]
    one = program(name)
    with one.connect() as kept:
        kept.sendall(fastcgi.request("GET", path, **STREAM))
        assert fastcgi.answer(kept)[0] == good
        take_descriptors(one.pid)
        for _ in range(3):
            answers = ask_all(one, path)
            assert {status for status, _, _ in answers} == {503}
            assert all(headers["Retry-After"] == "1" for _, headers, _ in answers)
        kept.sendall(fastcgi.request("GET", path, **STREAM))
        assert fastcgi.answer(kept)[0] == good, "who is in stays in"
    give_descriptors(one.pid)
    assert {status for status, _, _ in ask_all(one, path)} == {good}
    assert len(one.lines("connection_refused")) == 1, "the next is written after a minute"


def test_connections_never_take_what_the_database_needs(limited, program):
    one = program("restsip-stream", descriptors=80)
    assert one.lines("descriptors_few")
    backends = "select pid from pg_stat_activity where usename = 'restsip_stream'"
    before = limited.query_owner(backends)
    waiting = [one.connect() for _ in range(60)]
    try:
        assert one.ask("GET", "/login/me", **STREAM)[0] == 503
        limited.query_owner("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'restsip_stream'")
        until(lambda: len(limited.query_owner(backends)) == len(before), 20, one.log)
        assert one.ask("GET", "/login/me", **STREAM)[0] == 503
    finally:
        for s in waiting:
            s.close()
    until(lambda: one.ask("GET", "/login/me", **STREAM)[0] == 401, 10)


@needs_address_space
def test_a_worker_without_memory_says_so_and_ends(limited, user):
    """It never says that a right password is wrong."""
    pid = limited.pid("restsip-api-1")
    other = limited.account(f"other-{time.monotonic_ns()}@example.net", "another password")
    assert limited.request("POST", "/session", auth=user.auth).status_code == 201
    take_memory(pid)
    auth = (user.email, "another one, and wrong")
    answer = limited.request("POST", "/session", auth=auth)
    assert answer.status_code == 503 and answer.json()["type"] == "/problems/busy", answer.text
    assert int(answer.headers["Retry-After"]) >= 1
    answer = limited.request("POST", "/session", auth=other.auth)
    assert answer.status_code == 503, answer.text
    until(lambda: limited.pid("restsip-api-1") != pid, 20, "the next worker")
    until(lambda: limited.request("POST", "/session", auth=other.auth).status_code == 201, 10)
    log = limited.log("restsip-api-1")
    assert memory_is_taken(log) and "event=no_memory where=password" in log, log


@needs_address_space
def test_streams_without_memory_end_and_begin_anew(limited, user, until):
    pid = limited.pid("restsip-stream")
    stream = Stream(limited, "/login/me", token=user.token(), sse=True)
    until(lambda: stream.events)
    take_memory(pid)
    basic = base64.b64encode(f"{user.email}:{user.password}".encode()).decode()
    refused = Stream(limited, "/login/me", headers={"Authorization": "Basic " + basic})
    assert refused.status == 503, refused.body
    until(lambda: stream.ended, 20)
    assert stream.events[-1].name == "end" and "restart" in str(stream.events[-1].data)
    until(lambda: limited.pid("restsip-stream") != pid, 20)
    again = until(lambda: (lambda s: s.status == 200 and s)(Stream(limited, "/login/me", token=user.token())), 20)
    again.close()
    assert memory_is_taken(limited.log("restsip-stream"))


def rename(system, table, name):
    with psycopg.connect(system.pg_owner, autocommit=True) as db:
        db.execute(f"alter table app.{table} rename to {name}")


def test_of_a_failure_that_all_meet_the_log_has_the_first_and_counts(limited, user):
    rename(limited, "login", "login_away")
    before, began = limited.log("restsip-api-1"), time.monotonic()
    try:
        for _ in range(300):
            assert user.request("GET", user.login).status_code == 500
    finally:
        rename(limited, "login_away", "login")
    took_s = time.monotonic() - began

    def new(event):
        return [line for line in limited.log("restsip-api-1")[len(before):].splitlines() if f" event={event} " in line]

    def counted(event):
        counts = [int(n) for line in new(event) for n in re.findall(r" repeated=(\d+)", line)]
        return sum(counts) + len(new(event)) - len(counts)
    until(lambda: counted("request_failed") == 300 or counted("sql_failed") >= 300, 10, lambda: new("sql_failed"))
    lines = new("sql_failed")
    assert len(lines) <= 3 + took_s, lines
    assert all("statement=" in line and "sqlstate=42P01" in line for line in lines), lines
    assert len([line for line in lines if "context=" in line]) <= 2, lines
