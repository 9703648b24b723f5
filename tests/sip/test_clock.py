"""Somebody sets the clock, by an hour, forward or back: of each program in turn, under load, and of PostgreSQL."""
import contextlib
import os
import statistics
import struct
import threading

import pytest
from call_phone import Incoming, Outgoing, rings, sdp
from phone import new_account
from restsip_system import preload
from stream_client import Stream
from test_message import delivered, send

HOUR_S = 3600
PROGRAMS = ("restsip-agent", "restsip-api", "restsip-stream", "nginx")
DATABASE = "postgres"
ROUNDS = 8  # of the load, with the clock at one place


class Clocks:
    """What each program is told of the time of day: so many seconds ahead."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(mode=0o755)
        for name in (*PROGRAMS, DATABASE):
            self.set(name, 0)

    def set(self, name, ahead_s):
        fd = os.open(self.folder / name, os.O_RDWR | os.O_CREAT, 0o644)
        os.pwrite(fd, struct.pack("<q", ahead_s), 0)
        os.close(fd)

    @contextlib.contextmanager
    def stepped(self, name, ahead_s):
        self.set(name, ahead_s)
        try:
            yield
        finally:
            self.set(name, 0)

    def env(self):
        return {**preload("clockstep"), "CLOCK_STEPS": str(self.folder)}


@pytest.fixture(name="clocks", scope="module")
def fixture_clocks(folder):
    return Clocks(folder / "clocks")


@pytest.fixture(name="timed", scope="module")
def fixture_timed(systems, clocks):
    """A system whose programs have clocks that can be set."""
    return systems("clock", {"RESTSIP_DEMO": "no", **clocks.env()})


class Load:
    """What people do all day, on and on; what went wrong is in `wrong`."""

    def __init__(self, system, phone):
        self.alice, self.bob = new_account(system, "alice"), new_account(system, "bob")
        self.phones = [phone(self.alice), phone(self.bob)]
        self.stream = Stream(system, "/login/me", token=self.alice.session(3 * HOUR_S))
        self.token = self.bob.session(3 * HOUR_S)
        self.sent, self.wrong, self.rounds = [], [], 0
        self.ends = threading.Event()
        for p in self.phones:
            assert p.register(expires=2 * HOUR_S).code == 200
        self.first = [p.challenge for p in self.phones]
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _round(self):
        for p in self.phones:
            assert p.register(expires=2 * HOUR_S).code == 200
        assert [p.challenge for p in self.phones] == self.first, "a nonce was refused"
        body = f"message {self.rounds}"
        code = self.phones[1].message(f"sip:{self.alice.email}", body).code
        assert code in (200, 202), code
        self.sent.append(body)
        headers = {"Authorization": f"Bearer {self.token}"}
        body = f"send {self.rounds}"
        answer = self.bob.system.request("SEND", self.alice.login, data=body.encode(), headers=headers)
        assert answer.status_code == 202, answer.text
        self.sent.append(body)
        assert self.bob.system.request("GET", "/login/me", headers=headers).status_code == 200
        self.rounds += 1

    def _run(self):
        while not self.ends.is_set():
            try:
                self._round()
            except Exception as e:  # pylint: disable=broad-except
                self.wrong.append(e)
                return

    def end(self, until):
        """All that was sent has come, by phone and by stream, once."""
        self.ends.set()
        self.thread.join(30)
        assert not self.wrong, self.wrong
        until(lambda: set(self.stream.bodies()) >= set(self.sent), 10)
        assert len(self.stream.bodies()) == len(set(self.stream.bodies()))
        came = {m.branch: m.body.decode() for m in self.phones[0].next_requests(len(self.sent), 10)}
        assert sorted(came.values()) == sorted(self.sent)
        assert not self.stream.ended


@pytest.fixture(name="load")
def fixture_load(timed, phone):
    made = Load(timed, phone)
    made.thread.start()
    yield made
    made.ends.set()
    made.stream.close()


class Calls:
    """One phone calls another: over each step of a clock a call rings, and another one is up."""

    def __init__(self, system, phone):
        self.carol, self.dave = (rings(phone(new_account(system, name))) for name in ("carol", "dave"))
        for p in (self.carol, self.dave):
            assert p.register(expires=2 * HOUR_S).code == 200
        self.up = self.ringing = None
        self.ring()
        self.answer()

    def ring(self):
        out = Outgoing(self.carol, self.dave.aor, sdp(1))
        inc = Incoming(self.dave, 10)
        inc.say(180, "Ringing")
        assert out.next(10).code == 180
        self.ringing = out, inc

    def answer(self):
        """What rings is answered, and what was up before hung up by who was called."""
        out, inc = self.ringing
        inc.accept()
        out.confirm(timeout_s=10)
        before, self.up = self.up, (out, inc)
        if before:
            assert before[1].bye(timeout_s=10).code == 200
            bye = self.carol.next_request(10)
            assert (bye.method, bye.get("call-id")) == ("BYE", before[0].call_id)

    def end(self):
        out, inc = self.up
        assert out.bye(timeout_s=10).code == 200
        inc.next("BYE", 10)


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_request_is_refused_for_a_programs_clock(clocks, timed, phone, load, program, until):
    calls = Calls(timed, phone)
    for ahead_s in (HOUR_S, -HOUR_S, 0):
        calls.ring()
        clocks.set(program, ahead_s)
        goal = load.rounds + ROUNDS
        until(lambda: load.wrong or load.rounds >= goal, 30)  # pylint: disable=cell-var-from-loop
        assert not load.wrong, (ahead_s, load.wrong)
        calls.answer()
    calls.end()
    load.end(until)


@pytest.mark.parametrize("ahead_s", [HOUR_S, -HOUR_S])
def test_the_agents_timers_go_on(clocks, timed, phone, ahead_s):
    """Phones that do not answer get a MESSAGE again, by the agent's timers. How late one was is the test's own lateness
    too, on a busy machine: that of most counts."""
    alice, bob = new_account(timed, "alice"), new_account(timed, "bob")
    phones = [phone(alice, answer=None) for _ in range(8)]
    for p in phones:
        p.register()
    send(bob, alice, b"hello?")
    times = [[p.next_request(10).at] for p in phones]
    with clocks.stepped("restsip-agent", ahead_s):
        for p, seen in zip(phones, times):
            seen += [p.next_request(10).at for _ in range(3)]
    late = [b - a - right_s for seen in times
            for a, b, right_s in zip(seen, seen[1:], (0.5, 1, 2))]  # RFC 3261, section 17.1.2.2
    print(sorted(round(1000 * s) for s in late), "ms late")
    assert abs(statistics.median(late)) < 0.1 and min(late) > -0.5 and max(late) < 1, late
    for p in phones:
        p.answer = 200


@pytest.mark.parametrize("ahead_s", [HOUR_S, -HOUR_S])
def test_after_a_step_of_the_database_only_what_has_lapsed_is_gone(clocks, timed, phone, until, ahead_s):
    """Its clock is the one that counts: what ends within the hour ends, what ends later does not; and all goes on."""
    alice, bob = new_account(timed, "alice"), new_account(timed, "bob")
    short, long = phone(alice), phone(alice)
    assert short.register(expires=600).code == 200
    assert long.register(expires=2 * HOUR_S).code == 200
    token = bob.session(2 * HOUR_S)
    send(bob, alice, b"before")
    until(lambda: b"before" in [m.body for m in long.seen if not m.is_response])
    with clocks.stepped(DATABASE, ahead_s):
        left = {long.contact} if ahead_s > 0 else {short.contact, long.contact}
        until(lambda: set(long.register(contacts=[]).contacts) == left, 10)
        until(timed.ready, 10)
        assert timed.request("GET", "/login/me", headers={"Authorization": f"Bearer {token}"}).status_code == 200
        assert long.register(expires=2 * HOUR_S).code == 200
        status = send(bob, alice, b"meanwhile")
        until(lambda: delivered(status), 10)
        agents = timed.query("select alive, dead_at from inspect.agent")
        assert [(a["alive"], a["dead_at"]) for a in agents] == [(True, None)]
    until(timed.ready, 10)
    assert short.register(expires=600).code == 200
    status = send(bob, alice, b"after")
    until(lambda: delivered(status), 10)
    assert not [line for line in timed.log("restsip-agent").splitlines() if "level=error" in line]
