"""A media relay that is away, lies, or is told what it must not hear; and an agent that is killed with calls by it."""
import contextlib
import time

import pytest
from call_phone import Incoming, Outgoing, offer
from phone import new_account
# pylint: disable-next=unused-import
from relay_calls import (AGENT, calls, child, command, fixture_clean, fixture_own_system, fixture_person, fixture_phone_to_web,
                         fixture_relay, fixture_talk, fixture_web_to_phone, how_it_ended, is_plain, is_web, of, sdp, web)

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


def test_a_relay_that_is_away_when_a_call_ends(talk, relay, until):
    """For longer than anybody waits for it: it hears of that once it is back."""
    _, _, side, _, _ = talk
    until(lambda: relay.sessions, 5)
    relay.way = "mute"
    assert side.bye().code == 200
    time.sleep(5)
    assert relay.sessions
    relay.way = "ok"
    until(lambda: not relay.sessions, 10)


# ---- what no relay is asked ----

HEAD = sdp(2).split("m=")[0]
STREAM = "m=audio 40002 RTP/AVP 0\r\n"
WRONG = {
    "streams": (HEAD + 5 * STREAM, "Too Many Media Streams"),
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
    answer = Outgoing(bob.phone, f"sip:{alice.email}", text).final(8)
    assert (answer.code, answer.reason) == (488, why)
    assert "offer" not in [said for said, _ in relay.said]
    url, _ = calls(alice, bob, {"type": "offer", "sdp": web(1)})
    inc = Incoming(bob.phone)
    inc.accept(text)
    inc.next("BYE")
    got = until(lambda: next(c for c in [child(alice, url, bob.email)] if c["state"] == "ended"), 8)
    assert got["ended"]["cause"] == "media" and got["sip"] == {**got["sip"], "code": 488, "reason": why}
    assert "answer" not in [said for said, _ in relay.said]


def test_a_phone_that_aims_wrongly_within_a_call(web_to_phone, relay, until):
    """It hears why, and the call goes on."""
    alice, bob, side, url, _ = web_to_phone
    answer = offer(side, HEAD + 5 * STREAM).get(timeout=5)
    assert (answer.code, answer.reason) == (488, "Too Many Media Streams")
    assert child(alice, url, bob.email)["state"] == "joined"
    assert side.bye().code == 200
    until(lambda: not relay.sessions, 5)


# ---- the agent is killed ----

def test_calls_outlive_the_agent(talk, own_system, phone, relay, until):
    """They talk on, and hold; when they hang up, their session is gone."""
    alice, bob, side, url, me = talk
    probe = phone(new_account(own_system, "probe"))
    until(lambda: own_system.query("select 1 from inspect.leg where call = %s and state = 'up'", [int(url.rsplit("/", 1)[1])]), 5)
    until(lambda: own_system.query("select 1 from app.leg where call_id = %s and own_said is not null and own_heard is not null",
                                   [int(url.rsplit("/", 1)[1])], own_system.pg_owner), 5)
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


@pytest.mark.parametrize("who", ["web", "web, not ringing", "phone"])
def test_what_rings_when_the_agent_is_killed(person, page, own_system, phone, relay, until, who):
    alice, bob = person("alice", False), person("bob")
    stream = page(alice)
    if who == "web, not ringing":
        calls(alice, bob, {"type": "offer", "sdp": web(1)})
        Incoming(bob.phone)
    elif who == "web":
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
