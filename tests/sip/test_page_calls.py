"""Calls between phones and pages: each by its own door, and the same call behind both."""
import json

import pytest
from call_phone import Incoming, Outgoing, rings, sdp

WEBRTC = sdp(9).replace("RTP/AVP", "UDP/TLS/RTP/SAVPF") + "a=fingerprint:sha-256 00\r\n"
COMPLETED = 'SIP;cause=200;text="Call completed elsewhere"'


@pytest.fixture(name="people")
def fixture_people(phone, account):
    """Alice, who has a phone that is registered, and bob, who has none."""
    alice, bob = account("alice"), account("bob")
    a = rings(phone(alice))
    assert a.register().code == 200
    return a, alice, bob


@pytest.fixture(name="legs")
def fixture_legs(system, until):
    """What became of the phones of an account's calls, once none is live: (direction, cause)."""
    def read(owner):
        def over():
            rows = system.query("select l.direction, l.state, l.cause from inspect.leg l join inspect.call c on c.id = l.call "
                                "where c.owner = %s order by l.id", [owner.email])
            return [(r["direction"], r["cause"]) for r in rows] if rows and all(r["state"] == "ended" for r in rows) else None
        return until(over, 5)
    return read


def command(stream, name):
    """The first command of that name that comes to a page."""
    event = stream.wait(lambda e: e.name == "message" and e.data.get("json", {}).get("command") == name)
    assert json.loads(event.data["body"]) == event.data["json"]
    return event.data


def children(account, url):
    answer = account.request("GET", url)
    assert answer.status_code == 200, answer.text
    return {c["email"]: c for c in answer.json()["children"]}


# ---- a phone calls, and a page answers ----

def test_a_page_answers_a_phone(people, page, legs):
    a, alice, bob = people
    stream = page(bob)
    out = Outgoing(a, f"sip:{bob.email}", sdp(1))
    invite = command(stream, "invite")
    assert invite["from"] == alice.email and invite["json"]["id"] == invite["id"]
    assert invite["json"]["session"] == {"type": "offer", "sdp": sdp(1)}
    assert out.next().code == 180
    url = invite["json"]["url"]
    assert {c["state"] for c in children(bob, url).values()} == {"calling", "ringing"}
    answer = bob.request("POST", url, json={"session": {"type": "answer", "sdp": sdp(2)}})
    assert answer.status_code == 201, answer.text
    joined = answer.json()
    assert joined["state"] == "joined" and "via" not in joined and joined["session"]["sdp"] == sdp(2)
    assert out.confirm().body.decode() == sdp(2)
    assert {c["state"] for c in children(bob, url).values()} == {"joined"}
    assert bob.request("POST", url, json={"session": {"type": "answer", "sdp": sdp(2)}}).status_code == 200  # once more
    assert out.bye().code == 200
    assert legs(alice) == [("in", "hangup")]
    assert bob.request("GET", url).json()["state"] == "ended"


@pytest.mark.parametrize("session", ["none", "rtsp"])
def test_without_sdp_it_takes_part_without_media(people, page, session):
    a, _, bob = people
    stream = page(bob)
    out = Outgoing(a, f"sip:{bob.email}", sdp(1) + "m=video 5000 RTP/SAVP 99\r\na=rtpmap:99 H264/90000\r\n")
    url = command(stream, "invite")["json"]["url"]
    body = {"url": bob.login, **({"session": "rtsp://..."} if session == "rtsp" else {})}
    answer = bob.request("POST", url, json=body)
    assert answer.status_code == 201
    said = out.confirm().body.decode()
    assert "m=audio 9 RTP/AVP 0\r\na=inactive\r\n" in said and "m=video 0 RTP/SAVP 99\r\n" in said
    assert bob.request("DELETE", answer.json()["url"]).status_code == 204
    assert a.requests.get(timeout=5).method == "BYE"


@pytest.mark.parametrize("reason,code", [(None, 603), ("busy", 486), ("unavailable", 480), (404, 404)])
def test_a_page_says_no(people, page, legs, reason, code):
    a, alice, bob = people
    stream = page(bob)
    out = Outgoing(a, f"sip:{bob.email}", sdp(1))
    url = command(stream, "invite")["json"]["url"]
    body = {"command": "reject", "url": url, **({"reason": reason} if reason else {})}
    assert bob.request("SEND", alice.login, json={**body, "reason": 200}).status_code == 400
    assert bob.request("SEND", alice.login, json=body).status_code == 202
    assert out.final().code == code
    assert command(stream, "cancel")["json"]["reason"] == "declined"
    assert len(legs(alice)) == 1
    assert alice.request("GET", url).json()["ended"]["by"] == bob.email


