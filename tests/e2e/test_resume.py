"""Streams that are cut off at random points, thousands of times, while writers run and commit out of order: nothing is
missing, nothing comes twice, the order is kept; also while programs are killed."""
import hashlib
import itertools
import os
import random
import signal
import threading
import time

import psycopg
import pytest
from cut_client import CutClient
from json_patch import apply
from restsip_system import Account

LONG = os.environ.get("RESTSIP_LONG") == "1"
CUTS = 10_000 if LONG else 500
KILLS = 20 if LONG else 3
CUTS_A_KILL = 100
CRYPT = "$y$j9T$rrrrrrrrrrrrrrrrrrrrr.$hash"
NUMBERS = itertools.count(1)


class Messages:
    """What came of an inbox: each message once, in the order of its numbers."""

    def __init__(self):
        self.got = []

    def take(self, event):
        if event["event"] != "message":
            return
        number = event["data"]["id"]
        assert not self.got or number > self.got[-1], f"{number} after {self.got[-1]}"
        self.got.append(number)


class Items:
    """What is known of a list whose items only grow, until they go for ever."""

    def __init__(self):
        self.contacts, self.gone, self.fresh, self.states = {}, set(), set(), 0

    def take(self, event):
        data = event["data"]
        if event["event"] == "state":
            page = {item["id"]: item["contacts"] for item in data}
            assert all(page.get(k, v) >= v for k, v in self.contacts.items()), "the page goes back"
            assert not self.gone & set(page), "the page goes back"
            self.contacts, self.fresh = page, set(page)
            self.states += 1
        elif event["event"] == "put":
            known = self.contacts.get(data["id"], 0)
            # What changed while the page was read may come once more.
            assert data["contacts"] > known - (data["id"] in self.fresh), f"{data} after {known}"
            assert data["id"] not in self.gone, data
            self.contacts[data["id"]] = data["contacts"]
            self.fresh.discard(data["id"])
        else:
            assert event["event"] == "remove" and data["id"] not in self.gone, event
            self.contacts.pop(data["id"], None)
            self.gone.add(data["id"])


class Document:
    """A resource that is told by differences."""

    def __init__(self):
        self.doc, self.versions, self.states = None, [], 0

    def take(self, event):
        version = int(event["id"].split(".")[0])
        before = self.versions[-1] if self.versions else 0
        if event["event"] == "state":
            # Of the version that the client has, where the log has only what came after it.
            assert version >= before, f"{version} after {before}"
            self.doc = event["data"]
            self.states += version > before
        else:
            assert event["event"] == "change" and version > before, f"{version} after {before}"
            self.doc = apply(self.doc, event["data"])
        self.versions.append(version)


class Many:
    """The same three in one stream."""

    def __init__(self, *parts):
        self.parts = dict(parts)

    def take(self, event):
        inner = event["data"]
        if inner.get("resource") in self.parts:
            self.parts[inner["resource"]].take({**inner, "event": event["event"]})


