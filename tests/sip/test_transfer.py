"""Who is in a call hands the other side on (RFC 3515): the two others talk, or everything is as it was."""
import queue
import time

import pytest
from call_phone import HOLD, Incoming, Outgoing, offer, rings, sdp, up

from test_page_calls import WEBRTC, call, children, command
from test_page_calls import offer as session_offer
from test_page_sessions import origin

WAIT_S = 10


@pytest.fixture(name="people")
def fixture_people(phone, account):
    """n accounts, each with a registered phone that keeps its NOTIFYs apart."""
    def make(n, **more):
        accounts = [account(name) for name in ("alice", "bob", "carol", "dave")[:n]]
        phones = [telling(rings(phone(one, **more))) for one in accounts]
        for one in phones:
            assert one.register().code == 200
        return accounts, phones
    return make


def telling(phone):
    """What its REFERs have become is in phone.told."""
    phone.told = queue.Queue()

    def answer(request):
        if request.method == "NOTIFY":
            assert request.get("content-type").startswith("message/sipfrag")
            phone.told.put((request.body.decode().strip(), request.get("subscription-state").split(";")[0],
                            request.get("event")))
            return 200
        return None if request.method in ("INVITE", "ACK") else 200
    phone.answer = answer
    return phone


def refer(side, to, headers=(), timeout_s=5):
    return side.request("REFER", [("Refer-To", to), ("Contact", f"<{side.phone.contact}>"), *headers], timeout_s=timeout_s)


def told(phone):
    """The status lines that a phone is told until the last."""
    found = []
    while True:
        line, state, event = phone.told.get(timeout=WAIT_S)
        assert event.startswith("refer;id=")
        found.append(line)
        if state == "terminated":
            return found


def request(side, method):
    """The next request of that method in the dialog of a side."""
    deadline = time.monotonic() + WAIT_S
    while True:
        found = side.phone.requests.get(timeout=max(deadline - time.monotonic(), 0.01))
        if (found.method, found.get("call-id")) == (method, side.call_id):
            return found


def say(side, code, reason, body, to):
    side.tag = side.mine.split("tag=")[1]
    Incoming.say(side, code, reason, body, to)


def changes_over(kept, new, body):
    """The one who is kept is offered what the one who comes has said, and answers body, which that one's ACK has."""
    invite = request(kept, "INVITE")
    assert "tag=" in invite.get("to") and invite.get("call-id") == kept.call_id
    say(kept, 200, "OK", body, invite)
    request(kept, "ACK")
    ack = new.next("ACK", WAIT_S)
    assert ack.body.decode() == body
    return invite.body.decode()


def passes(side, other, body, answer):
    """One offers and the other answers: what each is told."""
    asked = offer(side, body, WAIT_S)
    invite = request(other, "INVITE")
    say(other, 200, "OK", answer, invite)
    heard = asked.get(timeout=WAIT_S)
    assert heard.code == 200
    request(other, "ACK")
    return invite.body.decode(), heard.body.decode()


def next_of(before, body, n):
    """The same under the origin that was told before, n versions on."""
    user, number, version, where = origin(before).split(" ", 3)
    return body.replace(origin(body), " ".join((user, number, str(int(version) + n), where)))


def causes(system, url):
    """Of a call's legs, once none is live: email: cause."""
    rows = system.query("select l.email, l.state, l.cause from inspect.leg l where l.call = %s", [int(url.split("/")[-1])])
    return {r["email"]: r["cause"] for r in rows} if all(r["state"] == "ended" for r in rows) else None


def url_of(account):
    return next(c["url"] for c in account.request("GET", "/call").json() if c["owner"] == account.email)


