"""The accounts of race_random.py, and who calls functions of the database for them."""
import collections
import hashlib
import itertools
import os
import random
import threading

import psycopg

PEOPLE = 12
NUMBERS = itertools.count(1)
# Small ones, so that what happens at a bound happens.
BOUNDS = {"contacts": 6, "sessions": 4, "tickets": 4, "credentials": 3, "calls": 4, "calls_open": 3, "call_kept": 1,
          "call_children_left": 3, "sender_kept": 40, "sender_stored": 20, "sends_stored": 60, "known_sources": 2,
          "idempotency": 4000, "mailbox_messages": 30, "change_log": 40000, "list_log": 60000, "publications": 3,
          "subscriptions": 8, "sends": 100000, "wrong_passwords": 100000, "wrong_passwords_source": 100000,
          "wrong_passwords_account": 100000, "signups_minute": 100000, "signups_day": 100000, "notify_pause": 10,
          "anonymous_mail_mailbox": 100000, "anonymous_mail_source": 100000, "deliveries_contact": 8, "invites": 100000,
          "calls_sip": 8, "legs": 24}
REFUSALS = {"RS400", "RS401", "RS403", "RS404", "RS409", "RS412", "RS413", "RS422", "RS429", "RS481", "RS507"}
REFUSED_500 = "cseq-out-of-order"
# A call or a credential has come meanwhile, or somebody has changed what was to be claimed: every program asks once more.
ONCE_MORE = {("api.user_delete", "40001"), ("api.user_put", "40001"), ("api.delivery_claim", "55P03")}


def connect():
    return psycopg.connect(os.environ["RESTSIP_TEST_PG"] + " options='-c role=restsip_owner'", autocommit=True)


class Person:
    """An account as the clients know it, who may be behind: others change it meanwhile."""

    def __init__(self, slot):
        self.email = f"random{slot}-{next(NUMBERS)}-{os.getpid()}@example.net"
        self.crypt = "$y$j9T$rrrrrrrrrrrrrrrrrrrrr.$hash"
        self.tokens, self.tickets, self.credentials = [], [], []
        self.sends, self.contacts = [], []
        self.id = None


class World:
    def __init__(self):
        self.people = [None] * PEOPLE
        self.calls, self.dialogs, self.etags = [], [], []
        self.legs, self.ending = [], []  # (agent, leg), of calls by phone
        self.rings = []  # (who is called, call)
        self.counts, self.wrong, self.failed = collections.Counter(), [], []
        self.stop = threading.Event()
        self.agents = {}

    def run(self, body, *args):
        def guarded():
            try:
                body(*args)
            except BaseException as error:  # pylint: disable=broad-exception-caught
                self.failed.append(error)
                self.stop.set()
        thread = threading.Thread(target=guarded, daemon=True)
        thread.start()
        return thread


class Caller:
    """A connection, whose refusals are expected and whose errors are kept."""

    def __init__(self, world, seed):
        self.world, self.rng, self.db, self.asked = world, random.Random(seed), connect(), None

    def __call__(self, function, *args):
        """Its rows, or None where it was refused."""
        marks = ", ".join(["%s"] * len(args))
        try:
            rows = self.db.execute(f"select * from {function}({marks})", args).fetchall()
        except psycopg.Error as error:
            state = error.sqlstate
            refused = (state in REFUSALS or (function, state) in ONCE_MORE
                       or state == "RS500" and error.diag.message_primary == REFUSED_500)
            self.world.counts[function, state] += 1
            if state == "RS401" and self.asked:
                self.asked.tokens.clear()  # and signs in again
            if not refused:
                self.world.wrong.append((function, state, error.diag.message_primary, error.diag.message_detail,
                                         error.diag.context))
            return None
        self.world.counts[function, "ok"] += 1
        return rows

    def some(self, items):
        return self.rng.choice(items) if items else None

    def person(self):
        return self.rng.choice(self.world.people)

    def sign_up(self, slot):
        person = Person(slot)
        if self("api.user_create", person.email, person.crypt, "{}"):
            person.id = self.db.execute("select id from app.account where email = %s", (person.email,)).fetchone()[0]
            self.token(person)
            self.world.people[slot] = person

    def token(self, person):
        token = hashlib.sha256(os.urandom(8)).digest()
        if self("api.session_create", person.email, person.crypt.encode(), token, self.rng.choice([2, 600, 600])):
            person.tokens.append(token)
            del person.tokens[:-4]

    def proof(self, person, basic=0.2):
        self.asked = person
        if not person.tokens:
            self.token(person)
        token = self.some(person.tokens)
        if token is None or self.rng.random() < basic:
            return person.email, person.crypt.encode()
        return None, token

    def basic(self, person):
        return person.email, person.crypt.encode()

    def key(self, what):
        """An Idempotency-Key, of which the same request has the same."""
        if self.rng.random() < 0.7:
            return None, None
        key = f"{what}{self.rng.randrange(10)}"
        return key, hashlib.sha256(key.encode()).digest()

    def lifetime(self):
        return self.rng.choice([1, 1, 2, 3600])
