"""Calls between WebRTC and plain RTP, by a media relay: who answers, holds, hands on and hangs up."""
import pytest
from call_phone import Incoming, Outgoing, offer
# pylint: disable-next=unused-import
from relay_calls import (calls, child, command, fixture_clean, fixture_own_system, fixture_person, fixture_phone_to_web,
                         fixture_relay, fixture_talk, fixture_web_to_phone, how_it_ended, is_plain, is_web, of, sdp, web)
from test_transfer import refer, say, telling


def test_the_page_hangs_up(talk, own_system, relay, until):
    alice, _, side, url, me = talk
    row, = own_system.query("select relay from inspect.leg where call = %s", [int(url.rsplit("/", 1)[1])])
    assert row["relay"] == relay.address and len(relay.sessions) == 1
    assert alice.request("DELETE", me).status_code == 204
    assert until(lambda: [r for r in [side.phone.requests.get(timeout=5)] if r.method == "BYE"], 5)
    until(lambda: not relay.sessions, 5)


def test_the_phone_hangs_up(talk, until):
    alice, bob, side, url, _ = talk
    assert side.bye().code == 200
    assert how_it_ended(alice, url, bob, until) == "hangup"


def test_the_page_holds(talk, relay, until):
    alice, bob, side, url, me = talk
    for n, way in ((3, "sendonly"), (4, "sendrecv")):
        answer = until(lambda n=n, way=way: next(a for a in [alice.request(
            "PUT", me, json={"session": {"type": "offer", "sdp": web(n, way)}})] if a.status_code == 202), 5)
        assert answer.json()["pending"]
        request = until(lambda: next((r for r in [side.phone.requests.get(timeout=5)] if r.method == "INVITE"), None), 5)
        said = request.body.decode()
        assert is_plain(said) and of(n) in said and f"a={way}" in said
        Incoming.say(side, 200, "OK", sdp(10 + n), request)
        got = until(lambda n=n: next(c for c in [child(alice, url, bob.email)] if of(10 + n) in c["session"]["sdp"]), 5)
        assert is_web(got["session"]["sdp"])
        until(lambda: "pending" not in child(alice, url, alice.email), 5)
    assert len(relay.sessions) == 1
    assert side.bye().code == 200


def test_the_phone_holds(talk, until):
    alice, bob, side, url, me = talk
    for n, way in ((5, "sendonly"), (6, "sendrecv")):
        found = offer(side, sdp(n).replace("sendrecv", way))
        got = until(lambda n=n: next(c for c in [child(alice, url, bob.email)] if of(n) in c["session"]["sdp"]), 5)
        assert is_web(got["session"]["sdp"]) and got.get("hold", False) == (way == "sendonly")
        assert alice.request("PUT", me, json={"session": {"type": "answer", "sdp": web(20 + n)}}).status_code == 200
        answer = found.get(timeout=5)
        assert answer.code == 200
        said = answer.body.decode()
        assert is_plain(said) and of(20 + n) in said
    assert side.bye().code == 200


def test_an_offer_that_is_refused_changes_nothing(talk, until):
    alice, _, side, url, me = talk
    assert until(lambda: alice.request("PUT", me, json={"session": {"type": "offer", "sdp": web(3)}}).status_code == 202, 5)
    request = until(lambda: next((r for r in [side.phone.requests.get(timeout=5)] if r.method == "INVITE"), None), 5)
    Incoming.say(side, 488, "No", request=request)
    got = until(lambda: next(c for c in [child(alice, url, alice.email)] if "pending" not in c), 5)
    assert of(1) in got["session"]["sdp"] and got["sip"]["code"] == 488
    assert side.bye().code == 200


def test_a_refresh_is_answered_with_what_its_phone_had(talk):
    side = talk[2]
    said = (side.answers[-1] if isinstance(side, Outgoing) else side.invite).body
    again = offer(side, sdp(2), also=[("Supported", "timer"), ("Session-Expires", "1800")])
    assert again.get(timeout=5).body == said
    assert side.bye().code == 200


# ---- forks ----

