"""Session timers in calls (RFC 4028)."""
import contextlib
import itertools
import os
import queue
import random
import re
import time

import pytest
from call_phone import Incoming, Outgoing, offer, rings, sdp
from limited import SANITIZED

from phone import new_account
from test_calls import call_of
from test_page_calls import call, children
from test_page_calls import offer as session_offer
from test_page_sessions import leg_of, order

LONG = os.environ.get("RESTSIP_LONG") == "1"
S, MIN_S, PROBE_S = (90, 90, 20) if LONG else (4, 3, 2)
TIMER = [("Supported", "timer")]
pytestmark = pytest.mark.timeout(600 if LONG else 180)


@pytest.fixture(scope="module", name="own_system")
def fixture_own_system(systems):
    """Sessions are good for a few seconds here."""
    return systems("timers", {"RESTSIP_DEMO": "no", "RESTSIP_AGENT_SESSION_EXPIRES_S": str(S),
                              "RESTSIP_AGENT_SESSION_MIN_S": str(MIN_S), "RESTSIP_AGENT_SESSION_PROBE_S": str(PROBE_S)})


@pytest.fixture(name="pair")
def fixture_pair(own_system, phone):
    """Two phones of two accounts, which are their owners: pair(transport)."""
    def make(transport="udp"):
        own_system.await_ready(30)
        owners = [new_account(own_system, name) for name in ("alice", "bob")]
        made = []
        for owner in owners:
            p = rings(phone(owner, transport=transport))
            p.owner = owner
            assert p.register().code == 200
            made.append(p)
        return made
    return make


@pytest.fixture(name="over")
def fixture_over(own_system, until):
    """How the legs of a phone's calls have ended, once they have: {cause}."""
    def read(phone, timeout_s=30):
        def ended():
            rows = own_system.query("select l.state, l.cause from inspect.leg l join inspect.call c on c.id = l.call "
                                    "where c.owner = %s", [phone.owner.email])
            return rows and all(r["state"] == "ended" for r in rows) and {r["cause"] for r in rows}
        return until(ended, timeout_s)
    return read


def answers(phone, method="UPDATE", **headers):
    """Has a phone answer requests of a method with 200 and these headers; all others as before."""
    before = phone.answer

    def answer(request):
        if request.method != method:
            return before(request)
        return 200, "OK", [("Contact", f"<{phone.contact}>"), *((k.replace("_", "-"), v) for k, v in headers.items())]
    phone.answer = answer


def accept(inc, *headers, body=None):
    """The 200 of a phone that is called, with these headers, and its ACK."""
    say = inc.phone.send
    inc.phone.send = lambda raw, to=None: say(raw.replace("Content-Type", "".join(f"{n}: {v}\r\n" for n, v in headers)
                                                          + "Content-Type", 1), to)
    try:
        inc.say(200, "OK", sdp(2) if body is None else body)
    finally:
        inc.phone.send = say
    return inc.next("ACK")


def up(a, b, caller=(), callee=()):
    """A call that is up: both sides, and what the caller was answered."""
    out = Outgoing(a, b.aor, sdp(1), list(caller))
    inc = Incoming(b)
    accept(inc, *callee)
    return out, inc, out.confirm()


def came(phone, *methods):
    return [m for m in phone.seen if not m.is_response and m.method in methods]


def interval(message):
    """(s, refresher) of Session-Expires."""
    found = re.fullmatch(r"(\d+);refresher=(ua[cs])", message.get("session-expires"))
    return int(found.group(1)), found.group(2)


def hung_up(side, timeout_s=S + 30):
    bye = Incoming.next(side, "BYE", timeout_s)
    assert "expired" in bye.get("reason")
    return bye


# ---- what is agreed on ----

