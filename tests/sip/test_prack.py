"""Provisional answers that are heard reliably (RFC 3262), both ways."""
import queue

import pytest
from call_phone import HOLD, Incoming, Outgoing, rings, sdp, tag_of, uri_of

from test_calls import call_of

RELIABLY = [("Require", "100rel")]


@pytest.fixture(name="pair", params=["udp", "tcp"])
def fixture_pair(request, phone, account):
    """Alice's phone and bob's, registered; p.owner is whose."""
    made = []
    for name in ("alice", "bob"):
        owner = account(name)
        p = rings(phone(owner, transport=request.param))
        p.owner = owner
        assert p.register().code == 200
        made.append(p)
    return made


def say(inc, code, rseq=None, body="", tag=None, contact=True, record=None):
    """A provisional answer of a phone that is called, which wants a PRACK where it has an RSeq."""
    send, mine = inc.phone.send, inc.tag
    inc.tag = tag or mine
    more = (f"Require: 100rel\r\nRSeq: {rseq}\r\n" if rseq else "") + (f"Record-Route: {record}\r\n" if record else "")
    name = f"Contact: <{inc.phone.contact}>\r\n"
    inc.phone.send = lambda raw, to=None: send(raw.replace(name, more + (name if contact else ""), 1), to)
    try:
        inc.say(code, "Whatever", body)
    finally:
        inc.phone.send, inc.tag = send, mine


def prack(inc, rseq, timeout_s=5):
    """The PRACK that it gets for that, which is answered by then."""
    request = inc.next("PRACK", timeout_s)
    number = inc.invite.get("cseq").split()[0]
    assert request.get("rack") == f"{rseq} {number} INVITE"
    assert int(request.get("cseq").split()[0]) > int(number)
    return request


# ---- a phone that is called ----

def test_a_phone_that_rings_reliably_gets_a_prack(pair):
    a, b = pair
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    assert "100rel" in inc.invite.get("supported")
    say(inc, 180, 4711)
    request = prack(inc, 4711)
    assert (request.get("call-id"), tag_of(request.get("to")), request.uri) == (inc.call_id, inc.tag, b.contact)
    assert out.next().code == 180
    say(inc, 180, 4711)  # once more: it has had its PRACK
    say(inc, 183, 4713)  # what is between has got lost
    say(inc, 183, 4712)
    prack(inc, 4712)
    say(inc, 183, 4713)
    prack(inc, 4713)
    inc.accept()
    out.confirm()
    assert out.bye().code == 200
    bye = inc.next("BYE")
    assert int(bye.get("cseq").split()[0]) > int(request.get("cseq").split()[0])
    pracks = {m.get("cseq") for m in b.seen if not m.is_response and m.method == "PRACK"}
    assert len(pracks) == 3


def test_without_a_contact_it_goes_where_the_invite_went(pair):
    a, b = pair
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    say(inc, 183, 1, contact=False)
    assert prack(inc, 1).uri == inc.invite.uri
    inc.accept()
    out.confirm()
    assert out.bye().code == 200


def test_each_phone_behind_a_contact_gets_its_own(pair):
    a, b = pair
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    for n in range(10):  # more than are heard
        say(inc, 183, 100 + n, tag=f"fork{n}", record=f"<sip:127.0.0.1:{b.port};lr;x={n}>")
        if n < 8:
            request = prack(inc, 100 + n)
            assert tag_of(request.get("to")) == f"fork{n}"
            assert request.get("route") == f"<sip:127.0.0.1:{b.port};lr;x={n}>"
    say(inc, 183, 101, tag="fork0")
    prack(inc, 101)
    inc.tag = "fork3"
    inc.mine = inc.mine.split(";tag=")[0] + ";tag=fork3"
    inc.accept()
    out.confirm()
    assert out.bye().code == 200
    assert tag_of(inc.next("BYE").get("to")) == "fork3"
    assert len({m.get("cseq") for m in b.seen if not m.is_response and m.method == "PRACK"}) == 9


@pytest.mark.parametrize("rseq", ["0", "4294967296", "99999999999999999999", "-1", "x", "2147483648"])
def test_a_number_that_is_none_is_not_heard(pair, rseq):
    a, b = pair
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    say(inc, 183, rseq)
    assert out.next().code == 183
    say(inc, 183, 5)
    prack(inc, 5)
    inc.accept()
    out.confirm()
    assert out.bye().code == 200
    assert len({m.get("cseq") for m in b.seen if not m.is_response and m.method == "PRACK"}) == 1


@pytest.mark.parametrize("final", ["", sdp(9)])
def test_what_came_reliably_is_the_answer(pair, until, final):
    """RFC 3261 section 13.2.1: whatever the 2xx says."""
    a, b = pair
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    say(inc, 183, 7, sdp(3))
    prack(inc, 7)
    say(inc, 183, 8, sdp(4))
    prack(inc, 8)
    inc.accept(final)
    assert out.confirm().body.decode() == sdp(3)
    until(lambda: any(c.get("session", {}).get("sdp") == sdp(3) for c in call_of(a.owner, until)["children"]), 10)
    assert out.bye().code == 200
    inc.next("BYE")


@pytest.mark.parametrize("reliable", [True, False])
def test_an_update_while_it_rings(pair, reliable):
    a, b = pair
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    say(inc, 183, 7 if reliable else None, sdp(3))
    if reliable:
        prack(inc, 7)
    assert out.next().code == 183
    contact = ("Contact", f"<{b.contact}>")
    assert inc.request("UPDATE", [contact]).code == 200
    answer = inc.request("UPDATE", [contact, ("Content-Type", "application/sdp")], HOLD)
    assert answer.code == (488 if reliable else 491)
    assert inc.request("INFO").code == 481
    inc.accept(sdp(3))
    out.confirm()
    assert inc.request("UPDATE", [contact]).code == 200
    assert out.bye().code == 200
    inc.next("BYE")