@pytest.mark.parametrize("who", ["caller", "callee"])
@pytest.mark.parametrize("gone", ["stays", "hangs up"])
def test_the_two_others_talk(people, system, until, who, gone):
    (alice, bob, carol), (a, b, c) = people(3)
    out, inc = up(a, b)
    by, kept = (out, inc) if who == "caller" else (inc, out)
    by_account, kept_account = (alice, bob) if who == "caller" else (bob, alice)
    url = url_of(alice)
    answer = refer(by, f"<{c.aor}>")
    assert answer.code == 202 and answer.get("contact")
    new = Incoming(c)
    assert not new.invite.body and kept_account.email in new.invite.get("from")
    new.say(180, "Ringing")
    until(lambda: children(alice, url)[carol.email]["state"] == "ringing", WAIT_S)
    if gone == "hangs up":  # the others go on
        assert by.bye().code == 200
        until(lambda: children(alice, url)[by_account.email].get("ended") == {"cause": "transferred"}, WAIT_S)
        assert children(carol, url)[kept_account.email]["state"] == "joined"
    new.say(200, "OK", sdp(3))
    offered = changes_over(kept, new, sdp(4))
    assert "m=audio 40003" in offered and origin(offered) == "o=- " + ("2 2" if who == "callee" else "1 2") + " IN IP4 192.0.2.1"
    if gone == "stays":
        assert told(by.phone) == ["SIP/2.0 100 Trying", "SIP/2.0 200 OK"]
        request(by, "BYE")
    found = until(lambda: next(f for f in [children(kept_account, url)] if f[by_account.email]["state"] == "ended"), WAIT_S)
    assert found[by_account.email]["ended"] == {"cause": "transferred"}
    assert found[carol.email]["session"] == {"type": "offer", "sdp": sdp(3)}
    assert found[kept_account.email]["session"] == {"type": "answer", "sdp": sdp(4)}
    assert found[carol.email]["state"] == found[kept_account.email]["state"] == "joined"

    # they are a pair as any other: offers, keys and the end pass between them, in the kept one's dialog under its own origin
    assert passes(new, kept, HOLD, sdp(5)) == (next_of(offered, HOLD, 1), sdp(5))
    until(lambda: children(carol, url)[carol.email].get("hold"), WAIT_S)
    video = "m=video 40050 RTP/AVP 31\r\n"
    assert passes(kept, new, sdp(5) + video, sdp(6) + video) == (sdp(5) + video, next_of(offered, sdp(6) + video, 2))
    assert passes(new, kept, sdp(7), sdp(8) + video) == (
        next_of(offered, sdp(7), 3) + "m=video 0 RTP/AVP 0\r\n", sdp(8)), "an answer has as many media as its offer"
    assert kept.request("INFO", [("Content-Type", "application/dtmf-relay")], "Signal=1\r\n").code == 200
    new.next("INFO", WAIT_S)
    assert new.bye().code == 200
    request(kept, "BYE")
    assert until(lambda: causes(system, url), WAIT_S) == {
        kept_account.email: "hangup", carol.email: "hangup",
        by_account.email: "hangup" if gone == "hangs up" else "transferred"}


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_the_account_of_who_has_handed_on_ends(people, system, until, who):
    """The others talk on, whose call it is then."""
    (alice, bob, carol), (a, b, c) = people(3)
    out, inc = up(a, b)
    by, kept = (out, inc) if who == "caller" else (inc, out)
    gone, stays = (alice, bob) if who == "caller" else (bob, alice)
    url = url_of(alice)
    assert refer(by, f"<{c.aor}>").code == 202
    new = Incoming(c)
    new.say(200, "OK", sdp(3))
    changes_over(kept, new, sdp(4))
    request(by, "BYE")
    until(lambda: children(carol, url)[gone.email].get("ended") == {"cause": "transferred"}, WAIT_S)
    assert gone.request("DELETE", "/user/me").status_code == 204
    call = stays.request("GET", url).json()
    assert call["owner"] == stays.email and {c["email"]: c["state"] for c in call["children"]} == {
        stays.email: "joined", carol.email: "joined"}
    assert passes(new, kept, HOLD, sdp(5))[1] == sdp(5)
    assert stays.request("DELETE", url).status_code == 204
    request(kept, "BYE")
    request(new, "BYE")
    until(lambda: causes(system, url), WAIT_S)
    row = stays.request("GET", "/user/me/calls").json()[0]
    assert (row["type"], row["with"]) == (("received", gone.email) if who == "caller" else ("made", gone.email))


