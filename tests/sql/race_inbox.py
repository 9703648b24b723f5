"""What several stream processes have written at the same time: each message is delivered to the streams once."""
import hashlib
import os
import threading
import time

import psycopg

CRYPT = "$y$j9T$rrrrrrrrrrrrrrrrrrrrr.$hash"


def connect(role, autocommit=True):
    return psycopg.connect(os.environ["RESTSIP_TEST_PG"] + f" options='-c role={role}'", autocommit=autocommit)


def is_waiting(db, pid):
    return db.execute("select wait_event_type = 'Lock' from pg_stat_activity where pid = %s", (pid,)).fetchone()[0]


def test_two_processes_replay_the_same():
    email = f"inbox-{os.getpid()}@example.net"
    token = hashlib.sha256(email.encode()).digest()
    with connect("restsip_api") as db:
        db.execute("select * from api.user_create(%s, %s, '{}')", (email, CRYPT))
        db.execute("select * from api.session_create(%s, %s, %s, 3600)", (email, CRYPT.encode(), token))
        db.execute("select * from api.login_register(null, %s, 'me', 'sip:a@192.0.2.1', 'a', 600, '{}', null)", (token,))
        db.execute("select * from api.send_post(null, %s, 'me', null, 'text/plain', 'x', true, null, null)", (token,))
    with connect("postgres") as look, connect("restsip_stream", autocommit=False) as one, connect("restsip_stream") as two:
        account, = look.execute("select id from app.account where email = %s", (email,)).fetchone()
        ask = "select bell from api.inbox_written(0, %s, '{1}')", (account,)
        bells = [one.execute(*ask).fetchone()[0]]
        other = threading.Thread(target=lambda: bells.append(two.execute(*ask).fetchone()[0]))
        other.start()
        end = time.monotonic() + 10
        while not is_waiting(look, two.info.backend_pid) and time.monotonic() < end:
            time.sleep(0.01)
        one.commit()
        other.join(10)
        kinds = look.execute("select kind::text, state::text from app.delivery where account_id = %s order by id",
                             (account,)).fetchall()
    assert len(bells) == 2 and kinds == [("contact", "queued"), ("stream", "delivered")]
