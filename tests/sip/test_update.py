"""UPDATE within calls (RFC 3311): answered here without an offer, and with one passed on as re-INVITE is."""
import threading

import psycopg
import pytest
from call_phone import HOLD, Incoming, Outgoing, offer, rings, sdp, up, uri_of

from test_calls import call_of

SDP_TYPE = [("Content-Type", "application/sdp")]


@pytest.fixture(name="pair")
def fixture_pair(phone, account):
    """Alice's phone, bob's phone, registered, and alice's account."""
    alice, bob = account("alice"), account("bob")
    made = [rings(phone(owner)) for owner in (alice, bob)]
    for p, owner in zip(made, (alice, bob)):
        p.owner = owner
        assert p.register().code == 200
    return made[0], made[1], alice


class Update:
    """An UPDATE that offers, in a thread of its own."""

    def __init__(self, side, body):
        self.answer = None
        self.thread = threading.Thread(target=self._run, args=(side, body), daemon=True)
        self.thread.start()

    def _run(self, side, body):
        self.answer = side.request("UPDATE", [("Contact", f"<{side.phone.contact}>"), *SDP_TYPE], body, timeout_s=32)

    def wait(self):
        self.thread.join(40)
        return self.answer


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_without_an_offer_it_moves_its_target(pair, who):
    a, b, _ = pair
    out, inc = up(a, b)
    one, other = (out, inc) if who == "caller" else (inc, out)
    moved = one.phone.contact + ";moved"
    answer = one.request("UPDATE", [("Contact", f"<{moved}>")])
    assert answer.code == 200 and answer.body == b""
    assert "UPDATE" in answer.get("allow") and uri_of(answer.get("contact"))
    assert other.bye().code == 200
    bye = Incoming.next(one, "BYE")
    assert bye.uri == moved
    assert not [m for m in other.phone.seen if not m.is_response and m.method in ("UPDATE", "OPTIONS")]


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_an_offer_goes_on_as_a_reinvite(pair, until, who):
    a, b, alice = pair
    out, inc = up(a, b)
    one, other = (out, inc) if who == "caller" else (inc, out)
    for n, body in enumerate((HOLD, sdp(6))):
        update = Update(one, body)
        request = Incoming.next(other, "INVITE")
        assert request.body.decode() == body
        Incoming.say(other, 200, "OK", sdp(10 + n), request)
        answer = update.wait()
        assert answer.code == 200 and answer.body.decode() == sdp(10 + n)
        assert Incoming.next(other, "ACK").body == b""
        child = until(lambda: next((c for c in call_of(alice, until)["children"] if c["session"]["sdp"] == body), None), 10)
        assert child.get("hold", False) == (body == HOLD)
    found = offer(other, sdp(7))  # nothing is left of it
    request = Incoming.next(one, "INVITE")
    Incoming.say(one, 200, "OK", sdp(12), request)
    assert found.get(timeout=10).code == 200
    assert out.bye().code == 200


def test_who_refuses_an_offer_keeps_what_was(pair, until):
    a, b, alice = pair
    out, inc = up(a, b)
    before = call_of(alice, until)
    for code, heard in ((415, 488), (491, 491), (603, 488)):
        update = Update(out, HOLD)
        inc.say(code, "No", request=inc.next("INVITE"))
        assert update.wait().code == heard
        inc.next("ACK")
    assert call_of(alice, until) == before
    assert out.bye().code == 200


def test_while_another_offer_is_out(pair):
    a, b, _ = pair
    out, inc = up(a, b)
    first = Update(out, HOLD)
    request = inc.next("INVITE")
    assert Update(inc, sdp(8)).wait().code == 491, "we have an offer there that waits"
    answer = Update(out, sdp(8)).wait()
    assert answer.code == 500 and 0 <= int(answer.get("retry-after")) <= 10
    assert inc.request("UPDATE", [("Contact", f"<{b.contact}>")]).code == 200, "it offers nothing"
    inc.say(200, "OK", sdp(9), request)
    assert first.wait().code == 200
    assert out.bye().code == 200


def test_while_it_rings(pair):
    a, b, _ = pair
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    inc.say(180, "Ringing")
    ringing = out.next()
    assert ringing.code == 180
    invite = out.cseq
    out.target, out.mine, out.theirs = uri_of(ringing.get("contact")), f"<{a.aor}>;tag={out.tag}", ringing.get("to")
    assert out.request("UPDATE", [("Contact", f"<{a.contact}>")]).code == 200
    answer = out.request("UPDATE", [("Contact", f"<{a.contact}>"), *SDP_TYPE], HOLD)
    assert answer.code == 500 and 0 <= int(answer.get("retry-after")) <= 10
    inc.accept()
    final = out.final()
    assert final.code == 200
    after, out.cseq = out.cseq, invite
    out.confirm(final)
    out.cseq = after
    assert out.bye().code == 200
    inc.next("BYE")