def test_who_is_refused_keeps_what_there_was(people, until):
    """Nobody notices, but for the one who has asked; who may ask again."""
    (alice, bob, carol), (a, b, c) = people(3)
    out, inc = up(a, b)
    url = url_of(alice)
    assert refer(out, f"<{c.aor}>").code == 202
    Incoming(c).say(486, "Busy Here")
    assert told(a) == ["SIP/2.0 100 Trying", "SIP/2.0 486 Busy Here"]
    assert until(lambda: children(alice, url)[carol.email].get("ended"), WAIT_S) == {"cause": "busy"}
    found = offer(inc, HOLD)
    invite = request(out, "INVITE")
    assert invite.body.decode() == HOLD
    say(out, 200, "OK", sdp(5), invite)
    assert found.get(timeout=WAIT_S).code == 200
    request(out, "ACK")

    assert refer(out, f"<{c.aor}>", [("Refer-Sub", "false")]).get("refer-sub") == "false"
    new = Incoming(c)
    new.say(200, "OK", sdp(3))
    say(inc, 488, "Not Acceptable Here", "", request(inc, "INVITE"))
    new.next("ACK", WAIT_S)
    new.next("BYE", WAIT_S)
    until(lambda: children(alice, url)[carol.email]["state"] == "ended", WAIT_S)
    assert {children(alice, url)[one.email]["state"] for one in (alice, bob)} == {"joined"}
    assert a.told.empty(), "it was not to be told (RFC 4488)"
    assert out.bye().code == 200
    request(inc, "BYE")


def test_nobody_stays_alone(people, system, until):
    """Who has asked is gone, and who was to come does not: who is kept is hung up."""
    (alice, bob, carol), (a, b, c) = people(3)
    out, inc = up(a, b)
    url = url_of(alice)
    assert refer(inc, f"<{c.aor}>").code == 202
    new = Incoming(c)
    assert inc.bye().code == 200
    new.say(603, "Decline")
    request(out, "BYE")
    assert until(lambda: causes(system, url), WAIT_S) == {
        alice.email: "unreachable", bob.email: "hangup", carol.email: "declined"}
    assert alice.request("GET", url).json()["state"] == "ended"


@pytest.mark.parametrize("when", ["ringing", "changing over"])
def test_who_is_kept_hangs_up(people, system, until, when):
    (alice, _, _), (a, b, c) = people(3)
    out, inc = up(a, b)
    url = url_of(alice)
    assert refer(out, f"<{c.aor}>").code == 202
    new = Incoming(c)
    new.say(180)
    if when == "changing over":
        new.say(200, "OK", sdp(3))
        request(inc, "INVITE")
    assert inc.bye().code == 200
    if when == "ringing":
        cancel = new.next("CANCEL", WAIT_S)
        new.say(200, request=cancel)
        new.say(487)
    else:
        new.next("BYE", WAIT_S)
    assert told(a)[-1] == "SIP/2.0 487 Request Terminated"
    request(out, "BYE")
    assert set(until(lambda: causes(system, url), WAIT_S).values()) <= {"hangup", "cancelled"}


def test_who_comes_hangs_up_too_early(people, until):
    """Who is kept has changed over to nobody: it is offered what it had."""
    (alice, _, carol), (a, b, c) = people(3)
    out, inc = up(a, b)
    url = url_of(alice)
    assert refer(out, f"<{c.aor}>").code == 202
    new = Incoming(c)
    new.say(200, "OK", sdp(3))
    invite = request(inc, "INVITE")
    assert new.bye().code == 200
    assert told(a)[-1].startswith("SIP/2.0 480")
    say(inc, 200, "OK", sdp(4), invite)
    request(inc, "ACK")
    again = request(inc, "INVITE")
    assert "m=audio 40001" in again.body.decode() and origin(again.body.decode()) == "o=- 1 3 IN IP4 192.0.2.1"
    say(inc, 200, "OK", sdp(5), again)
    request(inc, "ACK")
    until(lambda: children(alice, url)[carol.email]["state"] == "ended", WAIT_S)
    assert out.bye().code == 200
    request(inc, "BYE")


