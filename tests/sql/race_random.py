"""Everything at once: clients, phones, agents, streams and the janitor, at random, over a dozen accounts that come and go.

No deadlock, no error but refusals; a version never goes back; what is counted is what is there; who watches ends up with
what is. 20 s, and five minutes in `make test-long`. RESTSIP_SEED=N begins with the same random numbers.
"""
import collections
import contextlib
import hashlib
import itertools
import json
import os
import random
import threading
import time
import types

import psycopg
import pytest

import race_list
from recounts import RECOUNTS

LONG = os.environ.get("RESTSIP_LONG") == "1"
SECONDS = float(os.environ.get("RESTSIP_SECONDS", "300" if LONG else "20"))
SEED = int(os.environ.get("RESTSIP_SEED", time.time_ns() % 1000000))
PEOPLE, CLIENTS, AGENTS, PROCESSES = 12, 8, 2, 2
LEASE_S = 2
DONE_S = 30  # until all is quiet once nobody writes any more
NUMBERS = itertools.count(1)
# Small ones, so that what happens at a bound happens.
BOUNDS = {"contacts": 6, "sessions": 4, "tickets": 4, "credentials": 3, "calls": 4, "calls_open": 3, "call_kept": 1,
          "call_children_left": 3, "sender_kept": 40, "sender_stored": 20, "sends_stored": 60, "known_sources": 2,
          "idempotency": 4000, "mailbox_messages": 30, "change_log": 40000, "list_log": 60000, "publications": 3,
          "subscriptions": 8, "sends": 100000, "wrong_passwords": 100000, "wrong_passwords_source": 100000,
          "wrong_passwords_account": 100000, "signups_minute": 100000, "signups_day": 100000, "notify_pause": 10,
          "anonymous_mail_mailbox": 100000, "anonymous_mail_source": 100000, "deliveries_contact": 8, "invites": 100000,
          "calls_sip": 8, "legs": 24}
SDP = "v=0\r\no=- 1 %d IN IP4 h\r\ns=-\r\nc=IN IP4 h\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\na=%s\r\n"
REFUSALS = {"RS400", "RS401", "RS403", "RS404", "RS409", "RS412", "RS413", "RS422", "RS429", "RS481", "RS507"}
REFUSED_500 = "cseq-out-of-order"
ONCE_MORE = {("api.user_delete", "40001")}  # a call has come meanwhile: every program asks once more


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


