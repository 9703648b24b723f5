"""What two phones say to each other in their call: offers and answers, hold, keys."""
import psycopg
import pytest
from call_phone import HOLD, Incoming, offer, sdp, up
from test_calls import call_of, fixture_legs  # noqa: F401 pylint: disable=unused-import


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_hold_and_resume(pair, until, who):
    a, b, alice, _ = pair
    out, inc = up(a, b)
    holder, held = (out, inc) if who == "caller" else (inc, out)
    for n, body in enumerate((HOLD, sdp(6))):
        found = offer(holder, body)
        request = until(lambda: next((r for r in [held.phone.requests.get(timeout=5)] if r.method == "INVITE"), None), 5)
        assert request.body.decode() == body
        Incoming.say(held, 200, "OK", sdp(10 + n), request)
        assert found.get(timeout=5).body.decode() == sdp(10 + n)
        assert held.phone.requests.get(timeout=5).method == "ACK"
        child = until(lambda: next((c for c in call_of(alice, until)["children"] if c["session"]["sdp"] == body), None), 5)
        assert child.get("hold", False) == (body == HOLD)
    assert out.bye().code == 200
    Incoming.next(inc, "BYE")


def test_what_was_agreed_on_is_told_until_it_is_heard(pair, system, until):
    """Somebody holds the call for longer than an agent waits for it; then what was agreed on last is there."""
    a, b, alice, _ = pair
    out, inc = up(a, b)
    call = int(call_of(alice, until)["id"])
    with psycopg.connect(system.pg_owner) as db:
        def waits():
            return db.execute("select exists (select from pg_locks where not granted)").fetchone()[0]
        db.execute("select from app.resource where kind = 'call' and id = %s for update", [call])
        for n, body in enumerate((HOLD, sdp(6))):
            found = offer(out, body)
            Incoming.say(inc, 200, "OK", sdp(10 + n), inc.next("INVITE"))
            assert found.get(timeout=5).code == 200
            inc.next("ACK")
        until(waits, 10)
        until(lambda: not waits(), 10)
    child = until(lambda: next((c for c in call_of(alice, until)["children"] if c["session"]["sdp"] == sdp(6)), None), 10)
    assert child["session"]["type"] == "offer" and "hold" not in child
    assert out.bye().code == 200


def test_an_offer_that_is_refused_changes_nothing(pair, until):
    a, b, alice, _ = pair
    out, inc = up(a, b)
    before = call_of(alice, until)
    for code, heard in ((415, 488), (491, 491), (603, 488)):
        found = offer(out, HOLD)
        Incoming.say(inc, code, "No", request=inc.next("INVITE"))
        assert found.get(timeout=5).code == heard
        inc.next("ACK")
    assert call_of(alice, until) == before
    assert out.bye().code == 200


def test_one_offer_at_a_time(pair):
    a, b, *_ = pair
    out, inc = up(a, b)
    first = offer(out, HOLD)
    request = inc.next("INVITE")
    assert offer(inc, sdp(8)).get(timeout=5).code == 491
    assert offer(out, sdp(8)).get(timeout=5).code == 500
    Incoming.say(inc, 200, "OK", sdp(9), request)
    assert first.get(timeout=5).code == 200
    assert out.bye().code == 200


def test_an_offerless_reinvite(pair):
    a, b, *_ = pair
    out, inc = up(a, b)
    found = offer(out, "")
    request = inc.next("INVITE")
    assert request.body == b""
    Incoming.say(inc, 200, "OK", sdp(9), request)
    assert found.get(timeout=5).body.decode() == sdp(9)
    assert inc.next("ACK").body.decode() == sdp(7)
    assert out.bye().code == 200


def test_bye_beats_an_offer(pair, legs):
    a, b, alice, _ = pair
    out, inc = up(a, b)
    found = offer(out, HOLD)
    inc.next("INVITE")
    assert inc.bye().code == 200
    assert found.get(timeout=5).code == 487
    assert len(legs(alice)) == 2


def test_a_pressed_key_is_passed_on(pair):
    a, b, *_ = pair
    out, inc = up(a, b)
    answer = out.request("INFO", [("Content-Type", "application/dtmf-relay")], "Signal=5\r\nDuration=160\r\n")
    assert answer.code == 200
    info = inc.next("INFO")
    assert info.get("content-type") == "application/dtmf-relay" and info.body.startswith(b"Signal=5")
    assert out.bye().code == 200


def test_a_phone_that_was_rebooted_ends_the_call(pair, legs):
    a, b, alice, _ = pair
    out, inc = up(a, b)
    found = offer(out, HOLD)
    Incoming.say(inc, 481, "Gone", request=inc.next("INVITE"))
    assert found.get(timeout=5).code == 480
    assert a.requests.get(timeout=5).method == "BYE"
    assert len(legs(alice)) == 2


def test_a_key_while_an_offer_is_out(pair):
    """The ACK has the CSeq of its INVITE, whatever was sent meanwhile (RFC 3261 section 13.2.2.4)."""
    a, b, *_ = pair
    out, inc = up(a, b)
    found = offer(out, HOLD)
    request = inc.next("INVITE")
    assert out.request("INFO", [("Content-Type", "application/dtmf-relay")], "Signal=5\r\n").code == 200
    Incoming.say(inc, 200, "OK", sdp(9), request)
    assert found.get(timeout=5).code == 200
    assert inc.next("ACK").get("cseq").split()[0] == request.get("cseq").split()[0]
    assert out.bye().code == 200


def test_a_key_to_a_phone_that_was_rebooted_ends_the_call(pair, legs):
    a, b, alice, _ = pair
    out, inc = up(a, b)
    b.answer = lambda request: 481 if request.method == "INFO" else None if request.method in ("INVITE", "ACK") else 200
    assert out.request("INFO", [("Content-Type", "application/dtmf-relay")], "Signal=5\r\n").code == 480
    assert a.requests.get(timeout=5).method == "BYE"
    assert len(legs(alice)) == 2


def test_offers_have_a_rate(pair):
    a, b, *_ = pair
    out, inc = up(a, b)
    codes = []
    for _ in range(12):
        found = offer(out, HOLD)
        if len(codes) < 10:
            Incoming.say(inc, 488, "No", request=inc.next("INVITE"))
        codes.append(found.get(timeout=5).code)
    assert codes == [488] * 10 + [500] * 2
    assert out.bye().code == 200
