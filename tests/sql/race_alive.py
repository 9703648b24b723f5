"""Who holds a lock for a process that is gone, or hangs, is ended: by its successor, or by the janitor."""
import os
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

PG = os.environ["RESTSIP_TEST_PG"]


def connect(role):
    return psycopg.connect(PG.replace("user=postgres", f"user={role}"), autocommit=True)


@pytest.fixture(name="owner")
def fixture_owner():
    with psycopg.connect(PG, autocommit=True) as db:
        yield db
        db.execute("delete from app.agent where name like 'alive-%'")
        db.execute("delete from app.stream_process where name like 'alive-%'")


def start(db, name, boot, again=False):
    return db.execute("select agent, dead from api.agent_start(%s, %s, '', %s)", [f"alive-{name}", boot, again]).fetchone()


def until_ended(db):
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            db.execute("select")
        except psycopg.OperationalError:
            return
        time.sleep(0.02)
    raise AssertionError("its session is still there")


def until(condition):
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def takes_over(db, *args, refused=True):
    """As a program does: it is refused, and comes again."""
    if refused:
        with pytest.raises(psycopg.Error) as answer:
            start(db, *args)
        assert answer.value.sqlstate == "RS409"
    deadline = time.monotonic() + 5
    while True:
        try:
            return start(db, *args)
        except psycopg.Error:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_process_that_reconnects_ends_its_own_old_session(owner):  # pylint: disable=unused-argument
    with connect("restsip_agent") as old, connect("restsip_agent") as new:
        agent, _ = start(old, "same", "b1")
        assert old.execute("select api.agent_beat(%s, 'b1')", [agent]).fetchone() == (True,)
        assert takes_over(new, "same", "b1") == (agent, False)
        until_ended(old)


def test_another_process_ends_only_who_is_silent(owner):
    with connect("restsip_agent") as old, connect("restsip_agent") as new:
        agent, _ = start(old, "other", "b1")
        old.execute("select api.agent_beat(%s, 'b1')", [agent])
        for _ in range(3):
            with pytest.raises(psycopg.Error):
                start(new, "other", "b2")
        old.execute("select")
        owner.execute("update app.agent set beat_at = now() - interval '11 s' where id = %s", [agent])
        assert takes_over(new, "other", "b2") == (agent, False)
        until_ended(old)


def test_a_clock_that_is_set_ends_nobody_who_speaks(owner):
    """Its last word is old then, but another comes: as the database's clock was set forward by 11 s."""
    with (connect("restsip_agent") as old, connect("restsip_agent") as new, connect("restsip_stream") as stream,
          connect("restsip_stream") as other, ThreadPoolExecutor() as pool):
        agent, _ = start(old, "clock", "b1")
        process, = stream.execute("select process from api.stream_start('alive-clock')").fetchone()
        owner.execute("update app.agent set beat_at = now() - interval '11 s' where id = %s", [agent])
        owner.execute("update app.stream_process set beat_at = now() - interval '11 s' where id = %s", [process])
        tries = (pool.submit(start, new, "clock", "b2"),
                 pool.submit(other.execute, "select process from api.stream_start('alive-clock')"))
        for db in (new, other):
            until(lambda db=db: owner.execute("select 1 from pg_stat_activity where pid = %s and wait_event = 'PgSleep'",
                                              [db.info.backend_pid]).fetchone())
        assert old.execute("select api.agent_beat(%s, 'b1')", [agent]).fetchone() == (True,), "it waits for nobody"
        assert stream.execute("select api.stream_beat(%s)", [process]).fetchone() == (True,)
        for tried in tries:
            with pytest.raises(psycopg.Error) as refused:
                tried.result(10)
            assert refused.value.sqlstate == "RS409"
        old.execute("select")
        stream.execute("select")


def test_who_was_that_agent_hears_that_another_is(owner):  # pylint: disable=unused-argument
    with connect("restsip_agent") as old, connect("restsip_agent") as new:
        agent, _ = start(old, "was", "b1")
        old.close()
        assert takes_over(new, "was", "b2", refused=False)[0] == agent
    for holds in (True, False):
        with connect("restsip_agent") as new, connect("restsip_agent") as back:
            if holds:
                takes_over(new, "was", "b2", refused=False)
            with pytest.raises(psycopg.Error, match="agent-replaced"):
                start(back, "was", "b1", again=True)


def test_a_stream_process_likewise(owner):
    with connect("restsip_stream") as old, connect("restsip_stream") as new:
        process, = old.execute("select process from api.stream_start('alive-stream')").fetchone()
        old.execute("select api.stream_beat(%s)", [process])
        with pytest.raises(psycopg.Error):
            new.execute("select process from api.stream_start('alive-stream')")
        owner.execute("update app.stream_process set beat_at = now() - interval '11 s' where id = %s", [process])
        with pytest.raises(psycopg.Error):
            new.execute("select process from api.stream_start('alive-stream')")
        until_ended(old)
        assert new.execute("select process from api.stream_start('alive-stream')").fetchone() == (process,)


def test_who_hangs_is_given_up_and_learns_of_it(owner):
    with connect("restsip_agent") as hangs, connect("restsip_agent") as other:
        agent, _ = start(hangs, "hangs", "b1")
        hangs.execute("select api.agent_beat(%s, 'b1')", [agent])
        owner.execute("update app.duty set next_at = '-infinity' where name = 'bury_processes'")  # it is the next
        other.execute("select api.janitor(0)")
        owner.execute("update app.agent set beat_at = now() - interval '50 s', free_since = now() - interval '31 s' where id = %s",
                      [agent])
        deadline = time.monotonic() + 10
        while owner.execute("select dead_at from app.agent where id = %s", [agent]).fetchone() == (None,):
            assert time.monotonic() < deadline
            other.execute("select api.janitor(0)")
        until_ended(hangs)
    with connect("restsip_agent") as back:
        assert start(back, "hangs", "b1") == (agent, True)