class Client(Caller):
    """Requests of HTTP and SIP, as workers and agents make them."""

    def session(self, p):
        self.token(p)

    def session_delete(self, p):
        self("api.session_delete", *self.proof(p, 0.5))

    def ticket(self, p):
        ticket = os.urandom(32)
        if self("api.ticket_create", *self.proof(p), ticket):
            p.tickets.append(ticket)

    def credential(self, p):
        rows = self("api.credential_create", *self.basic(p), "me", "desk", None, "pw")
        if rows:
            found = self.db.execute("select id, ha1 from app.credential where account_id = %s and n = %s",
                                    (p.id, rows[0][0])).fetchone()
            if found:
                p.credentials.append((*found, rows[0][0]))

    def credential_delete(self, p):
        credential = self.some(p.credentials)
        if credential:
            self("api.credential_delete", *self.basic(p), "me", credential[2])
            with contextlib.suppress(ValueError):
                p.credentials.remove(credential)

    def profile(self, p):
        self("api.user_put", *self.proof(p), "me", json.dumps({"name": str(self.rng.random())}), True, None, None)

    def password(self, p):
        crypt = f"$y$j9T$rrrrrrrrrrrrrrrrrrrrr.$hash{next(NUMBERS)}"
        if self("api.user_put", *self.basic(p), "me", "{}", True, crypt, None, self.rng.random() < 0.3, "192.0.2.1"):
            p.crypt = crypt

    def delete(self, p):
        if self("api.user_delete", *self.basic(p), "me", None):
            self.sign_up(self.world.people.index(p))

    def contact(self):
        n = self.rng.randrange(8)
        return f"sip:c{n}@192.0.2.{n}", f"sip:c{n}@192.0.2.{n}"

    def register(self, p):
        rows = self("api.login_register", *self.proof(p), "me", *self.contact(), self.lifetime(), "{}", None, *self.key("register"))
        p.contacts += [row[0] for row in rows or []]
        del p.contacts[:-8]

    def register_many(self, p):
        items = [dict(zip(("contact", "key"), self.contact()), expires=self.lifetime(), extra={}) for _ in range(3)]
        self("api.login_register_many", *self.proof(p), "me", json.dumps(items), self.rng.random() < 0.5, None, *self.key("register_many"))

    def stream_login(self, p):
        self("api.login_stream", *self.proof(p), "me", "{}")

    def refresh(self, p):
        self("api.login_refresh", *self.proof(p), "me", self.some(p.contacts), None, None, self.lifetime(),
             json.dumps({"pad": str(self.rng.random())}), None, True)

    def unregister(self, p):
        self("api.login_delete", *self.proof(p), "me", self.some([None, *p.contacts]), None)

    def send(self, p):
        to, at = self.person(), None
        if self.rng.random() < 0.3:
            at = f"{time.strftime('%FT%T', time.gmtime())}.{self.rng.randrange(1000):03d}Z"
        rows = self("api.send_post", *self.proof(p), to.email, self.some([None, None, *to.contacts]), "text/plain", b"x" * 10,
                    self.rng.random() < 0.9, at, "r", *self.key("send"))
        if rows:
            p.sends.append((to.email, rows[0][0]))
            del p.sends[:-20]

    def cancel(self, p):
        if p.sends:
            self("api.send_cancel", *self.proof(p), *self.some(p.sends[-5:]))

    def trace(self, p):
        if p.sends:
            self("api.send_trace", *self.proof(p), *self.some(p.sends))

    def mail(self, p):
        who = self.proof(self.person()) if self.rng.random() < 0.7 else (None, None)
        self("api.mail_post", *who, p.email, "text", None, "text/plain", b"x" * self.rng.randrange(200),
             json.dumps({"a": 1}), *self.key("mail"), f"192.0.2.{self.rng.randrange(4)}")

    def mail_n(self, p):
        rows = self("api.mail_list", *self.proof(p), "me", None, 20)
        return self.some([row[1] for row in rows or [] if row[1]])

    def mail_seen(self, p):
        self("api.mail_patch", *self.proof(p), "me", self.mail_n(p), True,
             self.rng.choice(["{}", '{"b": 2, "c": "dddddddd"}', '{"b": null, "c": null}']), None)

    def mail_delete(self, p):
        self("api.mail_delete", *self.proof(p), "me", self.mail_n(p), None)

    def invited(self):
        return json.dumps([self.person().email for _ in range(self.rng.randrange(4))])

    def call(self, p):
        at = f"{time.strftime('%FT%T', time.gmtime())}.999Z" if self.rng.random() < 0.3 else None
        rows = self("api.call_create", *self.proof(p), "s", at, self.rng.random() < 0.5, self.invited(), "{}", *self.key("call"))
        if rows:
            self.world.calls.append(rows[0][0])
            del self.world.calls[:-12]

    def call_patch(self, p):
        self("api.call_patch", *self.proof(p), self.some(self.world.calls), self.rng.choice([["invited"], ["open"],
             ["open", "invited"], ["subject"]]), str(self.rng.random()), None, self.rng.random() < 0.5, self.invited(), "{}", None)

    def call_delete(self, p):
        self("api.call_delete", *self.proof(p), self.some(self.world.calls), None)

    def call_invite(self, p):
        """One request that makes a call, joins it and rings others."""
        people = [self.person() for _ in range(self.rng.randrange(1, 3))]
        others = json.dumps([person.email for person in people])
        rows = self("api.call_create", *self.proof(p), "s", None, False, "[]", "{}", *self.key("call_invite"), self.media("offer"),
                    others)
        if rows:
            self.world.calls.append(rows[0][0])
            self.ringing(people[0], rows[0][0])
            self.ringing(p, rows[0][0])

    def command(self, p):
        call = self.some(self.world.calls)
        if self.world.rings and self.rng.random() < 0.5:
            p, call = self.some(self.world.rings)
        body = {"command": self.rng.choice(["invite", "invite", "cancel", "reject", "dtmf"]), "digits": "1#", "url": f"/call/{call}"}
        rows = self("api.send_post", *self.proof(p), self.person().email, None, "application/json", json.dumps(body).encode(),
                    self.rng.random() < 0.9, None, "r", *self.key("command"))
        if rows:
            p.sends.append((rows[0][1], rows[0][0]))

    def media(self, kind):
        """A session; some have no media."""
        if self.rng.random() < 0.3:
            return json.dumps(self.rng.choice([None, "rtsp://h/1"]))
        return json.dumps({"type": kind, "sdp": self.sdp()})

    def sdp(self):
        return SDP % (next(NUMBERS), self.rng.choice(["sendrecv", "sendonly"]))

    def join(self, p):
        call = self.some(self.world.calls)
        if self.world.rings and self.rng.random() < 0.6:
            p, call = self.some(self.world.rings)
        self("api.call_join", *self.proof(p), call, "me", self.media("answer"), "{}", *self.key("join"))

    def ringing(self, p, call):
        self.world.rings.append((p, call))
        del self.world.rings[:-8]

    def participant(self, p):
        self("api.participant_put", *self.proof(p), self.some(self.world.calls), self.rng.randrange(1, 6),
             self.media(self.rng.choice(["offer", "answer"])), "{}", None)

    def leave(self, p):
        self("api.participant_delete", *self.proof(p), self.some(self.world.calls), self.rng.randrange(1, 6), None)

    def look(self, p):
        self("api.login_get", *self.proof(p), self.person().email)
        self("api.login_list", *self.proof(p), None, 10)
        self("api.call_list", *self.proof(p), None, 10)

    def guess(self, p):
        source = f"192.0.2.{self.rng.randrange(3)}"
        if self("api.password_try", p.email, source) is not None:
            self("api.password_settled", p.email, source, True, self.rng.random() < 0.7)
        self("api.signup_take", f"nobody{self.rng.random()}@example.net", source)

    # ---- phones ----

    def agent(self):
        return self.rng.choice(list(self.world.agents))

    def flow(self):
        return self.rng.choice(["tcp", "udp", "tls"]) + f":192.0.2.9:{self.rng.randrange(4)}"

    def sip_register(self, p):
        credential = self.some(p.credentials)
        if not credential:
            self.credential(p)
            return
        contacts = []
        for _ in range(self.rng.randrange(1, 3)):
            contact, key = self.contact()
            item = {"contact": contact, "key": key, "expires": self.rng.choice([0, 1, 2, 3600, 3600])}
            if self.rng.random() < 0.5:
                item.update(instance=f"<urn:uuid:{self.rng.randrange(2)}>", reg_id=self.rng.randrange(1, 3))
            contacts.append(item)
        self("api.sip_register", self.agent(), *credential[:2], p.email, f"call{self.rng.randrange(5)}",
             next(NUMBERS), json.dumps(contacts), self.rng.random() < 0.05, None, self.flow(), "phone")

    def sip_register_many(self, _):
        items = []
        for i, p in enumerate(self.rng.sample(self.world.people, 5)):
            credential = self.some(p.credentials)
            if credential:
                contact, key = self.contact()
                items.append({"i": i, "credential": credential[0], "ha1": credential[1], "aor": p.email, "call_id": "many",
                              "cseq": next(NUMBERS), "contact": contact, "key": key, "expires": self.lifetime(),
                              "flow": self.flow()})
        self("api.sip_register_many", self.agent(), json.dumps(items))
        known = [{"account": p.id, "source": f"192.0.2.{self.rng.randrange(5)}"} for p in self.rng.sample(self.world.people, 4)]
        self("api.digest_known", self.agent(), json.dumps(known))

    def first_use(self, p):
        """The next REGISTER of each of its phones is the first of an hour."""
        self.db.execute("update app.credential set used_at = null where id in (select id from app.credential"
                        " where account_id = %s for update skip locked)", (p.id,))

    def sip_message(self, p):
        credential = self.some(p.credentials)
        if credential:
            to = self.person().email
            self("api.sip_message", self.agent(), *credential[:2], to, "text/plain", b"y",
                 f"{p.email} {to} {self.rng.randrange(10)}", "r")

    def subscribe(self, p):
        credential = self.some(p.credentials)
        if not credential:
            return
        if self.world.dialogs and self.rng.random() < 0.3:
            dialog, aor = self.some(self.world.dialogs)
            dialog = dict(dialog, remote_cseq=next(NUMBERS))
            self("api.sip_subscribe", self.agent(), *credential[:2], aor, json.dumps(dialog), True,
                 self.rng.choice([0, 1, 600]))
            return
        n = next(NUMBERS)
        event = self.rng.choice(["presence", "reg", "message-summary"])
        aor = p.email if event == "message-summary" else self.person().email
        dialog = {"event": event, "call_id": f"sub{n}", "remote_tag": "r", "local_tag": f"l{n}", "remote_cseq": n,
                  "local_uri": "sip:a@b", "remote_uri": "sip:c@d", "local_target": "sip:e@f", "remote_target": "sip:g@h",
                  "flow": self.flow()}
        if self("api.sip_subscribe", self.agent(), *credential[:2], aor, json.dumps(dialog), False,
                self.rng.choice([0, 1, 600, 600])):
            self.world.dialogs.append((dialog, aor))
            del self.world.dialogs[:-30]

    def publish(self, p):
        credential = self.some(p.credentials)
        if credential:
            etag = self.some([None, *self.world.etags])
            rows = self("api.sip_publish", self.agent(), *credential[:2], p.email, "pub", next(NUMBERS), etag,
                        json.dumps({"note": str(self.rng.random())}), self.contact()[1], self.flow(),
                        self.rng.choice([0, 1, 600]) if etag else self.rng.choice([1, 600]))
            self.world.etags += [row[0] for row in rows or []]
            del self.world.etags[:-10]

    # ---- calls of phones ----

    def tell(self, function, agent, *args):
        """What an agent says of its legs; it does as it is told, sooner or later."""
        return self.heard(agent, self(function, agent, *args) or [])

    def tell_many(self, function, agent, items):
        """The same of many at once, whose rows are numbered."""
        return self.heard(agent, [row[1:] for row in self(function, agent, json.dumps(items)) or []])

    def heard(self, agent, rows):
        for kind, leg, call, *_ in rows:
            if leg is None:
                continue
            self.world.legs.append((agent, leg))
            if kind == "made":
                self.world.calls.append(call)
            elif kind in ("cancel", "bye", "fail", "lost"):
                self.world.ending.append((agent, leg))
        del self.world.legs[:-40], self.world.calls[:-12]
        return rows[0][2] if rows else None

    def dialog(self):
        """Of an INVITE."""
        n = next(NUMBERS)
        return {"call_id": f"in{n}", "remote_tag": "r", "local_tag": f"l{n}", "remote_cseq": 1, "local_uri": "sip:a@b",
                "remote_uri": "sip:c@d", "local_target": "sip:e@f", "remote_target": self.contact()[0], "flow": self.flow(),
                "peer": "192.0.2.9", "hops": 70}

    def sip_invite_many(self, _):
        items = []
        for person in (self.person() for _ in range(self.rng.randint(1, 4))):
            credential = self.some(person.credentials)
            if credential:
                items.append({"i": len(items), "credential": credential[0], "ha1": credential[1], "aor": self.person().email,
                              "leg": self.dialog(), "sdp": self.sdp()})
        self.tell_many("api.sip_invite_many", self.agent(), items)

    def sip_invite(self, p):
        credential = self.some(p.credentials)
        if not credential:
            return
        callee = self.person()
        call = self.tell("api.sip_invite", self.agent(), *credential[:2], callee.email, json.dumps(self.dialog()),
                         self.rng.choice([None, self.sdp()]), None, self.rng.choice([None, 1]), False)
        if call:
            self.ringing(callee, call)

    def leg(self):
        """One that is known, now and then as another agent's."""
        agent, leg = self.some(self.world.legs) or (self.agent(), None)
        return (self.agent() if self.rng.random() < 0.05 else agent), leg

    def leg_news(self, _):
        agent = self.agent()
        items = [{"leg": leg, "state": self.rng.choice(["ringing", "ringing", "up", "moved"]), "code": 180, "reason": "Ringing",
                  "peer": "192.0.2.9", "flow": self.flow(), "cseq": 9} for of, leg in self.world.legs[-5:] if of == agent]
        self.tell("api.leg_news", agent, json.dumps(items))

    def leg_answered(self, _):
        dialog = {"remote_tag": "t", "remote_target": "sip:x@y", "local_target": "sip:e@f", "peer": "192.0.2.9"}
        self.tell("api.leg_answered", *self.leg(), json.dumps(dialog), self.rng.choice([None, self.sdp(), self.sdp()]))

    def leg_answered_many(self, _):
        agent, dialog = self.agent(), {"remote_tag": "t", "remote_target": "sip:x@y", "local_target": "sip:e@f", "peer": "192.0.2.9"}
        self.tell_many("api.leg_answered_many", agent, [
            {"i": i, "leg": leg, "dialog": dialog, "sdp": self.sdp()}
            for i, leg in enumerate({leg for of, leg in self.world.legs[-8:] if of == agent and leg})])

    def leg_ended(self, _):
        agent, leg = self.leg()
        item = {"leg": leg, "code": self.rng.choice([None, 480, 486, 487, 603]), "cause": self.rng.choice([None, "hangup"])}
        if self.rng.random() < 0.3:
            item["peer"] = self.leg()[1]
        now, self.world.ending = self.world.ending, []
        items = [item] + [{"leg": leg, "code": 487} for of, leg in now if of == agent]
        self.world.ending += [pair for pair in now if pair[0] != agent]
        self.tell("api.leg_ended", agent, json.dumps(items))

    def leg_session(self, _):
        agent, leg = self.leg()
        self.tell("api.leg_session", agent, leg, self.sdp(), self.leg()[1], self.sdp())

    def leg_offer(self, _):
        self.tell("api.leg_offer", *self.leg(), self.rng.choice([None, self.sdp()]))

    def leg_offered(self, _):
        self.tell("api.leg_offered", *self.leg(), *self.rng.choice([(200, "OK", self.sdp()), (488, "No", None)]))

    def leg_acked(self, _):
        self.tell("api.leg_acked", *self.leg(), self.rng.choice([None, self.sdp()]))

    def leg_load(self, _):
        self("api.leg_load", *self.leg(), None, None, None, None)

    def flow_lost(self, _):
        self("api.flow_lost", self.agent(), self.flow())

    WEIGHTS = {"session": 3, "session_delete": 2, "ticket": 1, "credential": 2, "credential_delete": 1, "profile": 2,
               "password": 1, "delete": 3, "register": 6, "register_many": 3, "stream_login": 2, "refresh": 3,
               "unregister": 2, "send": 25, "cancel": 6, "trace": 1, "mail": 4, "mail_seen": 2, "mail_delete": 2, "call": 2,
               "call_patch": 3, "call_delete": 1, "join": 4, "participant": 2, "leave": 2, "look": 3, "guess": 2,
               "sip_register": 8, "sip_register_many": 4, "first_use": 1, "sip_message": 4, "subscribe": 4, "publish": 2,
               "flow_lost": 2, "call_invite": 3, "command": 5, "sip_invite": 5, "sip_invite_many": 4, "leg_news": 5, "leg_answered": 3,
               "leg_answered_many": 4, "leg_ended": 6,
               "leg_session": 1, "leg_offer": 2, "leg_offered": 2, "leg_acked": 1, "leg_load": 1}

    def loop(self):
        names, weights = list(self.WEIGHTS), list(self.WEIGHTS.values())
        while not self.world.stop.is_set():
            getattr(self, self.rng.choices(names, weights)[0])(self.person())


