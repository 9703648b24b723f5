"""REST alone has two phones talk: first rings that of who asks, and when it has answered the other's."""
import queue

import pytest
from answers import is_json, is_problem, time_in
from call_phone import HOLD, Incoming, Outgoing, offer, rings, sdp, tag_of

from test_page_calls import WEBRTC, children, command
from test_page_calls import offer as session_offer
from test_transfer import causes, changes_over, next_of, passes, refer, request, say

WAIT_S = 15


@pytest.fixture(name="people")
def fixture_people(phone, account):
    """Alice, bob, and a registered phone of each."""
    alice, bob = account("alice"), account("bob")
    phones = [rings(phone(owner)) for owner in (alice, bob)]
    for one in phones:
        assert one.register().code == 200
    return alice, bob, *phones


def dial(alice, bob, **members):
    """The call that alice has made with bob by one request."""
    return is_json(alice.request("POST", "/call", json={"open": False, "invite": ["/login/me", bob.login], **members}), 201)


def picks_up(a, b, n=1):
    """The owner's phone rings and answers, upon which the other's rings: both sides."""
    first = Incoming(a, WAIT_S)
    offered = first.invite.body.decode()
    assert "a=inactive" in offered and "m=audio 9 " in offered
    first.say(180, "Ringing")
    first.accept(sdp(n))
    second = Incoming(b, WAIT_S)
    assert not second.invite.body
    return first, second


def talk(a, b):
    """The two who talk."""
    first, second = picks_up(a, b)
    second.say(200, "OK", sdp(3))
    changes_over(first, second, sdp(4))
    return first, second


def past(account):
    """What an account's last call was: type, with whom, whether they talked, how it ended."""
    found = is_json(account.request("GET", "/user/me/calls"))
    return [(c["type"], c.get("with"), "joined_at" in c, c["ended"]["cause"]) for c in found]


def over(account, call):
    """How everybody's part of a call ended, once it has: {email: cause}; and the call's own cause."""
    doc = is_json(account.request("GET", call["url"]))
    assert doc["state"] == "ended"
    return {c["email"]: c["ended"]["cause"] for c in doc["children"]}, doc["ended"]["cause"]


def ends(system, until, call):
    return until(lambda: causes(system, call["url"]), WAIT_S)


def nothing_more(phone, *methods):
    """That a phone has heard of nothing but that."""
    found = set()
    while True:
        try:
            found.add(phone.requests.get(timeout=0.5).method)
        except queue.Empty:
            assert found <= set(methods), found
            return


def test_two_phones_talk(people, system, until):
    alice, bob, a, b = people
    call = dial(alice, bob, subject="lunch")
    assert [(c["email"], c["state"], c["via"]) for c in call["children"]] == [(alice.email, "calling", "sip")]
    assert call["invite"] == [bob.email] and call["owner"] == alice.email
    first, second = picks_up(a, b)
    assert bob.email in first.invite.get("from") and alice.email in second.invite.get("from")
    doc = is_json(bob.request("GET", call["url"]))
    assert "invite" not in doc and {c["email"]: c["state"] for c in doc["children"]} == {alice.email: "joined", bob.email: "calling"}
    second.say(180, "Ringing")
    until(lambda: children(alice, call["url"])[bob.email]["state"] == "ringing", WAIT_S)
    second.say(200, "OK", sdp(3))
    offered = changes_over(first, second, sdp(4))
    assert "m=audio 40003" in offered and "a=inactive" not in offered
    found = until(lambda: next(f for f in [children(alice, call["url"])] if "session" in f[bob.email]), WAIT_S)
    assert found[bob.email]["session"] == {"type": "offer", "sdp": sdp(3)}
    assert found[alice.email]["session"] == {"type": "answer", "sdp": sdp(4)}

    # they are a pair as any other: offers, keys and the end pass between them
    assert passes(second, first, HOLD, sdp(5)) == (next_of(offered, HOLD, 1), sdp(5))
    assert passes(first, second, HOLD, sdp(5)) == (HOLD, next_of(offered, sdp(5), 2))
    for one, other in ((second, first), (first, second)):
        assert one.request("INFO", [("Content-Type", "application/dtmf-relay")], "Signal=1\r\n").code == 200
        request(other, "INFO")
    assert first.bye().code == 200
    request(second, "BYE")
    assert ends(system, until, call) == {alice.email: "hangup", bob.email: "hangup"}
    assert past(alice) == [("made", bob.email, True, "hangup")] and past(bob) == [("received", alice.email, True, "hangup")]


