"""Subscriptions under writers and claims at the same time: the last NOTIFY is of the last state."""
import contextlib
import itertools
import os
import re
import threading
import time

import psycopg
import pytest

NUMBERS = itertools.count(1)
WRITERS, CHANGES, LATE = 4, 80, 6


def connect(role):
    return psycopg.connect(os.environ["RESTSIP_TEST_PG"] + f" options='-c role={role}'", autocommit=True)


@pytest.fixture(name="owner")
def fixture_owner():
    with connect("restsip_owner") as db:
        yield db


@pytest.fixture(name="alice")
def fixture_alice(owner):
    """(email, token) of a fresh account with a digest credential."""
    name = f"notify{next(NUMBERS)}-{os.getpid()}"
    email, token = f"{name}@example.net", os.urandom(32)
    owner.execute("select * from api.user_create(%s, '$y$j9T$rrrrrrrrrrrrrrrrrrrrr.$hash', '{}')", (email,))
    owner.execute("select * from api.session_create(%s, '$y$j9T$rrrrrrrrrrrrrrrrrrrrr.$hash', %s, 600)", (email, token))
    owner.execute("select * from api.credential_create(%s, '$y$j9T$rrrrrrrrrrrrrrrrrrrrr.$hash', 'me', '', null, 'pw')", (email,))
    owner.execute("select * from api.login_register(null, %s, 'me', 'sip:a@192.0.2.1', 'k', null, '{}', null)", (token,))
    return email, token


def subscribe(db, agent, email, call_id):
    username, domain = email.split("@")
    db.execute(
        "select * from api.digest_credential(%s, %s) d, lateral api.sip_subscribe(%s, d.credential, d.ha1, %s,"
        " jsonb_build_object('event', 'presence', 'call_id', %s::text, 'remote_tag', 'r', 'local_tag', 'l',"
        " 'local_uri', 'sip:a', 'remote_uri', 'sip:b', 'local_target', 'sip:c', 'remote_target', 'sip:d@' || %s::text,"
        " 'remote_cseq', 1), false, 600) s", (username, domain, agent, email, call_id, call_id))


def test_the_last_notify_is_of_the_last_state(owner, alice):
    email, token = alice
    (agent,) = owner.execute("select agent from api.agent_start(%s, 'b')", (f"notify-{os.getpid()}",)).fetchone()
    told, cseqs = {}, {}
    stop = threading.Event()
    failures = []

    @contextlib.contextmanager
    def reported():
        try:
            yield
        except Exception as error:  # pylint: disable=broad-except
            failures.append(error)

    def write(k):
        with reported(), connect("restsip_api") as db:
            for i in range(CHANGES):
                db.execute("select * from api.login_refresh(null, %s, 'me', 1, null, null, null, jsonb_build_object("
                           "'presence', jsonb_build_object('note', %s::text)), null)", (token, f"note {k}.{i}"))

    def claim():
        with reported(), connect("restsip_agent") as db:
            while not stop.is_set():
                rows = db.execute("select subscription, cseq, call_id, body from api.notify_claim(%s, 'sip:x', 10, 60)",
                                  (agent,)).fetchall()
                for subscription, cseq, call_id, body in rows:
                    assert cseqs.get(call_id, 0) < cseq, "one at a time, in order"
                    cseqs[call_id] = cseq
                    told[call_id] = re.findall("<note>(.*?)</note>", body)
                    db.execute("select * from api.notify_settle(%s, %s, %s, 200, null)", (agent, subscription, cseq))

    claimers = [threading.Thread(target=claim, daemon=True) for _ in range(2)]
    writers = [threading.Thread(target=write, args=(k,), daemon=True) for k in range(WRITERS)]
    for thread in claimers + writers:
        thread.start()
    with connect("restsip_agent") as db:  # while it changes
        for i in range(LATE):
            subscribe(db, agent, email, f"{email}-{i}")
            seen = sum(cseqs.values())
            deadline = time.monotonic() + 20
            while sum(cseqs.values()) < seen + 5 and time.monotonic() < deadline and any(w.is_alive() for w in writers):
                time.sleep(0.001)
    for thread in writers:
        thread.join()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and owner.execute(
            "select from app.subscription s join app.account a on a.id = s.account_id"
            " where a.email = %s and (s.due or s.until is not null)", (email,)).fetchall():
        time.sleep(0.005)
    stop.set()
    for thread in claimers:
        thread.join()
    assert not failures, failures
    (last,) = owner.execute("select l.extra #>> '{presence,note}' from app.login l join app.account a"
                            " on a.id = l.account_id where a.email = %s", (email,)).fetchone()
    assert told == {f"{email}-{i}": [last] for i in range(LATE)}