class Agent(Client):
    """Claims, renews and settles; its process is replaced now and then."""

    CODES = [200] * 12 + [202, 202, 404, 408, 430, 480, 482, 486, 503, None]

    def __init__(self, world, seed, name):
        super().__init__(world, seed)
        self.name, self.listener = f"{name}-{os.getpid()}", None
        self.jobs, self.notifies, self.after = [], [], 0
        self.start()

    def start(self):
        """Another process of that name."""
        if self.listener:
            self.listener.close()
        self.listener, boot = connect(), f"boot{next(NUMBERS)}"
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(psycopg.Error):
                rows = self.listener.execute("select agent, channel from api.agent_start(%s, %s, '')",
                                             (self.name, boot)).fetchall()
                if rows[0][1] is not None:
                    self.id = rows[0][0]
                    self.world.agents[self.id] = self.name
                    return
        raise AssertionError("never started")

    def claim(self):
        for row in self("api.delivery_claim", self.id, 20, LEASE_S, self.after, [], self.rng.random() < 0.2) or []:
            if row[0] is not None:
                self.jobs.append((row[0], row[1]))
            self.after = row[17]
        self.notifies += [(row[0], row[1]) for row in self("api.notify_claim", self.id, "sip:x@y", 20, LEASE_S,
                                                            self.rng.random() < 0.2) or []]

    def settle(self, end=False):
        self.rng.shuffle(self.jobs)
        keep = 0 if end else self.rng.randrange(5)
        if self.rng.random() < 0.5 and not end:
            self.settle_many()
        while len(self.jobs) > keep:
            code = 200 if end else self.rng.choice(self.CODES)
            self("api.delivery_settle", self.id, *self.jobs.pop(), code, "why")
        while len(self.notifies) > keep:
            code = 200 if end else self.rng.choice([200] * 8 + [430, 481, 503, None])
            self("api.notify_settle", self.id, *self.notifies.pop(), code, self.rng.choice([None, 1]))

    def settle_many(self):
        """What was left out is settled alone."""
        items = [{"i": i, "delivery": job[0], "attempt": job[1], "code": self.rng.choice(self.CODES), "reason": "why"}
                 for i, job in enumerate(self.jobs)]
        done = {row[0] for row in self("api.delivery_settle_many", self.id, json.dumps(items)) or []}
        self.jobs = [job for i, job in enumerate(self.jobs) if i not in done]
        items = [{"i": i, "subscription": job[0], "cseq": job[1], "code": 200} for i, job in enumerate(self.notifies)]
        done = {row[0] for row in self("api.notify_settle_many", self.id, json.dumps(items)) or []}
        self.notifies = [job for i, job in enumerate(self.notifies) if i not in done]

    def loop(self):
        while not self.world.stop.is_set():
            self.claim()
            self("api.delivery_renew", self.id, [job[0] for job in self.jobs], LEASE_S)
            self("api.notify_renew", self.id, [job[0] for job in self.notifies], LEASE_S)
            self.tell("api.leg_claim", self.id)
            if self.rng.random() < 0.01:
                self.start()
            else:
                self.settle()

    def quiet(self):
        """True: nothing was left to do."""
        self.claim()
        self.tell("api.leg_claim", self.id)
        legs = [row[0] for row in self.db.execute("select id from app.leg where agent_id = %s and state <> 'ended'", (self.id,))]
        self.tell("api.leg_ended", self.id, json.dumps([{"leg": leg, "cause": "hangup"} for leg in legs]))
        idle = not self.jobs and not self.notifies and not legs
        self.settle(end=True)
        return idle


