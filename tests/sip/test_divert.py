"""Phones that send their calls on (3xx): to accounts here alone, one time, and within the bounds of a call."""
import pytest
from call_phone import Incoming, Outgoing, rings, sdp

from test_page_calls import call, children, offer

WAIT_S = 10


@pytest.fixture(name="people")
def fixture_people(phone, account):
    """n accounts, each with a registered phone."""
    def make(n):
        accounts = [account(name) for name in ("alice", "bob", "carol", "dave", "erin", "frank", "grace")[:n]]
        phones = [rings(phone(one)) for one in accounts]
        for one in phones:
            assert one.register().code == 200
        return accounts, phones
    return make


def send_on(inc, *targets, code=302):
    """Answers an INVITE with 3xx and those Contacts."""
    lines = [f"SIP/2.0 {code} Moved"]
    for name, value in inc.invite.headers:
        if name in ("via", "from", "to", "call-id", "cseq"):
            lines.append(f"{name.title()}: {value}" + (f";tag={inc.tag}" if name == "to" else ""))
    lines += [f"Contact: {', '.join(f'<{t}>' for t in targets)}"] if targets else []
    inc.phone.send("\r\n".join(lines + ["Content-Length: 0", "", ""]), inc.invite.source)
    inc.next("ACK", WAIT_S)


def test_who_it_is_sent_on_to_answers(people, system, until):
    (alice, bob, carol), (a, b, c) = people(3)
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    send_on(inc, c.aor)
    second = Incoming(c)
    assert second.invite.body.decode() == sdp(1) and alice.email in second.invite.get("from")
    assert int(second.invite.get("max-forwards")) < int(inc.invite.get("max-forwards"))
    second.say(180, "Ringing")
    assert out.next(WAIT_S).code == 180
    url = alice.request("GET", "/call").json()[0]["url"]
    second.accept()
    assert out.confirm(out.final(WAIT_S)).body.decode() == sdp(2)
    found = until(lambda: next(c for c in [children(alice, url)] if {v["state"] for v in c.values()} == {"joined"}), WAIT_S)
    assert set(found) == {alice.email, carol.email}, "who has answered is in it"
    assert carol.request("GET", url).status_code == 200 and bob.request("GET", url).status_code == 404
    assert second.bye().code == 200
    assert a.requests.get(timeout=WAIT_S).method == "BYE"
    ended = [(alice.email, None, "hangup"), (bob.email, 302, "unreachable"), (carol.email, None, "hangup")]
    until(lambda: [tuple(r.values()) for r in system.query(
        "select l.email, l.code, l.cause from inspect.leg l where l.call = %s order by l.id",
        [int(url.split("/")[-1])])] == ended, WAIT_S)


def test_its_refusal_is_what_the_caller_hears(people):
    _, (a, b, c) = people(3)
    out = Outgoing(a, b.aor, sdp(1))
    send_on(Incoming(b), c.aor, code=301)
    Incoming(c).say(486, "Busy Here")
    assert out.final(WAIT_S).code == 486


@pytest.mark.parametrize("to", ["nobody", "elsewhere", "himself", "caller", "unknown"])
def test_to_nobody_here(people, to):
    _, (a, b) = people(2)
    target = {"nobody": [], "elsewhere": ["sip:carol@example.org", "tel:+123", "mailto:x@example.net"], "himself": [b.aor],
              "caller": [a.aor], "unknown": ["sip:nobody-here@example.net"]}[to]
    out = Outgoing(a, b.aor, sdp(1))
    send_on(Incoming(b), *target)
    answer = out.final(WAIT_S)
    assert answer.code == 480 and answer.get("reason") == "SIP;cause=302"
    assert not [m for m in a.seen if not m.is_response and m.method == "INVITE"]


def test_it_is_sent_on_once(people):
    """So two who send to each other end it."""
    _, (a, b, c, d) = people(4)
    out = Outgoing(a, b.aor, sdp(1))
    send_on(Incoming(b), c.aor)
    send_on(Incoming(c), b.aor, d.aor)
    answer = out.final(WAIT_S)
    assert answer.code == 480 and answer.get("reason") == "SIP;cause=302"
    assert not [m for m in d.seen if not m.is_response and m.method == "INVITE"]


def test_it_rings_so_many_and_no_more(people):
    _, (a, b, *others) = people(7)
    out = Outgoing(a, b.aor, sdp(1))
    send_on(Incoming(b), *(p.aor for p in others))
    rung = [Incoming(p) for p in others[:4]]
    for inc in rung:
        inc.say(180, "Ringing")
    rung[0].accept()
    assert out.confirm(out.final(WAIT_S)).code == 200
    for inc in rung[1:]:
        cancel = inc.next("CANCEL", WAIT_S)
        assert cancel.get("reason") == 'SIP;cause=200;text="Call completed elsewhere"'
        inc.say(200, request=cancel)
        inc.say(487)
    assert not [m for m in others[4].seen if not m.is_response and m.method == "INVITE"]
    assert out.bye().code == 200


def test_the_caller_gives_up(people, until, system):
    (alice, *_), (a, b, c) = people(3)
    out = Outgoing(a, b.aor, sdp(1))
    send_on(Incoming(b), c.aor)
    inc = Incoming(c)
    inc.say(180)
    out.cancel()
    assert out.final(WAIT_S).code == 487
    cancel = inc.next("CANCEL", WAIT_S)
    inc.say(200, request=cancel)
    inc.say(487)
    until(lambda: not system.query("select from inspect.leg l join inspect.call c on c.id = l.call "
                                   "where c.owner = %s and l.state <> 'ended'", [alice.email]), WAIT_S)


def test_a_call_of_a_page_is_sent_on_too(people, until):
    (alice, bob, carol), (_, b, c) = people(3)
    url = call(alice, bob, session=offer())
    send_on(Incoming(b), c.aor)
    inc = Incoming(c)
    assert inc.invite.body.decode() == sdp(1)
    inc.accept()
    child = until(lambda: children(alice, url).get(carol.email), WAIT_S)
    assert child["state"] == "joined" and bob.email not in children(alice, url)
    assert inc.bye().code == 200