def test_the_phone_gives_up(people, page, legs):
    a, alice, bob = people
    stream = page(bob)
    out = Outgoing(a, f"sip:{bob.email}", sdp(1))
    invite = command(stream, "invite")
    out.cancel()
    assert out.final().code == 487
    cancel = command(stream, "cancel")
    assert cancel["from"] == alice.email
    assert cancel["json"] == {"command": "cancel", "url": invite["json"]["url"], "id": invite["id"], "reason": "caller-gone"}
    assert bob.request("POST", invite["json"]["url"], json={}).status_code == 404
    assert legs(alice) == [("in", "cancelled")]


def test_nobody_answers_at_a_page(people, page):
    a, _, bob = people
    stream = page(bob)
    out = Outgoing(a, f"sip:{bob.email}", sdp(1), [("Expires", "1")])
    command(stream, "invite")
    assert out.final().code == 480
    assert command(stream, "cancel")["json"]["reason"] == "no-answer"


def test_an_offerless_call_is_answered_by_an_offer(people, page, until):
    a, alice, bob = people
    stream = page(bob)
    out = Outgoing(a, f"sip:{bob.email}")
    invite = command(stream, "invite")["json"]
    assert "session" not in invite
    assert bob.request("POST", invite["url"], json={"session": {"type": "offer", "sdp": sdp(2)}}).status_code == 201
    assert out.confirm(body=sdp(1)).body.decode() == sdp(2)
    until(lambda: children(bob, invite["url"])[alice.email].get("session") == {"type": "answer", "sdp": sdp(1)}, 5)
    assert out.bye().code == 200


def test_media_that_do_not_go_together(people, page):
    a, _, bob = people
    stream = page(bob)
    out = Outgoing(a, f"sip:{bob.email}", sdp(1))
    url = command(stream, "invite")["json"]["url"]
    answer = bob.request("POST", url, json={"session": {"type": "answer", "sdp": WEBRTC}})
    assert answer.status_code == 409 and answer.json()["type"].endswith("media-incompatible")
    answer = bob.request("POST", url, json={"session": {"type": "answer", "sdp": "v=0\r\n"}})
    assert answer.status_code == 400 and answer.json()["errors"][0]["pointer"] == "/session/sdp"
    out.cancel()
    assert out.final().code == 487


# ---- pages and phones of one account ----

def test_a_page_is_quicker_than_a_phone(people, phone, page, legs):
    a, alice, bob = people
    b = rings(phone(bob))
    assert b.register().code == 200
    stream = page(bob)
    out = Outgoing(a, f"sip:{bob.email}", sdp(1))
    inc = Incoming(b)
    inc.say(180)
    url = command(stream, "invite")["json"]["url"]
    assert bob.request("POST", url, json={"session": {"type": "answer", "sdp": sdp(2)}}).status_code == 201
    assert out.confirm(out.final()).body.decode() == sdp(2)
    cancel = inc.next("CANCEL")
    assert cancel.get("reason") == COMPLETED
    inc.say(200, request=cancel)
    inc.say(487)
    assert command(stream, "cancel")["json"]["reason"] == "answered-elsewhere"
    again = bob.request("POST", url, json={"session": {"type": "answer", "sdp": sdp(3)}})
    assert again.status_code == 409 and again.json()["type"].endswith("answered-elsewhere")
    assert out.bye().code == 200
    assert legs(alice) == [("in", "hangup"), ("out", "cancelled")]


def test_a_phone_is_quicker_than_a_page(people, phone, page):
    a, _, bob = people
    b = rings(phone(bob))
    assert b.register().code == 200
    streams = [page(bob), page(bob)]
    out = Outgoing(a, f"sip:{bob.email}", sdp(1))
    inc = Incoming(b)
    url = command(streams[0], "invite")["json"]["url"]
    command(streams[1], "invite")
    inc.accept()
    assert out.confirm(out.final()).body.decode() == sdp(2)
    assert [command(s, "cancel")["json"]["reason"] for s in streams] == ["answered-elsewhere"] * 2
    assert bob.request("POST", url, json={"session": {"type": "answer", "sdp": sdp(3)}}).status_code == 409
    assert out.bye().code == 200
    inc.next("BYE")