@pytest.mark.parametrize("who", ["phone", "page"])
def test_of_a_plain_phone_and_a_page_either_answers(person, page, relay, until, who):
    alice, bob = person("alice"), person("bob")
    stream = page(bob)
    out = Outgoing(alice.phone, bob.phone.aor, sdp(1))
    inc = Incoming(bob.phone)
    assert inc.invite.body.decode() == sdp(1)  # of the caller's own kind, as it is
    inc.say(180)
    invite = command(stream, "invite")
    assert is_web(invite["session"]["sdp"])
    if who == "phone":
        inc.accept(sdp(2))
        assert out.confirm(out.final()).body.decode() == sdp(2)
        until(lambda: not relay.sessions, 5)
        got = child(alice, invite["url"], alice.email)
        assert got["session"]["sdp"] == sdp(1)
    else:
        assert bob.request("POST", invite["url"], json={"session": {"type": "answer", "sdp": web(3)}}).status_code == 201
        said = out.confirm(out.final()).body.decode()
        assert is_plain(said) and of(3) in said
        cancel = inc.next("CANCEL")
        inc.say(200, request=cancel)
        inc.say(487)
    assert out.bye().code == 200


def test_a_page_calls_a_page_and_a_phone(person, page, relay, until):
    """The page hears what was said, the phone what the relay has made of it; it loses, and its session is gone."""
    alice, bob = person("alice", False), person("bob")
    stream = page(bob)
    url, me = calls(alice, bob, {"type": "offer", "sdp": web(1)})
    inc = Incoming(bob.phone)
    assert is_plain(inc.invite.body.decode())
    inc.say(180)
    assert command(stream, "invite")["session"]["sdp"] == web(1)
    assert len(relay.sessions) == 1
    assert bob.request("POST", url, json={"session": {"type": "answer", "sdp": web(3)}}).status_code == 201
    cancel = inc.next("CANCEL")
    inc.say(200, request=cancel)
    inc.say(487)
    until(lambda: not relay.sessions, 5)
    assert child(alice, url, bob.email)["session"]["sdp"] == web(3)
    assert alice.request("DELETE", me).status_code == 204


def test_a_page_without_media_has_some_after_all(person, page, until):
    alice, bob = person("alice", False), person("bob")
    stream = page(alice)
    out = Outgoing(bob.phone, f"sip:{alice.email}", sdp(2))
    invite = command(stream, "invite")
    joined = alice.request("POST", invite["url"], json={})
    assert joined.status_code == 201
    assert "a=inactive" in out.confirm(out.final()).body.decode()
    me = joined.json()["url"]
    assert until(lambda: alice.request("PUT", me, json={"session": {"type": "offer", "sdp": web(3)}}).status_code == 202, 5)
    request = until(lambda: next((r for r in [bob.phone.requests.get(timeout=5)] if r.method == "INVITE"), None), 5)
    assert is_plain(request.body.decode()) and of(3) in request.body.decode()
    Incoming.say(out, 200, "OK", sdp(4), request)
    got = until(lambda: next(c for c in [child(alice, invite["url"], bob.email)] if of(4) in c["session"]["sdp"]), 5)
    assert is_web(got["session"]["sdp"])
    assert out.bye().code == 200


# ---- transfers ----

def hears(side, until):
    return until(lambda: next((r for r in [side.phone.requests.get(timeout=5)] if r.method == "INVITE"), None), 5)


def test_a_page_is_handed_on_to_a_plain_phone(talk, person, relay, until):
    alice, _, side, url, me = talk
    carol = person("carol")
    telling(side.phone)
    assert refer(side, f"<{carol.phone.aor}>").code == 202
    new = Incoming(carol.phone)
    assert not new.invite.body
    new.say(200, "OK", sdp(3))
    got = until(lambda: child(alice, url, carol.email).get("session"), 5)
    assert got["type"] == "offer" and is_web(got["sdp"]) and of(3) in got["sdp"]
    assert alice.request("PUT", me, json={"session": {"type": "answer", "sdp": web(4)}}).status_code == 200
    said = new.next("ACK").body.decode()
    assert is_plain(said) and of(4) in said
    until(lambda: len(relay.sessions) == 1, 10)
    assert new.bye().code == 200


def test_a_page_hands_its_phone_on_to_another(talk, person, until):
    alice, bob, side, url, _ = talk
    carol = person("carol")
    assert alice.request("SEND", bob.login, json={"command": "transfer", "url": url, "to": carol.login}).status_code == 202
    new = Incoming(carol.phone)
    new.say(200, "OK", sdp(3))
    request = hears(side, until)
    assert is_plain(request.body.decode()) and of(3) in request.body.decode()
    say(side, 200, "OK", sdp(4), request)
    said = new.next("ACK").body.decode()
    assert is_plain(said) and of(4) in said
    assert new.bye().code == 200


