"""Two sessions at a time, on purpose: a writer of a login and somebody who starts to watch it.

The doorbell is rung only for a watched resource. In each round a watcher opens its watch and reads while a writer
registers a contact; either the watcher's read has the write in it, or the write says that the bell must be rung.
4,000 rounds (10,000 in `make test-long`), in several pairs of sessions that start each round at the same moment.
"""
import hashlib
import os
import random
import threading
import time

import psycopg

PAIRS = 4
ROUNDS = (10_000 if os.environ.get("RESTSIP_LONG") == "1" else 4_000) // PAIRS
DEADLINE_S = 300


def connect(role):
    return psycopg.connect(os.environ["RESTSIP_TEST_PG"] + f" options='-c role={role}'", autocommit=True)


class Pair:
    """One account, one writer, one watcher; a barrier starts each round."""

    def __init__(self, number):
        self.token = hashlib.sha256(f"race{number}{os.getpid()}{time.time()}".encode()).digest()
        email, crypt = f"race{number}-{os.getpid()}@example.net", "$y$j9T$rrrrrrrrrrrrrrrrrrrrr.$hash"
        with connect("restsip_api") as db:
            db.execute("select * from api.user_create(%s, %s, '{}')", (email, crypt))
            db.execute("select * from api.session_create(%s, %s, %s, 3600)", (email, crypt.encode(), self.token))
        self.process_name = f"race{number}-{os.getpid()}"
        self.barrier = threading.Barrier(2, timeout=60)
        self.written, self.read, self.errors = [], [], []
        self.seen_late = self.rung = 0

    def writer(self):
        rng = random.Random(1)
        with connect("restsip_api") as db:
            for n in range(ROUNDS):
                self.barrier.wait()
                time.sleep(rng.random() * 0.0006)
                with db.transaction():
                    row = db.execute(
                        "select version, bell from api.login_register(null, %s, 'me', %s, %s, 600, '{}', null)",
                        (self.token, f"sip:w@192.0.2.{n % 3}", f"k{n % 3}")).fetchone()
                    if n % 4 == 0:  # the commit comes late: the other side has time to read the past
                        time.sleep(rng.random() * 0.002)
                self.written.append(row)
                self.barrier.wait()
                self.barrier.wait()

    def watcher(self):
        rng = random.Random(2)
        with connect("restsip_stream") as db, connect("postgres") as janitor:
            process = db.execute("select process from api.stream_start(%s)", (self.process_name,)).fetchone()[0]
            for n in range(ROUNDS):
                self.barrier.wait()
                time.sleep(rng.random() * 0.0006)
                resource = db.execute("select id from api.watch_open(%s, null, %s, null, 'login', 'me')",
                                      (process, self.token)).fetchone()[0]
                row = db.execute("select version from api.watch_read('login', %s, null, true)",
                                 (resource,)).fetchone()
                self.read.append(row[0])
                self.barrier.wait()
                version, bell = self.written[n]
                if version > self.read[n]:
                    self.seen_late += 1
                    if not bell or not any(b.startswith("restsip_change|login/") for b in bell):
                        self.errors.append(n)
                self.rung += bool(bell)
                # the next round starts unwatched
                janitor.execute("delete from app.watch where process_id = %s", (process,))
                self.barrier.wait()


def run(fn, failed):
    def body():
        try:
            fn()
        except Exception as error:  # a broken barrier on the other side follows from this one
            failed.append(error)
    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    return thread


def test_no_change_is_lost_between_writers_and_new_watchers():
    pairs, failed = [Pair(n) for n in range(PAIRS)], []
    threads = [run(fn, failed) for pair in pairs for fn in (pair.writer, pair.watcher)]
    end = time.monotonic() + DEADLINE_S
    for thread in threads:
        thread.join(max(0, end - time.monotonic()))
    assert not failed, failed
    assert all(len(pair.read) == ROUNDS for pair in pairs), "not all rounds were run"
    assert sum(len(pair.errors) for pair in pairs) == 0
    # The race was there: some reads came before the write, and some writes found nobody.
    assert sum(pair.seen_late for pair in pairs) > ROUNDS // 20
    assert sum(PAIRS * ROUNDS - pair.rung for pair in pairs) > ROUNDS // 20