def test_a_phone_that_is_busy_leaves_the_page_ringing(people, phone, page):
    a, _, bob = people
    b = rings(phone(bob))
    assert b.register().code == 200
    stream = page(bob)
    out = Outgoing(a, f"sip:{bob.email}", sdp(1))
    url = command(stream, "invite")["json"]["url"]
    Incoming(b).say(486, "Busy Here")
    assert out.next().code == 180
    assert bob.request("POST", url, json={}).status_code == 201
    out.confirm(out.final())
    assert out.bye().code == 200


def test_one_says_no_for_all_pages_too(people, phone, page):
    a, _, bob = people
    b = rings(phone(bob))
    assert b.register().code == 200
    stream = page(bob)
    out = Outgoing(a, f"sip:{bob.email}", sdp(1))
    command(stream, "invite")
    Incoming(b).say(603, "Decline")
    assert out.final().code == 603
    assert command(stream, "cancel")["json"]["reason"] == "declined"


# ---- a page calls a phone ----

@pytest.fixture(name="called")
def fixture_called(phone, account):
    """Alice, and bob, who has a phone that is registered."""
    alice, bob = account("alice"), account("bob")
    b = rings(phone(bob))
    assert b.register().code == 200
    return alice, bob, b


def offer(n=1):
    return {"type": "offer", "sdp": sdp(n)}


def call(owner, *others, session=None, **more):
    """Has others called; the call's URL. It is not open: all accounts of the tests would see it."""
    answer = owner.request("POST", "/call", json={**({"session": session} if session else {}), **more, "open": False,
                                                  "invite": [other.login for other in others]})
    assert answer.status_code == 201, answer.text
    return answer.json()["url"]


def status(account, send):
    return account.request("GET", send["url"]).json()


def test_a_page_calls_a_phone_step_by_step(called, until, legs):
    alice, bob, b = called
    url = alice.request("POST", "/call", json={"subject": "lunch", "open": False}).json()["url"]
    me = alice.request("POST", url, json={"url": alice.login, "session": offer()}).json()["url"]
    answer = alice.request("SEND", bob.login, json={"command": "invite", "url": url, "id": 567})
    assert answer.status_code == 202
    send = answer.json()
    inc = Incoming(b)
    assert inc.invite.body.decode() == sdp(1) and alice.email in inc.invite.get("from")
    inc.say(180, "Ringing")
    until(lambda: children(alice, url)[bob.email].get("sip") == {"code": 180, "reason": "Ringing"}, 5)
    inc.accept()
    child = until(lambda: next(c for c in [children(alice, url)[bob.email]] if c["state"] == "joined"), 5)
    assert child["via"] == "sip" and child["session"] == {"type": "answer", "sdp": sdp(2)}
    got = until(lambda: next(s for s in [status(alice, send)] if s["status"] == "delivered"), 5)
    assert [(r["kind"], r["sip"]["code"]) for r in got["recipients"]] == [("contact", 200)]
    assert alice.request("DELETE", me).status_code == 204
    inc.next("BYE")
    child = children(alice, url)[bob.email]
    assert child["state"] == "ended" and child["ended"] == {"cause": "hangup"}
    assert alice.request("GET", child["url"]).json() == child
    assert legs(alice) == [("out", "hangup")]


def test_the_phone_hangs_up(called, until):
    alice, bob, b = called
    url = call(alice, bob, session=offer())
    inc = Incoming(b)
    inc.accept()
    until(lambda: children(alice, url)[bob.email]["state"] == "joined", 5)
    assert inc.bye().code == 200
    until(lambda: children(alice, url)[bob.email]["state"] == "ended", 5)
    assert children(alice, url)[alice.email]["state"] == "joined"


@pytest.mark.parametrize("code,cause", [(486, "busy"), (603, "declined"), (488, "media"), (503, "unreachable")])
def test_a_phone_says_no_to_a_page(called, until, code, cause):
    alice, bob, b = called
    url = call(alice, bob, session=offer())
    Incoming(b).say(code, "No")
    child = until(lambda: next(c for c in [children(alice, url)[bob.email]] if c["state"] == "ended"), 5)
    assert child["ended"]["cause"] == cause and child["sip"]["code"] == (480 if code == 503 else code)


def test_a_phone_of_another_kind_than_the_page_and_no_relay(called, system, until):
    """Who calls reads what is missing, and so does an operator."""
    alice, bob, b = called
    url = call(alice, bob, session={"type": "offer", "sdp": sdp(1).replace("RTP/AVP", "UDP/TLS/RTP/SAVPF")})
    Incoming(b).say(488, "Not Acceptable Here")
    child = until(lambda: next(c for c in [children(alice, url)[bob.email]] if c["state"] == "ended"), 5)
    assert child["ended"]["cause"] == "media" and child["sip"] == {"code": 488, "reason": "No Media Relay"}
    until(lambda: "relay_is_needed" in system.log("restsip-agent"), 5)