def test_a_plain_phone_is_handed_on_to_a_page(person, page, relay, until):
    alice, bob, carol = person("alice"), person("bob"), person("carol", False)
    stream = page(carol)
    out = Outgoing(alice.phone, bob.phone.aor, sdp(1))
    inc = Incoming(bob.phone)
    inc.accept()
    out.confirm()
    telling(alice.phone)
    assert refer(out, f"<sip:{carol.email}>").code == 202
    url = command(stream, "invite")["url"]
    assert carol.request("POST", url, json={"session": {"type": "offer", "sdp": web(3)}}).status_code == 201
    request = hears(inc, until)
    assert is_plain(request.body.decode()) and of(3) in request.body.decode()
    say(inc, 200, "OK", sdp(4), request)
    got = until(lambda: next(c for c in [child(carol, url, bob.email)] if of(4) in c["session"]["sdp"]), 5)
    assert is_web(got["session"]["sdp"]) and len(relay.sessions) == 1
    assert inc.bye().code == 200


# ---- phones of both kinds ----

@pytest.mark.parametrize("caller,callee", [("rtp", "webrtc"), ("webrtc", "rtp")])
def test_phones_of_two_kinds(person, relay, until, caller, callee):
    """What a contact speaks is found out once, and known from then on."""
    kinds = {"rtp": sdp, "webrtc": web}
    alice, bob = person("alice"), person("bob")
    for n in range(2):
        out = Outgoing(alice.phone, bob.phone.aor, kinds[caller](1))
        inc = Incoming(bob.phone)
        if callee == "webrtc" and not n:
            assert is_plain(inc.invite.body.decode()) and not relay.sessions
            inc.say(488, "Not Acceptable Here")
            inc.invite = inc.next("INVITE")
        said = inc.invite.body.decode()
        assert (is_web if callee == "webrtc" else is_plain)(said) and of(1) in said
        inc.accept(kinds[callee](2))
        answer = out.confirm(out.final()).body.decode()
        assert (is_web if caller == "webrtc" else is_plain)(answer) and of(2) in answer
        for one, other, kind, theirs in ((out, inc, caller, callee), (inc, out, callee, caller)):
            found = offer(one, kinds[kind](5).replace("sendrecv", "sendonly"))
            request = until(lambda o=other: next((r for r in [o.phone.requests.get(timeout=5)] if r.method == "INVITE"), None), 5)
            said = request.body.decode()
            assert (is_web if theirs == "webrtc" else is_plain)(said) and of(5) in said and "sendonly" in said
            Incoming.say(other, 200, "OK", kinds[theirs](6), request)
            answer = found.get(timeout=5)
            assert answer.code == 200 and (is_web if kind == "webrtc" else is_plain)(answer.body.decode())
            until(lambda o=other: next((r for r in [o.phone.requests.get(timeout=5)] if r.method == "ACK"), None), 5)
        assert out.bye().code == 200
        until(lambda: [r for r in [bob.phone.requests.get(timeout=5)] if r.method == "BYE"], 5)
        until(lambda: not relay.sessions, 5)


def test_a_phone_that_refuses_both_kinds(person, relay):
    alice, bob = person("alice"), person("bob")
    out = Outgoing(alice.phone, bob.phone.aor, sdp(1))
    inc = Incoming(bob.phone)
    inc.say(488, "No")
    inc.next("ACK")
    inc.invite = inc.next("INVITE")
    assert is_web(inc.invite.body.decode())
    inc.say(606, "Neither")
    answer = out.final()
    assert answer.code == 606
    assert [what for what, _ in relay.said] == ["offer", "delete"]


def test_a_call_that_needs_no_relay_asks_none(person, page, relay):
    alice, bob = person("alice"), person("bob")
    out = Outgoing(alice.phone, bob.phone.aor, sdp(1))
    inc = Incoming(bob.phone)
    inc.accept(sdp(2))
    assert out.confirm().body.decode() == sdp(2)
    assert out.bye().code == 200
    carol = person("carol", False)
    stream = page(carol)
    url, me = calls(person("dave", False), carol, {"type": "offer", "sdp": web(1)})
    assert command(stream, "invite")["session"]["sdp"] == web(1) and url and me
    assert not relay.said
