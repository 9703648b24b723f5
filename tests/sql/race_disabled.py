"""An account is disabled while it signs in, registers, subscribes and publishes: nothing that it began is open afterwards."""
import hashlib
import os
import random
import threading
import time

import psycopg

CRYPT = "$y$j9T$rrrrrrrrrrrrrrrrrrrrr.$hash"
ROUNDS, WAIT_S = 40, 20
BASIC = "%(email)s, convert_to(%(crypt)s, 'UTF8')"
CONTACT = """jsonb_build_array(jsonb_build_object('contact', 'sip:r@192.0.2.9', 'key', 'sip:r@192.0.2.9', 'expires', 600))"""
PHONE = "from app.credential c join app.account a on a.id = c.account_id and a.email = %(email)s"

# What it does over and over, by the names of what it leaves open. Refusals are none of this test's business.
ACTS = (
    f"select * from api.session_create({BASIC}, %(token)s, 600)",
    f"select * from api.login_register({BASIC}, 'me', 'sip:b@192.0.2.1', 'sip:b@192.0.2.1', null, '{{}}', null)",
    "select * from api.login_register(null, %(token)s, 'me', 'sip:t@192.0.2.1', 'sip:t@192.0.2.1', null, '{}', null)",
    f"""select r.* {PHONE}, lateral api.sip_register(%(agent)s, c.id, c.ha1, %(email)s, %(call)s, 1, {CONTACT}, false, null, 'udp:x',
    'phone') r""",
    f"""select r.* {PHONE}, lateral api.sip_register_many(%(agent)s, jsonb_build_array(jsonb_build_object('i', 0, 'credential', c.id,
    'ha1', c.ha1, 'aor', a.email, 'call_id', %(call)s::text, 'cseq', 1, 'contact', 'sip:m@192.0.2.9', 'key', 'sip:m@192.0.2.9',
    'expires', 600, 'flow', 'udp:x'))) r""",
    f"""select r.* {PHONE}, lateral api.sip_subscribe(%(agent)s, c.id, c.ha1, %(email)s, jsonb_build_object('event', 'presence',
    'call_id', %(call)s::text, 'remote_tag', 'r', 'local_tag', 'l', 'local_uri', 'sip:a', 'remote_uri', 'sip:b', 'local_target', 'sip:c',
    'remote_target', 'sip:d', 'remote_cseq', 1), false, 600) r""",
    f"select r.* {PHONE}, lateral api.sip_publish(%(agent)s, c.id, c.ha1, %(email)s, %(call)s, 1, null, '{{\"note\":\"x\"}}', null, null, 600) r",
)
OPEN = """select (select count(*) from app.login l where l.account_id = a.id) as logins,
    (select count(*) from app.session s where s.account_id = a.id) as sessions,
    (select count(*) from app.publication p where p.account_id = a.id) as publications,
    (select count(*) from app.subscription s where s.watcher_id = a.id and s.ended is null) as subscriptions
    from app.account a where a.email = %s"""


def connect(role):
    return psycopg.connect(os.environ["RESTSIP_TEST_PG"] + f" options='-c role={role}'", autocommit=True)


class Actor(threading.Thread):
    """Somebody who has the password and a credential, and does one thing after the other."""

    def __init__(self, known, seed):
        super().__init__(daemon=True)
        self.known, self.random = known, random.Random(seed)
        self.began = self.ended = 0
        self.acts = [0] * len(ACTS)  # that were let through
        self.stop, self.error = False, None

    def run(self):
        try:
            with connect("restsip_owner") as db:
                while not self.stop:
                    self.began += 1
                    self.act(db, self.random.randrange(len(ACTS)))
                    self.ended += 1
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def act(self, db, which):
        unique = self.random.randbytes(8).hex()
        token = hashlib.sha256(unique.encode()).digest() if which == 0 else self.known["token"]
        try:
            db.execute(ACTS[which], {**self.known, "token": token, "call": unique})
            self.acts[which] += 1
            if which == 0:
                self.known["token"] = token
        except psycopg.Error as error:
            if not (error.sqlstate or "").startswith("RS"):
                raise


def await_all(actors, condition):
    deadline = time.monotonic() + WAIT_S
    while not all(map(condition, actors)):
        assert time.monotonic() < deadline and not any(a.error for a in actors), [a.error for a in actors]
        time.sleep(0.001)


def test_nothing_is_open_behind_it():
    email = f"disabled-{os.getpid()}@example.net"
    with connect("restsip_owner") as db:
        db.execute("select * from api.user_create(%s, %s, '{}')", (email, CRYPT))
        db.execute("select inspect.credential_add(%s, 'pw')", (email,))
        agent, = db.execute("select agent from api.agent_start(%s, 'b')", (f"disabled-{os.getpid()}",)).fetchone()
        known = {"email": email, "crypt": CRYPT, "agent": agent, "token": b"x" * 32}
        actors = [Actor(known, seed) for seed in range(4)]
        for actor in actors:
            actor.start()
        try:
            for _ in range(ROUNDS):
                let_in = [sum(actor.acts) for actor in actors]
                await_all(actors, lambda a: sum(a.acts) > let_in[actors.index(a)])
                db.execute("select inspect.user_disable(%s)", (email,))
                began = [actor.began for actor in actors]  # what was under way then is waited for
                await_all(actors, lambda a: a.ended >= began[actors.index(a)])
                left = db.execute(OPEN, (email,)).fetchone()
                assert left == (0, 0, 0, 0), left
                db.execute("select inspect.user_enable(%s)", (email,))
        finally:
            for actor in actors:
                actor.stop = True
            for actor in actors:
                actor.join(WAIT_S)
        assert not [actor.error for actor in actors if actor.error]
        assert all(map(sum, zip(*(actor.acts for actor in actors)))), "something was never done"
