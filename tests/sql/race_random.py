"""Everything at once: clients, phones, agents, streams and the janitor, at random, over a dozen accounts that come and go.

No deadlock, no error but refusals; a version never goes back; what is counted is what is there; who watches ends up with
what is. 20 s, and five minutes in `make test-long`. RESTSIP_SEED=N begins with the same random numbers.
"""
import collections
import os
import random
import time

import pytest

from random_phones import Agent, Client
from random_watchers import Janitor, List, Monitor, Stream
from random_world import BOUNDS, PEOPLE, Caller, World, connect
from recounts import RECOUNTS

LONG = os.environ.get("RESTSIP_LONG") == "1"
SECONDS = float(os.environ.get("RESTSIP_SECONDS", "300" if LONG else "20"))
SEED = int(os.environ.get("RESTSIP_SEED", time.time_ns() % 1000000))
CLIENTS, AGENTS, PROCESSES = 8, 2, 2
DONE_S = 30  # until all is quiet once nobody writes any more


def until(condition, what):
    deadline = time.monotonic() + DONE_S
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {DONE_S} s: {what() if callable(what) else what}"
        time.sleep(0.02)
    return answer


def deadlocks(db):
    return db.execute("select deadlocks from pg_stat_database where datname = current_database()").fetchone()[0]


@pytest.fixture(name="owner")
def fixture_owner():
    with connect() as db:
        for name, amount in BOUNDS.items():
            db.execute("select inspect.set_bound(%s, %s)", (name, amount))
        yield db
        for name in BOUNDS:
            db.execute("select inspect.set_bound(%s)", (name,))


def run_load(world, rng, seconds=SECONDS, watch=True):
    """All of them at once for so long; without `watch` nobody looks at every row meanwhile. Returns (agents, streams,
    janitors, lists)."""
    first = Caller(world, rng.random())
    for slot in range(PEOPLE):
        first.sign_up(slot)
    agents = [Agent(world, rng.random(), f"random{i}") for i in range(AGENTS)]
    streams = [Stream(world, rng.random(), f"random{i}") for i in range(PROCESSES)]
    lists = [List(world, connect(), name) for name in ("login", "call")]
    janitors = [Janitor(world, rng.random()) for _ in range(2)]
    workers = [Client(world, rng.random()) for _ in range(CLIENTS)] + agents + streams + janitors + lists
    if watch:
        workers.append(Monitor(world, rng.random()))
    threads = [world.run(worker.loop) for worker in workers]
    world.stop.wait(seconds)
    world.stop.set()
    for thread in threads:
        thread.join(DONE_S)
        assert not thread.is_alive()
    return agents, streams, janitors, lists


@pytest.mark.timeout(SECONDS + 150)
def test_everything_at_once(owner):
    print(f"RESTSIP_SEED={SEED}")
    world, rng = World(), random.Random(SEED)
    before = deadlocks(owner)
    agents, streams, janitors, lists = run_load(world, rng)
    report(world)
    assert not world.failed, world.failed
    lamps_are_right(owner, agents)
    settle(agents, janitors, streams)
    for one in lists:
        # what lapses meanwhile is out of the list at once, and out of what its readers know by the janitor
        until(lambda one=one: (janitors[0]("api.janitor", 0), one.is_same())[1], one.difference)
    for stream in streams:
        for follower in stream.followers.values():
            same_in_the_end(owner, follower, stream, janitors[0])
    for what, sql in RECOUNTS.items():
        rows = owner.execute(sql).fetchall()
        assert not rows, (what, rows[:5])
    assert deadlocks(owner) == before
    assert not world.wrong, world.wrong[:3]


def report(world):
    done = collections.Counter()
    for (function, state), n in world.counts.items():
        done[function] += n if state == "ok" else 0
    print(", ".join(f"{name} {n}" for name, n in sorted(done.items())))
    print(collections.Counter({key: n for key, n in world.counts.items() if key[1] != "ok"}))
    kinds = collections.Counter((function, state, message, (context or "").splitlines()[0] if context else "")
                                for function, state, message, _, context in world.wrong)
    for what, n in kinds.most_common():
        print("WRONG", n, *what)


def lamps_are_right(owner, agents):
    """Once all that is due has been told, each lamp says what is: of calls in whatever state they were left."""
    def are_told():
        for agent in agents:
            agent.claim()
            agent.settle(end=True)
        return not owner.execute("""select 1 from app.lamp_news union all select 1 from app.subscription s
            where s.event in ('conference', 'dialog') and s.ended is null and (s.due or s.until is not null)""").fetchall()
    until(are_told, "what is told of calls")
    print("lamps", owner.execute("select event, count(*), count(*) filter (where dialogs_told <> '{}') from app.subscription"
                                 " where event in ('conference', 'dialog') group by event").fetchall())
    assert owner.execute(RECOUNTS["lamps that say something else"]).fetchall() == []


def settle(agents, janitors, streams):
    """Until there is nothing to be delivered, told, or given up any more."""
    db = janitors[0].db

    def is_quiet():
        janitors[0]("api.janitor", agents[0].id)
        for stream in streams:
            for follower in stream.followers.values():
                if not follower.gone:
                    follower.read_inbox(stream.process)
        done = [agent.quiet() for agent in agents]
        return all(done) and db.execute("""select not exists (select from app.login l where l.sweep_at <= now())
            and not exists (select from app.publication p where p.expires_at <= now())
            and not exists (select from app.send s where s.inbox is null and s.due_at <= now() + interval '2 s')
            and not exists (select from app.subscription s where s.until is not null or s.due)
            and not exists (select from app.leg l where l.state <> 'ended')
            and not exists (select from app.call c where c.ring_at < 'infinity')
            and not exists (select from app.ring_news) and not exists (select from app.lamp_news)""").fetchone()[0]
    until(is_quiet, "deliveries, NOTIFYs and what has lapsed")


def same_in_the_end(owner, follower, stream, janitor):
    def is_same():
        while not follower.gone and follower.read():
            pass
        now = owner.execute("select app.render(r.kind, r.id, true) from app.resource r where r.kind = %s and r.id = %s",
                            (follower.kind, follower.id)).fetchone()
        janitor("api.janitor", 0)
        return now == (None if follower.gone else (follower.doc,))
    until(is_same, f"a stream of a {follower.kind}")
    if follower.kind == "login" and not follower.gone:
        follower.read_inbox(stream.process)
        there = {row[0] for row in owner.execute(
            "select inbox from api.inbox_read(%s, %s, 1000)", (follower.id, follower.head))}
        assert there == {None}, ("not read", there)
