"""Who is in two calls has the two others talk to each other (Replaces in Refer-To, RFC 3891): or both calls are as they were."""
import types

import pytest
from call_phone import HOLD, Outgoing, rings, sdp, tag_of, up

from phone import new_account
from test_page_calls import children, command
from test_page_sessions import origin
from test_pickup import past
from test_transfer import causes, next_of, passes, refer, request, say, telling, told, url_of

WAIT_S = 10


@pytest.fixture(name="two")
def fixture_two(account, phone):
    """Alice's phone in a call with bob's, and in one with carol's: .out, .inc; .out2, .inc2, their URLs, the accounts."""
    s = types.SimpleNamespace()
    s.alice, s.bob, s.carol = (account(name) for name in ("alice", "bob", "carol"))
    s.a, s.b, s.c = (telling(rings(phone(one))) for one in (s.alice, s.bob, s.carol))
    for one in (s.a, s.b, s.c):
        assert one.register().code == 200
    s.out, s.inc = up(s.a, s.b)
    s.url = url_of(s.alice)
    s.out2, s.inc2 = up(s.a, s.c)
    s.url2 = next(c["url"] for c in s.alice.request("GET", "/call").json() if c["owner"] == s.alice.email and c["url"] != s.url)
    return s


def replaces(side, swapped=False):
    """A Refer-To by which the other side of that dialog of ours is meant."""
    mine, theirs = tag_of(side.mine), tag_of(side.theirs)
    one, other = (theirs, mine) if swapped else (mine, theirs)
    return f"<sip:whoever@192.0.2.99?Replaces={side.call_id}%3Bfrom-tag%3D{one}%3Bto-tag%3D{other}>"


def offers(side, body):
    """The one in the second call is asked for an offer, and makes one."""
    invite = request(side, "INVITE")
    assert not invite.body
    say(side, 200, "OK", body, invite)


def is_as_it_was(s):
    for url, who in ((s.url, s.bob), (s.url2, s.carol)):
        found = children(s.alice, url)
        assert {e: c["state"] for e, c in found.items()} == {s.alice.email: "joined", who.email: "joined"}
    for out, inc in ((s.out, s.inc), (s.out2, s.inc2)):
        assert out.request("INFO", [("Content-Type", "application/dtmf-relay")], "Signal=1\r\n").code == 200
        request(inc, "INFO")
        assert out.bye().code == 200
        request(inc, "BYE")


def test_a_phone_that_answers_no_notify_is_sent_four(account, phone, system, until):
    """Each of these is over at once, and has two: bob is in the call already."""
    alice, bob = account("alice"), account("bob")
    a, b = telling(rings(phone(alice))), rings(phone(bob))
    assert a.register().code == b.register().code == 200
    out, inc = up(a, b)
    out2, inc2 = up(a, b)
    answered, seen = a.answer, set()

    def silent(message):
        if message.method != "NOTIFY":
            return answered(message)
        seen.add(message.get("cseq"))
        return None
    a.answer = silent
    for _ in range(4):
        assert refer(out, replaces(out2)).code == 202
    until(lambda: len(seen) >= 4, WAIT_S)
    until(lambda: "refer_notify_dropped" in system.log("restsip-agent"), WAIT_S)
    assert len(seen) == 4
    a.answer = answered  # they are repeated
    until(lambda: a.told.qsize() >= 4, WAIT_S)
    assert refer(out, replaces(out2)).code == 202
    until(lambda: a.told.qsize() >= 6, WAIT_S)
    for one, other in ((out, inc), (out2, inc2)):
        assert one.bye().code == 200
        request(other, "BYE")