def test_who_is_dialled_hangs_up(people, system, until):
    alice, bob, a, b = people
    call = dial(alice, bob)
    first, second = talk(a, b)
    assert second.bye().code == 200
    request(first, "BYE")
    assert ends(system, until, call) == {alice.email: "hangup", bob.email: "hangup"}
    assert over(bob, call) == ({alice.email: "hangup", bob.email: "hangup"}, "hangup")


@pytest.mark.parametrize("code,cause", [(486, "busy"), (603, "declined"), (480, "unreachable"), (488, "media")])
def test_ones_own_phone_does_not(people, system, until, code, cause):
    """The other's never rings, and their account knows of nothing."""
    alice, bob, a, b = people
    call = dial(alice, bob)
    Incoming(a, WAIT_S).say(code)
    assert ends(system, until, call) == {alice.email: cause}
    assert over(alice, call) == ({alice.email: cause}, cause)
    assert past(alice) == [("made", bob.email, False, cause)] and past(bob) == []
    nothing_more(b)
    assert bob.request("GET", call["url"]).status_code == 404


@pytest.mark.parametrize("code,cause", [(486, "busy"), (603, "declined"), (480, "unreachable"), (404, "not-found")])
def test_the_other_does_not(people, system, until, code, cause):
    alice, bob, a, b = people
    call = dial(alice, bob)
    first, second = picks_up(a, b)
    second.say(code)
    bye = request(first, "BYE")
    assert bye.get("reason") == f"SIP;cause={code}"
    assert ends(system, until, call) == {alice.email: cause, bob.email: cause}
    assert over(alice, call) == ({alice.email: cause, bob.email: cause}, cause)
    assert children(alice, call["url"])[bob.email]["sip"]["code"] == code
    assert past(alice) == [("made", bob.email, False, cause)]
    assert past(bob) == [("received" if cause in ("declined", "busy") else "missed", alice.email, False, cause)]


@pytest.mark.parametrize("who", ["one's own", "the other"])
def test_nobody_answers(people, system, until, who):
    """It rings for a minute, which is over at once here."""
    alice, bob, a, b = people
    call = dial(alice, bob)
    first, second = (Incoming(a, WAIT_S), None) if who == "one's own" else picks_up(a, b)
    (second or first).say(180, "Ringing")
    system.query_owner("with p as (update app.participant set ring_until = now() - interval '1 s' where call_id = %s "
                       "and ring_until is not null returning 1) select 1 from p", [int(call["id"])])
    ringing = second or first
    cancel = request(ringing, "CANCEL")
    ringing.say(200, request=cancel)
    ringing.say(487)
    if second:
        assert request(first, "BYE").get("reason") == "Q.850;cause=19"
    until(lambda: causes(system, call["url"]), WAIT_S)
    assert over(alice, call)[1] == "no-answer"
    assert past(alice) == [("made", bob.email, False, "no-answer")]
    assert past(bob) == ([("missed", alice.email, False, "no-answer")] if second else [])