def test_who_is_asked_for_an_offer_is_not_told_that_we_know_it(pair):
    a, b = pair
    out = Outgoing(a, b.aor)
    inc = Incoming(b)
    assert "100rel" not in inc.invite.get("supported", "")
    inc.say(180, "Ringing")
    assert out.next().code == 180
    out.cancel()
    assert out.final().code == 487


# ---- a phone that calls ----

def early(out, answer):
    """The dialog that a provisional answer makes."""
    out.target, out.mine, out.theirs = uri_of(answer.get("contact")), f"<{out.phone.aor}>;tag={out.tag}", answer.get("to")
    return answer


def acknowledge(out, answer, rack=None, body=""):
    """What its PRACK is answered with."""
    invite = answer.get("cseq").split()[0]
    more = [("Content-Type", "application/sdp")] if body else []
    return out.request("PRACK", [("RAck", rack or f"{answer.get('rseq')} {invite} INVITE"), *more], body)


def finish(out, inc, invite):
    inc.accept()
    final = out.final()
    assert final.code == 200 and final.get("rseq") is None
    after, out.cseq = out.cseq, invite
    out.confirm(final)
    out.cseq = after
    assert out.bye().code == 200
    inc.next("BYE")


def progress(inc, out, code):
    """What a phone that is called says next; it may have to say it again, for it is heard once a second."""
    inc.say(code, "Progress")
    try:
        answer = out.next(0.3)
    except queue.Empty:
        return None
    return answer if answer.code == code else None


def code_of(owner, other, until):
    """The last SIP code that a callee's phone gave, as the call shows it."""
    child = next(c for c in call_of(owner, until)["children"] if c["email"] == other.email)
    return child.get("sip", {}).get("code")


def rings_reliably(a, b):
    """A call that rings: both sides, the 180, and the CSeq of the INVITE."""
    out = Outgoing(a, b.aor, sdp(1), RELIABLY)
    inc = Incoming(b)
    inc.say(180, "Ringing")
    first = early(out, out.next())
    return out, inc, first, out.cseq


def test_a_phone_that_calls_rings_reliably(pair, until):
    out, inc, first, invite = rings_reliably(*pair)
    assert first.code == 180 and first.get("require") == "100rel" and int(first.get("rseq")) > 0
    again = out.next()
    assert (again.code, again.get("rseq")) == (180, first.get("rseq")), "until its PRACK"
    rseq, number = int(first.get("rseq")), first.get("cseq").split()[0]
    for wrong in (f"{rseq + 1} {number} INVITE", f"{rseq} {int(number) + 1} INVITE", f"{rseq} {number} UPDATE", "x"):
        assert acknowledge(out, first, wrong).code == 481
    assert acknowledge(out, first, body=sdp(4)).code == 488, "the INVITE's offer has no answer yet"
    assert acknowledge(out, first).code == 200
    assert acknowledge(out, first).code == 481
    second = until(lambda: progress(inc, out, 183), 15)
    assert int(second.get("rseq")) == rseq + 1
    assert acknowledge(out, second).code == 200
    finish(out, inc, invite)


def test_one_at_a_time(pair, until):
    out, inc, first, invite = rings_reliably(*pair)
    until(lambda: progress(inc, out, 183) or code_of(out.phone.owner, inc.phone.owner, until) == 183, 15)
    assert {x.code for x in out.answers} == {180}, "the second waits"
    assert acknowledge(out, first).code == 200
    second = until(lambda: next((x for x in [out.next()] if x.code == 183), None), 15)
    assert int(second.get("rseq")) == int(first.get("rseq")) + 1
    assert acknowledge(out, second).code == 200
    finish(out, inc, invite)


def test_its_prack_may_come_after_the_200(pair):
    out, inc, first, invite = rings_reliably(*pair)
    inc.accept()
    final = out.final()
    assert acknowledge(out, first).code == 200
    after, out.cseq = out.cseq, invite
    out.confirm(final)
    out.cseq = after
    assert out.bye().code == 200
    inc.next("BYE")


def test_who_offers_nothing_hears_the_200_alone(pair, until):
    a, b = pair
    out = Outgoing(a, b.aor, None, RELIABLY)
    inc = Incoming(b)
    inc.say(180, "Ringing")
    until(lambda: code_of(a.owner, b.owner, until) == 180, 10)
    with pytest.raises(queue.Empty):
        out.next(0.2)
    inc.say(200, "OK", sdp(2))
    out.confirm(body=sdp(1))
    assert inc.next("ACK").body.decode() == sdp(1)
    assert out.bye().code == 200
    inc.next("BYE")


@pytest.mark.long
def test_without_a_prack_it_is_over(pair):
    a, b = pair
    out = Outgoing(a, b.aor, sdp(1), [*RELIABLY, ("Expires", "120")])
    inc = Incoming(b)
    inc.say(180, "Ringing")
    assert out.final(60).code == 504
    cancel = inc.next("CANCEL")
    inc.say(200, request=cancel)
    inc.say(487)


def test_what_it_requires_is_known(pair):
    a, b = pair
    answer = Outgoing(a, b.aor, sdp(1), [("Require", "100rel, timer, unheard-of")]).final()
    assert answer.code == 420 and answer.get("unsupported") == "unheard-of"