@pytest.mark.parametrize("gone", ["stays", "hangs up"])
@pytest.mark.parametrize("swapped", [False, True])
def test_the_two_others_talk(two, system, until, gone, swapped):
    s = two
    assert refer(s.out, replaces(s.out2, swapped)).code == 202
    if gone == "hangs up":
        assert s.out.bye().code == s.out2.bye().code == 200
    offers(s.inc2, sdp(6))
    invite = request(s.inc, "INVITE")
    offered = invite.body.decode()
    assert "m=audio 40006" in offered and origin(offered) == "o=- 1 2 IN IP4 192.0.2.1"
    say(s.inc, 200, "OK", sdp(7), invite)
    request(s.inc, "ACK")
    accepted = request(s.inc2, "ACK").body.decode()
    assert "m=audio 40007" in accepted and origin(accepted) == "o=- 1 2 IN IP4 192.0.2.1"
    if gone == "stays":
        assert told(s.a) == ["SIP/2.0 100 Trying", "SIP/2.0 200 OK"]
        request(s.out, "BYE")
        request(s.out2, "BYE")
    found = until(lambda: next(f for f in [children(s.bob, s.url)] if s.carol.email in f), WAIT_S)
    assert found[s.alice.email]["ended"] == {"cause": "transferred"}
    assert found[s.bob.email]["state"] == found[s.carol.email]["state"] == "joined"
    assert found[s.carol.email]["session"] == {"type": "offer", "sdp": sdp(6)}
    assert s.carol.request("GET", s.url).status_code == 200
    ended = until(lambda: next(c for c in [s.carol.request("GET", s.url2).json()] if c["state"] == "ended"), WAIT_S)
    assert ended["ended"]["cause"] == "transferred"
    assert s.inc.request("INFO", [("Content-Type", "application/dtmf-relay")], "Signal=1\r\n").code == 200
    request(s.inc2, "INFO")
    assert passes(s.inc2, s.inc, HOLD, sdp(8)) == (next_of(offered, HOLD, 1), next_of(accepted, sdp(8), 1))
    assert passes(s.inc, s.inc2, sdp(8), sdp(9)) == (next_of(accepted, sdp(8), 2), next_of(offered, sdp(9), 2))
    assert s.inc2.bye().code == 200
    request(s.inc, "BYE")
    assert until(lambda: causes(system, s.url), WAIT_S)[s.carol.email] == "hangup"
    assert sorted(past(s.alice)) == sorted([("made", who.email, "transferred", True) for who in (s.bob, s.carol)])
    assert past(s.bob) == [("received", s.alice.email, "hangup", True)]
    assert past(s.carol) == [("received", s.bob.email, "hangup", True), ("received", s.alice.email, "transferred", True)]


def test_who_is_asked_refuses(two):
    """For an offer, or to change over: then who has offered stays with whom they talk to."""
    s = two
    assert refer(s.out, replaces(s.out2)).code == 202
    say(s.inc2, 488, "Not Acceptable Here", "", request(s.inc2, "INVITE"))
    assert told(s.a)[-1] == "SIP/2.0 488 Not Acceptable Here"
    assert refer(s.out, replaces(s.out2)).code == 202
    offers(s.inc2, sdp(6))
    say(s.inc, 488, "Not Acceptable Here", "", request(s.inc, "INVITE"))
    assert "m=audio 40001" in request(s.inc2, "ACK").body.decode()
    assert told(s.a)[-1] == "SIP/2.0 488 Not Acceptable Here"
    is_as_it_was(s)


def test_a_dialog_of_somebody_else(two):
    """Whoever knows its Call-ID and tags has no say in it; nor is one call joined with itself."""
    s = two
    assert refer(s.inc, replaces(s.out2)).code == 403
    assert refer(s.out, replaces(s.out)).code == 403
    assert refer(s.out, replaces(s.out2).replace(s.out2.call_id, "nothing")).code == 403
    assert refer(s.out, "<sip:x@example.net?Replaces=a%3Bto-tag%3D1>").code == 400
    assert s.a.told.empty()
    is_as_it_was(s)