class Janitor(Caller):
    """What api.janitor does in a second here, and what it does in days."""

    def loop(self):
        while not self.world.stop.is_set():
            rows = self("api.janitor", self.rng.choice(list(self.world.agents)))
            if not rows or not rows[0][-1]:
                time.sleep(0.02)
            if self.rng.random() < 0.3:
                self("app.sweep_sends", self.now("-4 s"))
            if self.rng.random() < 0.05:
                self("app.sweep_changes", self.now("-3 s"))
                self("app.sweep_list", self.rng.choice(["login", "call"]), self.now("-3 s"))
            if self.rng.random() < 0.05:
                self("api.ring", ["restsip_job|"])

    def now(self, offset):
        return self.db.execute("select now() + %s::interval", (offset,)).fetchone()[0]


class Follower:
    """Watches one resource as its owner, from version to version."""

    def __init__(self, kind, caller, process, person):
        self.kind, self.caller, self.person, self.gone = kind, caller, person, False
        token, ticket = caller.proof(person, 0)[1], None
        if caller.rng.random() < 0.3 and person.tickets:
            ticket = person.tickets.pop()
        rows = caller("api.watch_open", process, None, None if ticket else token, ticket, kind, "me")
        self.id = rows[0][0] if rows else None
        self.version = self.doc = None
        self.head = None
        self.seen = set()

    def read(self, limit=None):
        """True: there was something."""
        rows = self.caller("api.watch_read", self.kind, self.id, self.version, self.version is None, True, None, True, limit)
        news = False
        for i, (version, prior, _, doc, gone, *_) in enumerate(rows or []):
            if gone:
                self.doc, self.gone = None, True
                return True
            if prior is not None and i == 0:
                assert version == self.version, (self.kind, version, self.version)
                assert doc == self.doc, (self.kind, version, doc, self.doc)
                continue
            if prior is not None:
                assert prior == self.version, "a change was left out"
            if version is not None:
                assert self.version is None or version >= self.version, "a version has gone back"
                news = news or version != self.version
                self.version = version
            self.doc = doc
        return news

    def read_inbox(self, process):
        if self.kind != "login":
            return
        rows = self.caller("api.inbox_read", self.id, self.head, 20) or []
        for head, inbox, *_ in rows:
            if inbox is None:
                self.head = head if self.head is None else self.head
                continue
            assert inbox not in self.seen, "twice"
            assert self.head is None or inbox > self.head
            self.seen.add(inbox)
        got = [row[1] for row in rows if row[1] is not None]
        if got:
            self.head = max(got)
            self.caller("api.inbox_written", process, self.id, got)


