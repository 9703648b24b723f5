"""A phone takes the place of another of its account that rings (INVITE with Replaces, RFC 3891)."""
import pytest
from call_phone import Incoming, Outgoing, rings, sdp, tag_of, up

from test_divert import send_on
from test_page_calls import COMPLETED, call, children
from test_page_calls import offer as session_offer
from test_transfer import request

WAIT_S = 10


@pytest.fixture(name="people")
def fixture_people(account, phone):
    """Alice's phone, and bob's, which are registered, and another of bob's, which is not: it is not rung."""
    alice, bob = account("alice"), account("bob")
    a, b, d = rings(phone(alice)), rings(phone(bob)), rings(phone(bob))
    assert a.register().code == b.register().code == 200
    return alice, bob, a, b, d


def replaces(inc, more=""):
    return [("Replaces", f"{inc.call_id};from-tag={tag_of(inc.invite.get('from'))};to-tag={inc.tag}{more}")]


def ringing(a, b):
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    inc.say(180)
    assert out.next().code == 180
    return out, inc


def picks(phone, instead_of, out, inc, more=""):
    """A phone picks up where another rings, which hears so: its side of the call."""
    picked = Outgoing(phone, instead_of.aor, sdp(5), replaces(inc, more))
    assert picked.confirm().body.decode() == sdp(1)
    assert out.confirm().body.decode() == sdp(5)
    assert inc.cancelled(WAIT_S).get("reason") == COMPLETED
    return picked


@pytest.mark.parametrize("more", ["", ";early-only"])
def test_it_answers_in_its_place(people, until, more):
    alice, bob, a, b, d = people
    out, inc = ringing(a, b)
    picked = picks(d, b, out, inc, more)
    url, = (c["url"] for c in alice.request("GET", "/call").json() if c["owner"] == alice.email)
    found = children(alice, url)
    assert {c["state"] for c in found.values()} == {"joined"}
    assert found[bob.email]["session"] == {"type": "answer", "sdp": sdp(5)}
    assert picked.request("INFO", [("Content-Type", "application/dtmf-relay")], "Signal=1\r\n").code == 200
    request(out, "INFO")
    assert picked.bye().code == 200
    request(out, "BYE")
    until(lambda: alice.request("GET", url).json()["state"] == "ended", WAIT_S)


def delivered(system, account):
    """What became of the SENDs that have rung the account's phones."""
    rows = system.query("select state, code, reason from inspect.delivery where recipient = %s and kind = 'contact' order by contact",
                        [account.email])
    return [tuple(row.values()) for row in rows]


def past(account):
    """type, with, cause of an account's past calls, and whether they have talked; newest first."""
    return [(c["type"], c["with"], c["ended"]["cause"], "duration" in c) for c in account.request("GET", "/user/me/calls").json()]


def test_of_a_page_that_calls(people, system, until):
    alice, bob, _, b, d = people
    url = call(alice, bob, session=session_offer())
    inc = Incoming(b)
    inc.say(180)
    picked = Outgoing(d, b.aor, sdp(5), replaces(inc))
    assert picked.confirm().body.decode() == sdp(1)
    inc.cancelled(WAIT_S)
    found = until(lambda: next(f for f in [children(alice, url)] if f[bob.email]["state"] == "joined"), WAIT_S)
    assert found[bob.email]["session"] == {"type": "answer", "sdp": sdp(5)}
    until(lambda: delivered(system, bob) == [("delivered", 200, "Call completed elsewhere")], WAIT_S)
    assert alice.request("DELETE", found[alice.email]["url"]).status_code == 204
    request(picked, "BYE")


def test_of_a_call_that_was_sent_on(people, account, phone, until):
    """By the account that it was sent on to, which is in it then."""
    alice, bob, a, b, _ = people
    carol = account("carol")
    c, e = rings(phone(carol)), rings(phone(carol))
    assert c.register().code == 200
    out = Outgoing(a, b.aor, sdp(1))
    send_on(Incoming(b), c.aor)
    inc = Incoming(c)
    inc.say(180)
    assert out.next(WAIT_S).code == 180
    picked = picks(e, c, out, inc)
    assert picked.bye().code == 200
    request(out, "BYE")
    until(lambda: past(carol) == [("received", alice.email, "hangup", True)], WAIT_S)
    assert past(alice) == [("made", carol.email, "hangup", True)]
    assert past(bob) == [("received", alice.email, "transferred", False)]


def test_by_others_and_of_others(people, system, account, phone):
    """Whoever knows a Call-ID and tags has no say in it."""
    _, _, a, b, d = people
    out, inc = ringing(a, b)
    stranger = rings(phone(account("mallory")))
    assert Outgoing(stranger, b.aor, sdp(5), replaces(inc)).final().code == 403
    assert Outgoing(a, b.aor, sdp(5), replaces(inc)).final().code == 403
    inc.call_id, was = "nothing", inc.call_id
    assert Outgoing(d, b.aor, sdp(5), replaces(inc)).final().code == 481
    inc.call_id = was
    assert Outgoing(d, b.aor, sdp(5), [("Replaces", "x")]).final().code == 400
    assert Outgoing(d, b.aor, sdp(5) + "m=video 5000 RTP/AVP 99\r\n", replaces(inc)).final().code == 488
    assert Outgoing(d, b.aor, sdp(5).replace("RTP/AVP", "RTP/SAVP"), replaces(inc)).final().code == 488
    sips = "update app.leg set secure = %s where sip_call_id = %s returning id"
    system.query_owner(sips, [True, inc.call_id])
    assert Outgoing(d, b.aor, sdp(5), replaces(inc)).final().code == 403  # in clear
    system.query_owner(sips, [False, inc.call_id])
    out.cancel()
    assert out.final().code == 487
    inc.cancelled(WAIT_S)
    assert Outgoing(d, b.aor, sdp(5), replaces(inc)).final().code == 481


def test_of_one_that_is_up(people):
    _, _, a, b, d = people
    out, inc = up(a, b)
    assert Outgoing(d, b.aor, sdp(5), replaces(inc)).final().code == 486
    assert out.bye().code == 200
    request(inc, "BYE")