class Writers:
    """Threads that write until they are told to stop."""

    def __init__(self, system, alice, bob):
        self.system, self.alice, self.bob = system, alice, bob
        self.failed, self.sent, self._stop = [], [], threading.Event()
        self.people = 0
        self._threads = [threading.Thread(target=self._guard, args=(fn, seed), daemon=True)
                         for seed, fn in enumerate([self.send, self.patch, *[self.register] * 3])]
        for thread in self._threads:
            thread.start()

    def _guard(self, fn, seed):
        rng = random.Random(seed)
        while not self._stop.is_set():
            try:
                fn(rng)
            except (psycopg.OperationalError, psycopg.InterfaceError):
                time.sleep(0.05)  # the database is away
            except Exception as error:  # shown by the test
                self.failed.append(error)
                return

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()
        assert not self.failed, self.failed

    def _insist(self, fn):
        deadline = time.monotonic() + 30
        while True:
            answer = fn()
            if answer.status_code < 300:
                return answer
            assert answer.status_code in (429, 502, 503, 504) and time.monotonic() < deadline, answer.text
            time.sleep(0.05)

    def send(self, rng):
        key = str(next(NUMBERS))
        body = "x" * rng.choice((0, 10, 500)) + key
        answer = self._insist(lambda: self.bob.request("SEND", "/login/" + self.alice.email, data=body, headers={
            "Content-Type": "text/plain", "Idempotency-Key": key}))
        self.sent.append(answer.json()["id"])
        time.sleep(rng.random() * 0.01)

    def patch(self, rng):
        change = {rng.choice("abcd"): rng.choice([next(NUMBERS), None, [1, {"x": next(NUMBERS)}]]), "n": next(NUMBERS)}
        self._insist(lambda: self.alice.request("PATCH", "/user/me", json=change))
        time.sleep(rng.random() * 0.01)

    def register(self, rng):
        """Somebody new, with ever more contacts; transactions get their numbers early and commit late."""
        email = f"list{next(NUMBERS)}-{os.getpid()}@example.net"
        token = hashlib.sha256(email.encode() + os.urandom(8)).digest()
        with psycopg.connect(self.system.pg_owner) as db:
            db.execute("select * from api.user_create(%s, %s, '{}')", (email, CRYPT))
            db.execute("select * from api.session_create(%s, %s, %s, 3600)", (email, CRYPT.encode(), token))
            db.commit()
            for n in range(4):
                if rng.random() < 0.5:
                    db.execute("select pg_current_xact_id()")
                    time.sleep(rng.random() * 0.01)
                bell = db.execute(
                    "select bell from api.login_register(null, %s, 'me', %s, %s, 3600, '{}', null)",
                    (token, f"sip:{n}@192.0.2.1", f"k{n}")).fetchone()[0]
                if rng.random() < 0.5:
                    time.sleep(rng.random() * 0.01)
                db.commit()
                if bell and rng.random() < 0.7:  # the poll finds the others
                    db.execute("select api.ring(%s)", (bell,))
                    db.commit()
            if rng.random() < 0.9:
                db.execute("select * from api.login_delete(null, %s, 'me', null, null)", (token,))
                db.commit()
        self.people += 1