@pytest.mark.parametrize("caller,agreed", [
    ([], None), ([("Session-Expires", "1800")], None), (TIMER, (S, "uac")), ([("k", "replaces, timer")], (S, "uac")),
    ([*TIMER, ("Session-Expires", "1800")], (S, "uac")), ([*TIMER, ("x", "1800;refresher=uas")], (S, "uas")),
    ([*TIMER, ("Session-Expires", str(MIN_S))], (MIN_S, "uac")),
    ([*TIMER, ("Session-Expires", "4000000000"), ("Min-SE", "1800")], (1800, "uac")),
    ([*TIMER, ("Min-SE", "4000000000")], None), ([*TIMER, ("Require", "timer")], (S, "uac"))])
def test_what_a_caller_is_granted(pair, own_system, caller, agreed):
    a, b = pair()
    out, inc, answer = up(a, b, caller)
    assert interval(inc.invite) == (S, "uas") and inc.invite.get("min-se") == str(MIN_S)
    assert "timer" in inc.invite.get("supported") and "timer" in answer.get("supported")
    assert (answer.get("session-expires") and interval(answer)) == agreed
    assert answer.get("require") == ("timer" if agreed and agreed[1] == "uac" else None)
    row, = own_system.query("select l.session_s, l.refresher from inspect.leg l join inspect.call c on c.id = l.call "
                            "where c.owner = %s and l.direction = 'in'", [a.owner.email])
    assert (row["session_s"], row["refresher"]) == (
        (agreed[0], "phone" if agreed[1] == "uac" else "agent") if agreed else (None, None))
    assert out.bye().code == 200
    inc.next("BYE")


def test_too_little_is_refused(pair):
    a, b = pair()
    answer = Outgoing(a, b.aor, sdp(1), [*TIMER, ("Session-Expires", "1")]).final()
    assert answer.code == 422 and answer.get("min-se") == str(MIN_S)
    for value in ("soon", "-1", ""):
        assert Outgoing(a, b.aor, sdp(1), [*TIMER, ("Session-Expires", value)]).final().code == 400
    out, inc, _ = up(a, b, [("Session-Expires", "1")])  # it does not know what 422 is
    answer = out.request("UPDATE", [*TIMER, ("Session-Expires", "1"), ("Contact", f"<{a.contact}>")])
    assert answer.code == 422 and answer.get("min-se") == str(MIN_S)
    assert out.bye().code == 200
    inc.next("BYE")


@pytest.mark.parametrize("wants,again", [(1800, True), (4000000000, False)])
def test_a_phone_that_wants_more_gets_it_once(pair, over, wants, again):
    a, b = pair()
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    send = b.send
    b.send = lambda raw, to=None: send(raw.replace("Contact:", f"Min-SE: {wants}\r\nContact:", 1), to)
    inc.say(422, "Too Small")
    b.send = send
    inc.next("ACK")
    if not again:
        assert out.final().code == 480
        return
    second = inc.next("INVITE")
    assert interval(second) == (wants, "uas") and second.get("min-se") == str(wants)
    assert second.get("call-id") == inc.call_id and second.body == inc.invite.body
    assert int(second.get("cseq").split()[0]) == int(inc.invite.get("cseq").split()[0]) + 1
    inc.invite = second
    ack = accept(inc, ("Session-Expires", f"{wants};refresher=uas"))
    assert ack.get("cseq").split()[0] == second.get("cseq").split()[0]
    out.confirm()
    assert out.bye().code == 200
    inc.next("BYE")
    assert over(a) == {"hangup"}


# ---- a phone refreshes, or does not ----

def test_a_session_that_is_not_refreshed_ends_for_both(pair, over):
    a, b = pair()
    began = time.monotonic()
    out, inc, _ = up(a, b, TIMER)
    hung_up(out)
    hung_up(inc)
    assert time.monotonic() - began < S + 5
    assert over(a) == {"expired"}
    row, = a.owner.system.query("select max(id) as id from inspect.call where owner = %s", [a.owner.email])
    call = a.owner.request("GET", f"/call/{row['id']}").json()
    assert call["ended"] == {"cause": "expired"}
    assert [c["ended"]["cause"] for c in call["children"]] == ["expired"] * 2


