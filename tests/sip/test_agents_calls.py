"""Calls between phones at two agents: what one asks of the other within the call passes between them."""
import os
import queue
import signal
import threading
import time

import pytest
from call_phone import HOLD, Incoming, Outgoing, offer, rings, sdp, up

from phone import new_account
from test_transfer import changes_over, next_of, passes, refer, request as of_dialog, telling, told
from test_update import Update, answers_too_late

CALLS = 100 if os.environ.get("RESTSIP_LONG") == "1" else 20
WAIT_S = 20
RELAY = [("Content-Type", "application/dtmf-relay")]


@pytest.fixture(scope="module", name="two")
def fixture_two(systems):
    return systems("agents-calls", {"RESTSIP_AGENTS": "2", "RESTSIP_DEMO": "no"})


@pytest.fixture(name="pair")
def fixture_pair(two, phone):
    """Two registered phones of two accounts, each at an agent of its own: pair(transport)."""
    def make(transport="udp"):
        alice, bob = new_account(two, "alice"), new_account(two, "bob")
        a, b = (rings(phone(owner, transport=transport, server=server)) for owner, server in zip((alice, bob), two.sip_all))
        assert a.register().code == b.register().code == 200
        return a, b, alice
    return make


@pytest.fixture(name="child")
def fixture_child():
    """One side of an account's only call."""
    def read(account, phone):
        call, = account.request("GET", "/call").json()
        return next(c for c in account.request("GET", call["url"]).json()["children"] if c["email"] == phone.aor[4:])
    return read


@pytest.fixture(name="over")
def fixture_over(two, until):
    """Waits until nobody is in a call of an account's any more; the causes."""
    def read(account):
        def ended():
            rows = two.query("select l.state, l.cause from inspect.leg l join inspect.call c on c.id = l.call "
                             "where c.owner = %s", [account.email])
            return rows and all(r["state"] == "ended" for r in rows) and {r["cause"] for r in rows}
        return until(ended, 10)
    return read


def request(phone, method, timeout_s=WAIT_S):
    """The next request of that method that comes to a phone."""
    return phone.next_request(timeout_s, method)


def say(side, code, reason, body, to):
    Incoming.say(side, code, reason, body, to)


@pytest.fixture(name="accepts")
def fixture_accepts():
    """Answers the next re-INVITE of a side with 200 and that SDP; its ACK."""
    def run(side, body):
        side.tag = side.mine.split("tag=")[1]
        invite = request(side.phone, "INVITE")
        say(side, 200, "OK", body, invite)
        return invite, request(side.phone, "ACK")
    return run


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_hold_and_resume(pair, accepts, child, over, until, transport):
    a, b, alice = pair(transport)
    out, inc = up(a, b)
    for side, other in ((out, inc), (inc, out)):
        for body, held in ((HOLD, True), (sdp(3), False)):
            found = offer(side, body, WAIT_S)
            invite, ack = accepts(other, sdp(4))
            assert invite.body.decode() == body and not ack.body
            answer = found.get(timeout=WAIT_S)
            assert answer.code == 200 and answer.body.decode() == sdp(4)
            mine = until(lambda s=side, d=body: next(
                c for c in [child(alice, s.phone)] if c["session"] == {"type": "offer", "sdp": d} and "pending" not in c), 5)
            assert bool(mine.get("hold")) == held
            assert child(alice, other.phone)["session"] == {"type": "answer", "sdp": sdp(4)}
    assert out.bye().code == 200
    request(b, "BYE")
    assert over(alice) == {"hangup"}


def test_an_answer_that_is_too_late(pair, over):
    a, b, alice = pair()
    out, inc = up(a, b)
    answers_too_late(out, inc)
    assert out.bye().code == 200
    request(b, "BYE")
    assert over(alice) == {"hangup"}


