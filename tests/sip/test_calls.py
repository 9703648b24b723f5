"""Calls between phones: INVITE to its end, in SIP on both sides, in REST and in rows."""
import pytest
from call_phone import Incoming, Outgoing, rings, sdp, uri_of


@pytest.fixture(name="legs")
def fixture_legs(system, until):
    """The legs of a phone's calls, by direction: (state, cause), once no live one is left."""
    def read(owner):
        def over():
            rows = system.query("select l.direction, l.state, l.cause from inspect.leg l join inspect.call c on c.id = l.call "
                               "where c.owner = %s order by l.id", [owner.email])
            found = [(r["direction"], r["state"], r["cause"]) for r in rows]
            return found if found and all(r[1] == "ended" for r in found) else None
        return until(over, 5)
    return read


def how_it_ended(account):
    """What who was in its last call reads of it afterwards: each one's cause and code."""
    row, = account.system.query("select max(id) as id from inspect.call where owner = %s", [account.email])
    call = account.request("GET", f"/call/{row['id']}").json()
    assert call["state"] == "ended"
    return [(c["ended"]["cause"], c.get("sip", {}).get("code")) for c in call["children"]]


def who_ended(account):
    """What its last call says of its end as a whole: who, and how."""
    row, = account.system.query("select max(id) as id from inspect.call where owner = %s", [account.email])
    ended = account.request("GET", f"/call/{row['id']}").json()["ended"]
    return ended.get("by"), ended["cause"]


def call_of(account, until):
    """The one call of a phone that an account sees; those that are open to everybody are others'."""
    calls = until(lambda: [c for c in account.request("GET", "/call").json() if not c["open"]], 3)
    assert len(calls) == 1
    return account.request("GET", calls[0]["url"]).json()


def test_call_answer_and_hang_up(pair, legs, until):
    a, b, alice, bob = pair
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    assert inc.invite.body.decode() == sdp(1)
    assert a.aor in inc.invite.get("from") and inc.invite.get("expires")
    inc.say(180, "Ringing")
    assert out.next().code == 180
    assert {(c["email"], c["state"]) for c in call_of(bob, until)["children"]} == {
        (alice.email, "calling"), (bob.email, "ringing")}
    inc.accept()
    answer = out.confirm()
    assert answer.body.decode() == sdp(2)
    doc = call_of(alice, until)
    assert {c["state"] for c in doc["children"]} == {"joined"} and doc["open"] is False
    assert doc["children"][0]["session"] == {"type": "offer", "sdp": sdp(1)}
    assert doc["children"][1]["session"] == {"type": "answer", "sdp": sdp(2)}
    assert out.bye().code == 200
    inc.next("BYE")
    assert legs(alice) == [("in", "ended", "hangup"), ("out", "ended", "hangup")]
    ended = alice.request("GET", doc["url"]).json()
    assert ended["state"] == "ended" and [c["ended"]["cause"] for c in ended["children"]] == ["hangup"] * 2
    assert ended["ended"] == {"by": alice.email, "cause": "hangup"}


def test_the_callee_hangs_up(pair, legs):
    a, b, alice, bob = pair
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    inc.accept()
    out.confirm()
    assert inc.bye().code == 200
    bye = a.requests.get(timeout=5)
    assert bye.method == "BYE"
    assert legs(alice) == [("in", "ended", "hangup"), ("out", "ended", "hangup")]
    assert who_ended(alice) == (bob.email, "hangup")


def test_a_phone_that_has_lost_its_connection_is_hung_up_over_another(account, phone, legs):
    alice, bob = account("alice"), account("bob")
    a, b = (rings(phone(owner, transport="tcp")).listen() for owner in (alice, bob))
    assert a.register().code == b.register().code == 200
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    inc.accept()
    out.confirm()
    b.drop()
    assert out.bye().code == 200
    bye = b.next_request()
    assert bye.method == "BYE" and bye.get("call-id") == inc.call_id
    assert legs(alice) == [("in", "ended", "hangup"), ("out", "ended", "hangup")]
    out = Outgoing(a, b.aor, sdp(1))
    Incoming(b).accept()
    out.confirm()
    assert out.bye().code == 200, "and called over a new one"


@pytest.mark.parametrize("code,heard,cause", [
    (486, 486, "busy"), (603, 603, "declined"), (488, 488, "media"), (404, 404, "not-found"), (480, 480, "unreachable"),
    (503, 480, "unreachable"), (302, 480, "unreachable"), (401, 480, "unreachable")])
