"""The same calls by rtpengine itself, where it is installed."""
import contextlib
import json
import queue
import time

import pytest
from call_phone import Incoming, Outgoing, offer, rings
from ice import IcePeer
from ng import RTPENGINE, FakeRelay, Rtpengine
from phone import new_account
from relay_calls import AGENT, calls, child, command, how_it_ended, is_plain, is_web, sdp, web
from restsip_system import until as wait_until


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


PASSWORD = "x" * 24
CANDIDATE = "127.0.0.1 41001 typ host"
WEB = web(1).replace("00:11", ":".join(["AB"] * 32)) + (
    f"a=ice-ufrag:abcd\r\na=ice-pwd:{PASSWORD}\r\na=candidate:1 1 udp 2122260223 {CANDIDATE}\r\na=mid:0\r\n")


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


def test_a_page_that_calls_is_not_greeted_before_its_answer(real, phone, page, until):
    """It may be another page that answers, and a page takes the first DTLS hello that comes for that one's."""
    system, engine = real
    alice, bob = new_account(system, "alice"), new_account(system, "bob")
    b, stream = rings(phone(bob)), page(bob)
    assert b.register().code == 200
    with contextlib.closing(IcePeer(PASSWORD)) as ice:
        offered = WEB.replace(CANDIDATE, f"127.0.0.1 {ice.port} typ host")
        url, _ = calls(alice, bob, {"type": "offer", "sdp": offered})
        inc = Incoming(b)
        inc.say(180)
        assert is_plain(inc.invite.body.decode()) and command(stream, "invite")["session"]["sdp"] == offered
        until(lambda: ice.checks, 5)
        time.sleep(2)
        assert ice.others == []
        inc.accept(sdp(2))
        got = until(lambda: child(alice, url, bob.email).get("session"), 5)
        assert "a=setup:passive" in got["sdp"]  # the page says hello
    assert inc.bye().code == 200
    until(lambda: not engine.sessions, 5)


def test_ports_of_a_session(real, phone, until):
    """Four streams are 12 ports; one that muxes its RTCP in turn gets others, and keeps the old: README has the figures."""
    system, engine = real
    alice, bob = new_account(system, "alice"), new_account(system, "bob")
    b = rings(phone(bob))
    assert b.register().code == 200
    until(lambda: not engine.ports, 10)

    def streams(text):
        head, _, stream = text.partition("m=")
        return head + 4 * ("m=" + stream)
    muxed, apart = streams(WEB), streams(WEB.replace("a=rtcp-mux\r\n", ""))
    url, me = calls(alice, bob, {"type": "offer", "sdp": muxed})
    inc = Incoming(b)
    inc.accept(streams(sdp(2)))
    until(lambda: child(alice, url, bob.email).get("session"), 5)
    assert engine.ports == 12
    for n in range(12):
        wanted = {"type": "offer", "sdp": muxed if n % 2 else apart}
        until(lambda: alice.request("PUT", me, json={"session": wanted}).status_code == 202, 5)  # pylint: disable=cell-var-from-loop
        try:
            inc.say(200, "OK", streams(sdp(2)), inc.next("INVITE", 3))
        except queue.Empty:
            break
        until(lambda: "pending" not in child(alice, url, alice.email), 5)
    assert child(alice, url, alice.email)["sip"]["reason"] == "Media Changed Too Often"
    assert 12 < engine.ports <= 38
    assert inc.bye().code == 200
    until(lambda: not engine.sessions and not engine.ports, 10)


@pytest.mark.parametrize("who", ["page", "phone"])
def test_a_session_that_is_refused(real, phone, until, who):
    """The relay has media sent to where an offer says at once: until that is refused."""
    system, engine = real
    until(lambda: not engine.sessions, 10)
    alice, bob, inc, url, me = real_call(system, phone, until)
    was = engine.aims()
    assert was["phone"] == [40002] and was["call"]
    if who == "page":
        wanted = WEB.replace("m=audio 40001", "m=audio 45000").replace("sendrecv", "sendonly")
        until(lambda: alice.request("PUT", me, json={"session": {"type": "offer", "sdp": wanted}}).status_code == 202, 5)
        request = inc.next("INVITE")
        assert engine.aims()["call"] == [45000]
        inc.say(488, "Not Acceptable Here", request=request)
    else:
        found = offer(inc, sdp(2).replace("40002", "45000"), 40)
        until(lambda: engine.aims()["phone"] == [45000], 5)
        assert found.get(timeout=40).code == 488  # no page answers
    until(lambda: engine.aims() == was, 5, engine.aims)
    assert child(alice, url, bob.email)["state"] == "joined"
    assert inc.bye().code == 200
    until(lambda: not engine.sessions, 10)


def test_media_to_where_the_agent_listens(real, phone, until):
    """It is at the address that the relay itself has media sent to, to which others may be sent."""
    system, engine = real
    assert real_call(system, phone, until)[2].bye().code == 200
    for port in system.sip_port, system.sip_port - 1:  # RTP, and RTCP
        alice, bob = new_account(system, "alice"), new_account(system, "bob")
        b = rings(phone(bob))
        assert b.register().code == 200
        url, _ = calls(alice, bob, {"type": "offer", "sdp": WEB})
        inc = Incoming(b)
        inc.accept(sdp(2).replace("40002", str(port)))
        inc.next("BYE")
        got = until(lambda: next(c for c in [child(alice, url, bob.email)] if c["state"] == "ended"), 8)  # pylint: disable=cell-var-from-loop
        assert got["sip"] == {**got["sip"], "code": 488, "reason": "Media Address Not Allowed"}
    until(lambda: not engine.sessions, 10)


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
