"""The ledger: every operation is written down before it is sent, and its answer after; in between anything is killed.

At the end whatever was acknowledged is there, and whatever was not is there or is not, but never half.
"""
import pathlib
import random
import sys
import threading
import time

import psycopg
import pytest
import requests
from follower import LATER, Follower
from restsip_system import until

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "sip"))
# pylint: disable=wrong-import-position,wrong-import-order
from phone import Phone

KILLS = 20
RECOVERY_S = 5
TEXT = {"Content-Type": "text/plain"}


class Entry:
    """One operation: answer is the status, "lost" where none came, None while it is under way."""

    def __init__(self, kind, **facts):
        self.kind, self.answer = kind, None
        self.__dict__.update(facts)

    @property
    def acknowledged(self):
        return isinstance(self.answer, int) and 200 <= self.answer < 300

    def __repr__(self):
        return str(self.__dict__)


class Ledger:
    def __init__(self):
        self.entries, self.odd = [], []
        self._lock = threading.Lock()

    def of(self, kind):
        with self._lock:
            return [entry for entry in self.entries if entry.kind == kind]

    def do(self, kind, operation, **facts):
        """Writes down, does, writes down the answer; returns (entry, answer or None)."""
        entry = Entry(kind, **facts)
        with self._lock:
            self.entries.append(entry)
        try:
            answer = operation()
        except (requests.RequestException, OSError):
            entry.answer = "lost"
            return entry, None
        entry.answer = answer.status_code
        if answer.status_code >= 500 and not (answer.status_code in LATER and answer.headers.get("Retry-After")):
            self.odd.append((entry, answer.text))
        return entry, answer


class Clients:
    """Threads that each do one thing again and again."""

    def __init__(self, ledger):
        self.ledger = ledger
        self.stopped = threading.Event()
        self.threads, self.failures = [], []

    def start(self, work, *args):
        def run():
            n = 0
            try:
                while not self.stopped.is_set():
                    work(n, *args)
                    n += 1
                    self.stopped.wait(0.02)
            except Exception as error:  # pylint: disable=broad-except
                self.failures.append((work.__name__, repr(error)))
        self.threads.append(threading.Thread(target=run, daemon=True))
        self.threads[-1].start()

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join(30)
        assert self.failures == []

    def sign_up(self, n, system):
        email = f"new-{n}@example.net"
        self.ledger.do("sign-up", lambda: system.request(
            "POST", "/user", json={"email": email, "password": "correct horse"}), email=email)
        self.stopped.wait(0.2)  # hashing is dear

    def register(self, n, account):
        """A contact more and, from time to time, all of them away, one by one."""
        contact = f"sip:c{n}@127.0.0.1:9"
        self.ledger.do("register", lambda: account.request("POST", account.login, json={"contact": contact}),
                       contact=contact)
        self.stopped.wait(0.05)
        if n % 20 < 19:
            return
        now = self.ledger.do("look", lambda: account.request("GET", account.login))[1]
        for item in now.json() if now is not None and now.status_code == 200 else []:
            self.ledger.do("unregister", lambda u=item["url"]: account.request("DELETE", u), contact=item["contact"])

    def send(self, n, kind, sender, to):
        body = f"{kind}-{n}"
        entry, answer = self.ledger.do(
            kind, lambda: sender.request("SEND", to.login, data=body, headers=TEXT), body=body)
        if entry.acknowledged:
            entry.url = answer.json()["url"]
        return entry

    def send_and_cancel(self, n, sender, to):
        entry = self.send(n, "stored", sender, to)
        if entry.acknowledged and n % 2:
            self.ledger.do("cancel", lambda: sender.request("CANCEL", entry.url), url=entry.url, body=entry.body)
        self.stopped.wait(0.05)


def database_is_up(system):
    try:
        return system.query("select 1 as one")
    except psycopg.Error:
        return None


def pids(system):
    return {name: system.pid(name) for name in system.names()}


def kill_one(system, name, followers):
    """kill -9, and what must be true until RECOVERY_S after the program is back."""
    before = pids(system)
    system.kill_and_wait(name)
    if name == "postgres":
        until(lambda: database_is_up(system), 30, "PostgreSQL is back")
    back = time.monotonic()
    until(system.ready, RECOVERY_S, f"ready after a kill of {name}")
    for follower in followers:
        until(follower.connected, max(0.1, back + RECOVERY_S - time.monotonic()), f"a stream after a kill of {name}")
    after = pids(system)
    assert {n: p for n, p in after.items() if n != name} == {n: p for n, p in before.items() if n != name}