@pytest.mark.parametrize("how", ["CANCEL", "SEND", "leave", "DELETE"])
def test_a_page_gives_up(called, until, how):
    alice, bob, b = called
    url = alice.request("POST", "/call", json={"open": False}).json()["url"]
    me = alice.request("POST", url, json={"session": offer()}).json()["url"]
    send = alice.request("SEND", bob.login, json={"command": "invite", "url": url}).json()
    inc = Incoming(b)
    inc.say(180)
    until(lambda: children(alice, url)[bob.email]["state"] == "ringing", 5)
    if how == "CANCEL":
        assert alice.request("CANCEL", send["url"]).status_code == 200
    elif how == "SEND":
        assert alice.request("SEND", bob.login, json={"command": "cancel", "url": url}).json()["status"] == "delivered"
    else:
        assert alice.request("DELETE", me if how == "leave" else url).status_code == 204
    inc.say(200, request=inc.next("CANCEL"))
    inc.say(487)
    until(lambda: status(alice, send)["status"] == "cancelled", 5)


def test_a_page_is_called_and_a_phone_with_it(called, page, until):
    alice, bob, b = called
    stream = page(bob)
    url = call(alice, bob, session=offer())
    inc = Incoming(b)
    inc.say(180)
    invite = command(stream, "invite")
    assert invite["json"]["url"] == url and invite["json"]["session"] == offer()
    assert bob.request("POST", url, json={"session": {"type": "answer", "sdp": sdp(2)}}).status_code == 201
    cancel = inc.next("CANCEL")
    assert cancel.get("reason") == COMPLETED
    inc.say(200, request=cancel)
    inc.say(487)
    child = children(alice, url)[bob.email]
    assert child["state"] == "joined" and "via" not in child and child["session"]["sdp"] == sdp(2)


def test_without_a_session_the_phone_offers(called, until):
    alice, bob, b = called
    url = call(alice, bob)
    inc = Incoming(b)
    assert inc.invite.body == b""
    inc.say(200, "OK", sdp(2))
    child = until(lambda: next(c for c in [children(alice, url)[bob.email]] if c["state"] == "joined"), 5)
    assert child["session"] == offer(2)
    me = children(alice, url)[alice.email]["url"]
    answer = {"session": {"type": "answer", "sdp": sdp(1)}}
    assert alice.request("PUT", me, json=answer).status_code == 200
    assert inc.next("ACK").body.decode() == sdp(1)
    again = alice.request("PUT", me, json=answer)
    assert again.status_code == 409 and again.json()["type"].endswith("stale-answer")


def test_with_another_kind_of_session_it_calls_without_media(called):
    alice, bob, b = called
    call(alice, bob, session="rtsp://...")
    inc = Incoming(b)
    assert "m=audio 9 RTP/AVP 0 8 101" in inc.invite.body.decode() and "a=inactive" in inc.invite.body.decode()
    inc.accept()


def test_nobody_is_there(account):
    alice, bob = account("alice"), account("bob")
    url = alice.request("POST", "/call", json={"open": False}).json()["url"]
    sent = alice.request("SEND", bob.login, json={"command": "invite", "url": url}).json()
    assert sent["status"] == "failed" and sent["recipients"][0]["sip"]["code"] == 480
    answer = alice.request("SEND", f"{bob.login}?offline=no", json={"command": "invite", "url": url})
    assert answer.status_code == 409 and answer.json()["type"].endswith("not-reachable")
    # of a call that is none of the sender's it is a message like any other
    assert bob.request("SEND", alice.login, json={"command": "cancel", "url": "/call/1"}).json()["status"] == "stored"


def test_one_phone_at_the_end_of_ones_media(called, phone, account):
    alice, bob, b = called
    carol = account("carol")
    assert rings(phone(carol)).register().code == 200
    url = call(alice, bob, session=offer(), invited=[carol.email])
    Incoming(b).accept()
    answer = alice.request("SEND", carol.login, json={"command": "invite", "url": url})
    assert answer.status_code == 409 and answer.json()["type"].endswith("needs-mixer")
    answer = carol.request("POST", url, json={"session": offer(3)})
    assert answer.status_code == 409 and answer.json()["type"].endswith("needs-mixer")
    assert carol.request("POST", url, json={"session": "rtsp://..."}).status_code == 201
