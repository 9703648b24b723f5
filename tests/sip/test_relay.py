"""Calls between WebRTC and plain RTP, by a media relay. What the phones and pages of it say is seen by the port of their SDP."""
import contextlib
import json
import time

import pytest
from call_phone import SDP, Incoming, Outgoing, rings
from ng import AT, FINGERPRINT, RTPENGINE, FakeRelay, Rtpengine

from phone import new_account
from restsip_system import until as wait_until
from test_calls import offer
from test_transfer import refer, say, telling

AGENT = "restsip-agent"


def sdp(n=1):
    """Where the agent may send to: a relay is told of nothing else."""
    return SDP.format(n=n).replace("192.0.2.1", "127.0.0.1")


def web(n=1, way="sendrecv"):
    return sdp(n).replace("RTP/AVP", "UDP/TLS/RTP/SAVPF").replace("sendrecv", way) + FINGERPRINT


def is_web(text):
    return "a=fingerprint:" in text and "SAVPF" in text


def is_plain(text):
    return "RTP/AVP" in text and "fingerprint" not in text


def of(n):
    return f"m=audio 4{n:04d} "


@pytest.fixture(scope="module", name="relay")
def fixture_relay():
    made = FakeRelay()
    yield made
    made.close()


@pytest.fixture(scope="module", name="own_system")
def fixture_own_system(systems, relay):
    return systems("relay", {"RESTSIP_DEMO": "no", "RESTSIP_MEDIA_RTPENGINE": relay.address})


@pytest.fixture(autouse=True)
def fixture_clean(relay, until):
    """Nothing is left at the relay when a test is over; it works again when the next begins."""
    relay.way = "ok"
    relay.said.clear()
    yield
    relay.way = "ok"
    until(lambda: not relay.sessions, 10)


@pytest.fixture(name="person")
def fixture_person(own_system, phone):
    """An account, with a phone of its own or without."""
    def make(name, with_phone=True):
        account = new_account(own_system, name)
        if with_phone:
            account.phone = rings(phone(account))
            assert account.phone.register().code == 200
        return account
    return make


def command(stream, name):
    return stream.wait(lambda e: e.name == "message" and e.data.get("json", {}).get("command") == name).data["json"]


def child(account, url, email):
    return next(c for c in account.request("GET", url).json()["children"] if c["email"] == email)


def how_it_ended(account, url, other, until):
    """Of the other's part in a call, once it is over."""
    return until(lambda: child(account, url, other.email).get("ended"), 40)["cause"]


def calls(account, whom, session):
    """A page calls: the call's URL, and the caller's own in it."""
    made = account.request("POST", "/call", json={"session": session, "invite": [whom.login]})
    assert made.status_code == 201, made.text
    url = made.json()["url"]
    return url, child(account, url, account.email)["url"]


@pytest.fixture(name="web_to_phone")
def fixture_web_to_phone(person, until):
    """A call that a page has made to a plain phone: (page's account, phone's, the phone's side, URL, the page's own)."""
    alice, bob = person("alice", False), person("bob")
    url, me = calls(alice, bob, {"type": "offer", "sdp": web(1)})
    inc = Incoming(bob.phone)
    said = inc.invite.body.decode()
    assert is_plain(said) and AT in said and of(1) in said
    inc.say(180)
    inc.accept(sdp(2))
    got = until(lambda: child(alice, url, bob.email).get("session"), 5)
    assert got["type"] == "answer" and is_web(got["sdp"]) and of(2) in got["sdp"]
    return alice, bob, inc, url, me


@pytest.fixture(name="phone_to_web")
def fixture_phone_to_web(person, page):
    """The same where the phone has called."""
    alice, bob = person("alice", False), person("bob")
    stream = page(alice)
    out = Outgoing(bob.phone, f"sip:{alice.email}", sdp(2))
    invite = command(stream, "invite")
    assert invite["session"]["type"] == "offer" and is_web(invite["session"]["sdp"]) and of(2) in invite["session"]["sdp"]
    assert out.next().code == 180
    joined = alice.request("POST", invite["url"], json={"session": {"type": "answer", "sdp": web(1)}})
    assert joined.status_code == 201, joined.text
    said = out.confirm().body.decode()
    assert is_plain(said) and AT in said and of(1) in said
    return alice, bob, out, invite["url"], joined.json()["url"]


