"""Refreshes of a session (RFC 4028) against all that may cross them, as test_calls_races.py has it: a phone's, which is answered
here, and ours. Of ours each call has one after half a session's time, so many calls wait for it at once."""
import os
import queue
import random
import threading

import pytest
from call_phone import HOLD, Incoming, Outgoing, offer, sdp, up

from test_calls_races import Sides, accepts_offers
from test_session_timer import TIMER, accept, refresh_by_update
from test_transfer import request, say

LONG = os.environ.get("RESTSIP_LONG") == "1"
S = 12
LANES, ROUNDS = 10, 20 if LONG else 1
WAIT_S = 15
WANTS = [*TIMER, ("Session-Expires", "1800;refresher=uac")]

# Every outcome that is right, as (what each is answered or hears, how the legs ended).
RACES = {
    "a refresh against the other's BYE": {
        ("200 BYE", "hangup hangup"),
        ("481 BYE", "hangup hangup"),  # it came after the end
    },
    "both refresh": {  # neither is an offer to the other
        ("200 200", "hangup hangup"),
    },
    "a refresh by UPDATE against the other's re-INVITE": {  # it says nothing of what they send
        ("200 200", "hangup hangup"),
    },
    "our refresh against the other's BYE": {
        ("200, ACK BYE", "hangup hangup"),
    },
    "our refresh against its phone's BYE": {
        ("200, ACK", "hangup hangup"),
    },
    "our refresh against its phone's": {
        ("491, ACK", "hangup hangup"),  # it has ours first (RFC 3261 section 14.2)
        ("200, ACK", "hangup hangup"),  # one after the other
    },
    "our refresh against the other's re-INVITE": {
        ("491, ACK", "hangup hangup"),
        ("200, ACK", "hangup hangup"),
    },
}


@pytest.fixture(scope="module", name="racing")
def fixture_racing(systems):
    system = systems("timer-races", {
        "RESTSIP_DEMO": "no", "RESTSIP_AGENT_SESSION_EXPIRES_S": str(S), "RESTSIP_AGENT_SESSION_MIN_S": "3"})
    system.query_owner("select inspect.set_bound('invites', 100000)")
    return system


def refresh_against_bye(s):
    out, inc = up(s.a, s.b)
    refreshed, bye = s.at_once(lambda: offer(out, sdp(1), also=WANTS), inc.bye)
    code = refreshed.get(timeout=WAIT_S).code
    request(out, "BYE")
    assert bye.code == 200
    return f"{code} BYE", s.ended(out)


def both_refresh(s):
    out, inc = up(s.a, s.b)
    found = s.at_once(lambda: offer(out, sdp(1), also=WANTS), lambda: offer(inc, sdp(2), also=WANTS))
    codes = " ".join(str(one.get(timeout=WAIT_S).code) for one in found)
    assert out.bye().code == 200
    return codes, s.ended(out)


def update_against_offer(s):
    accepts_offers(s.b)
    out, inc = up(s.a, s.b)
    updated, offered = s.at_once(lambda: refresh_by_update(inc, WANTS, ""), lambda: offer(out, HOLD))
    codes = f"{updated.code} {offered.get(timeout=WAIT_S).code}"
    assert out.bye().code == 200
    return codes, s.ended(out)


def refreshed(s):
    """A call, and our refresh of bob's phone, which has no answer yet."""
    s.b.answer = lambda request: None if request.method in ("INVITE", "ACK") else 200
    out = Outgoing(s.a, s.b.aor, sdp(1))
    inc = Incoming(s.b, WAIT_S)
    accept(inc, ("Session-Expires", f"{S};refresher=uac"))
    out.confirm()
    return out, inc, request(inc, "INVITE")


def acknowledged(inc, refresh, more=()):
    """Whether the phone's answer to our refresh is ACKed, though it may have to say it again; and what else has come."""
    found = set()
    for _ in range(6):
        try:
            while not {"ACK", *more} <= found:
                one = inc.phone.requests.get(timeout=0.5)
                if one.get("call-id") == inc.call_id and (
                        one.method != "ACK" or one.get("cseq").split()[0] == refresh.get("cseq").split()[0]):
                    found.add(one.method)
            break
        except queue.Empty:
            if "ACK" not in found:
                say(inc, 200, "OK", sdp(2), refresh)
    return " ".join(m for m in ("ACK", *more) if m in found)


def ours_against_bye(s):
    out, inc, refresh = refreshed(s)
    bye, _ = s.at_once(out.bye, lambda: say(inc, 200, "OK", sdp(2), refresh))
    return f"{bye.code}, {acknowledged(inc, refresh, ['BYE'])}", s.ended(out)


def ours_against_its_bye(s):
    out, inc, refresh = refreshed(s)
    bye, _ = s.at_once(inc.bye, lambda: say(inc, 200, "OK", sdp(2), refresh))
    request(out, "BYE")
    return f"{bye.code}, {acknowledged(inc, refresh)}", s.ended(out)


def ours_against_its_own(s):
    out, inc, refresh = refreshed(s)
    found, _ = s.at_once(lambda: offer(inc, sdp(2), also=WANTS), lambda: say(inc, 200, "OK", sdp(2), refresh))
    heard = f"{found.get(timeout=WAIT_S).code}, {acknowledged(inc, refresh)}"
    assert out.bye().code == 200
    return heard, s.ended(out)


def ours_against_offer(s):
    out, inc, refresh = refreshed(s)
    found, _ = s.at_once(lambda: offer(out, HOLD), lambda: say(inc, 200, "OK", sdp(2), refresh))
    accepts_offers(s.b)
    for one in list(s.b.seen):  # it may have come before
        if one.method == "INVITE" and one.body.decode() == HOLD and one.get("call-id") == inc.call_id:
            say(inc, 200, "OK", sdp(9), one)
    heard = f"{found.get(timeout=WAIT_S).code}, {acknowledged(inc, refresh)}"
    assert out.bye().code == 200
    return heard, s.ended(out)


RUN = dict(zip(RACES, (refresh_against_bye, both_refresh, update_against_offer, ours_against_bye, ours_against_its_bye,
                       ours_against_its_own, ours_against_offer)))


@pytest.mark.parametrize("race", RACES)
@pytest.mark.timeout(900)
def test_race(racing, phone, until, race):
    found, failed = {}, []

    def run(sides):
        try:
            for _ in range(ROUNDS):
                outcome = RUN[race](sides)
                found[outcome] = found.get(outcome, 0) + 1
        except Exception as error:  # pylint: disable=broad-except
            failed.append(error)

    lanes = [Sides(racing, phone, until) for _ in range(LANES)]
    for n, sides in enumerate(lanes):
        sides.random = random.Random(n)
    threads = [threading.Thread(target=run, args=(sides,), daemon=True) for sides in lanes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(600)
    print(race, found)
    if failed:
        raise failed[0]
    assert set(found) <= set(RACES[race]) and sum(found.values()) == LANES * ROUNDS
    until(lambda: not racing.query("select l.id from inspect.leg l where l.state <> 'ended'"), 10)
    until(lambda: not racing.query("select id from inspect.call where state <> 'ended'"), 10)