def check_sign_ups(system, ledger):
    there = {row["email"] for row in system.query("select email from inspect.account")}
    for entry in ledger.of("sign-up"):
        assert not entry.acknowledged or entry.email in there, entry
    one = next(e for e in reversed(ledger.of("sign-up")) if e.acknowledged)
    assert system.request("GET", "/login/me", auth=(one.email, "correct horse")).status_code == 200


def check_registrations(ledger, account):
    there = {item["contact"] for item in account.request("GET", account.login).json()}
    asked = {e.contact for e in ledger.of("unregister")}
    done = {e.contact for e in ledger.of("unregister") if e.acknowledged}
    for entry in ledger.of("register"):
        assert not entry.acknowledged or entry.contact in asked or entry.contact in there, entry
    assert not there & done
    return there


def statuses(system, account):
    rows = system.query("select n, status from inspect.send where recipient = %s", [account.email])
    return {f"{account.login}/{row['n']}": row["status"] for row in rows}


def check_messages(system, entries, account, received, final):
    """Every acknowledged one came, and none that was never sent."""
    sent = [e.body for e in entries]
    acknowledged = [e for e in entries if e.acknowledged]
    missing = [e for e in acknowledged if e.body not in received]
    assert missing == []
    assert set(received) <= set(sent)

    def are_final():
        now = statuses(system, account)
        return {now[e.url] for e in acknowledged} == {final} and set(now.values()) <= {final, "cancelled"}

    until(are_final, 20, f"all {final}")


@pytest.mark.timeout(480)
def test_nothing_acknowledged_is_lost(own_system, own_account, until):  # pylint: disable=redefined-outer-name
    random.seed(4)
    system, ledger = own_system, Ledger()
    alice, bob, carol, dave, erin = (own_account(n) for n in ("alice", "bob", "carol", "dave", "erin"))
    for account in (alice, bob, carol, dave, erin):
        account.token()
    followers = [Follower(alice, sse=True), Follower(alice)]
    watcher = Follower(bob, dave.login)  # somebody else's
    everybody = followers + [watcher]
    for follower in everybody:
        until(follower.connected)
    phone = Phone((system.sip_host, system.sip_port), "erin", "")
    made = erin.request("POST", erin.login, json={"contact": phone.contact})
    assert made.status_code == 201, made.text
    clients = Clients(ledger)
    clients.start(clients.sign_up, system)
    clients.start(clients.register, dave)
    clients.start(clients.send, "streamed", bob, alice)
    clients.start(clients.send, "streamed-too", carol, alice)
    clients.start(clients.send, "sip", bob, erin)
    clients.start(clients.send_and_cancel, bob, carol)

    names = [n for n in system.names() if n != "nginx"]
    order = names * (KILLS // len(names)) + random.sample(names, KILLS % len(names))
    random.shuffle(order)
    for name in order:
        kill_one(system, name, everybody)
        time.sleep(random.uniform(0, 0.5))  # so that kills come at any moment of the work
    clients.stop()
    assert ledger.odd == [] and [f.refused for f in everybody] == [[], [], []]
    assert all(e.answer is not None for e in ledger.entries)

    check_sign_ups(system, ledger)
    contacts = check_registrations(ledger, dave)
    until(lambda: {item["contact"] for item in watcher.last_doc()} == contacts)
    streamed = ledger.of("streamed") + ledger.of("streamed-too")
    acknowledged = {e.body for e in streamed if e.acknowledged}
    for follower in followers:
        until(lambda f=follower: acknowledged <= set(f.bodies()), 10)
        came = follower.bodies()
        assert len(came) == len(set(came))  # no repeats
        for kind in ("streamed", "streamed-too"):  # and each sender's in order; what a killed worker had asked for may come later
            numbers = [int(body[len(kind) + 1:]) for body in came if body in acknowledged and body.rsplit("-", 1)[0] == kind]
            assert numbers == sorted(numbers)
        check_messages(system, streamed, alice, came, "delivered")
    assert followers[0].bodies() == followers[1].bodies()

    sip = ledger.of("sip")
    until(lambda: {e.body for e in sip if e.acknowledged} <=
          {m.body.decode() for m in phone.seen if m.method == "MESSAGE"}, 40, "all at the phone")
    check_messages(system, sip, erin, [m.body.decode() for m in phone.seen if m.method == "MESSAGE"], "delivered")

    stopped = {e.body for e in ledger.of("cancel") if e.acknowledged}
    maybe = {e.body for e in ledger.of("cancel")} - stopped
    late = Follower(carol)
    kept = [e for e in ledger.of("stored") if e.body not in stopped | maybe]
    until(lambda: {e.body for e in kept if e.acknowledged} <= set(late.bodies()), 10)
    assert not stopped & set(late.bodies())
    check_messages(system, kept, carol, [b for b in late.bodies() if b not in maybe], "delivered")
    for follower in everybody + [late]:
        follower.stop()
    phone.close()