@pytest.fixture(name="talk", params=["web_to_phone", "phone_to_web"])
def fixture_talk(request):
    return request.getfixturevalue(request.param)


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


# ---- the relay is away, or lies ----

@pytest.mark.parametrize("way", ["silent", "bencode", "cookie", "sdp", "error"])
def test_a_relay_that_fails(person, page, relay, until, way):
    alice, bob, carol = person("alice", False), person("bob"), person("carol")
    relay.way = way
    began = time.monotonic()
    url, _ = calls(alice, bob, {"type": "offer", "sdp": web(1)})
    out = Outgoing(carol.phone, bob.phone.aor, sdp(1))  # who needs none does not notice
    inc = Incoming(bob.phone)
    inc.accept(sdp(2))
    assert out.confirm().body.decode() == sdp(2)
    assert out.bye().code == 200
    got = until(lambda: next(c for c in [child(alice, url, bob.email)] if c["state"] == "ended"), 8)
    assert got["ended"]["cause"] == "media" and got["sip"]["code"] == 488 and "Relay" in got["sip"]["reason"]
    page(alice)
    out = Outgoing(bob.phone, f"sip:{alice.email}", sdp(2))
    answer = out.final(8)
    assert answer.code == 488 and "Relay" in answer.reason
    assert time.monotonic() - began < 30
    relay.way = "ok"

    def works():
        relay.said.clear()
        url, me = calls(alice, bob, {"type": "offer", "sdp": web(1)})
        with contextlib.suppress(Exception):
            inc = Incoming(bob.phone, 2)
            inc.say(486)
            return True
        alice.request("DELETE", me)
        return False
    until(works, 20)


def test_a_relay_that_fails_when_the_phone_answers(person, relay, until):
    alice, bob = person("alice", False), person("bob")
    url, _ = calls(alice, bob, {"type": "offer", "sdp": web(1)})
    inc = Incoming(bob.phone)
    relay.way = "error"
    inc.accept(sdp(2))
    inc.next("BYE")
    got = until(lambda: next(c for c in [child(alice, url, bob.email)] if c["state"] == "ended"), 8)
    assert got["ended"]["cause"] == "media" and got["sip"]["code"] == 488


def test_a_relay_that_fails_when_the_page_answers(person, page, relay):
    alice, bob = person("alice", False), person("bob")
    stream = page(alice)
    out = Outgoing(bob.phone, f"sip:{alice.email}", sdp(2))
    invite = command(stream, "invite")
    relay.way = "error"
    assert alice.request("POST", invite["url"], json={"session": {"type": "answer", "sdp": web(1)}}).status_code == 201
    answer = out.final(8)
    assert answer.code == 488 and "Relay" in answer.reason


def test_a_relay_that_has_lost_a_call(talk, relay, until):
    """Neither hears the other any more: the call ends, and says why."""
    alice, bob, side, url, _ = talk
    relay.sessions.clear()
    assert how_it_ended(alice, url, bob, until) == "media"
    until(lambda: [r for r in [side.phone.requests.get(timeout=5)] if r.method == "BYE"], 5)


# ---- what no relay is asked ----