@pytest.mark.parametrize("transport,who", [("udp", "callee"), ("tcp", "caller")])
def test_a_phone_that_was_killed(pair, over, transport, who):
    """No BYE, and no answer to anything: the other side is told within the session's time."""
    a, b = pair(transport)
    began = time.monotonic()
    out, inc, _ = up(a, b, TIMER, [("Session-Expires", f"{S};refresher=uas")])
    dead, other = (inc, out) if who == "callee" else (out, inc)
    dead.phone.close()
    refresh = [*TIMER, ("Session-Expires", f"{S};refresher=uac"), ("Contact", f"<{other.phone.contact}>")]
    while not came(other.phone, "BYE"):
        assert time.monotonic() - began < S + 10
        if time.monotonic() - began < S:
            assert other.request("UPDATE", refresh).code in (200, 481)
        with contextlib.suppress(Exception):
            Incoming.next(other, "BYE", 1)
    assert over(a) == {"expired"}


def refresh_by_update(side, headers, body):
    return side.request("UPDATE", [*headers, ("Contact", f"<{side.phone.contact}>"),
                                   *([("Content-Type", "application/sdp")] if body else [])], body)


def refresh_by_invite(side, headers, body):
    """Its answer, which is ACKed."""
    answer = side.request("INVITE", [*headers, ("Contact", f"<{side.phone.contact}>"), ("Content-Type", "application/sdp")], body)
    head = [("From", side.mine), ("To", side.theirs)]
    side.phone.send(side.phone.build("ACK", side.target, head, cseq=side.cseq, call_id=side.call_id))
    return answer


def test_a_phone_refreshes(pair):
    """It is answered here: the other phone and the database hear nothing of it."""
    a, b = pair()
    out, inc, _ = up(a, b, TIMER, [("Session-Expires", f"{S};refresher=uas")])
    wants = [*TIMER, ("Session-Expires", f"{S};refresher=uac")]
    began = time.monotonic()
    version = call_version(a)
    ways = itertools.cycle([(refresh_by_update, False), (refresh_by_update, True), (refresh_by_invite, True)])
    while time.monotonic() - began < 2 * S:
        way, says = next(ways)
        for side, mine, theirs in ((out, sdp(1), sdp(2)), (inc, sdp(2), sdp(1))):
            answer = way(side, wants, mine if says else "")
            assert answer.code == 200 and interval(answer) == (S, "uac") and answer.get("require") == "timer"
            assert answer.body.decode() == (theirs if says else "")
        with contextlib.suppress(queue.Empty):
            a.requests.get(timeout=S / 6)
    assert not came(a, "BYE", "INVITE", "UPDATE") and len(came(b, "INVITE")) == 1 and not came(b, "BYE", "UPDATE")
    assert call_version(a) == version
    assert out.bye().code == 200
    inc.next("BYE")


def test_refreshes_have_a_rate(pair, until):
    """Whoever asks on and on is told to come later, which costs nobody else anything, and the call nothing."""
    a, b = pair()
    out, inc, _ = up(a, b, TIMER, [("Session-Expires", f"{S};refresher=uas")])
    wants = [*TIMER, ("Session-Expires", f"{S};refresher=uac")]
    ways = itertools.cycle([(refresh_by_update, ""), (refresh_by_update, sdp(1)), (refresh_by_invite, sdp(1))])
    answers = [way(out, wants, says) for (way, says), _ in zip(ways, range(80))]
    codes = [answer.code for answer in answers]
    assert codes[:20] == [200] * 20 and set(codes) == {200, 500}
    assert {answer.get("retry-after") for answer in answers if answer.code == 500} == {"2"}
    assert refresh_by_update(inc, wants, "").code == 200
    assert until(lambda: refresh_by_update(out, wants, "").code == 200, 10)
    assert out.bye().code == 200
    inc.next("BYE")