def test_a_refusal_is_heard(pair, legs, code, heard, cause):
    a, b, alice, bob = pair
    out = Outgoing(a, b.aor, sdp(1))
    Incoming(b).say(code, "No")
    answer = out.final()
    assert answer.code == heard
    assert (f"cause={code}" in answer.get("reason", "")) == (code != heard)
    assert legs(alice)[1] == ("out", "ended", cause)
    assert how_it_ended(alice) == [(cause, heard)] * 2
    assert who_ended(alice) == (bob.email if cause in ("busy", "declined") else None, cause)


def test_nobody_answers(pair, legs):
    a, b, alice, _ = pair
    out = Outgoing(a, b.aor, sdp(1), [("Expires", "1")])
    inc = Incoming(b)
    inc.say(180, "Ringing")
    answer = out.final()
    assert answer.code == 480 and "cause=19" in answer.get("reason")
    inc.cancelled()
    assert legs(alice) == [("in", "ended", "no-answer"), ("out", "ended", "no-answer")]
    assert how_it_ended(alice) == [("no-answer", 480)] * 2
    assert who_ended(alice) == (None, "no-answer")


@pytest.mark.parametrize("after", [100, 180])
def test_cancel(pair, legs, after):
    a, b, alice, _ = pair
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    inc.say(after)
    if after > 100:
        assert out.next().code == after
    out.cancel()
    assert out.final().code == 487
    cancel = inc.next("CANCEL")
    assert cancel.branch == inc.invite.branch
    inc.say(200, request=cancel)
    inc.say(487)
    inc.next("ACK")
    assert legs(alice) == [("in", "ended", "cancelled"), ("out", "ended", "cancelled")]
    assert [cause for cause, _ in how_it_ended(alice)] == ["cancelled"] * 2
    assert who_ended(alice) == (alice.email, "cancelled")


def test_of_two_phones_one_answers(phone, account, legs):
    alice, bob = account("alice"), account("bob")
    a, b1, b2 = (rings(phone(owner)) for owner in (alice, bob, bob))
    for p in (a, b1, b2):
        assert p.register().code == 200
    out = Outgoing(a, b1.aor, sdp(1))
    inc1, inc2 = Incoming(b1), Incoming(b2)
    inc2.say(180)
    inc1.accept()
    assert out.confirm(out.final()).body.decode() == sdp(2)
    cancel = inc2.next("CANCEL")
    assert cancel.get("reason") == 'SIP;cause=200;text="Call completed elsewhere"'
    inc2.say(200, request=cancel)
    inc2.say(487)
    assert out.bye().code == 200
    inc1.next("BYE")
    assert [r[1:] for r in legs(alice)] == [("ended", "hangup"), ("ended", "hangup"), ("ended", "cancelled")]


def test_an_answer_too_late_is_acked_and_hung_up(phone, account, legs):
    alice, bob = account("alice"), account("bob")
    a, b1, b2 = (rings(phone(owner)) for owner in (alice, bob, bob))
    for p in (a, b1, b2):
        assert p.register().code == 200
    out = Outgoing(a, b1.aor, sdp(1))
    inc1, inc2 = Incoming(b1), Incoming(b2)
    inc1.accept()
    out.confirm()
    inc2.accept(sdp(3))  # it had not rung, so that no CANCEL was sent
    inc2.next("BYE")
    assert out.bye().code == 200
    inc1.next("BYE")
    assert [r[1] for r in legs(alice)] == ["ended"] * 3


def test_one_says_no_for_all(phone, account):
    alice, bob = account("alice"), account("bob")
    a, b1, b2 = (rings(phone(owner)) for owner in (alice, bob, bob))
    for p in (a, b1, b2):
        assert p.register().code == 200
    out = Outgoing(a, b1.aor, sdp(1))
    inc1, inc2 = Incoming(b1), Incoming(b2)
    inc2.say(180)
    assert out.next().code == 180
    inc1.say(603)
    inc2.next("CANCEL")
    assert out.final().code == 603


def test_who_cannot_be_called(phone, account, system):
    alice, bob = account("alice"), account("bob")
    a = rings(phone(alice))
    assert a.register().code == 200
    assert Outgoing(a, f"sip:{bob.email}", sdp(1)).final().code == 480
    assert Outgoing(a, "sip:nobody@example.net", sdp(1)).final().code == 404
    assert Outgoing(a, "sip:bob@elsewhere.example", sdp(1)).final().code == 404
    assert Outgoing(a, f"sip:{bob.email}", sdp(1), [("Max-Forwards", "0")]).final().code == 483
    assert Outgoing(a, f"sip:{bob.email}", "x" * 50000).final().code in (413, 480)
    assert system.query("select id from inspect.call where owner = %s", [alice.email]) == []