HEAD = sdp(2).split("m=")[0]
STREAM = "m=audio 40002 RTP/AVP 0\r\n"
WRONG = {
    "streams": (HEAD + 9 * STREAM, "Too Many Media Streams"),
    "bytes": (sdp(2) + "a=x:" + 16384 * "y" + "\r\n", "Session Description Too Long"),
    "inside": (sdp(2).replace("127.0.0.1", "169.254.169.254"), "Media Address Not Allowed"),
    "control": (HEAD + "m=audio {port} RTP/AVP 0\r\n", "Media Address Not Allowed"),
    "rtcp": (sdp(2) + "a=rtcp:{port}\r\n", "Media Address Not Allowed"),
    "beside": (HEAD + "m=audio {before} RTP/AVP 0\r\n", "Media Address Not Allowed"),
    "name": (HEAD.replace("c=IN IP4 127.0.0.1", "c=IN IP4 localhost") + STREAM, "Session Description Not Understood"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_phone_that_aims_wrongly(person, page, relay, until, what):
    """Calling, and called: the relay hears nothing of it, and goes on."""
    text, why = WRONG[what]
    port = int(relay.address.rsplit(":", 1)[1])
    text = text.replace("{port}", str(port)).replace("{before}", str(port - 1))
    alice, bob = person("alice", False), person("bob")
    page(alice)
    assert Outgoing(bob.phone, f"sip:{alice.email}", text).final(8).code == 488
    assert "offer" not in [said for said, _ in relay.said]
    url, _ = calls(alice, bob, {"type": "offer", "sdp": web(1)})
    inc = Incoming(bob.phone)
    inc.accept(text)
    inc.next("BYE")
    got = until(lambda: next(c for c in [child(alice, url, bob.email)] if c["state"] == "ended"), 8)
    assert got["ended"]["cause"] == "media" and got["sip"] == {**got["sip"], "code": 488, "reason": why}
    assert "answer" not in [said for said, _ in relay.said]


# ---- the agent is killed ----

def test_calls_outlive_the_agent(talk, own_system, phone, relay, until):
    """They talk on, and hold; when they hang up, their session is gone."""
    alice, bob, side, url, me = talk
    probe = phone(new_account(own_system, "probe"))
    until(lambda: own_system.query("select 1 from inspect.leg where call = %s and state = 'up'", [int(url.rsplit("/", 1)[1])]), 5)
    time.sleep(1)  # what its phone has is told with the next news
    own_system.kill_and_wait(AGENT)
    until(probe.is_served, 20)
    assert len(relay.sessions) == 1
    found = offer(side, sdp(5).replace("sendrecv", "sendonly"))
    got = until(lambda: next(c for c in [child(alice, url, bob.email)] if c.get("hold")), 5)
    assert is_web(got["session"]["sdp"])
    assert alice.request("PUT", me, json={"session": {"type": "answer", "sdp": web(6)}}).status_code == 200
    answer = found.get(timeout=5)
    assert answer.code == 200 and is_plain(answer.body.decode()) and of(6) in answer.body.decode()
    assert side.bye().code == 200
    until(lambda: not relay.sessions, 10)


@pytest.mark.parametrize("who", ["web", "phone"])
def test_what_rings_when_the_agent_is_killed(person, page, own_system, phone, relay, until, who):
    alice, bob = person("alice", False), person("bob")
    stream = page(alice)
    if who == "web":
        calls(alice, bob, {"type": "offer", "sdp": web(1)})
        inc = Incoming(bob.phone)
        inc.say(180)
        until(lambda: own_system.query("select 1 from inspect.leg where relay is not null and state = 'ringing'"), 5)
    else:
        Outgoing(bob.phone, f"sip:{alice.email}", sdp(2))
        command(stream, "invite")
    assert len(relay.sessions) == 1
    own_system.kill_and_wait(AGENT)
    until(phone(new_account(own_system, "probe")).is_served, 20)
    until(lambda: not relay.sessions, 10)


# ---- rtpengine ----

@pytest.fixture(scope="module", name="real")
def fixture_real(systems, folder):
    if not RTPENGINE:
        pytest.skip("rtpengine-daemon is not installed")
    second = FakeRelay()
    second.way = "silent"
    with contextlib.closing(Rtpengine(folder)) as engine, contextlib.closing(second):
        engine.second = second
        system = systems("rtpengine", {"RESTSIP_DEMO": "no", "RESTSIP_MEDIA_RTPENGINE": f"{engine.address}, {second.address}"})
        wait_until(lambda: "relay_is_silent" in system.log(AGENT), 20)  # and passed over from then on
        yield system, engine


WEB = web(1).replace("00:11", ":".join(["AB"] * 32)) + "a=ice-ufrag:abcd\r\na=ice-pwd:" + "x" * 24 + (
    "\r\na=candidate:1 1 udp 2122260223 127.0.0.1 41001 typ host\r\na=mid:0\r\n")


def real_call(system, phone, until):
    alice, bob = new_account(system, "alice"), new_account(system, "bob")
    b = rings(phone(bob))
    assert b.register().code == 200
    url, me = calls(alice, bob, {"type": "offer", "sdp": WEB})
    inc = Incoming(b)
    inc.say(180)
    assert is_plain(inc.invite.body.decode()) and "ice" not in inc.invite.body.decode()
    inc.accept(sdp(2))
    got = until(lambda: child(alice, url, bob.email).get("session"), 5)
    assert is_web(got["sdp"]) and "a=candidate:" in got["sdp"] and "a=ice-ufrag:" in got["sdp"]
    return alice, bob, inc, url, me


def test_rtpengine(real, phone, page, until):
    system, engine = real
    alice, bob, inc, url, me = real_call(system, phone, until)
    rows = system.query("select local_tag from app.leg where sip_call_id = %s", [inc.call_id], system.pg_owner)
    assert [row["local_tag"] for row in rows] == list(engine.sessions)
    found = offer(inc, sdp(5).replace("sendrecv", "sendonly"))
    got = until(lambda: next(c for c in [child(alice, url, bob.email)] if c.get("hold")), 5)
    assert is_web(got["session"]["sdp"]) and "a=setup:actpass" in got["session"]["sdp"]
    answer = {"type": "answer", "sdp": WEB.replace("actpass", "active").replace("sendrecv", "recvonly")}
    assert alice.request("PUT", me, json={"session": answer}).status_code == 200
    said = found.get(timeout=5)
    assert said.code == 200 and is_plain(said.body.decode())
    assert inc.bye().code == 200
    stream = page(alice)
    out = Outgoing(inc.phone, f"sip:{alice.email}", sdp(2))
    invite = command(stream, "invite")
    assert "a=candidate:" in invite["session"]["sdp"]
    answer = {"type": "answer", "sdp": WEB.replace("actpass", "active")}
    assert alice.request("POST", invite["url"], json={"session": answer}).status_code == 201
    assert is_plain(out.confirm(out.final()).body.decode())
    assert out.bye().code == 200
    keys = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n"
    out = Outgoing(inc.phone, f"sip:{alice.email}", sdp(2).replace("RTP/AVP", "RTP/SAVP") + keys)  # encrypted, and no WebRTC
    url = stream.wait(lambda e: e.name == "message" and e.data["json"].get("url") not in (None, invite["url"])).data["json"]["url"]
    assert alice.request("POST", url, json={"session": answer}).status_code == 201
    said = out.confirm(out.final()).body.decode()
    assert "RTP/SAVP 0" in said and "a=crypto:1 " in said and "fingerprint" not in said
    assert out.bye().code == 200
    until(lambda: not engine.sessions, 5, lambda: json.dumps(sorted(engine.sessions)))


def test_rtpengine_is_killed(real, phone, until):
    """Whoever it has cut off from the other is hung up, and says why; the next call works."""
    system, engine = real
    alice, bob, inc, url, _ = real_call(system, phone, until)
    engine.kill()
    engine.start()
    assert how_it_ended(alice, url, bob, until) == "media"
    inc.next("BYE")
    _, _, inc, _, _ = real_call(system, phone, until)
    assert inc.bye().code == 200
    until(lambda: not engine.sessions, 5)


def test_another_relay_is_asked(real, phone, until):
    """The second is there, as it says itself, and is in turn for one of two calls: it does not make its session."""
    system, engine = real
    engine.second.way = "mute"
    until(lambda: "relay_is_back" in system.log(AGENT), 30)
    for _ in range(2):
        _, _, inc, _, _ = real_call(system, phone, until)
        assert inc.bye().code == 200
    assert "relay_failed" in system.log(AGENT)
    engine.second.way = "silent"
    until(lambda: not engine.sessions, 5)