class Watchers:
    """Clients of every kind, each cut off by a thread of its own."""

    def __init__(self, alice, bob):
        self.messages, self.items, self.document = Messages(), Items(), Document()
        self.many = Many(("/login/me", Messages()), ("/login?limit=1000", Items()), ("/user/me", Document()))
        rng = random.Random(7)
        self.clients = [
            CutClient(alice, "/login/me", self.messages.take, random.Random(rng.random())),
            CutClient(bob, "/login?limit=1000", self.items.take, random.Random(rng.random())),
            CutClient(alice, "/user/me?updates=diff", self.document.take, random.Random(rng.random())),
            CutClient(alice, "/watch?r=/login/me&r=/login%3Flimit=1000&r=/user/me&updates=diff", self.many.take,
                      random.Random(rng.random()))]
        self.failed = []

    def cut(self, times):
        """So many resumes, over all clients together, at the same time."""
        def body(client, goal):
            try:
                deadline = time.monotonic() + 60 + times
                while client.resumes < goal:
                    client.cut_once()
                    assert time.monotonic() < deadline, "no stream to be had"
            except Exception as error:  # shown below
                self.failed.append((client.path, error))

        threads = [threading.Thread(target=body, args=(c, c.resumes + times // len(self.clients)), daemon=True)
                   for c in self.clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not self.failed, self.failed

    def await_all(self, what_misses, timeout_s=60):
        """Reads on until each has what there is to be had."""
        deadline = time.monotonic() + timeout_s
        while missing := what_misses():
            assert time.monotonic() < deadline, missing
            for client in self.clients:
                client.visit(1 << 30, 0.3)

    def inboxes(self):
        return [self.messages, self.many.parts["/login/me"]]

    def lists(self):
        return [self.items, self.many.parts["/login?limit=1000"]]

    def documents(self):
        return [self.document, self.many.parts["/user/me"]]


def who_is_logged_in(account):
    found, more = {}, ""
    while True:
        page = account.request("GET", f"/login?limit=1000{more}").json()
        found.update((item["id"], item["contacts"]) for item in page)
        if len(page) < 1000:
            return found
        more = "&after=" + page[-1]["id"]


def check_all(watchers, writers, alice, bob):
    profile, there = alice.request("GET", "/user/me").json(), who_is_logged_in(bob)
    # An unanswered one may have been done; the ledger knows.
    sent = [row["n"] for row in alice.system.query(
        "select n from inspect.send where recipient = %s order by n", (alice.email,))]
    assert set(writers.sent) <= set(sent)

    def what_misses():
        return [m.got[-1:] for m in watchers.inboxes() if m.got[-1:] != sent[-1:]] \
            + [d.doc for d in watchers.documents() if d.doc != profile] \
            + [sorted(set(there.items()) ^ set(i.contacts.items()))[:5] for i in watchers.lists() if i.contacts != there]

    watchers.await_all(what_misses)
    for messages in watchers.inboxes():
        assert messages.got == sent, "missing: " + str(sorted(set(sent) - set(messages.got))[:10])
    return sent, there


@pytest.fixture(name="tough", scope="module")
def fixture_tough(systems):
    """A system to kill things in."""
    return systems("resume", {"RESTSIP_DEMO": "no"})


def sign_up(system, name):
    email = f"{name}{next(NUMBERS)}-{os.getpid()}@example.net"
    answer = system.request("POST", "/user", json={"email": email, "password": "some secret"})
    assert answer.status_code == 201, answer.text
    return Account(system, email, "some secret")


@pytest.fixture
def crowd(tough):
    """Watchers that have begun, then writers."""
    tough.await_ready(30)
    alice, bob = (sign_up(tough, name) for name in ("alice", "bob"))
    alice.token()
    bob.token()
    watchers = Watchers(alice, bob)
    for client in watchers.clients:
        while not client.last or any(part in ("", "0.0") for part in client.last.split(",")):
            assert client.visit(1 << 20, 0.2)
    writers = Writers(tough, alice, bob)
    yield watchers, writers, alice, bob
    writers.stop()


@pytest.mark.timeout(3600 if LONG else 180)
def test_thousands_of_cuts_lose_and_repeat_nothing(crowd):
    watchers, writers, alice, bob = crowd
    watchers.cut(CUTS)
    writers.stop()
    sent, there = check_all(watchers, writers, alice, bob)
    assert sum(client.resumes for client in watchers.clients) >= CUTS
    assert len(sent) > CUTS / 50 and writers.people > CUTS / 100
    # All of it by resuming: nobody had to begin anew, but for differences of the first version, which no log has.
    assert [items.states for items in watchers.lists()] == [1, 1]
    assert all(document.states <= 2 for document in watchers.documents())


@pytest.mark.timeout(3600 if LONG else 180)
@pytest.mark.parametrize("name,sig", [("restsip-stream", signal.SIGKILL), ("postgres", signal.SIGQUIT),
                                      ("postgres", signal.SIGKILL)], ids=["stream-kill", "postgres-immediate", "postgres-kill"])
def test_cuts_and_kills_lose_and_repeat_nothing(crowd, tough, name, sig):
    watchers, writers, alice, bob = crowd
    for _ in range(KILLS):
        watchers.cut(CUTS_A_KILL // 2)
        pid = tough.kill(name, sig)
        watchers.cut(CUTS_A_KILL // 2)
        assert tough.pid(name) != pid
        tough.await_ready(30)
    writers.stop()
    check_all(watchers, writers, alice, bob)