@pytest.mark.parametrize("to,code", [
    ("<sip:carol@example.org>", 403), ("<tel:+123>", 403), ("nonsense", 400), ("<sip:nobody-here@example.net>", 404),
    ("<{c};method=BYE>", 403), ("<{b}>", 400), ("<{a}>", 400), ("<{d}>", 480)])
def test_to_nobody_here(people, account, to, code):
    _, (a, b, c) = people(3)
    out, inc = up(a, b)
    d = f"sip:{account('dave').email}"
    assert refer(out, to.format(a=a.aor, b=b.aor, c=c.aor, d=d)).code == code
    assert out.request("INFO", [("Content-Type", "application/dtmf-relay")], "Signal=1\r\n").code == 200
    inc.next("INFO", WAIT_S)
    assert out.bye().code == 200
    request(inc, "BYE")
    assert not [m for m in c.seen if not m.is_response]


def test_not_within_a_call(people):
    _, (a, b, c) = people(3)
    out, inc = up(a, b)
    assert a.request("REFER", b.aor, [("Refer-To", f"<{c.aor}>")], to=b.aor).code == 403
    theirs, out.theirs = out.theirs, out.theirs + "0"  # another dialog
    assert refer(out, f"<{c.aor}>").code == 481
    out.theirs = theirs
    assert out.request("REFER").code == 400
    assert refer(out, f"<{c.aor}>").code == 202
    assert refer(inc, f"<{c.aor}>").code == 491, "one at a time"
    assert out.bye().code == 200
    assert inc.bye().code == 200


def test_so_many_and_no_more(people):
    """Who asks again and again is refused."""
    _, (a, b) = people(2)
    out, inc = up(a, b)
    codes = {refer(out, "<sip:nobody-here@example.net>").code for _ in range(30)}
    assert codes == {404, 500}
    assert out.bye().code == 200
    request(inc, "BYE")


# ---- pages ----

def test_a_page_that_is_kept_answers_who_comes(people, account, until, page):
    """As it answers a re-INVITE."""
    (alice, carol), (a, c) = people(2)
    bob = account("bob")
    stream = page(bob)
    out = Outgoing(a, f"sip:{bob.email}", sdp(1))
    url = command(stream, "invite")["json"]["url"]
    me = bob.request("POST", url, json={"session": {"type": "answer", "sdp": sdp(2)}}).json()["url"]
    out.confirm()
    assert refer(out, f"<{c.aor}>").code == 202
    new = Incoming(c)
    new.say(200, "OK", sdp(3))
    until(lambda: children(bob, url)[carol.email].get("session") == {"type": "offer", "sdp": sdp(3)}, WAIT_S)
    assert told(a)[-1] == "SIP/2.0 200 OK"
    request(out, "BYE")
    assert bob.request("PUT", me, json={"session": {"type": "answer", "sdp": sdp(4)}}).status_code == 200
    assert "m=audio 40004" in new.next("ACK", WAIT_S).body.decode()
    assert children(bob, url)[alice.email]["ended"] == {"cause": "transferred"}
    assert bob.request("DELETE", me).status_code == 204
    new.next("BYE", WAIT_S)


def test_a_page_comes(people, account, until, page):
    """Its session is an offer, which is answered in the call."""
    (alice, bob), (a, b) = people(2)
    carol = account("carol")
    stream = page(carol)
    out, inc = up(a, b)
    url = url_of(alice)
    assert refer(out, f"<sip:{carol.email}>").code == 202
    invite = command(stream, "invite")
    assert invite["json"] == {"command": "invite", "url": url, "id": invite["id"]} and invite["from"] == bob.email
    assert carol.request("POST", url, json={"session": session_offer(3)}).status_code == 201
    asked = request(inc, "INVITE")
    assert "m=audio 40003" in asked.body.decode()
    say(inc, 200, "OK", sdp(4), asked)
    request(inc, "ACK")
    until(lambda: children(carol, url)[bob.email].get("session") == {"type": "answer", "sdp": sdp(4)}, WAIT_S)
    assert told(a)[-1] == "SIP/2.0 200 OK"
    request(out, "BYE")
    assert inc.bye().code == 200
    until(lambda: carol.request("GET", url).json()["state"] == "ended", WAIT_S)