def call_version(phone):
    return phone.owner.system.query("select r.version from inspect.call r where r.owner = %s", [phone.owner.email])


def test_what_changes_goes_on_and_refreshes(pair):
    a, b = pair()
    out, inc, _ = up(a, b, TIMER, [("Session-Expires", f"{S};refresher=uas")])
    found = offer(out, sdp(5))
    request = inc.next("INVITE")
    assert request.body.decode() == sdp(5) and interval(request) == (S, "uas"), "or its timer would be off"
    inc.say(200, "OK", sdp(6), request)  # says nothing of a timer: it has none any more
    answer = found.get(timeout=5)
    assert answer.code == 200 and answer.get("session-expires") is None
    assert out.bye().code == 200
    inc.next("BYE")


# ---- we refresh ----

@pytest.mark.parametrize("who", ["caller", "callee"])
def test_we_refresh_by_update(pair, who):
    a, b = pair()
    allow = [("Allow", "INVITE, ACK, BYE, UPDATE")]
    mine = [*TIMER, *allow]
    if who == "caller":
        out, inc, _ = up(a, b, [*mine, ("Session-Expires", f"{S};refresher=uas")])
        side = out
    else:
        out, inc, _ = up(a, b, (), [*allow, ("Session-Expires", f"{S};refresher=uac")])
        side = inc
    answers(side.phone, "UPDATE", Session_Expires=f"{S};refresher=uac")
    for _ in range(2):
        update = Incoming.next(side, "UPDATE", S)
        assert interval(update) == (S, "uac") and update.body == b"" and "timer" in update.get("supported")
    assert not came(a, "BYE") and not came(b, "BYE")
    assert out.bye().code == 200
    inc.next("BYE")


def test_we_refresh_by_reinvite_where_it_knows_no_update(pair, until):
    """And what it answers otherwise than before is offered to the other side."""
    a, b = pair()
    out, inc, _ = up(a, b, (), [("Session-Expires", f"{S};refresher=uac")])
    head = ("Session-Expires", f"{S};refresher=uac")
    first = inc.next("INVITE", S)
    assert first.body.decode() == sdp(1) and interval(first) == (S, "uac")
    inc.invite = first
    assert accept(inc, head).get("cseq").split()[0] == first.get("cseq").split()[0]
    second = inc.next("INVITE", S)
    assert second.body.decode() == sdp(1) and not came(a, "INVITE")
    inc.invite = second
    accept(inc, head, body=sdp(8))
    request = Incoming.next(out, "INVITE")
    assert request.body.decode() == sdp(8)
    Incoming.say(out, 200, "OK", sdp(1), request)
    Incoming.next(out, "ACK")
    until(lambda: any(c["session"]["sdp"] == sdp(8) for c in call_of(a.owner, until)["children"]), 10)
    assert out.bye().code == 200
    inc.next("BYE")


def test_we_refresh_what_is_long_by_reinvite(pair):
    """An SDP that the agent does not keep in memory."""
    a, b = pair("tcp")
    long = sdp(1) + "".join(f"a=candidate:{n} 1 UDP {n} 192.0.2.1 {n} typ host\r\n" for n in range(1000, 1300))
    out = Outgoing(a, b.aor, long)
    inc = Incoming(b)
    head = ("Session-Expires", f"{S};refresher=uac")
    accept(inc, head)
    out.confirm()
    for _ in range(2):
        inc.invite = inc.next("INVITE", S)
        assert inc.invite.body.decode() == long and interval(inc.invite) == (S, "uac")
        accept(inc, head)
    assert not came(a, "INVITE", "BYE") and not came(b, "BYE", "UPDATE")
    assert out.bye().code == 200
    inc.next("BYE")


