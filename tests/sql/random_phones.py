"""What agents ask for in race_random.py: requests of SIP, and work that they claim."""
import contextlib
import json
import os
import time

import psycopg

from random_web import Web
from random_world import NUMBERS, connect

LEASE_S = 2


class Client(Web):
    """Requests of SIP too, as agents make them."""

    ANSWERED = {"remote_tag": "t", "remote_target": "sip:x@y", "local_target": "sip:e@f", "peer": "192.0.2.9"}

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
        event = self.rng.choice(["presence", "reg", "message-summary", "dialog", "dialog", "conference"])
        aor = p.email if event == "message-summary" else self.person().email
        if event == "conference":
            aor = f"{self.some(self.world.calls) or 0}@example.net"
        dialog = {"event": event, "call_id": f"sub{n}-{os.getpid()}", "remote_tag": "r", "local_tag": f"l{n}", "remote_cseq": n,
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
            self.world.counts[f"order {kind}", "ok"] += 1
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
        return {"call_id": f"in{n}-{os.getpid()}", "remote_tag": "r", "local_tag": f"l{n}", "remote_cseq": 1, "local_uri": "sip:a@b",
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
        self.tell("api.leg_answered", *self.leg(), json.dumps(self.ANSWERED), self.rng.choice([None, self.sdp(), self.sdp()]))

    def leg_answered_many(self, _):
        agent = self.agent()
        self.tell_many("api.leg_answered_many", agent, [
            {"i": i, "leg": leg, "dialog": self.ANSWERED, "sdp": self.sdp()}
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

    def leg_late(self, _):
        self.tell("api.leg_late", *self.leg(), self.sdp())

    def leg_acked(self, _):
        self.tell("api.leg_acked", *self.leg(), self.rng.choice([None, self.sdp()]))

    def one_of(self, what):
        """A leg that a query finds: its agent, now and then another, and the rest; None: there is none."""
        found = self.some(self.db.execute(f"{what} order by l.id desc limit 20").fetchall())
        return found and (self.agent() if self.rng.random() < 0.05 else found[0], *found[1:])

    def leg_refer(self, _):
        up = self.one_of("select l.agent_id, l.id from app.leg l where l.state in ('answered', 'up')")
        if up:
            self.tell("api.leg_refer", *up, next(NUMBERS), self.person().email, self.rng.random() < 0.7)

    def leg_refer_join(self, p):
        """Who makes two calls has the two others talk to each other."""
        credential, agent, mine = self.some(p.credentials), self.agent(), []
        for dialog in (self.dialog(), self.dialog()) if credential else ():
            rows = self("api.sip_invite", agent, *credential[:2], self.person().email, json.dumps(dialog), self.sdp(), None, None, False)
            if not rows:
                return
            self.world.calls.append(self.heard(agent, rows))
            mine.append((rows[0][1], dialog))
            for rung in self.db.execute("select agent_id, id from app.leg where call_id = %s and direction = 'out'", (rows[0][2],)).fetchall():
                self.tell("api.leg_answered", *rung, json.dumps(self.ANSWERED), self.sdp())
        if mine:
            (leg, _), (_, second) = mine
            self.tell("api.leg_refer_join", agent, leg, next(NUMBERS), self.rng.random() < 0.7, second["call_id"], second["local_tag"],
                      second["remote_tag"])

    def moves(self, _):
        """What a transfer waits for, or who dials: one who is rung answers, or one who is asked."""
        rung = self.one_of("""select l.agent_id, l.id from app.leg l where l.state in ('calling', 'ringing') and l.direction = 'out'
            and (exists (select from app.transfer t where t.to_id = l.participant_id)
                or exists (select from app.call c where c.id = l.call_id and c.dials))""")
        asked = self.one_of("select l.agent_id, l.id from app.leg l where l.asking is not null and l.ended_at is null")
        if rung and self.rng.random() < 0.6:
            self.tell("api.leg_answered", *rung, json.dumps(self.ANSWERED), self.sdp())
        elif asked:
            self.tell("api.leg_offered", *asked, *self.rng.choice([(200, "OK", self.sdp()), (200, "OK", self.sdp()), (488, "No", None)]))

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
               "leg_session": 1, "leg_refer": 3, "leg_refer_join": 2, "moves": 8, "dial": 4, "transfer": 2, "leg_offer": 2,
               "leg_offered": 2, "leg_acked": 1, "leg_late": 1, "leg_load": 1}

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
