"""The honest: users with a browser, phones, and the streams they hold. Each request is noted: how long it took, whether it
was refused, whether it was answered at all. What they ask is asked at its time, whatever became of what was asked before."""
import asyncio
import collections
import os
import random
import signal
import time

from phone import Phone
from web import UNANSWERED, Browser
from world import FRESH, PASSWORD, PHONE_AT, PHONES, USER_AT, USERS, email

TIMEOUT_S = 15.0  # then it counts as unanswered
USER_EVERY_S, PHONE_EVERY_S, SIGN_IN_EVERY_S, SIGN_UP_EVERY_S, READY_EVERY_S = 0.5, 1.0, 30.0, 120.0, 1.0
GUESSED_AT = 0.9  # of a phase: somebody signs in whose password others have guessed at by then
FRESH_REGISTER = 8  # every so many is without what the phone has learnt: a phone that was just switched on
MESSAGE = 4  # every so many a phone sends a message instead
NICENESS = -4  # who measures waits less than those who are measured, and leaves the strangers their turn
MAILBOXES = 4  # honest ones that get mail from all


class Notes:
    """What became of what was asked, by kind: "http", "sign-in", "register", "message", "delivery", "stream"."""

    def __init__(self):
        self.took = collections.defaultdict(list)  # kind: seconds, without what was refused
        self.asked, self.refused, self.unanswered = collections.Counter(), collections.Counter(), collections.Counter()
        self.why = collections.Counter()  # (what, code)

    def add(self, kind, what, code, took_s):
        good = 200 <= code < 300
        self.asked[kind] += 1
        if code == UNANSWERED:
            self.unanswered[kind] += 1
        elif not good:
            self.refused[kind] += 1
        if good or code == UNANSWERED:
            self.took[kind].append(took_s)  # a refusal that comes quickly is no quick answer
        if not good:
            self.why[(what, code)] += 1

    def merge(self, other):
        for kind, took in other.took.items():
            self.took[kind] += took
        for mine, theirs in ((self.asked, other.asked), (self.refused, other.refused),
                             (self.unanswered, other.unanswered), (self.why, other.why)):
            mine.update(theirs)
        return self


class User:
    """One honest user at an address of its own."""

    def __init__(self, people, n):
        self.people, self.n, self.name = people, n, f"user{n}"
        self.web = Browser(people.place.http, USER_AT.format(n + 1), people.tokens[self.name], most=12, timeout_s=TIMEOUT_S)
        self.count = n * 1000
        peer = (n + 7) % USERS
        login = f"/login/{email(f'user{peer}')}"
        self.deck = [
            lambda: self.ask("GET", login), lambda: self.ask("GET", "/login/me"), lambda: self.ask("GET", login),
            lambda: self.ask("GET", "/login"), lambda: self.ask("GET", "/call"), lambda: self.ask("GET", "/user"),
            lambda: self.ask("GET", "/user/me"), lambda: self.ask("GET", "/user/me/messages"), self.contact, self.contact,
            lambda: self.ask("PATCH", "/user/me", {"note": time.time()}), self.call, self.mail,
            self.send, self.send, self.send, self.send]

    async def ask(self, method, path, body=b"", kind="http", **more):
        answer = await self.web.fetch(method, path, body, **more)
        what = " ".join([method, *path.split("/")[1:2], "…" if path.count("/") > 1 else ""]).strip()
        self.people.notes.add(kind, what, answer.code, answer.took_s)
        return answer

    async def contact(self):
        await self.ask("POST", "/login/me", {"contact": f"sip:{self.name}@192.0.2.1", "expires": 600})

    async def call(self):
        made = await self.ask("POST", "/call", {"subject": "lunch"})
        if made.code == 201:
            await self.ask("DELETE", made.json()["url"])

    async def mail(self):
        await self.ask("POST", f"/user/{email(f'user{self.n % MAILBOXES}')}/messages", b"call me back", kind="http",
                       media="text/plain")

    async def send(self):
        """A message to a phone; it is timed until the phone has it."""
        self.count += 1
        body = f"{self.name}-{self.count}"
        self.people.expect(body)
        phone = random.choice(self.people.phones)
        answer = await self.ask("SEND", f"/login/{email(phone.user)}", body.encode(), media="text/plain")
        if answer.code != 202:
            self.people.expected.pop(body, None)

    async def sign_in(self):
        """By turns with the own account, which others may guess at, and with one that no worker has seen."""
        self.count += 1
        name = self.name if self.count % 2 else self.people.fresh()
        made = await self.ask("POST", "/session", b"", kind="sign-in", auth=(email(name), PASSWORD), token="")
        if made.code == 201:
            await self.ask("DELETE", "/session", token=made.json()["token"])

    async def sign_in_guessed(self, phase, at):
        await asyncio.sleep(at - time.monotonic())
        await self.ask("GET", "/user/me", kind="sign-in", auth=(email(f"guessed{phase}"), PASSWORD), token="")

    async def sign_up(self):
        self.count += 1
        await self.ask("POST", "/user", {"email": email(f"new-{self.name}-{self.count}"), "password": PASSWORD},
                       kind="sign-in", token="")

    async def ready(self):
        await self.ask("GET", "/health/ready")

    async def stream(self, path):
        """Held for as long as the system lives: its end is a request unanswered."""
        while not self.people.ended:
            came = await self.web.follow(path, lambda _: None)
            if not self.people.ended:
                self.people.notes.add("stream", "stream of " + path, UNANSWERED if came else 503, 0)
                await asyncio.sleep(0.5)