@pytest.mark.parametrize("code,ends", [(481, "unreachable"), (500, "expired")])
def test_our_refresh_is_refused(pair, over, code, ends):
    a, b = pair()
    out, inc, _ = up(a, b, [*TIMER, ("Allow", "UPDATE"), ("Session-Expires", f"{S};refresher=uas")])
    before = a.answer
    a.answer = lambda request: code if request.method == "UPDATE" else before(request)
    assert inc.next("BYE", S + 5)
    assert over(a) == {ends}
    assert bool(came(a, "BYE")) == (ends == "expired") and out.call_id


def test_a_page_is_no_side_of_it(pair, over, until):
    """A phone in a call with a page is bound by its timer as others are; what it refreshes the page hears nothing of."""
    a, b = pair()
    url = call(a.owner, b.owner, session=session_offer())
    inc = Incoming(b)
    accept(inc, ("Session-Expires", f"{S};refresher=uas"))
    until(lambda: all(c["state"] == "joined" for c in a.owner.request("GET", url).json()["children"]), 10)
    before = a.owner.request("GET", url).json()
    answer = inc.request("UPDATE", [*TIMER, ("Session-Expires", f"{S};refresher=uac"), ("Contact", f"<{b.contact}>"),
                                    ("Content-Type", "application/sdp")], sdp(2))
    assert answer.code == 200 and answer.body.decode() == sdp(1)
    assert a.owner.request("GET", url).json() == before
    hung_up(inc)
    assert over(a) == {"expired"}
    assert a.owner.request("GET", url).json()["state"] == "active"


def test_a_page_offers_during_our_refresh(pair, until):
    """It is made once that is over: nobody but us knows of the refresh."""
    a, b = pair()
    url = call(a.owner, b.owner, session=session_offer())
    inc = Incoming(b)
    head = ("Session-Expires", f"{S};refresher=uac")
    accept(inc, head)

    def page():
        return children(a.owner, url)[a.owner.email]
    until(lambda: len([c for c in a.owner.request("GET", url).json()["children"] if c["state"] == "joined"]) == 2, 10)
    inc.invite = inc.next("INVITE", S)
    said = a.owner.request("PUT", page()["url"], json={"session": session_offer(5)})
    assert said.status_code == 202, said.text
    assert "pending" in page()
    accept(inc, head)
    refresh, inc.invite = inc.invite, inc.next("INVITE")
    while inc.invite.get("cseq") == refresh.get("cseq"):  # it has come again meanwhile
        inc.invite = inc.next("INVITE")
    assert "m=audio 40005" in inc.invite.body.decode()
    accept(inc, head, body=sdp(6))
    until(lambda: "pending" not in page() and page()["session"]["sdp"] == sdp(5), 10)
    assert a.owner.request("DELETE", url).status_code == 204
    inc.next("BYE")


def test_what_is_withdrawn_during_our_refresh_is_not_offered(pair, own_system, until):
    a, b = pair()
    url = call(a.owner, b.owner, session=session_offer())
    inc = Incoming(b)
    head = ("Session-Expires", f"{max(S, 18)};refresher=uac")  # a phone has a sixth of it for our refresh
    accept(inc, head)

    def page():
        return children(a.owner, url)[a.owner.email]
    inc.invite = inc.next("INVITE", max(S, 18))
    said = a.owner.request("PUT", page()["url"], json={"session": session_offer(5)})
    assert said.status_code == 202, said.text
    order(own_system, leg_of(own_system, a.owner), "refuse")
    mine = until(lambda: next(c for c in [page()] if "pending" not in c), 5)
    assert mine["session"]["sdp"] == sdp(1) and mine["sip"]["code"] == 487
    accept(inc, head)
    assert a.owner.request("DELETE", url).status_code == 204
    inc.next("BYE")
    assert len({request.get("cseq") for request in came(b, "INVITE")}) == 2, "the first, and our refresh"