def test_an_answer_just_in_time(two, pair, child, over, until):
    """It is written before who has offered is told that there is none, whose agent hears of it when that is due: both have it."""
    a, b, alice = pair()
    out, inc = up(a, b)
    update = Update(out, HOLD)
    invite = request(b, "INVITE")
    wait_until = time.monotonic() + 21  # an UPDATE waits for 25 s
    until(lambda: time.monotonic() > wait_until, 30)
    two.kill("restsip-agent", signal.SIGSTOP)
    try:
        inc.tag = inc.mine.split("tag=")[1]
        say(inc, 200, "OK", sdp(4), invite)
        request(b, "ACK")
        goes_on = time.monotonic() + 5
        until(lambda: time.monotonic() > goes_on, 10)
    finally:
        two.kill("restsip-agent", signal.SIGCONT)
    answer = update.wait()
    assert answer.code == 200 and answer.body.decode() == sdp(4)
    until(lambda: child(alice, a)["session"] == {"type": "offer", "sdp": HOLD} and "pending" not in child(alice, a), 5)
    assert child(alice, b)["session"] == {"type": "answer", "sdp": sdp(4)}
    assert out.bye().code == 200
    request(b, "BYE")
    assert over(alice) == {"hangup"}


def test_an_offer_under_way_at_a_kill(two, pair, over, until):
    """Nobody knows whether its phone has taken it, which is then offered what it had."""
    a, b, alice = pair()
    out, inc = up(a, b)
    found = offer(out, HOLD, 60)
    first = request(b, "INVITE")
    two.kill_and_wait("restsip-agent-2")
    assert found.get(timeout=WAIT_S).code in (480, 488)
    inc.tag = inc.mine.split("tag=")[1]
    say(inc, 200, "OK", sdp(4), first)
    again = request(b, "INVITE")
    while again.get("cseq") == first.get("cseq"):
        again = request(b, "INVITE")
    assert again.body.decode() == next_of(HOLD, sdp(1), 1)
    say(inc, 200, "OK", sdp(2), again)
    until(lambda: request(b, "ACK").get("cseq").split()[0] == again.get("cseq").split()[0], WAIT_S)
    assert out.bye().code == 200
    request(b, "BYE")
    assert over(alice) == {"hangup"}
    two.await_ready()


def test_an_offer_that_is_refused_changes_nothing(pair, accepts, child, until):
    a, b, alice = pair()
    out, inc = up(a, b)
    before = child(alice, a), child(alice, b)
    for code, heard in ((488, 488), (503, 488), (491, 491)):
        found = offer(out, HOLD, WAIT_S)
        invite = request(b, "INVITE")
        inc.say(code, "No", request=invite)
        assert found.get(timeout=WAIT_S).code == heard
    until(lambda: (child(alice, a), child(alice, b)) == before, 5)
    found = offer(out, HOLD, WAIT_S)
    accepts(inc, sdp(4))
    assert found.get(timeout=WAIT_S).code == 200
    assert out.bye().code == 200


def test_without_an_offer(pair, accepts, child, over, until):
    """In the first INVITE, and in a later one: the answer comes with the caller's ACK."""
    a, b, alice = pair()
    out = Outgoing(a, b.aor)
    inc = Incoming(b)
    assert not inc.invite.body
    inc.say(200, "OK", sdp(2))
    assert out.confirm(body=sdp(1)).body.decode() == sdp(2)
    assert inc.next("ACK").body.decode() == sdp(1)
    until(lambda: child(alice, a).get("session") == {"type": "answer", "sdp": sdp(1)}, 5)
    found = offer(inc, "", WAIT_S)
    invite, ack = accepts(out, sdp(6))
    assert not invite.body and ack.body.decode() == sdp(7)
    assert found.get(timeout=WAIT_S).body.decode() == sdp(6)
    until(lambda: child(alice, b).get("session") == {"type": "answer", "sdp": sdp(7)}, 5)
    assert child(alice, a)["session"] == {"type": "offer", "sdp": sdp(6)}
    found = offer(out, HOLD, WAIT_S)
    accepts(inc, sdp(4))
    assert found.get(timeout=WAIT_S).code == 200, "the next one is no longer pending"
    assert inc.bye().code == 200
    request(a, "BYE")
    assert over(alice) == {"hangup"}


