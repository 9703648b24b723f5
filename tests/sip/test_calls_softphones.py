"""Calls of phones that others have written, baresip and linphone, and of who has no phone but curl: each to each, and every
way in which a call ends. What `make test` leaves out of the table `make test-long` runs."""
import re
import time

import pytest
from stream_client import Stream

WAIT_S = 20


class OfBaresip:
    """Its hangup is 486 while it rings."""

    def __init__(self, softphone, account, peer, transport):
        self.phone = softphone(account, peer, transport)

    def dial(self, to):
        self.phone.command("dial", f"sip:{to.email}")

    def rings(self):
        return re.search(r"INVITE sip:[^\r\n]+ SIP/2\.0\r?\n", self.phone.said()) is not None

    def accept(self):
        self.phone.command("accept")

    def hang_up(self):
        self.phone.command("hangup")

    busy = cancel = hang_up

    def hand_on(self, to):
        self.phone.command("transfer", f"sip:{to.email}")

    def is_up(self):
        return "1" in re.findall(r"Active calls \((\d+)\)", self.phone.ask("listcalls"))[:1] \
            and "ESTABLISHED" in self.phone.ask("listcalls")

    def is_free(self):
        return "Active calls (0)" in self.phone.ask("listcalls")


class OfLinphone:
    """Its terminate is 603 while it rings."""

    def __init__(self, linphone, account, peer, transport):
        self.phone = linphone(account, peer, transport)

    def _state(self):
        found = re.findall(r"Event-type: call-state-changed\s+Event: LinphoneCall(\w+)", self.phone.said())
        return found[-1] if found else None

    def dial(self, to):
        self.phone.command(f"call sip:{to.email}")

    def rings(self):
        return self._state() == "IncomingReceived"

    def accept(self):
        self.phone.command("answer")

    def hang_up(self):
        self.phone.command("terminate")

    decline = cancel = hang_up

    def hand_on(self, to):
        self.phone.command(f"call-transfer 1 sip:{to.email}")

    def is_up(self):
        return self._state() in ("StreamsRunning", "PausedByRemote")  # the latter: curl sends nothing

    def is_free(self):
        return self._state() in ("End", "Error", "Released")


class OfCurl:
    """An account by HTTP alone, without media."""

    def __init__(self, account):
        self.account = account
        self.stream = Stream(account.system, account.login, token=account.token())
        self.stream.wait("state")
        self.url = self.caller = self.called = None

    def _request(self, *request, **more):
        answer = self.account.request(*request, **more)
        assert answer.ok, answer.text
        return answer

    def dial(self, to):
        self.called = to.login
        self.url = self._request("POST", "/call", json={
            "session": "rtsp://...", "open": False, "invite": [to.login]}).json()["url"]

    def rings(self):
        event = self.stream.wait(lambda e: e.name == "message" and e.data.get("json", {}).get("command") == "invite")
        self.url, self.caller = event.data["json"]["url"], event.data["from"]
        return True

    def accept(self):
        self._request("POST", self.url, json={"url": self.account.login, "session": "rtsp://..."})

    def hang_up(self):
        if self.caller:
            me, = [c for c in self._request("GET", self.url).json()["children"] if c["email"] == self.account.email]
            self._request("DELETE", me["url"])
        else:
            self._request("DELETE", self.url)

    def cancel(self):
        self._request("SEND", self.called, json={"command": "cancel", "url": self.url})

    def _reject(self, **reason):
        self._request("SEND", f"/login/{self.caller}", json={"command": "reject", "url": self.url, **reason})

    def busy(self):
        self._reject(reason="busy")

    def decline(self):
        self._reject()

    def _states(self):
        answer = self.account.request("GET", self.url)
        return {c["email"]: c["state"] for c in answer.json()["children"]} if answer.ok else {}

    def is_up(self):
        return list(self._states().values()) == ["joined", "joined"]

    def is_free(self):
        """A call that REST has made goes on without the phone."""
        return [s for s in self._states().values() if s != "ended"] in ([], ["joined"])


@pytest.fixture(name="ends")
def fixture_ends(softphone, linphone, account):
    """ends(caller, callee, transport): both of a call, alice's first, and their accounts."""
    curls = []

    def one(kind, mine, peer, transport):
        if kind == "curl":
            curls.append(OfCurl(mine))
            return curls[-1]
        return OfBaresip(softphone, mine, peer, transport) if kind == "baresip" else OfLinphone(linphone, mine, peer, transport)

    def made(caller, callee, transport):
        alice, bob = account("alice"), account("bob")
        return one(caller, alice, bob, transport), one(callee, bob, alice, transport), alice, bob
    yield made
    for curl in curls:
        curl.stream.close()


