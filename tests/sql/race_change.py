"""The change log, read without a lock while several write, and while it is cut.

Every version that a reader is given must be what its writer saw before the commit, and a reader of differences must be
given every one, unless it is told the state.
"""
import hashlib
import json
import os
import random
import threading
import time

import psycopg
import pytest

WRITERS, SECONDS = 3, 8
CRYPT = "$y$j9T$rrrrrrrrrrrrrrrrrrrrr.$hash"


def connect(role, autocommit=True):
    return psycopg.connect(os.environ["RESTSIP_TEST_PG"] + f" options='-c role={role}'", autocommit=autocommit)


class Watched:
    """A resource of one account, with what its writers saw of each version."""

    def __init__(self, kind):
        self.kind, self.docs, self.end = kind, {}, time.monotonic() + SECONDS
        self.email = f"change-{kind}-{os.getpid()}-{time.time_ns()}@example.net"
        self.token = hashlib.sha256(self.email.encode()).digest()
        with connect("restsip_api") as db:
            db.execute("select * from api.user_create(%s, %s, '{}')", (self.email, CRYPT))
            db.execute("select * from api.session_create(%s, %s, %s, 3600)", (self.email, CRYPT.encode(), self.token))
        with connect("restsip_stream") as db:
            process = db.execute("select process from api.stream_start(%s)", (self.email,)).fetchone()[0]
            self.id = db.execute("select id from api.watch_open(%s, null, %s, null, %s, 'me')",
                                 (process, self.token, kind)).fetchone()[0]

    def write(self, db, rng):
        """Somehow; the new version, or null."""
        pad = json.dumps({"pad": "é" * rng.randrange(300)})
        n = rng.randrange(1, 9)
        if self.kind == "login" and rng.random() < 0.8:
            return "version from api.login_register(null, %s, 'me', %s, %s, 600, %s, null)", (
                self.token, f"sip:w@192.0.2.{n}", f"k{n}", pad)
        if self.kind == "login":
            return "version from api.login_delete(null, %s, 'me', null, null)", (self.token,)
        last = db.execute("select n from api.mail_list(null, %s, 'me', null, 1)", (self.token,)).fetchone()[0] or 0
        if last < 3 or rng.random() < 0.4:
            return "version from api.mail_post(null, %s, 'me', 'text', 'rtsp://x', null, null, %s, null, null)", (
                self.token, pad)
        n = max(1, last - rng.randrange(8))
        if rng.random() < 0.3:
            return "version from api.mail_delete(null, %s, 'me', %s, null)", (self.token, n)
        return "version from api.mail_patch(null, %s, 'me', %s, %s, %s, null)", (
            self.token, n, rng.random() < 0.5, rng.choice(["{}", pad]))

    def writer(self, seed):
        rng = random.Random(seed)
        with connect("postgres", autocommit=False) as db:
            while time.monotonic() < self.end:
                sql, params = self.write(db, rng)
                try:
                    version = db.execute("select " + sql, params).fetchone()[0]
                except psycopg.errors.DatabaseError as error:
                    assert error.sqlstate in ("RS404", "40P01"), error
                    db.rollback()
                    continue
                doc = db.execute("select app.render(%s, %s, true)", (self.kind, self.id)).fetchone()[0]
                self.docs[version] = json.loads(doc)
                db.commit()

    def reader(self, seed, found):
        rng = random.Random(seed)
        at = None
        with connect("restsip_stream") as db:
            db.add_notice_handler(lambda said: found["warnings"].append(said.message_primary))
            while time.monotonic() < self.end:
                rows = db.execute("select version, prior, doc from api.watch_read(%s, %s, %s, false, true, null, true, %s)",
                                  (self.kind, self.id, at, rng.choice([None, 2, 5, 64]))).fetchall()
                for i, (version, prior, doc) in enumerate(rows):
                    if prior is None:
                        found["state"] += 1
                    elif i == 0:
                        assert version == at
                    else:
                        assert prior == at
                        found["change"] += 1
                    assert prior is None or json.loads(doc) == self.docs[version], version
                    at = version
                time.sleep(rng.random() * rng.choice([0.001, 0.1, 0.6]))


@pytest.mark.parametrize("kind", ["login", "mailbox"])
def test_each_version_is_what_its_writer_saw(kind):
    watched, failed, found = Watched(kind), [], {"state": 0, "change": 0, "warnings": []}

    def run(fn, *args):
        def body():
            try:
                fn(*args)
            except BaseException as error:  # pylint: disable=broad-exception-caught
                failed.append(error)
        thread = threading.Thread(target=body, daemon=True)
        thread.start()
        return thread

    with connect("postgres") as db:
        db.execute("select inspect.set_bound('change_log', 40000)")
        try:
            threads = [run(watched.writer, i) for i in range(WRITERS)]
            threads += [run(watched.reader, 10 + i, found) for i in range(2)]
            while any(thread.is_alive() for thread in threads):
                db.execute("select app.sweep_changes(now() - interval '2 s')")
                most = db.execute("select max(sum) from (select sum(size) from app.change group by kind, id) s").fetchone()[0]
                assert (most or 0) <= 40000
                time.sleep(0.05)
        finally:
            db.execute("select inspect.set_bound('change_log')")
    assert not failed, failed[0]
    assert not found["warnings"], found
    assert found["change"] > 50 and found["state"] > 1, found
    with connect("postgres") as db:  # what is counted is what is there
        assert db.execute("""select coalesce(b.messages, 0) = count(m.n) and coalesce(b.bytes, 0) = coalesce(
            sum(m.size + m.written), 0) from app.account a left join app.mailbox b on b.account_id = a.id
            left join app.message m on m.account_id = a.id where a.id = %s group by b.account_id""",
                          (watched.id,)).fetchone()[0]
