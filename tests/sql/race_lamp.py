"""Lamps while calls of the same accounts change, many in a transaction: no writer waits for another's lamps, and the last document of
each is of the last state."""
import contextlib
import itertools
import json
import os
import random
import re
import threading
import time

import psycopg
import pytest

NUMBERS = itertools.count(1)
LONG = os.environ.get("RESTSIP_LONG") == "1"
PEOPLE, WRITERS, ROUNDS, LATE = 6, 4, 400 if LONG else 40, 6
HASH = "$y$j9T$rrrrrrrrrrrrrrrrrrrrr.$hash"


def connect(role, autocommit=True):
    return psycopg.connect(os.environ["RESTSIP_TEST_PG"] + f" options='-c role={role}'", autocommit=autocommit)


class Person:
    def __init__(self, owner):
        name = f"lamp{next(NUMBERS)}-{os.getpid()}"
        self.email, token = f"{name}@example.net", os.urandom(32)
        owner.execute("select * from api.user_create(%s, %s, '{}')", (self.email, HASH))
        owner.execute("select * from api.session_create(%s, %s, %s, 600)", (self.email, HASH, token))
        owner.execute("select * from api.credential_create(%s, %s, 'me', '', null, 'pw')", (self.email, HASH))
        owner.execute("select * from api.login_register(null, %s, 'me', %s, %s, null, '{}', null)",
                      (token, f"sip:{name}@192.0.2.1", name))
        self.id, self.credential, self.ha1 = owner.execute(
            "select a.id, c.id, c.ha1 from app.account a join app.credential c on c.account_id = a.id where a.email = %s",
            (self.email,)).fetchone()


@pytest.fixture(name="owner")
def fixture_owner():
    with connect("restsip_owner") as db:
        for bound, amount in (("invites", 100000), ("calls_sip", 100000), ("legs", 100000), ("notify_pause", 10),
                              ("subscriptions", 1000)):
            db.execute("select inspect.set_bound(%s, %s)", (bound, amount))
        yield db
        for bound in ("invites", "calls_sip", "legs", "notify_pause", "subscriptions"):
            db.execute("select inspect.set_bound(%s)", (bound,))


@pytest.fixture(name="people")
def fixture_people(owner):
    return [Person(owner) for _ in range(PEOPLE)]


@pytest.fixture(name="agent")
def fixture_agent(owner):
    """One whose calls and lamps end with the test."""
    agent = owner.execute("select agent from api.agent_start(%s, 'b')", (f"lamps{next(NUMBERS)}-{os.getpid()}",)).fetchone()[0]
    yield agent
    while legs := owner.execute("select id from app.leg where agent_id = %s and ended_at is null", (agent,)).fetchall():
        owner.execute("select * from api.leg_ended(%s, %s)", (agent, json.dumps([{"leg": leg} for leg, in legs])))
    owner.execute("delete from app.subscription where agent_id = %s", (agent,))
    owner.execute("delete from app.lamp_news")


def subscribe(db, agent, watcher, person):
    n = next(NUMBERS)
    call_id = f"{os.getpid()}-{n}"
    db.execute("select * from api.sip_subscribe(%s, %s, %s, %s, %s, false, 600)", (
        agent, watcher.credential, watcher.ha1, person.email, json.dumps({
            "event": "dialog", "call_id": call_id, "remote_tag": "r", "local_tag": "l", "local_uri": "sip:a", "remote_uri": "sip:b",
            "local_target": "sip:c", "remote_target": f"sip:d@192.0.2.1:{n}", "remote_cseq": 1})))
    return call_id


def invites(people, rng, count):
    items = []
    for i, caller in enumerate(rng.sample(people, count)):
        n = next(NUMBERS)
        callee = rng.choice([p for p in people if p is not caller])
        items.append({"i": i, "credential": caller.credential, "ha1": caller.ha1, "aor": callee.email, "sdp": "offer", "leg": {
            "call_id": f"in{os.getpid()}-{n}", "remote_tag": "r", "local_tag": f"l{n}", "remote_cseq": 1, "local_uri": "sip:a@b",
            "remote_uri": "sip:c@d", "local_target": "sip:e@f", "remote_target": "sip:g@h", "flow": "udp:192.0.2.9:5060",
            "peer": "192.0.2.9", "hops": 70}})
    return items


def call(db, agent, items):
    """As an agent does it: what is left out of many is asked for alone. Kinds and legs."""
    rows = db.execute("select i, kind, leg from api.sip_invite_many(%s, %s) where i >= 0", (agent, json.dumps(items))).fetchall()
    for item in items:
        if item["i"] not in {row[0] for row in rows}:
            rows += db.execute("select %s, kind, leg from api.sip_invite(%s, %s, %s, %s, %s, %s, null, 60, false) where leg is not null", (
                item["i"], agent, item["credential"], item["ha1"], item["aor"], json.dumps(item["leg"]), item["sdp"])).fetchall()
    return [row[1:] for row in rows]


def answer(db, agent, legs):
    dialog = {"remote_tag": "t", "remote_target": "sip:x@y", "local_target": "sip:e@f", "peer": "192.0.2.9"}
    done = {row[0] for row in db.execute("select i from api.leg_answered_many(%s, %s)", (agent, json.dumps(
        [{"i": i, "leg": leg, "dialog": dialog, "sdp": "answer"} for i, leg in enumerate(legs)]))).fetchall()}
    for i, leg in enumerate(legs):
        if i not in done:
            db.execute("select * from api.leg_answered(%s, %s, %s, 'answer')", (agent, leg, json.dumps(dialog)))


