"""Calls by a media relay of which something is refused, picked up or said twice: each keeps the media that it has."""
import queue

from call_phone import Incoming, Outgoing, offer, rings
from phone import new_account
# pylint: disable-next=unused-import
from relay_calls import AGENT, calls, child, command, fixture_clean, fixture_own_system, fixture_person, fixture_relay, sdp, web
from test_pickup import replaces


def talks(person, until, session):
    """Alice's page talks with bob's phone, of plain RTP: (alice, bob, the phone's leg, alice's participant)."""
    alice, bob = person("alice", False), person("bob")
    url, me = calls(alice, bob, {"type": "offer", "sdp": session})
    inc = Incoming(bob.phone)
    inc.say(180)
    inc.accept(sdp(2))
    until(lambda: child(alice, url, bob.email).get("session"), 5)
    return alice, bob, inc, me


def offers(alice, me, session, until):
    """Her page's media are others now, as soon as that may be said."""
    until(lambda: alice.request("PUT", me, json={"session": {"type": "offer", "sdp": session}}).status_code == 202, 5)


def is_settled(alice, me):
    return "pending" not in child(alice, me.rsplit("/", 1)[0], alice.email)


def relays(system, me):
    rows = system.query("select relay from inspect.leg where call = %s and state <> 'ended'", [int(me.rsplit("/", 2)[1])])
    return [row["relay"] for row in rows if row["relay"]]


def test_an_offer_of_the_phones_kind_is_refused(person, own_system, relay, until):
    alice, bob, inc, me = talks(person, until, web(1))
    name, = relay.sessions
    offers(alice, me, sdp(3), until)
    request = until(lambda: next((r for r in [inc.phone.requests.get(timeout=5)] if r.method == "INVITE"), None), 5)
    inc.say(488, "Not Acceptable Here", request=request)
    until(lambda: is_settled(alice, me), 5)
    assert name in relay.sessions and ("delete", name) not in relay.said and relays(own_system, me)
    assert child(alice, me.rsplit("/", 1)[0], bob.email)["state"] == "joined"
    assert inc.bye().code == 200
    until(lambda: not relay.sessions, 5)


def test_an_offer_of_the_other_kind_finds_no_relay(person, own_system, relay, until):
    alice, bob, inc, me = talks(person, until, sdp(1))
    assert not relay.said
    relay.way = "error"
    offers(alice, me, web(3), until)
    until(lambda: is_settled(alice, me), 10)
    relay.way = "ok"
    assert not relays(own_system, me) and child(alice, me.rsplit("/", 1)[0], bob.email)["state"] == "joined"
    found = offer(inc, sdp(5).replace("sendrecv", "sendonly"), 8)  # it speaks as it did
    until(lambda: child(alice, me.rsplit("/", 1)[0], bob.email).get("hold"), 5)
    assert alice.request("PUT", me, json={"session": {"type": "answer", "sdp": sdp(6)}}).status_code == 200
    assert found.get(timeout=5).body.decode().count("fingerprint") == 0
    assert inc.bye().code == 200


def test_who_is_not_translated_hears_ack(person, relay, until):
    alice, bob = person("alice"), person("bob")
    out = Outgoing(alice.phone, bob.phone.aor, sdp(1))
    inc = Incoming(bob.phone)
    inc.say(488, "Not Acceptable Here")
    inc.invite = inc.next("INVITE")
    inc.accept(web(2))
    out.confirm(out.final())
    offer(out, "", 8)
    request = until(lambda: next((r for r in [inc.phone.requests.get(timeout=5)] if r.method == "INVITE"), None), 8)
    assert not request.body
    relay.way = "error"
    inc.say(200, "OK", web(6), request)
    seen = []

    def has_both():
        try:
            seen.append(inc.phone.requests.get(timeout=1).method)
        except queue.Empty:
            pass
        return {"ACK", "BYE"} <= set(seen)
    until(has_both, 8)
    relay.way = "ok"


def test_a_pick_up_leaves_no_relay(person, page, own_system, relay, until, phone):
    alice, bob = person("alice"), person("bob")
    stream = page(bob)
    third = rings(phone(bob))
    out = Outgoing(alice.phone, bob.phone.aor, sdp(1))
    inc = Incoming(bob.phone)
    inc.say(180)
    me = command(stream, "invite")["url"] + "/1"
    assert out.next().code == 180
    picked = Outgoing(third, bob.phone.aor, sdp(5), replaces(inc))
    assert picked.confirm().body.decode() == sdp(1)
    assert out.confirm().body.decode() == sdp(5)
    until(lambda: not relay.sessions and not relays(own_system, me), 10)
    own_system.kill_and_wait(AGENT)
    until(phone(new_account(own_system, "probe")).is_served, 20)
    assert out.bye().code == 200


def test_a_session_that_gets_other_ports_each_time(person, relay, until):
    """A relay keeps the old ones until the session ends: after so many it hears no more offers, and the call talks on."""
    alice, bob, inc, me = talks(person, until, web(1))
    url = me.rsplit("/", 1)[0]
    relay.way = "moves"
    for n in range(2, 6):  # each time either side is told others; but for the first
        offers(alice, me, web(n), until)
        inc.say(200, "OK", sdp(n), inc.next("INVITE"))
        until(lambda: is_settled(alice, me), 5)
    said = len(relay.said)
    until(lambda: alice.request("PUT", me, json={"session": {"type": "offer", "sdp": web(7)}}).status_code == 202, 5)
    mine = until(lambda: next(c for c in [child(alice, url, alice.email)] if "pending" not in c), 5)
    assert (mine["sip"]["code"], mine["sip"]["reason"]) == (488, "Media Changed Too Often")
    assert mine["session"]["sdp"] == web(5) and child(alice, url, bob.email)["state"] == "joined"
    assert "offer" not in [what for what, _ in relay.said[said:]]
    assert inc.bye().code == 200
