"""A document is read as of one moment: what it says in one place is not newer than in another, nor than its version."""
import hashlib
import json
import os
import threading

import psycopg

CRYPT = "$y$j9T$rrrrrrrrrrrrrrrrrrrrr.$hash"
SENDS = 300


def connect(role):
    return psycopg.connect(os.environ["RESTSIP_TEST_PG"] + f" options='-c role={role}'", autocommit=True)


def test_a_sends_status_is_that_of_its_recipients():
    email = f"document-{os.getpid()}@example.net"
    token = hashlib.sha256(email.encode()).digest()
    with connect("restsip_api") as db:
        db.execute("select * from api.user_create(%s, %s, '{}')", (email, CRYPT))
        db.execute("select * from api.session_create(%s, %s, %s, 3600)", (email, CRYPT.encode(), token))
    done = threading.Event()
    versions, torn = {}, []

    def read():
        with connect("restsip_api") as db:
            while not done.is_set() or not versions:
                row = db.execute("select max(n) from read_last").fetchone()
                if row[0] is None:
                    continue
                version, doc = db.execute("select version, doc from api.login_item(null, %s, 'me', %s)", (token, row[0])).fetchone()
                doc = json.loads(doc)
                if doc["status"] != doc["recipients"][0]["status"] or versions.setdefault(version, doc) != doc:
                    torn.append((version, doc, versions.get(version)))

    with connect("postgres") as db:
        db.execute("create table read_last (n bigint)")
        db.execute("grant select on read_last to restsip_api")
        readers = [threading.Thread(target=read) for _ in range(2)]
        try:
            for reader in readers:
                reader.start()
            for _ in range(SENDS):
                n, = db.execute("select n from api.send_post(null, %s, 'me', null, 'text/plain', 'x', true, null, null)",
                                (token,)).fetchone()
                db.execute("insert into read_last values (%s)", (n,))
                db.execute("select * from api.send_cancel(null, %s, 'me', %s)", (token, n))
        finally:
            done.set()
            for reader in readers:
                reader.join(20)
            db.execute("drop table read_last")
    assert len(versions) > 20 and not torn, torn[:2]