@pytest.mark.parametrize("step", ["rings", "the other rings", "changes over", "talks"])
def test_it_is_taken_back(people, system, until, step):
    """DELETE ends it, whichever step it is at."""
    alice, bob, a, b = people
    call = dial(alice, bob)
    second = None
    if step == "rings":
        first = Incoming(a, WAIT_S)
        first.say(180, "Ringing")
        until(lambda: children(alice, call["url"])[alice.email]["state"] == "ringing", WAIT_S)
    elif step == "talks":
        first, second = talk(a, b)
    else:
        first, second = picks_up(a, b)
        second.say(180, "Ringing")
        until(lambda: children(alice, call["url"])[bob.email]["state"] == "ringing", WAIT_S)
        if step == "changes over":
            second.say(200, "OK", sdp(3))
            request(first, "INVITE")
    assert alice.request("DELETE", call["url"]).status_code == 204
    ringing = {"rings": first, "the other rings": second}.get(step)
    if ringing:
        cancel = request(ringing, "CANCEL")
        ringing.say(200, request=cancel)
        ringing.say(487)
    if step != "rings":
        request(first, "BYE")
    if step in ("changes over", "talks"):
        request(second, "BYE")
    found = ends(system, until, call)
    assert set(found) == ({alice.email} if step == "rings" else {alice.email, bob.email}) and set(found.values()) <= {"hangup", "cancelled"}
    talked = step in ("changes over", "talks")
    assert past(alice) == [("made", bob.email, talked, "hangup" if talked else "cancelled")]
    assert past(bob) == ([] if step == "rings" else [
        ("received" if talked else "missed", alice.email, talked, "hangup" if talked else "cancelled")])


@pytest.mark.parametrize("step", ["the other rings", "changes over"])
def test_one_hangs_up_too_early(people, system, until, step):
    """Who has dialled is gone, and nobody is rung for nobody."""
    alice, bob, a, b = people
    call = dial(alice, bob)
    first, second = picks_up(a, b)
    second.say(180, "Ringing")
    if step == "changes over":
        second.say(200, "OK", sdp(3))
        request(first, "INVITE")
    assert first.bye().code == 200
    if step == "changes over":
        request(second, "BYE")
    else:
        cancel = request(second, "CANCEL")
        second.say(200, request=cancel)
        second.say(487)
    assert set(ends(system, until, call)) == {alice.email, bob.email}
    kind, *rest = past(bob)[0]
    assert (kind, rest[2]) == (("received", "hangup") if step == "changes over" else ("missed", "cancelled"))


def test_the_other_hangs_up_while_one_changes_over(people, system, until):
    alice, bob, a, b = people
    call = dial(alice, bob)
    first, second = picks_up(a, b)
    second.say(200, "OK", sdp(3))
    request(first, "INVITE")
    assert second.bye().code == 200
    request(first, "BYE")
    assert ends(system, until, call) == {alice.email: "hangup", bob.email: "hangup"}


@pytest.mark.parametrize("how", ["one's own refuses", "another kind"])
def test_media_that_do_not_go_together(people, system, until, how):
    alice, bob, a, b = people
    call = dial(alice, bob)
    first, second = picks_up(a, b)
    second.say(200, "OK", WEBRTC if how == "another kind" else sdp(3))
    if how == "one's own refuses":
        say(first, 488, "Not Acceptable Here", "", request(first, "INVITE"))
    assert request(first, "BYE").get("reason") == "SIP;cause=488"
    request(second, "BYE")
    assert ends(system, until, call) == {alice.email: "media", bob.email: "media"}
    assert over(alice, call)[1] == "media"


def test_the_other_has_no_offer(people, system, until):
    """Which it must have (RFC 3261, section 13.2.1)."""
    alice, bob, a, b = people
    call = dial(alice, bob)
    first, second = picks_up(a, b)
    second.say(200, "OK")
    request(second, "BYE")
    request(first, "BYE")
    assert set(ends(system, until, call)) == {alice.email, bob.email}