class Stream(Caller):
    """A process that holds streams: resources of all people, and both lists."""

    def __init__(self, world, seed, name):
        super().__init__(world, seed)
        self.listener = connect()
        self.process = self.listener.execute("select process from api.stream_start(%s)",
                                             (f"{name}-{os.getpid()}",)).fetchone()[0]
        self.followers = {}

    def follow(self):
        slot, kind = self.rng.randrange(PEOPLE), self.rng.choice(["login", "mailbox", "profile"])
        person, had = self.world.people[slot], self.followers.get((slot, kind))
        if had and (had.gone or self.rng.random() < 0.02):
            self("api.watch_close", self.process, kind, had.id, False)
            del self.followers[slot, kind]
        elif not had:
            follower = Follower(kind, self, self.process, person)
            if follower.id is not None:
                self.followers[slot, kind] = follower
        else:
            had.read(self.rng.choice([None, 2, 5]))
            had.read_inbox(self.process)

    def open_list(self):
        person = self.person()
        name = self.rng.choice(["login", "call"])
        if self("api.watch_open", self.process, *self.proof(person), None, "list", name):
            self("api.list_page", self.process, name, person.id, None, 10)
        if self.rng.random() < 0.1:
            self("api.watch_close", self.process, "list", 1 if name == "login" else 2, False)

    def poll(self):
        now = list(self.followers.values())
        self("api.watch_poll", [f.kind for f in now], [f.id for f in now], [f.version for f in now], [None for f in now])

    def loop(self):
        while not self.world.stop.is_set():
            self.rng.choices([self.follow, self.open_list, self.poll], [20, 2, 1])[0]()