def late(system, owner):
    """Makes a ring as old as one may be: a minute is too long for a test."""
    system.query_owner("update app.participant p set ring_until = now() - interval '1 s' from app.call c join app.account a "
                       "on a.id = c.owner_id where c.id = p.call_id and a.email = %s and p.ring_until is not null returning 1",
                       [owner.email])
    system.query_owner("update app.leg l set ring_until = now() - interval '70 s' from app.call c join app.account a "
                       "on a.id = c.owner_id where c.id = l.call_id and a.email = %s and l.state in ('calling', 'ringing') "
                       "returning 1", [owner.email])


# How a call ends, and the cause of all phones that were in it.
ENDS = {"by-caller": "hangup", "by-callee": "hangup", "busy": "busy", "declined": "declined", "cancelled": "cancelled",
        "no-answer": "no-answer"}
CAN = {"busy": ("baresip", "curl"), "declined": ("linphone", "curl")}
SHORT = {
    ("baresip", "baresip", "by-callee", "tls"), ("baresip", "linphone", "by-caller", "tls"),
    ("baresip", "linphone", "declined", "udp"), ("baresip", "linphone", "cancelled", "udp"),
    ("linphone", "baresip", "by-caller", "udp"), ("linphone", "baresip", "busy", "tls"),
    ("linphone", "baresip", "no-answer", "udp"), ("linphone", "linphone", "by-callee", "udp"),
    ("curl", "baresip", "by-caller", "tls"), ("curl", "baresip", "busy", "udp"), ("curl", "baresip", "no-answer", "tls"),
    ("curl", "linphone", "by-callee", "udp"), ("curl", "linphone", "cancelled", "udp"),
    ("baresip", "curl", "by-callee", "udp"), ("baresip", "curl", "cancelled", "tls"), ("baresip", "curl", "busy", "udp"),
    ("linphone", "curl", "by-caller", "tls"), ("linphone", "curl", "declined", "udp"),
}
KINDS = ("baresip", "linphone", "curl")
TABLE = [pytest.param(*row, marks=() if row in SHORT else pytest.mark.long, id="-".join(row))
         for row in ((caller, callee, end, transport) for caller in KINDS for callee in KINDS for end in ENDS
                     for transport in ("udp", "tls"))
         if row[:2] != ("curl", "curl") and row[1] in CAN.get(row[2], KINDS)]


@pytest.mark.parametrize("caller,callee,end,transport", TABLE)
def test_each_calls_each(ends, until, system, caller, callee, end, transport):
    a, b, alice, bob = ends(caller, callee, transport)
    a.dial(bob)
    until(b.rings, WAIT_S)
    if end in ("by-caller", "by-callee"):
        b.accept()
        until(lambda: a.is_up() and b.is_up(), WAIT_S)
        assert [c["participants"] for c in alice.request("GET", "/call").json()] == [2]
        (a if end == "by-caller" else b).hang_up()
    elif end == "busy":
        b.busy()
    elif end == "declined":
        b.decline()
    elif end == "cancelled":
        a.cancel()
    else:
        late(system, alice)
    until(lambda: a.is_free() and b.is_free(), WAIT_S)

    def causes():
        rows = system.query("select l.state, l.cause from inspect.leg l join inspect.call c on c.id = l.call "
                            "where c.owner = %s", [alice.email])
        return rows and all(r["state"] == "ended" for r in rows) and {r["cause"] for r in rows}
    assert until(causes, WAIT_S) == {ENDS[end]}


@pytest.mark.parametrize("by,kept,comes", [("baresip", "linphone", "baresip"), ("linphone", "baresip", "linphone")])
@pytest.mark.parametrize("rings_s", [0, pytest.param(40, marks=pytest.mark.long)])
def test_one_hands_the_other_on(ends, until, by, kept, comes, rings_s):
    """Who comes may ring for longer than any request waits for its answer."""
    a, b, alice, bob = ends(by, kept, "udp")
    c, _, carol, _ = ends(comes, "curl", "udp")
    a.dial(bob)
    until(b.rings, WAIT_S)
    b.accept()
    until(lambda: a.is_up() and b.is_up(), WAIT_S)
    a.hand_on(carol)
    until(c.rings, WAIT_S)
    rung = time.monotonic() + rings_s
    until(lambda: time.monotonic() >= rung, rings_s + WAIT_S)
    c.accept()
    until(a.is_free, WAIT_S)
    until(lambda: b.is_up() and c.is_up(), WAIT_S)
    url, = (c["url"] for c in bob.request("GET", "/call").json() if c["owner"] == alice.email)
    states = {v["email"]: v.get("ended", v["state"]) for v in bob.request("GET", url).json()["children"]}
    assert states == {alice.email: {"cause": "transferred"}, bob.email: "joined", carol.email: "joined"}
    c.hang_up()
    until(lambda: b.is_free() and c.is_free(), WAIT_S)