def test_our_refresh_crosses_its_offer(pair, over):
    """Of the two one is served, and the other comes again; the session goes on in any case."""
    a, b = pair()
    made = random.Random(17)
    out, inc, _ = up(a, b, [*TIMER, ("Session-Expires", f"{S};refresher=uas")])
    more = [*TIMER, ("Session-Expires", f"{S};refresher=uas")]

    def says(side, body):
        def answer(request):
            if request.method == "INVITE":
                Incoming.say(side, 200, "OK", body, request)
            return None if request.method in ("INVITE", "ACK") else 200
        side.phone.answer = answer
    out.tag = out.mine.split("tag=")[1]
    says(out, sdp(1))
    says(inc, sdp(2))
    for n in range(4):
        with contextlib.suppress(queue.Empty):  # our refresh may be out by then, or is about to be
            while True:
                b.requests.get(timeout=S / 2 + made.uniform(-0.2, 0.6))
        assert offer(out, sdp(10 + n), also=more).get(timeout=10).code in (200, 491, 500)
        assert not came(a, "BYE") and not came(b, "BYE")
    assert out.bye().code == 200
    assert over(a) == {"hangup"}


# ---- after a kill ----

@pytest.mark.parametrize("ours", [True, False])
def test_a_timer_goes_on_with_the_next_process(pair, over, until, own_system, phone, ours):
    a, b = pair()
    out, inc, _ = up(a, b, [*TIMER, ("Allow", "UPDATE"), ("Session-Expires", f"{S};refresher={'uas' if ours else 'uac'}")])
    until(lambda: not own_system.query("select from inspect.leg where state = 'answered'"), 10)
    answers(a, "UPDATE", Session_Expires=f"{S};refresher=uac")
    own_system.kill_and_wait("restsip-agent")
    probe = phone(new_account(own_system, "probe"))

    until(probe.is_served, 20)
    if ours:
        for _ in range(2):
            assert interval(Incoming.next(out, "UPDATE", S + 10)) == (S, "uac")
        assert refresh_by_invite(out, [*TIMER, ("Session-Expires", f"{S};refresher=uas")], sdp(1)).body.decode() == sdp(2)
        assert out.bye().code == 200
        inc.next("BYE")
        assert over(a) == {"hangup"}
    else:
        hung_up(out)
        hung_up(inc)
        assert over(a) == {"expired"}


def test_a_thousand_legs_of_the_process_before(pair, own_system, until):
    """All are looked after soon: whose session is short has no time to wait for its turn."""
    a, b = pair()
    out, inc, _ = up(a, b)
    until(lambda: not own_system.query("select from inspect.leg where state = 'answered'"), 10)
    n = 1000
    made = own_system.query_owner("""
        with o as (select l.* from app.leg l join app.participant p on p.id = l.participant_id join app.account c on c.id = p.account_id
                   where c.email = %s and l.state = 'up'),
        c as (insert into app.call overriding system value select (jsonb_populate_record(c,
                jsonb_build_object('id', nextval(pg_get_serial_sequence('app.call', 'id'))))).*
                from o join app.call c on c.id = o.call_id, generate_series(1, %s) returning id),
        r as (insert into app.resource (kind, id) select 'call', c.id from c)
        insert into app.leg overriding system value select (jsonb_populate_record(o::app.leg, jsonb_build_object(
            'id', nextval(pg_get_serial_sequence('app.leg', 'id')), 'call_id', c.id, 'sip_call_id', 'copy' || c.id))).* from o, c
        returning id""", [a.owner.email, n])
    assert len(made) == n
    own_system.kill_and_wait("restsip-agent")
    until(lambda: len({m.get("call-id") for m in came(a, "OPTIONS") if m.get("call-id").startswith("copy")}) == n, 90 if SANITIZED else 32)
    own_system.query_owner("with l as (delete from app.leg where sip_call_id like 'copy%%' returning call_id) "
                           "delete from app.call where id in (select call_id from l) returning 1")
    assert out.bye().code == 200
    inc.next("BYE")