def test_both_offer_at_once(pair, child, until):
    """One is served, the other is told to come again (RFC 3261 sections 14.1 and 14.2): no phone answers an offer while its own
    is out, so that they cross, whichever comes first."""
    a, b, alice = pair()
    out, inc = up(a, b)
    sides = (out, inc)
    for side in sides:
        side.tag = side.mine.split("tag=")[1]
    for _ in range(5):
        found = [offer(side, HOLD, WAIT_S) for side in sides]
        codes = [None, None]

        def serve(n, found=found, codes=codes):
            codes[n] = found[n].get(timeout=WAIT_S).code
            if codes[n] == 491:
                say(sides[n], 200, "OK", sdp(4), request(sides[n].phone, "INVITE"))
                request(sides[n].phone, "ACK")
        threads = [threading.Thread(target=serve, args=[n], daemon=True) for n in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(2 * WAIT_S)
        assert sorted(codes) == [200, 491]
        winner, loser = sides if codes == [200, 491] else reversed(sides)
        until(lambda w=winner: child(alice, w.phone)["session"] == {"type": "offer", "sdp": HOLD}, 10)
        assert child(alice, loser.phone)["session"] == {"type": "answer", "sdp": sdp(4)}
    assert out.bye().code == 200


@pytest.mark.parametrize("where", [0, 1])
def test_one_hands_the_other_on(pair, two, phone, over, where):
    """Who is kept is at another agent than who asks, and who comes at either."""
    a, b, alice = pair()
    c = rings(phone(new_account(two, "carol"), server=two.sip_all[where]))
    assert c.register().code == 200
    telling(a)
    out, inc = up(a, b)
    assert refer(out, f"<{c.aor}>").code == 202
    new = Incoming(c)
    new.say(200, "OK", sdp(3))
    changes_over(inc, new, sdp(4))
    assert told(a)[-1] == "SIP/2.0 200 OK"
    of_dialog(out, "BYE")
    assert new.request("INFO", RELAY, "Signal=1\r\n").code == 200
    of_dialog(inc, "INFO")
    assert inc.bye().code == 200
    of_dialog(new, "BYE")
    assert over(alice) == {"hangup", "transferred"}


def test_bye_beats_an_offer(pair, over):
    a, b, alice = pair()
    out, inc = up(a, b)
    found = offer(out, HOLD, WAIT_S)
    invite = request(b, "INVITE")
    assert inc.bye().code == 200
    assert request(a, "BYE")
    assert found.get(timeout=WAIT_S).code == 487
    inc.say(487, "Request Terminated", request=invite)
    assert over(alice) == {"hangup"}


def test_keys_and_messages(pair, over):
    a, b, alice = pair()
    out, inc = up(a, b)
    for side, other in ((out, b), (inc, a)):
        assert side.request("INFO", RELAY, "Signal=1\r\nDuration=160\r\n", timeout_s=WAIT_S).code == 200
        info = request(other, "INFO")
        assert info.body == b"Signal=1\r\nDuration=160\r\n" and info.get("content-type") == "application/dtmf-relay"
    b.answer = lambda r: {"INFO": 415, "BYE": 200}.get(r.method)
    assert out.request("INFO", [("Info-Package", "x"), *RELAY], "Signal=2\r\n", timeout_s=WAIT_S).code == 415
    assert request(b, "INFO").get("info-package") == "x"
    b.answer = lambda r: {"INFO": 481}.get(r.method, None if r.method in ("INVITE", "ACK") else 200)
    # of the key's answer and the call's end, which follows from it, either may be told first
    assert out.request("INFO", RELAY, "Signal=3\r\n", timeout_s=WAIT_S).code in (480, 487)
    assert request(a, "BYE"), "a phone that was rebooted ends the call"
    assert "unreachable" in over(alice)


def test_a_key_whose_call_ends_is_answered_at_once(pair, over):
    """RFC 3261 section 15.1.2: whoever hangs up, and whoever had pressed it."""
    for hangs_up in ("who has pressed it", "the other"):
        a, b, alice = pair()
        b.answer = lambda r: None if r.method in ("INVITE", "ACK", "INFO") else 200  # it never answers a key
        out, inc = up(a, b)
        found = queue.Queue()
        threading.Thread(target=lambda s=out, q=found: q.put(s.request("INFO", RELAY, "Signal=1\r\n", timeout_s=WAIT_S)),
                         daemon=True).start()
        request(b, "INFO")
        if hangs_up == "the other":
            assert inc.bye().code == 200
            request(a, "BYE")
        else:
            assert out.bye().code == 200
        assert found.get(timeout=WAIT_S).code == 487, hangs_up
        assert over(alice) == {"hangup"}


def test_a_message_within_the_dialog_goes_to_who_is_there(pair):
    a, b, _ = pair()
    out, inc = up(a, b)
    for side, other in ((out, b), (inc, a)):
        answer = side.request("MESSAGE", [("Content-Type", "text/plain")], "within")
        if answer.code == 401:
            side.cseq += 1
            side.phone.challenge, side.phone.nc = answer.get("www-authenticate"), 0
            answer = side.phone.exchange(side.phone.signed(
                "MESSAGE", side.target, [("From", side.mine), ("To", side.theirs), ("Content-Type", "text/plain")], "within",
                cseq=side.cseq, call_id=side.call_id))
        assert answer.code == 200
        assert request(other, "MESSAGE").body == b"within"
    assert out.bye().code == 200


def test_calls_between_them(pair, accepts, two, until):
    """None is lost, and nothing is left of them."""
    calls = []
    for _ in range(CALLS):
        a, b, alice = pair()
        calls.append((alice, *up(a, b)))
    for n, (_, out, inc) in enumerate(calls):
        side, other = (out, inc) if n % 2 else (inc, out)
        found = offer(side, HOLD, WAIT_S)
        accepts(other, sdp(4))
        assert found.get(timeout=WAIT_S).code == 200
        assert other.request("INFO", RELAY, "Signal=1\r\n", timeout_s=WAIT_S).code == 200
    for n, (_, out, inc) in enumerate(calls):
        side, other = (out, inc) if n % 3 else (inc, out)
        assert side.bye().code == 200
        request(other.phone, "BYE")
    owners = [alice.email for alice, _, _ in calls]

    def ended():
        rows = two.query("select l.state, l.cause from inspect.leg l join inspect.call c on c.id = l.call "
                         "where c.owner = any(%s)", [owners])
        return all(r["state"] == "ended" for r in rows) and [r["cause"] for r in rows]
    assert until(ended, WAIT_S) == ["hangup"] * (2 * CALLS)
    until(lambda: not two.query_owner("select from app.leg_job"), WAIT_S)


def test_two_are_dialled(pair, over):
    """REST has the phone of one ring, and when that has answered the other's, which is another agent's."""
    a, b, alice = pair()
    made = alice.request("POST", "/call", json={"open": False, "invite": ["/login/me", b.aor[4:]]})
    assert made.status_code == 201, made.text
    first = Incoming(a, WAIT_S)
    assert "a=inactive" in first.invite.body.decode()
    first.accept(sdp(1))
    second = Incoming(b, WAIT_S)
    assert not second.invite.body
    second.say(200, "OK", sdp(3))
    offered = changes_over(first, second, sdp(4))
    assert "m=audio 40003" in offered
    assert passes(second, first, HOLD, sdp(5)) == (next_of(offered, HOLD, 1), sdp(5))
    assert first.bye().code == 200
    of_dialog(second, "BYE")
    assert over(alice) == {"hangup"}