def test_a_page_is_dialled(people, account, page, until):
    """Its session is an offer to the phone that has answered first; a page of who dials does not ring."""
    alice, _, a, _ = people
    carol = account("carol")
    stream, own = page(carol), page(alice)
    call = dial(alice, carol)
    first = Incoming(a, WAIT_S)
    first.accept(sdp(1))
    invite = command(stream, "invite")
    assert invite["json"] == {"command": "invite", "url": call["url"], "id": invite["id"]} and invite["from"] == alice.email
    is_json(carol.request("POST", call["url"], json={"session": session_offer(3)}), 201)
    asked = request(first, "INVITE")
    assert "m=audio 40003" in asked.body.decode()
    say(first, 200, "OK", sdp(4), asked)
    request(first, "ACK")
    until(lambda: children(carol, call["url"])[alice.email].get("session") == {"type": "answer", "sdp": sdp(4)}, WAIT_S)
    assert carol.request("DELETE", children(carol, call["url"])[carol.email]["url"]).status_code == 204
    request(first, "BYE")
    until(lambda: is_json(carol.request("GET", call["url"]))["state"] == "ended", WAIT_S)
    assert past(carol) == [("received", alice.email, True, "hangup")]
    assert not [e for e in own.events if e.name == "message"]


def test_what_is_asked_meanwhile(people, until):
    """The phone that has answered may hold, and cannot hand on yet; whom it is for stays as it is."""
    alice, bob, a, b = people
    call = dial(alice, bob)
    is_problem(alice.request("PATCH", call["url"], json={"invite": None}), 409, "exchange-pending", "/invite")
    is_problem(alice.request("PATCH", call["url"], json={"invite": [bob.login]}), 409, "exchange-pending", "/invite")
    assert is_json(alice.request("PATCH", call["url"], json={"subject": "lunch"}))["invite"] == [bob.email]
    first, second = picks_up(a, b)
    assert refer(first, f"<{b.aor}>").code == 491
    answer = offer(first, HOLD).get(timeout=WAIT_S)
    assert answer.code == 200 and "a=inactive" in answer.body.decode()
    second.say(200, "OK", sdp(3))
    changes_over(first, second, sdp(4))
    assert first.bye().code == 200
    request(second, "BYE")


def test_who_is_there_and_may(people, account, phone):
    alice, bob, a, b = people
    carol = account("carol")
    is_problem(alice.request("POST", "/call", json={"invite": ["/login/me", "/login/nobody-here@example.net"]}), 400,
               "invalid-member", "/invite/1")
    is_problem(alice.request("POST", "/call", json={"invite": [carol.login, "/login/me"]}), 409, "not-reachable")
    is_problem(carol.request("POST", "/call", json={"invite": ["/login/me", bob.login]}), 409, "not-reachable")
    is_problem(alice.request("POST", "/call", json={"invite": ["/login/me", "sip:someone@elsewhere.example"]}), 400,
               "invalid-member", "/invite/1")
    assert alice.request("GET", "/call").json() == [] and past(alice) == past(carol) == []
    nothing_more(a)
    nothing_more(b)


def test_the_other_is_gone_when_it_is_their_turn(people, system, until):
    alice, bob, a, b = people
    call = dial(alice, bob)
    first = Incoming(a, WAIT_S)
    first.say(180, "Ringing")
    assert bob.request("DELETE", bob.login).status_code == 204
    first.accept(sdp(1))
    assert request(first, "BYE").get("reason") == "SIP;cause=480"
    assert ends(system, until, call) == {alice.email: "unreachable"}
    assert past(alice) == [("made", bob.email, False, "unreachable")] and past(bob) == []


def test_a_phone_sends_nobody_else(people, account, phone, until, system):
    """What one's own phone sends on (3xx) is not: the first phone is one's own."""
    alice, bob, a, _ = people
    carol = account("carol")
    c = rings(phone(carol))
    assert c.register().code == 200
    call = dial(alice, bob)
    inc = Incoming(a, WAIT_S)
    lines = ["SIP/2.0 302 Moved Temporarily", *(
        f"{n}: {v}" + (";tag=1" if n == "to" else "") for n, v in inc.invite.headers
        if n in ("via", "from", "to", "call-id", "cseq")), f"Contact: <{c.aor}>", "Content-Length: 0", "", ""]
    a.send("\r\n".join(lines), inc.invite.source)
    assert ends(system, until, call) == {alice.email: "unreachable"}
    nothing_more(c)