def shown(doc):
    """{leg: state} of a document."""
    return {int(i): state for i, state in re.findall(r'<dialog id="d(\d+)".*?<state>(\w+)</state>', doc or "")
            if state != "terminated"}


def there(owner, person):
    """The same by the rows."""
    words = {"calling": "trying", "ringing": "early", "answered": "confirmed", "up": "confirmed"}
    rows = owner.execute("select l.id, l.state from app.leg l join app.participant p on p.id = l.participant_id"
                         " where p.account_id = %s and l.ended_at is null and l.state <> 'ending'", (person.id,)).fetchall()
    return {leg: words[state] for leg, state in rows}


class Claims:
    """What lamps have been told, by Call-ID."""

    def __init__(self, agent):
        self.agent, self.told, self.versions = agent, {}, {}

    def run(self, db):
        rows = db.execute("select subscription, cseq, call_id, body from api.notify_claim(%s, 'sip:x', 20, 60)",
                          (self.agent,)).fetchall()
        for subscription, cseq, call_id, body in rows:
            version = int(re.search(r' version="(\d+)"', body).group(1))
            assert version > self.versions.get(call_id, -1), "versions only grow"
            self.versions[call_id] = version
            self.told[call_id] = shown(body)
            db.execute("select * from api.notify_settle(%s, %s, %s, 200, null)", (self.agent, subscription, cseq))
        return rows


def all_is_told(owner):
    return not owner.execute("select 1 from app.lamp_news union all select 1 from app.subscription s"
                             " where s.event = 'dialog' and (s.due or s.until is not null)").fetchall()


def test_a_change_that_did_not_know_of_the_lamp_is_told(owner, people, agent):
    alice, bob, carol = people[:3]
    claims = Claims(agent)
    with connect("restsip_agent", autocommit=False) as writer, connect("restsip_agent") as db:
        rows = writer.execute("select * from api.sip_invite(%s, %s, %s, %s, %s, 'offer', null, 60, false)", (
            agent, alice.credential, alice.ha1, bob.email,
            json.dumps(invites([alice, bob], random.Random(1), 1)[0]["leg"]))).fetchall()
        assert rows
        # it has looked for lamps, and is not over
        call_id = subscribe(db, agent, carol, alice)
        assert claims.run(db) and claims.told[call_id] == {}
        assert not owner.execute("select 1 from app.lamp_news").fetchall()
        time.sleep(0.1)
        assert not claims.run(db), "what is the same is not told again"
        writer.commit()
        deadline = time.monotonic() + 10
        while not claims.told[call_id] and time.monotonic() < deadline:
            claims.run(db)
            time.sleep(0.02)
        assert list(claims.told[call_id].values()) == ["trying"] and claims.told[call_id] == there(owner, alice)
        while not all_is_told(owner) and time.monotonic() < deadline:
            claims.run(db)
            time.sleep(0.02)
        assert all_is_told(owner)


def test_the_last_document_is_of_the_last_state(owner, people, agent):
    claims = [Claims(agent)] * 2
    stop, failures, lamps = threading.Event(), [], {}

    @contextlib.contextmanager
    def reported():
        try:
            yield
        except Exception as error:  # pylint: disable=broad-except
            failures.append(error)

    def write(seed):
        rng = random.Random(seed)
        with reported(), connect("restsip_agent") as db:
            for _ in range(ROUNDS):
                rows = call(db, agent, invites(people, rng, rng.randint(1, 4)))
                callers = [leg for kind, leg in rows if kind == "made"]
                callees = [leg for kind, leg in rows if kind == "invite"]
                rng.shuffle(callees)
                db.execute("select * from api.leg_news(%s, %s)", (agent, json.dumps(
                    [{"leg": leg, "state": "ringing", "code": 180, "reason": "Ringing"} for leg in callees[1:]])))
                answer(db, agent, callees[::2])
                if rng.random() < 0.9:  # others are left as they are
                    legs = callers + callees
                    rng.shuffle(legs)
                    for part in legs[::2], legs[1::2]:
                        db.execute("select * from api.leg_ended(%s, %s)", (agent, json.dumps([{"leg": leg} for leg in part])))

    def claim(one):
        with reported(), connect("restsip_agent") as db:
            while not stop.is_set():
                one.run(db)

    threads = [threading.Thread(target=write, args=(k,), daemon=True) for k in range(WRITERS)]
    claimers = [threading.Thread(target=claim, args=(one,), daemon=True) for one in claims]
    with connect("restsip_agent") as db:
        for person in people[1:]:
            lamps[subscribe(db, agent, people[0], person)] = person
        for thread in threads + claimers:
            thread.start()
        rng = random.Random(7)
        for _ in range(LATE):  # while they change
            watcher, person = rng.sample(people, 2)
            lamps[subscribe(db, agent, watcher, person)] = person
            time.sleep(0.1)
    for thread in threads:
        thread.join()
    deadline = time.monotonic() + 20
    while not all_is_told(owner) and time.monotonic() < deadline and not failures:
        time.sleep(0.01)
    stop.set()
    for thread in claimers:
        thread.join()
    assert not failures, failures
    assert {call_id: claims[0].told[call_id] for call_id in lamps} == {
        call_id: there(owner, person) for call_id, person in lamps.items()}
    assert any(claims[0].told.values())