class People:
    """Some of the honest, in one process."""

    def __init__(self, place, tokens, part, parts):
        self.place, self.tokens, self.part, self.parts = place, tokens, part, parts
        self.notes, self.expected, self.ended, self.fresh_n, self.phases = Notes(), {}, False, part, 0
        self.users, self.phones, self.held, self.tasks = [], [], [], set()

    def fresh(self):
        self.fresh_n += self.parts
        return f"fresh{self.fresh_n % FRESH}"

    def expect(self, body):
        self.expected[body] = time.monotonic()

    def arrived(self, method, body):
        sent = self.expected.pop(body.decode("utf-8", "replace"), None) if method == "MESSAGE" else None
        if sent is not None:
            took_s = time.monotonic() - sent
            self.notes.add("delivery", "delivery", 200 if took_s < TIMEOUT_S else UNANSWERED, took_s)

    def start(self, work):
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def begin(self):
        """Everybody comes."""
        self.users = [User(self, n) for n in range(self.part, USERS, self.parts)]
        self.phones = [await Phone.open(f"phone{n}", self.place.sip, PHONE_AT.format(n + 1), on_request=self.arrived)
                       for n in range(self.part, PHONES, self.parts)]
        for n, phone in enumerate(self.phones):
            phone.count = n  # so that not all do the same at once
        codes = await asyncio.gather(*(phone.register(TIMEOUT_S) for phone in self.phones))
        assert set(codes) == {200}, codes
        self.held = [self.start(u.stream(path)) for u in self.users for path in ("/call", "/login/me")]
        await asyncio.gather(*(user.contact() for user in self.users))
        await self.phase(1.0)

    async def register(self, phone):
        phone.count += 1
        started = time.monotonic()
        if phone.count % MESSAGE == 1:
            body = f"{phone.user}-{phone.count}"
            self.expect(body)
            code = await phone.message(random.choice(self.phones).aor, body.encode(), TIMEOUT_S)
            if not 200 <= code < 300:
                self.expected.pop(body, None)
            self.notes.add("message", "MESSAGE", code, time.monotonic() - started)
            return
        if phone.busy:
            return  # RFC 3261, 10.2.4: one after the other; this one would be out of order
        phone.busy = True
        try:
            if phone.count % FRESH_REGISTER == 0:
                phone.nonce = None
            code = await phone.register(TIMEOUT_S)
            self.notes.add("register", "REGISTER", code, time.monotonic() - started)
        finally:
            phone.busy = False

    async def each(self, until, every_s, number, of, work):
        """Calls work every so often; who begins when is spread over the first turn."""
        due = time.monotonic() + every_s * (number + random.random()) / of
        while due < until:
            await asyncio.sleep(max(0, due - time.monotonic()))
            self.start(work())
            due += every_s

    async def phase(self, seconds):
        """All of them for so long, and then until the last answer; the notes of it."""
        self.notes, until = Notes(), time.monotonic() + seconds
        loops = []
        for i, user in enumerate(self.users):
            deck = user.deck[i % len(user.deck):] + user.deck[:i % len(user.deck)]
            turns = iter(deck * (int(seconds / USER_EVERY_S / len(deck)) + 2))
            for every_s, work in ((USER_EVERY_S, lambda turns=turns: next(turns)()), (SIGN_IN_EVERY_S, user.sign_in),
                                  (SIGN_UP_EVERY_S, user.sign_up)):
                loops.append(self.each(until, every_s, i, len(self.users), work))
        loops.append(self.each(until, READY_EVERY_S, 0, 1, self.users[0].ready))
        loops += [self.each(until, PHONE_EVERY_S, i, len(self.phones), lambda p=phone: self.register(p))
                  for i, phone in enumerate(self.phones)]
        if self.part == 0:
            loops.append(self.users[0].sign_in_guessed(self.phases, until - (1 - GUESSED_AT) * seconds))
        self.phases += 1
        await asyncio.gather(*loops)
        while (self.tasks - set(self.held)) or any(time.monotonic() - at < TIMEOUT_S for at in self.expected.values()):
            await asyncio.sleep(0.05)
        for at in self.expected.values():
            self.notes.add("delivery", "delivery", UNANSWERED, time.monotonic() - at)
        self.expected.clear()
        self.notes.asked["stream"] += len(self.held)
        return self.notes


def serve(place, tokens, part, parts, pipe):
    """A process: it says when everybody is there, then does each phase that it is told of, until it is told None."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.setsid()  # Linux shares processors among sessions: the strangers' clients are many, and all on this machine
    try:
        os.nice(NICENESS)
    except OSError:
        pass  # only root may

    async def run():
        people = People(place, tokens, part, parts)
        await people.begin()
        pipe.send("ready")
        loop = asyncio.get_running_loop()
        while (seconds := await loop.run_in_executor(None, pipe.recv)) is not None:
            pipe.send(await people.phase(seconds))
        people.ended = True
        for task in people.held:
            task.cancel()

    asyncio.run(run())


def quantile_ms(took, share):
    """Of a list of seconds, in ms; 0 of none."""
    took = sorted(took)
    return 1000 * took[min(int(len(took) * share), len(took) - 1)] if took else 0.0


