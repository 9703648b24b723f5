"""What workers ask for in race_random.py: requests of HTTP."""
import contextlib
import json
import os
import time

from random_world import NUMBERS, Caller

SDP = "v=0\r\no=- 1 %d IN IP4 h\r\ns=-\r\nc=IN IP4 h\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\na=%s\r\n"


class Web(Caller):
    """Requests of HTTP, as workers make them."""

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

    def dial(self, p):
        """One's own phone, and somebody's."""
        at = f"{time.strftime('%FT%T', time.gmtime())}.999Z" if self.rng.random() < 0.2 else None
        other = self.person()
        rows = self("api.call_create", *self.proof(p), "s", at, False, "[]", "{}", *self.key("dial"), None,
                    json.dumps(["me", other.email]))
        if rows:
            self.world.calls.append(rows[0][0])
            self.ringing(other, rows[0][0])

    def transfer(self, _):
        """Whoever is in a call is handed on, by its owner or by who talks to them."""
        found = self.some(self.db.execute(
            "select p.call_id, p.account_id, o.account_id from app.participant p join app.participant o on o.call_id = p.call_id"
            " and o.id <> p.id and o.state = 'joined' where p.state = 'joined' order by p.id desc limit 20").fetchall())
        people = {person.id: person for person in self.world.people}
        if found and found[1] in people and found[2] in people:
            sender, kept = people[found[2]], people[found[1]]
            body = {"command": "transfer", "url": f"/call/{found[0]}", "to": f"/login/{self.person().email}"}
            self("api.send_post", *self.proof(sender), kept.email, None, "application/json", json.dumps(body).encode(), True, None, "r",
                 None, None)

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
