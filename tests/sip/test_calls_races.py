"""What crosses in a call, again and again: one outcome, the same in SIP on every side, in REST and in rows.

Who was first is decided by the lock of the call; RACES says what follows from that for all others, and nothing else passes.
"""
import os
import pathlib
import random
import threading
import time
import types

import pytest
import requests
from call_phone import HOLD, Incoming, Outgoing, offer, rings, sdp, tag_of, up

from phone import new_account
from test_transfer import changes_over, refer, request as of_dialog, say, telling, told

ROUNDS = 200 if os.environ.get("RESTSIP_LONG") == "1" else 10
APART_S = 0.004  # at most, either way
GROWTH = 16 << 20  # bytes of the agent, over all rounds
ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'

# What crosses: every outcome that is right, as (what the caller hears, what the callee's phones hear, how its legs ended).
RACES = {
    "CANCEL against 200": {
        ("487", "ACK BYE", "cancelled cancelled"),  # the CANCEL was first: the phone's 200 comes too late
        ("200", "ACK BYE", "hangup hangup"),  # too late: the caller takes the 200, and hangs up (RFC 3261 section 9.1)
        ("200", "ACK BYE", "cancelled cancelled"),  # it comes while the 200 is written: all are hung up on for it
    },
    "200 of two phones": {
        ("200 of 1", "1: ACK BYE, 2: ACK BYE elsewhere", "hangup hangup cancelled"),
        ("200 of 2", "1: ACK BYE elsewhere, 2: ACK BYE", "hangup cancelled hangup"),
    },
    "a join against the phone's 200": {
        ("201: 200 of the page", "ACK BYE elsewhere", "hangup cancelled"),
        ("409: 200 of the phone", "ACK BYE", "hangup hangup"),
    },
    "BYE against re-INVITE": {
        ("487 BYE", "200", "hangup hangup"),  # the offer was under way (section 15.1.2)
        ("481 BYE", "200", "hangup hangup"),  # it came after the end
    },
    "both re-INVITE": {  # section 14.2: one at a time in a call
        ("200", "491", "hangup hangup"),
        ("491", "200", "hangup hangup"),
        ("200", "200", "hangup hangup"),  # one after the other, on a busy machine
    },
    "a refresh against re-INVITE": {  # what changes nothing is answered here, but not while something else is offered
        ("200", "491", "hangup hangup"),
        ("491", "200", "hangup hangup"),
        ("200", "200", "hangup hangup"),  # one after the other
    },
    "UPDATE against BYE": {
        ("200 BYE", "200", "hangup hangup"),
        ("481 BYE", "200", "hangup hangup"),
    },
    "DELETE against 200": {
        ("480", "ACK BYE", "cancelled cancelled"),
        ("200 BYE", "ACK BYE", "hangup hangup"),
    },
    "CANCEL while the digest is looked up": {
        ("487", "", ""),  # nobody has heard of it
        ("487", "", "cancelled cancelled"),  # it was written already, so that it has an end
    },
    "the callee's BYE before the ACK": {
        ("200 BYE", "200", "hangup hangup"),
    },
    "the caller's BYE before the ACK": {
        ("200 200", "ACK BYE", "hangup hangup"),
    },
    "a transfer against the BYE of who asks": {
        ("202", "changes over", "hangup hangup hangup"),  # that ends its own leg only
        ("202", "changes over", "transferred hangup hangup"),  # the two were a pair before the database had heard of it
        ("481", "BYE", "hangup hangup"),
    },
    "a transfer against the BYE of who is kept": {
        ("202 487 BYE", "CANCEL", "hangup hangup cancelled"),
        ("481 BYE", "", "hangup hangup"),
    },
    "a transfer against the BYE of who comes": {
        ("200 BYE", "ACK answer, BYE", "transferred hangup hangup"),  # the two were a pair already
        ("480", "offered what it had", "hangup hangup hangup"),
    },
    "a pick-up against CANCEL": {
        ("200", "200 BYE", "hangup cancelled hangup"),  # the CANCEL comes too late, as above
        ("200", "200 BYE", "cancelled cancelled cancelled"),
        ("487", "481", "cancelled cancelled"),
        ("487", "200 BYE", "cancelled cancelled cancelled"),  # it comes while who picks up is answered, and is hung up on for it
    },
    "two REFERs": {  # one at a time in a call
        ("202 603", "491", "hangup hangup declined"),
        ("491", "202 603", "hangup hangup declined"),
    },
}


@pytest.fixture(scope="module", name="racing")
def fixture_racing(systems):
    system = systems("races", {"RESTSIP_DEMO": "no"})
    system.query_owner("select inspect.set_bound('invites', 100000)")
    return system