def test_media_that_do_not_go_together(people, account, until, page):
    (alice, carol), (a, c) = people(2)
    bob = account("bob")
    stream = page(bob)
    out = Outgoing(a, f"sip:{bob.email}", WEBRTC)
    url = command(stream, "invite")["json"]["url"]
    assert bob.request("POST", url, json={"session": {"type": "answer", "sdp": WEBRTC}}).status_code == 201
    out.confirm()
    assert refer(out, f"<{c.aor}>").code == 202
    new = Incoming(c)
    new.say(200, "OK", sdp(3))
    new.next("BYE", WAIT_S)
    assert told(a)[-1] == "SIP/2.0 488 Not Acceptable Here"
    assert {v["state"] for e, v in children(bob, url).items() if e != carol.email} == {"joined"}
    assert out.bye().code == 200
    until(lambda: alice.request("GET", url).json()["state"] == "ended", WAIT_S)


# ---- by REST ----

def send(account, to, url, whom):
    return account.request("SEND", to.login, json={"command": "transfer", "url": url, "to": whom})


def test_a_phones_owner_asks_by_rest(people, until):
    (alice, bob, carol), (a, b, c) = people(3)
    out, inc = up(a, b)
    url = url_of(alice)
    assert send(carol, bob, url, carol.login).json()["status"] != "delivered", "a message like any other"
    for whom in ("/login/nobody-here@example.net", 7, None):
        refused = send(alice, bob, url, whom)
        assert refused.status_code == 400 and refused.json()["errors"][0]["pointer"] == "/to", refused.text
    assert send(alice, carol, url, bob.login).status_code == 404
    made = send(alice, bob, url, carol.login)
    assert made.status_code == 202 and made.json()["status"] == "delivered", made.text
    assert send(alice, bob, url, carol.login).status_code == 409
    new = Incoming(c)
    new.say(200, "OK", sdp(3))
    changes_over(inc, new, sdp(4))
    request(out, "BYE")
    assert a.told.empty()
    until(lambda: children(bob, url)[alice.email].get("ended") == {"cause": "transferred"}, WAIT_S)
    assert new.bye().code == 200
    request(inc, "BYE")


def test_a_page_hands_its_phone_on(people, until):
    """The two that are left end it, as if one had called the other."""
    (alice, bob, carol), (_, b, c) = people(3)
    url = call(alice, bob, session=session_offer())
    inc = Incoming(b)
    inc.accept()
    until(lambda: children(alice, url)[bob.email]["state"] == "joined", WAIT_S)
    assert send(alice, bob, url, carol.login).status_code == 202
    new = Incoming(c)
    new.say(200, "OK", sdp(3))
    changes_over(inc, new, sdp(4))
    until(lambda: children(alice, url)[alice.email].get("ended") == {"cause": "transferred"}, WAIT_S)
    assert inc.bye().code == 200
    new.next("BYE", WAIT_S)
    until(lambda: bob.request("GET", url).json()["state"] == "ended", WAIT_S)


def test_a_phone_hands_a_page_on(people, until):
    """The page has had it called, and has the next one in its place."""
    (alice, bob, carol), (_, b, c) = people(3)
    url = call(alice, bob, session=session_offer())
    inc = Incoming(b)
    inc.accept()
    me = until(lambda: next(v for v in [children(alice, url)] if v[bob.email]["state"] == "joined"), WAIT_S)[alice.email]["url"]
    assert refer(inc, f"<{c.aor}>").code == 202
    new = Incoming(c)
    assert inc.bye().code == 200
    new.say(200, "OK", sdp(3))
    until(lambda: children(alice, url)[carol.email].get("session") == {"type": "offer", "sdp": sdp(3)}, WAIT_S)
    assert alice.request("PUT", me, json={"session": {"type": "answer", "sdp": sdp(4)}}).status_code == 200
    assert "m=audio 40004" in new.next("ACK", WAIT_S).body.decode()
    assert alice.request("DELETE", me).status_code == 204
    new.next("BYE", WAIT_S)