@pytest.mark.parametrize("step", ["joining", "changing over"])
@pytest.mark.parametrize("who", ["kept", "comes"])
def test_one_of_the_others_hangs_up(two, until, step, who):
    s = two
    assert refer(s.out, replaces(s.out2)).code == 202
    joining = request(s.inc2, "INVITE")
    if step == "changing over":
        say(s.inc2, 200, "OK", sdp(6), joining)
        changing = request(s.inc, "INVITE")
    goes, stays, gone_by, stays_by = (s.inc, s.inc2, s.out, s.out2) if who == "kept" else (s.inc2, s.inc, s.out2, s.out)
    assert goes.bye().code == 200
    request(gone_by, "BYE")
    if who == "comes":
        assert told(s.a)[-1].startswith("SIP/2.0 487")
    if step == "joining" and who == "kept":
        say(s.inc2, 200, "OK", sdp(6), joining)
    if who == "kept":  # its offer has an answer all the same
        assert "m=audio 40001" in request(s.inc2, "ACK").body.decode()
    elif step == "changing over":
        say(s.inc, 200, "OK", sdp(7), changing)
        request(s.inc, "ACK")
        again = request(s.inc, "INVITE")
        assert "m=audio 40001" in again.body.decode()
        say(s.inc, 200, "OK", sdp(8), again)
        request(s.inc, "ACK")
    url = s.url2 if who == "kept" else s.url
    assert {c["state"] for c in children(s.alice, url).values()} == {"joined"}
    assert stays_by.bye().code == 200
    request(stays, "BYE")
    until(lambda: not [c for c in s.alice.request("GET", "/call").json() if c["owner"] == s.alice.email], WAIT_S)


def test_a_page_cannot_be_asked_for_an_offer(account, phone, until, page):
    alice, bob, carol = (account(name) for name in ("alice", "bob", "carol"))
    a, c = telling(rings(phone(alice))), rings(phone(carol))
    assert a.register().code == c.register().code == 200
    stream = page(bob)
    out = Outgoing(a, f"sip:{bob.email}", sdp(1))
    url = command(stream, "invite")["json"]["url"]
    assert bob.request("POST", url, json={"session": {"type": "answer", "sdp": sdp(2)}}).status_code == 201
    out.confirm()
    out2, inc2 = up(a, c)
    assert refer(out2, replaces(out)).code == 202
    assert told(a) == ["SIP/2.0 100 Trying", "SIP/2.0 488 Not Acceptable Here"]
    for side in (out, out2):
        assert side.bye().code == 200
    request(inc2, "BYE")
    until(lambda: bob.request("GET", url).json()["state"] == "ended", WAIT_S)


@pytest.fixture(scope="module", name="agents")
def fixture_agents(systems):
    return systems("attended", {"RESTSIP_AGENTS": "2", "RESTSIP_DEMO": "no"})


@pytest.mark.parametrize("where", [0, 1])
def test_between_two_agents(agents, phone, until, where):
    system = agents
    a, b, c = (telling(rings(phone(new_account(system, name), server=system.sip_all[n])))
               for name, n in (("alice", 0), ("bob", 1), ("carol", where)))
    assert a.register().code == b.register().code == c.register().code == 200
    out, inc = up(a, b)
    out2, inc2 = up(a, c)
    assert refer(out, replaces(out2)).code == 202
    offers(inc2, sdp(6))
    invite = request(inc, "INVITE")
    say(inc, 200, "OK", sdp(7), invite)
    offered, accepted = invite.body.decode(), request(inc2, "ACK").body.decode()
    assert "m=audio 40007" in accepted
    assert told(a)[-1] == "SIP/2.0 200 OK"
    request(out, "BYE")
    request(out2, "BYE")
    assert passes(inc2, inc, HOLD, sdp(8)) == (next_of(offered, HOLD, 1), next_of(accepted, sdp(8), 1))
    assert passes(inc, inc2, sdp(8), sdp(9)) == (next_of(accepted, sdp(8), 2), next_of(offered, sdp(9), 2))
    assert inc2.bye().code == 200
    request(inc, "BYE")
    until(lambda: not system.query("select from inspect.leg where state <> 'ended'"), WAIT_S)
