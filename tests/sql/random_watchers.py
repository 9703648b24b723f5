"""Who watches in race_random.py, and the janitor."""
import hashlib
import json
import os
import time
import types

import race_list
from random_world import PEOPLE, Caller, Person, connect


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