def test_of_ones_phones_the_first_that_answers(people, phone, until):
    alice, bob, a, b = people
    other = rings(phone(alice))
    assert other.register().code == 200
    dial(alice, bob)
    one, two = Incoming(a, WAIT_S), Incoming(other, WAIT_S)
    one.say(180, "Ringing")
    two.accept(sdp(1))
    cancel = one.next("CANCEL", WAIT_S)
    assert "completed elsewhere" in cancel.get("reason")
    one.say(200, request=cancel)
    one.say(487)
    second = Incoming(b, WAIT_S)
    second.say(200, "OK", sdp(3))
    changes_over(two, second, sdp(4))
    assert two.bye().code == 200
    request(second, "BYE")


def test_so_many_and_no_more(people, system):
    """As with any other call: what an account has under way is bounded, and how fast it begins."""
    alice, bob, _, _ = people
    system.query_owner("select inspect.set_bound('calls_sip', 2)")
    try:
        made = [alice.request("POST", "/call", json={"open": False, "invite": ["/login/me", bob.login]}) for _ in range(3)]
        assert [m.status_code for m in made] == [201, 201, 409] and made[2].json()["type"].endswith("too-many-calls")
    finally:
        system.query_owner("select inspect.set_bound('calls_sip')")
    for one in made[:2]:
        assert alice.request("DELETE", one.json()["url"]).status_code == 204


def test_later(people, system, until):
    """Beside starts_at both are dialled then."""
    alice, bob, a, b = people
    call = dial(alice, bob, starts_at=time_in(2))
    assert call["state"] == "scheduled" and call["invite"] == [alice.email, bob.email] and call["children"] == []
    first, second = talk(a, b)
    assert second.bye().code == 200
    request(first, "BYE")
    ends(system, until, call)


def test_later_nobody_is_there(people, system, until):
    alice, bob, a, b = people
    call = dial(alice, bob, starts_at=time_in(2))
    assert bob.request("DELETE", bob.login).status_code == 204
    until(lambda: past(alice) == [("made", bob.email, False, "unreachable")], WAIT_S)
    assert past(bob) == []
    assert system.query("select state::text, cause from inspect.call where id = %s", [int(call["id"])]) == [
        {"state": "ended", "cause": "unreachable"}]
    nothing_more(a)


def test_by_patch(people, system, until):
    """A call that nobody is in yet."""
    alice, bob, a, b = people
    call = is_json(alice.request("POST", "/call", json={"open": False}), 201)
    assert is_json(alice.request("PATCH", call["url"], json={"invite": [bob.email, "/login/me"]}))["invite"] == [bob.email]
    first, second = talk(a, b)
    assert second.bye().code == 200
    request(first, "BYE")
    ends(system, until, call)


def test_another_of_ones_own_phones_picks_up(people, phone, system, until):
    """Whose dialog has been told of no media: it goes on under that origin."""
    alice, bob, a, b = people
    d = rings(phone(alice))  # not registered, so that it is not rung
    call = dial(alice, bob)
    first = Incoming(a, WAIT_S)
    first.say(180, "Ringing")
    replaces = f"{first.call_id};from-tag={tag_of(first.invite.get('from'))};to-tag={first.tag}"
    picked = Outgoing(d, a.aor, sdp(5), [("Replaces", replaces)])
    inactive = picked.confirm(timeout_s=WAIT_S).body.decode()
    assert "a=inactive" in inactive
    cancel = first.next("CANCEL", WAIT_S)
    first.say(200, request=cancel)
    first.say(487)
    second = Incoming(b, WAIT_S)
    second.say(200, "OK", sdp(3))
    offered = changes_over(picked, second, sdp(4))
    assert offered == next_of(inactive, sdp(3), 1)
    assert passes(second, picked, HOLD, sdp(5))[0] == next_of(inactive, HOLD, 2)
    assert picked.bye().code == 200
    request(second, "BYE")
    assert set(ends(system, until, call).values()) <= {"hangup", "cancelled"}
