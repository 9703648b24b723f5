"""Calls of phones that others have written: baresip and linphone, each to each."""
import re

import pytest

BUSY = r"SIP/2\.0 486 "


class OfBaresip:
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

    def is_up(self):
        return "1" in re.findall(r"Active calls \((\d+)\)", self.phone.ask("listcalls"))[:1] \
            and "ESTABLISHED" in self.phone.ask("listcalls")

    def is_free(self):
        return "Active calls (0)" in self.phone.ask("listcalls")


class OfLinphone:
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

    def is_up(self):
        return self._state() == "StreamsRunning"

    def is_free(self):
        return self._state() in ("End", "Error", "Released")


KINDS = {"baresip": OfBaresip, "linphone": OfLinphone}


@pytest.fixture(name="ends")
def fixture_ends(request, softphone, linphone, account):
    """Two phones, of alice's and bob's, and their accounts."""
    make = {"baresip": softphone, "linphone": linphone}

    def made(caller, callee, transport):
        alice, bob = account("alice"), account("bob")
        return (KINDS[caller](make[caller], alice, bob, transport), KINDS[callee](make[callee], bob, alice, transport),
                alice, bob)
    return made


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("caller,callee", [("baresip", "baresip"), ("baresip", "linphone"), ("linphone", "baresip")])
def test_each_calls_each(ends, until, system, caller, callee, transport):
    a, b, alice, bob = ends(caller, callee, transport)
    a.dial(bob)
    until(b.rings, 10)
    b.accept()
    until(lambda: a.is_up() and b.is_up(), 10)
    calls = alice.request("GET", "/call").json()
    assert [c["owner"] for c in calls] == [alice.email] and calls[0]["participants"] == 2
    (a if transport == "udp" else b).hang_up()
    until(lambda: a.is_free() and b.is_free(), 10)
    until(lambda: not system.query("select l.id from inspect.leg l join inspect.call c on c.id = l.call "
                                   "where c.owner = %s and l.state <> 'ended'", [alice.email]), 10)


@pytest.mark.parametrize("caller,callee,cause", [("linphone", "baresip", "busy"), ("baresip", "linphone", "declined")])
def test_one_says_no(ends, until, system, caller, callee, cause):
    """baresip's hangup is 486 while it rings, linphone's terminate 603."""
    a, b, alice, bob = ends(caller, callee, "udp")
    a.dial(bob)
    until(b.rings, 10)
    b.hang_up()
    until(a.is_free, 10)
    rows = system.query("select l.cause from inspect.leg l join inspect.call c on c.id = l.call "
                        "where c.owner = %s and l.direction = 'out'", [alice.email])
    assert rows == [{"cause": cause}]


@pytest.mark.parametrize("caller,callee", [("linphone", "baresip"), ("baresip", "linphone")])
def test_the_caller_gives_up(ends, until, caller, callee):
    a, b, _, bob = ends(caller, callee, "tcp")
    a.dial(bob)
    until(b.rings, 10)
    a.hang_up()
    until(lambda: a.is_free() and b.is_free(), 10)