def test_bye_is_quicker(pair):
    a, b, _ = pair
    out, inc = up(a, b)
    update = Update(out, HOLD)
    inc.next("INVITE")
    assert inc.bye().code == 200
    assert update.wait().code == 487


def test_an_answer_that_is_too_late(pair, until):
    """Nobody takes it any more: who has given it is offered what there was, and the call goes on."""
    a, b, alice = pair
    out, inc = up(a, b)
    answers_too_late(out, inc)
    assert {c["state"] for c in call_of(alice, until)["children"]} == {"joined"}
    assert out.bye().code == 200
    inc.next("BYE")


def test_two_that_stay_apart_are_hung_up(pair, system, until):
    """The one cannot be offered what it had: neither knows what it may send."""
    a, b, alice = pair
    out, inc = up(a, b)
    update = Update(out, sdp(1).replace("sendrecv", "sendonly"))
    request = Incoming.next(inc, "INVITE")
    Incoming.say(inc, 100, "Trying", request=request)
    cancel = Incoming.next(inc, "CANCEL", 30)
    assert update.wait().code == 504
    with psycopg.connect(system.pg_owner) as db:
        db.execute("revoke execute on function api.leg_late from restsip_agent")
    try:
        Incoming.say(inc, 200, "OK", request=cancel)
        Incoming.say(inc, 200, "OK", sdp(9), request)
        for side in (inc, out):
            Incoming.next(side, "BYE", 10)
    finally:
        with psycopg.connect(system.pg_owner) as db:
            db.execute("grant execute on function api.leg_late to restsip_agent")
    found = until(lambda: next(c for c in [ended(alice)] if c), 10)
    assert found["cause"] == "media"


def ended(account):
    """How an account's last call ended."""
    row, = account.system.query("select max(id) as id from inspect.call where owner = %s", [account.email])
    return account.request("GET", f"/call/{row['id']}").json().get("ended")


def answers_too_late(one, other):
    """An UPDATE that is answered within 32 s, whatever the other side does, which then has what there was."""
    update = Update(one, sdp(1).replace(" 1 IN", " 2 IN").replace("sendrecv", "sendonly"))
    request = Incoming.next(other, "INVITE")
    Incoming.say(other, 100, "Trying", request=request)
    cancel = Incoming.next(other, "CANCEL", 30)
    assert update.wait().code == 504
    Incoming.say(other, 200, "OK", request=cancel)
    Incoming.say(other, 200, "OK", sdp(9), request)
    assert Incoming.next(other, "ACK").body == b""
    again = Incoming.next(other, "INVITE")
    assert again.body.decode() == sdp(1).replace(" 1 IN", " 3 IN")
    Incoming.say(other, 200, "OK", sdp(2), again)
    Incoming.next(other, "ACK")
    found = offer(one, sdp(1).replace(" 1 IN", " 3 IN").replace("sendrecv", "sendonly"))
    request = Incoming.next(other, "INVITE")
    assert "o=- 1 4 IN" in request.body.decode() and "sendonly" in request.body.decode(), "a version that it has not seen"
    Incoming.say(other, 200, "OK", sdp(9), request)
    assert found.get(timeout=10).body.decode() == sdp(9)


def test_what_is_no_session_is_refused(pair):
    a, b, _ = pair
    out, inc = up(a, b)
    answer = out.request("UPDATE", [("Content-Type", "text/plain")], "hello")
    assert answer.code == 415 and answer.get("accept") == "application/sdp"
    assert out.bye().code == 200
    inc.next("BYE")


def test_outside_of_a_call_it_is_of_no_dialog(pair):
    a, b, _ = pair
    assert a.exchange(a.build("UPDATE", b.aor)).code == 481
    raw = a.build("UPDATE", b.aor, [("To", f"<{b.aor}>;tag=nobody")])
    assert a.exchange(raw).code == 481


@pytest.mark.parametrize("has_media", [True, False])
def test_an_offer_to_a_page(pair, until, has_media):
    """Its page answers; one without media is answered for."""
    _, b, alice = pair
    session = {"type": "offer", "sdp": sdp(1)} if has_media else {"type": "offer", "url": "rtsp://192.0.2.1/"}
    made = alice.request("POST", "/call", json={"session": session, "open": False, "invite": [b.owner.login]})
    assert made.status_code == 201, made.text
    url = made.json()["url"]
    inc = Incoming(b)
    inc.accept()

    def child(owner):
        return next(c for c in alice.request("GET", url).json()["children"] if c["email"] == owner.email)
    until(lambda: child(b.owner)["state"] == "joined", 10)
    update = Update(inc, HOLD)
    if has_media:
        until(lambda: child(b.owner).get("hold"), 10)
        said = alice.request("PUT", child(alice)["url"], json={"session": {"type": "answer", "sdp": sdp(3)}})
        assert said.status_code in (200, 202), said.text
    answer = update.wait()
    assert answer.code == 200 and b"m=audio" in answer.body
    assert child(b.owner)["hold"] is True
    assert alice.request("DELETE", url).status_code == 204
    inc.next("BYE")