class Sides:
    """Alice's phone and two of bob's."""

    def __init__(self, system, phone, until):
        self.system, self.until, self.phone = system, until, phone
        self.alice, self.bob = new_account(system, "alice"), new_account(system, "bob")
        self.a, self.b, self.c = (rings(phone(owner)) for owner in (self.alice, self.bob, self.bob))
        self.random = random.Random(16)
        assert self.a.register().code == self.b.register().code == 200

    def at_once(self, *acts):
        """All of them, a little apart, in any order; what they return."""
        start, found = time.monotonic() + 0.01, [None] * len(acts)

        def run(n, act, at):
            while time.monotonic() < at:
                pass
            found[n] = act()

        threads = [threading.Thread(target=run, args=(n, act, start + self.random.uniform(0, APART_S)), daemon=True)
                   for n, act in enumerate(acts)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        return found

    def ended(self, out, who=None):
        """How the legs of a call ended, once all have; the call is not there any more, as who was in it sees."""
        def over():
            rows = self.system.query(
                "select l.call, l.state, l.cause from inspect.leg l where l.call = (select o.call from inspect.leg o "
                "where o.sip_call_id = %s and o.direction = 'in') order by l.id", [out.call_id])
            return (rows,) if all(r["state"] == "ended" for r in rows) else None
        rows, = self.until(over, 10)
        for call in {r["call"] for r in rows}:
            assert (who or self.alice).request("GET", f"/call/{call}").json()["state"] == "ended"
        return " ".join(r["cause"] for r in rows)

    def ringing(self):
        out = Outgoing(self.a, self.b.aor, sdp(1))
        inc = Incoming(self.b)
        inc.say(180)
        assert out.next().code == 180
        return out, inc

    def call(self):
        """The URL of the one that is under way."""
        return [c for c in self.alice.request("GET", "/call").json() if c["state"] != "ended"][0]["url"]

    def heard(self, inc, reasons=(None, ELSEWHERE)):
        """What the phone hears after its 200; reasons: that a CANCEL may have which has crossed it."""
        request = inc.next()
        while request.method != "ACK":
            assert request.method != "CANCEL" or request.get("reason") in reasons
            request = inc.next()
        bye = inc.next("BYE")
        return "ACK BYE elsewhere" if bye.get("reason") == ELSEWHERE else "ACK BYE"


def cancel_against_200(s):
    out, inc = s.ringing()
    s.at_once(out.cancel, lambda: inc.say(200, "OK", sdp(2)))
    final = out.final()
    if final.code == 200:
        out.confirm(final)
        assert out.bye().code == 200
    return str(final.code), s.heard(inc), s.ended(out)


def two_phones(s):
    if "c" not in s.__dict__.setdefault("registered", ""):
        assert s.c.register().code == 200
        s.registered = "c"
    out = Outgoing(s.a, s.b.aor, sdp(1))
    first, second = Incoming(s.b), Incoming(s.c)
    s.at_once(lambda: first.say(200, "OK", sdp(2)), lambda: second.say(200, "OK", sdp(3)))
    final = out.confirm()
    assert out.bye().code == 200
    winner = {sdp(2): 1, sdp(3): 2}[final.body.decode()]
    # in rows the phones stand as they were rung
    by_row = s.system.query("select o.sip_call_id from inspect.leg o where o.direction = 'out' and o.call = (select l.call from "
                            "inspect.leg l where l.sip_call_id = %s) order by o.id", [out.call_id])
    swapped = by_row[0]["sip_call_id"] != first.call_id
    heard = [s.heard(first), s.heard(second)]
    if swapped:
        winner, heard = 3 - winner, heard[::-1]
    return f"200 of {winner}", f"1: {heard[0]}, 2: {heard[1]}", s.ended(out)


def join_against_200(s):
    out, inc = s.ringing()
    url = s.call()
    session = {"session": {"type": "answer", "sdp": sdp(3)}}
    joined, _ = s.at_once(lambda: requests.post(s.system.url + url, json=session, headers=s.bob.headers, timeout=10),
                          lambda: inc.say(200, "OK", sdp(2)))
    final = out.confirm()
    winner = {sdp(2): "phone", sdp(3): "page"}[final.body.decode()]
    if winner == "phone":
        assert joined.headers["Content-Type"] == "application/problem+json" and "answered-elsewhere" in joined.text
    assert out.bye().code == 200
    return f"{joined.status_code}: 200 of the {winner}", s.heard(inc, (ELSEWHERE,)), s.ended(out)


def bye_against_offer(s):
    out, inc = up(s.a, s.b)
    offered, bye = s.at_once(lambda: offer(out, HOLD), inc.bye)
    code = offered.get(timeout=5).code
    Incoming.next(out, "BYE")
    return f"{code} BYE", str(bye.code), s.ended(out)


def accepts_offers(phone):
    def answer(request):
        if request.method == "INVITE" and "tag=" in request.get("to"):
            side = types.SimpleNamespace(phone=phone)
            threading.Timer(0.05, Incoming.say, (side, 200, "OK", sdp(9), request)).start()  # the other is on its way
        return None if request.method in ("INVITE", "ACK") else 200
    phone.answer = answer


def both_offer(s):
    accepts_offers(s.a)
    accepts_offers(s.b)
    out, inc = up(s.a, s.b)
    first, second = s.at_once(lambda: offer(out, HOLD), lambda: offer(inc, HOLD))
    codes = str(first.get(timeout=5).code), str(second.get(timeout=5).code)
    assert out.bye().code == 200
    return codes + (s.ended(out),)


def refresh_against_offer(s):
    accepts_offers(s.a)
    accepts_offers(s.b)
    out, inc = up(s.a, s.b)
    first, second = s.at_once(lambda: offer(out, sdp(1), also=[("Supported", "timer"), ("Session-Expires", "1800")]),
                              lambda: offer(inc, HOLD))
    codes = str(first.get(timeout=5).code), str(second.get(timeout=5).code)
    assert out.bye().code == 200
    return codes + (s.ended(out),)


def update_against_bye(s):
    out, inc = up(s.a, s.b)
    updated, bye = s.at_once(lambda: out.request("UPDATE", [("Contact", f"<{s.a.contact}>")]), inc.bye)
    Incoming.next(out, "BYE")
    return f"{updated.code} BYE", str(bye.code), s.ended(out)


def delete_against_200(s):
    out, inc = s.ringing()
    call = s.call()
    deleted, _ = s.at_once(lambda: requests.delete(s.system.url + call, headers=s.alice.headers, timeout=10).status_code,
                           lambda: inc.say(200, "OK", sdp(2)))
    assert deleted == 204
    final = out.final()
    heard = str(final.code)
    if final.code == 200:
        out.confirm(final)
        Incoming.next(out, "BYE")
        heard += " BYE"
    return heard, s.heard(inc), s.ended(out)


def cancel_in_digest(s):
    def answer(request):
        if request.method == "INVITE":
            invites[request.branch] = request
            return 180
        if request.method == "CANCEL":
            s.b.reply(request, 200)
            return s.b.reply(invites[request.branch], 487)
        return None if request.method == "ACK" else 200

    invites = s.__dict__.setdefault("invites", {})
    s.b.answer = answer
    out = Outgoing(s.a, s.b.aor, sdp(1))
    time.sleep(s.random.uniform(0, APART_S))
    out.cancel()
    return str(out.final().code), "", s.ended(out)


def callee_before_ack(s):
    out = Outgoing(s.a, s.b.aor, sdp(1))
    inc = Incoming(s.b)
    inc.say(200, "OK", sdp(2))
    final = out.final()
    found, _ = s.at_once(inc.bye, lambda: out.confirm(final))
    Incoming.next(out, "BYE")
    return "200 BYE", str(found.code), s.ended(out)


def caller_before_ack(s):
    out = Outgoing(s.a, s.b.aor, sdp(1))
    inc = Incoming(s.b)
    inc.say(200, "OK", sdp(2))
    final = out.final()
    ack, out.ack = out.ack, lambda body: None
    out.confirm(final)
    bye, _ = s.at_once(out.bye, lambda: ack(b""))
    return f"200 {bye.code}", s.heard(inc), s.ended(out)


def carols(s):
    """A third phone, of carol; alice's and bob's keep what they are told of their REFERs."""
    if "d" not in s.__dict__:
        s.d = rings(s.phone(new_account(s.system, "carol")))
        assert s.d.register().code == 200
        telling(s.a), telling(s.b)
    while not s.d.requests.empty():
        s.d.requests.get()
    return s.d


def transfer_against_asker(s):
    carol = carols(s)
    out, inc = up(s.a, s.b)
    head = [("From", out.mine), ("To", out.theirs)]
    raw = [out.phone.build(method, out.target, head + more, cseq=out.cseq + n, call_id=out.call_id) for n, method, more in (
        (1, "REFER", [("Refer-To", f"<{carol.aor}>")]), (2, "BYE", []))]
    answer, bye = s.at_once(*(lambda r=r: out.phone.exchange(r) for r in raw))
    assert bye.code == 200
    if answer.code != 202:
        Incoming.next(inc, "BYE")
        return str(answer.code), "BYE", s.ended(out)
    new = Incoming(carol)
    new.say(200, "OK", sdp(3))
    changes_over(inc, new, sdp(4))
    assert new.bye().code == 200
    Incoming.next(inc, "BYE")
    return str(answer.code), "changes over", s.ended(out, s.bob)


def transfer_against_kept(s):
    carol = carols(s)
    out, inc = up(s.a, s.b)
    answer, bye = s.at_once(lambda: refer(out, f"<{carol.aor}>"), inc.bye)
    assert bye.code == 200
    Incoming.next(out, "BYE")
    if answer.code != 202:
        return f"{answer.code} BYE", "", s.ended(out)
    new = Incoming(carol)
    new.say(180)  # or there is nothing to cancel
    new.say(200, request=new.next("CANCEL"))
    new.say(487)
    return f"202 {told(s.a)[-1].split()[1]} BYE", "CANCEL", s.ended(out)


def transfer_against_comer(s):
    carol = carols(s)
    out, inc = up(s.a, s.b)
    assert refer(out, f"<{carol.aor}>").code == 202
    new = Incoming(carol)
    new.say(200, "OK", sdp(3))
    invite = of_dialog(inc, "INVITE")
    _, bye = s.at_once(lambda: say(inc, 200, "OK", sdp(4), invite), new.bye)
    assert bye.code == 200
    code = told(s.a)[-1].split()[1]
    of_dialog(inc, "ACK")
    if code == "200":
        of_dialog(out, "BYE")
        of_dialog(inc, "BYE")
        return "200 BYE", "ACK answer, BYE", s.ended(out, s.bob)
    say(inc, 200, "OK", sdp(5), of_dialog(inc, "INVITE"))
    of_dialog(inc, "ACK")
    assert out.bye().code == 200
    of_dialog(inc, "BYE")
    return code, "offered what it had", s.ended(out)


def pickup_against_cancel(s):
    if "e" not in s.__dict__:
        s.e = rings(s.phone(s.bob))  # not registered, so that it is not rung
        assert Outgoing(s.e, s.b.aor, sdp(5), [("Replaces", "x")]).final().code == 400  # it has a nonce now
    out, inc = s.ringing()
    replaces = f"{inc.call_id};from-tag={tag_of(inc.invite.get('from'))};to-tag={inc.tag}"
    picked, _ = s.at_once(lambda: Outgoing(s.e, s.b.aor, sdp(5), [("Replaces", replaces)]), out.cancel)
    final, code = out.final(), picked.final()
    cancel = inc.next("CANCEL")
    inc.say(200, request=cancel)
    inc.say(487)
    if code.code == 200:
        picked.confirm(code)
    if final.code == 200:
        out.confirm(final)
        assert out.bye().code == 200
    if code.code == 200:
        Incoming.next(picked, "BYE")
    return str(final.code), f"{code.code} BYE" if code.code == 200 else str(code.code), s.ended(out)


def two_refers(s):
    carol = carols(s)
    out, inc = up(s.a, s.b)
    answers = s.at_once(lambda: refer(out, f"<{carol.aor}>"), lambda: refer(inc, f"<{carol.aor}>"))
    Incoming(carol).say(603, "Decline")
    codes = [f"202 {told(side.phone)[-1].split()[1]}" if answer.code == 202 else str(answer.code)
             for side, answer in zip((out, inc), answers)]
    assert out.bye().code == 200
    Incoming.next(inc, "BYE")
    return *codes, s.ended(out)


RUN = dict(zip(RACES, (cancel_against_200, two_phones, join_against_200, bye_against_offer, both_offer, refresh_against_offer,
                       update_against_bye, delete_against_200, cancel_in_digest, callee_before_ack, caller_before_ack,
                       transfer_against_asker, transfer_against_kept, transfer_against_comer, pickup_against_cancel, two_refers)))


def resident(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("race", RACES)
@pytest.mark.timeout(900)
def test_race(racing, phone, until, race):
    sides = Sides(racing, phone, until)
    found = {}
    RUN[race](sides)
    before = resident(racing.pid("restsip-agent"))
    for _ in range(ROUNDS):
        outcome = RUN[race](sides)
        found[outcome] = found.get(outcome, 0) + 1
    print(race, found)
    assert set(found) <= RACES[race]
    until(lambda: not racing.query(
        "select l.id from inspect.leg l join inspect.call c on c.id = l.call where c.owner = %s and l.state <> 'ended'",
        [sides.alice.email]), 10)
    # one that was cancelled early may be written only now
    until(lambda: not racing.query("select id from inspect.call where owner = %s and state <> 'ended'", [sides.alice.email]), 10)
    assert resident(racing.pid("restsip-agent")) < before + GROWTH