def test_without_an_offer(pair):
    a, b, *_ = pair
    out = Outgoing(a, b.aor)
    inc = Incoming(b)
    assert inc.invite.body == b""
    inc.say(200, "OK", sdp(2))
    assert out.confirm(body=sdp(1)).body.decode() == sdp(2)
    assert inc.next("ACK").body.decode() == sdp(1)
    assert out.bye().code == 200
    inc.next("BYE")


def test_200_comes_again_until_its_ack(pair):
    a, b, *_ = pair
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    inc.accept()
    first = out.final()
    again = out.next()
    assert again.raw == first.raw
    inc.say(200, "OK", sdp(2))  # the callee's own comes again too
    inc.next("ACK")
    out.confirm(again)
    assert out.bye().code == 200


def test_rest_hangs_up(pair, legs, until):
    a, b, alice, bob = pair
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    inc.accept()
    out.confirm()
    doc = call_of(bob, until)
    assert bob.request("DELETE", doc["url"]).status_code == 403
    assert alice.request("DELETE", doc["url"]).status_code == 204
    inc.next("BYE")
    assert who_ended(alice) == (alice.email, "hangup")
    assert a.requests.get(timeout=5).method == "BYE"
    assert legs(alice) == [("in", "ended", "hangup"), ("out", "ended", "hangup")]


def test_rest_stops_the_ringing(pair, legs, until):
    a, b, alice, _ = pair
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    inc.say(180)
    assert out.next().code == 180
    assert alice.request("DELETE", call_of(alice, until)["url"]).status_code == 204
    assert out.final().code == 480
    inc.cancelled()
    assert [r[1:] for r in legs(alice)] == [("ended", "cancelled")] * 2
    assert [cause for cause, _ in how_it_ended(alice)] == ["cancelled"] * 2


def test_who_calls_says_bye_while_it_rings(pair, legs):
    """RFC 3261 section 15: what has not begun is not hung up."""
    a, b, alice, _ = pair
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    inc.say(180)
    ringing = out.next()
    out.target, out.mine, out.theirs = uri_of(ringing.get("contact")), f"<{a.aor}>;tag={out.tag}", ringing.get("to")
    assert out.bye().code == 200
    assert out.final().code == 487
    inc.cancelled()
    assert [r[1:] for r in legs(alice)] == [("ended", "cancelled")] * 2
    assert [cause for cause, _ in how_it_ended(alice)] == ["cancelled"] * 2


def test_an_answer_that_crosses_cancel_is_acked_and_hung_up(pair, legs):
    a, b, alice, _ = pair
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    inc.say(180)
    out.next()
    out.cancel()
    assert out.final().code == 487
    inc.say(200, request=inc.next("CANCEL"))
    inc.accept()
    assert inc.next("BYE").get("reason") is None  # nobody has answered elsewhere: it was missed
    assert [r[1:] for r in legs(alice)] == [("ended", "cancelled")] * 2


def test_without_an_answer_to_its_offer_both_are_hung_up(pair, legs):
    a, b, alice, _ = pair
    out = Outgoing(a, b.aor)
    inc = Incoming(b)
    inc.say(200, "OK", sdp(2))
    out.confirm()
    inc.next("ACK")
    inc.next("BYE")
    assert a.requests.get(timeout=5).method == "BYE"
    assert legs(alice)[0] == ("in", "ended", "media")


def test_another_phone_behind_a_contact_that_answers_too_is_hung_up(pair, until):
    a, b, *_ = pair
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    inc.accept()
    out.confirm()
    first, inc.tag = inc.tag, "another"
    for _ in range(2):  # it repeats its 200 too
        inc.say(200, "OK", sdp(3))
        assert "tag=another" in inc.next("ACK").get("to")
    until(lambda: [m for m in b.seen if m.start.startswith("BYE ") and "tag=another" in m.get("to")], 5)
    assert out.bye().code == 200
    until(lambda: [m for m in b.seen if m.start.startswith("BYE ") and f"tag={first}" in m.get("to")], 5)


def test_who_would_not_be_seen_is_told(pair):
    a, b, *_ = pair
    assert Outgoing(a, b.aor, sdp(1), [("Privacy", "id")]).final().code == 433


def test_from_elsewhere_it_takes_a_digest(pair, phone, legs):
    """RFC 3261 section 22: whoever has seen the tags is not the phone."""
    a, b, alice, _ = pair
    out = Outgoing(a, b.aor, sdp(1))
    Incoming(b).accept()
    out.confirm()
    out.cseq += 1
    stranger = phone(alice, local="127.0.0.77")
    raw = stranger.build("BYE", out.target, [("From", out.mine), ("To", out.theirs)], cseq=out.cseq, call_id=out.call_id)
    assert stranger.exchange(raw).code == 401
    assert out.bye().code == 200
    assert len(legs(alice)) == 2