class List:
    """Follows the list /login or /call as race_list.py does, and takes the page where its log has been cut."""

    def __init__(self, world, db, name):
        self.world, self.db = world, db
        person = Person("list")
        db.execute("select * from api.user_create(%s, %s, '{}')", (person.email, person.crypt))
        token = hashlib.sha256(person.email.encode()).digest()
        db.execute("select * from api.session_create(%s, %s, %s, 3600)", (person.email, person.crypt.encode(), token))
        id_ = db.execute("select id from app.account where email = %s", (person.email,)).fetchone()[0]
        self.me = types.SimpleNamespace(token=token, id=id_)
        self.reader = race_list.Reader(db, self.me, name).await_page()

    def step(self):
        if self.reader.read() is None:
            self.reader.await_page()
        return self.reader.more

    def loop(self):
        while not self.world.stop.is_set():
            self.step()
            time.sleep(0.02)

    def listed(self):
        table = "login" if self.reader.name == "login" else "call"
        rows = self.db.execute(f"select doc from api.{table}_list(null, %s, null, 1000)", (self.me.token,)).fetchall()
        return {item["id"]: item for item in (json.loads(row[0]) for row in rows)}

    def is_same(self):
        while self.step():
            pass
        return self.listed() == self.reader.items

    def difference(self):
        there, known = self.listed(), self.reader.items
        return self.reader.name, [(id_, there.get(id_), known.get(id_)) for id_ in {*there, *known}
                                  if there.get(id_) != known.get(id_)]


class Monitor(Caller):
    """No resource's version goes back."""

    def loop(self):
        seen = {}
        while not self.world.stop.is_set():
            for kind, id_, version in self.db.execute(
                    "select kind::text, id, version from app.resource union all select 'send', id, version from app.send"):
                assert version >= seen.get((kind, id_), 0), f"{kind} {id_} went back to {version}"
                seen[kind, id_] = version
            time.sleep(0.02)


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
            and not exists (select from app.ring_news)""").fetchone()[0]
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
