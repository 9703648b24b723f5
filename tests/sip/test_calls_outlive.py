"""Calls outlive what has them: a killed agent's, those over a connection that closes, and what ends with it."""
import collections
import contextlib
import os
import queue
import secrets
import signal
import threading

import psycopg
import pytest
from call_phone import HOLD, Incoming, Outgoing, offer, rings, sdp, up

from phone import Message, Phone, new_account
from test_transfer import changes_over, refer, request as of_dialog, say, telling, told

AGENT = "restsip-agent"
LOADS_MAX = 256  # of sip-agent/call/load.h
UP, RINGING = (50, 20) if os.environ.get("RESTSIP_LONG") == "1" else (10, 5)


@pytest.fixture(scope="module", name="own_system")
def fixture_own_system(systems):
    """One system for all that is done to it here: each test leaves it running."""
    return systems("outlive", {"RESTSIP_DEMO": "no"})


@pytest.fixture(name="pair")
def fixture_pair(own_system, phone):
    """Two registered phones of two accounts, which are their owners: pair(transport)."""
    def make(transport="udp"):
        own_system.await_ready(30)
        owners = [new_account(own_system, name) for name in ("alice", "bob")]
        a, b = (rings(phone(owner, transport=transport)) for owner in owners)
        a.owner, b.owner = owners
        assert a.register().code == b.register().code == 200
        return a, b
    return make


@pytest.fixture(name="restarted")
def fixture_restarted(own_system, phone, until):
    """Kills the agent, and waits until the next one serves. acked: the rows know of all ACKs."""
    def kill(sig=signal.SIGKILL, acked=True):
        until(lambda: not acked or not own_system.query("select from inspect.leg where state = 'answered'"), 10)
        probe = phone(new_account(own_system, "probe"))
        own_system.kill_and_wait(AGENT, sig)
        until(probe.is_served, 20)
    return kill


def back(side):
    """The phone of a dialog comes back over a new connection, and registers."""
    old = side.phone
    new = Phone(old.server, old.user, old.password, old.domain, transport="tcp", local=old.local)
    new.username = old.username
    assert rings(new).register().code == 200
    side.phone = new
    return new


def rows(system, phone):
    """The legs of the calls of who is at a phone."""
    return system.query("select l.direction, l.state, l.cause from inspect.leg l join inspect.call c on c.id = l.call "
                        "where c.owner = %s order by l.id", [phone.aor[4:]])


def over(system, phone):
    """(state, cause) of each of them, once all have ended."""
    found = rows(system, phone)
    return found and all(r["state"] == "ended" for r in found) and {r["cause"] for r in found}


def hung_up(side):
    """The BYE that the other side of a call gets."""
    return Incoming.next(side, "BYE", 10)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_calls_of_a_killed_agent(own_system, phone, restarted, until, transport):
    """Who is up hangs up afterwards, by either side and by REST; who rings rings no more, and each side is told."""
    own_system.await_ready(30)
    calls = []
    for _ in range(UP + RINGING):
        alice, bob = new_account(own_system, "alice"), new_account(own_system, "bob")
        a, b = (rings(phone(owner, transport=transport)) for owner in (alice, bob))
        assert a.register().code == b.register().code == 200
        if len(calls) < UP:
            calls.append((alice, *up(a, b)))
        else:
            out = Outgoing(a, b.aor, sdp(1))
            inc = Incoming(b)
            inc.say(180, "Ringing")
            assert out.next().code == 180
            calls.append((alice, out, inc))
    restarted()

    for alice, out, inc in calls[UP:]:
        if transport == "tcp":  # the end of its connection tells each of them
            out.phone.thread.join(10)
            inc.phone.thread.join(10)
            assert not out.phone.thread.is_alive() and not inc.phone.thread.is_alive()
        else:
            assert out.final(10).code == 503
            cancel = inc.next("CANCEL", 10)
            assert (cancel.branch, cancel.uri) == (inc.invite.branch, inc.invite.uri)
            assert cancel.get("cseq").split()[0] == inc.invite.get("cseq").split()[0]
            inc.say(200, request=cancel)
            inc.say(487)
        assert until(lambda o=out: over(own_system, o.phone), 10) == {"agent-lost"}

    for n, (alice, out, inc) in enumerate(calls[:UP]):
        if transport == "tcp":
            phones = [back(out), back(inc)]
        if n % 3 == 0:
            assert out.bye().code == 200
            bye = hung_up(inc)
            assert int(bye.get("cseq").split()[0]) > int(inc.invite.get("cseq").split()[0])
        elif n % 3 == 1:
            assert inc.bye().code == 200
            hung_up(out)
        else:
            call, = alice.request("GET", "/call").json()
            assert {c["state"] for c in alice.request("GET", call["url"]).json()["children"]} == {"joined"}
            assert alice.request("DELETE", call["url"]).status_code == 204
            for side in (out, inc):
                bye = hung_up(side)
                assert bye.get("call-id") == side.call_id
                assert bye.get("from") == side.theirs and bye.get("to") == side.mine
        assert until(lambda o=out: over(own_system, o.phone), 10) == {"hangup"}
        if transport == "tcp":
            for p in phones:
                p.close()


def test_hold_and_keys_go_on_after_a_kill(own_system, pair, restarted, until):
    a, b = pair()
    out, inc = up(a, b)
    assert out.request("INFO", [("Content-Type", "application/dtmf-relay")], "Signal=1\r\n").code == 200
    first = int(inc.next("INFO").get("cseq").split()[0])
    restarted()
    assert out.request("INFO", [("Content-Type", "application/dtmf-relay")], "Signal=2\r\n").code == 200
    info = inc.next("INFO")
    assert info.body == b"Signal=2\r\n"
    assert int(info.get("cseq").split()[0]) > first, "numbers never go back (RFC 3261 section 12.2.1.1)"
    found = offer(inc, HOLD)
    request = until(lambda: next((r for r in [a.requests.get(timeout=5)] if r.method == "INVITE"), None), 5)
    assert request.body.decode() == HOLD
    Incoming.say(out, 200, "OK", sdp(9), request)
    assert found.get(timeout=5).body.decode() == sdp(9)
    assert out.bye().code == 200
    hung_up(inc)
    assert until(lambda: over(own_system, a), 10) == {"hangup"}


def test_an_offer_under_way_at_a_kill_is_refused(own_system, pair, restarted, until):
    """Who has offered may do so again, and who has answered is ACKed: neither waits for ever."""
    a, b = pair()
    out, inc = up(a, b)
    found = offer(out, HOLD, timeout_s=60)
    first = inc.next("INVITE")
    assert until(lambda: own_system.query_owner("select from app.leg where state = 'up' and last_word like 'SIP/2.0 500%'"), 10)
    restarted()
    answer = found.get(timeout=10)
    assert answer.code in (500, 503) and answer.get("retry-after")  # 503: it has sent it again itself, too early
    inc.say(200, "OK", sdp(3), first)
    assert inc.next("ACK", 10).get("cseq") == first.get("cseq").replace("INVITE", "ACK")
    found = offer(out, HOLD, timeout_s=20)
    again = inc.next("INVITE", 10)
    assert again.body.decode() == HOLD
    inc.say(200, "OK", sdp(9), again)
    assert found.get(timeout=10).body.decode() == sdp(9)
    assert until(lambda: not own_system.query_owner("select from app.leg where state = 'up' and last_word is not null"), 10)
    assert out.bye().code == 200
    hung_up(inc)


def test_a_pages_offer_under_way_at_a_kill_is_made_again(own_system, pair, restarted, until):
    a, b = pair()
    alice = a.owner
    made = alice.request("POST", "/call", json={"session": {"type": "offer", "sdp": sdp(1)}, "open": False,
                                                "invite": [b.owner.login]})
    assert made.status_code == 201, made.text
    url = made.json()["url"]
    inc = Incoming(b)
    inc.accept()

    def mine():
        return next(c for c in alice.request("GET", url).json()["children"] if c["email"] == alice.email)
    assert until(lambda: own_system.query("select from inspect.leg where call = %s and state = 'up'", [url.split("/")[-1]]), 10)
    assert alice.request("PUT", mine()["url"], json={"session": {"type": "offer", "sdp": HOLD}}).status_code == 202
    first = inc.next("INVITE")
    restarted()
    again = inc.next("INVITE", 20)
    assert again.body == first.body and int(again.get("cseq").split()[0]) > int(first.get("cseq").split()[0])
    inc.say(200, "OK", sdp(7), again)
    inc.next("ACK")
    assert until(lambda: "pending" not in mine() and mine(), 10)["session"]["sdp"] == HOLD
    assert alice.request("DELETE", url).status_code == 204
    hung_up(inc)


def test_an_answer_after_the_kill_is_acked_and_hung_up(own_system, pair, restarted, until):
    """A phone that has not seen the CANCEL answers: nobody is there any more."""
    a, b = pair()
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    inc.say(180)
    assert out.next().code == 180
    restarted()
    assert out.final(10).code == 503
    inc.next("CANCEL", 10)
    ack = inc.accept()
    assert ack.get("cseq") == f"{inc.invite.get('cseq').split()[0]} ACK" and f"tag={inc.tag}" in ack.get("to")
    bye = hung_up(inc)
    assert f"tag={inc.tag}" in bye.get("to")
    for _ in range(3):  # it was looked up once, and is known
        inc.say(200, "OK", sdp(2))
        assert b.register().code == 200
    assert "ACK" not in [b.requests.get().method for _ in range(b.requests.qsize())]
    assert until(lambda: over(own_system, a), 10) == {"agent-lost"}


@pytest.mark.parametrize("then", ["goes on", "was hung up", "wants the answer"])
def test_a_200_that_is_lost_with_its_agent(own_system, pair, restarted, until, then):
    """The caller's phone hears its final answer from the next one: the commit was there, and the 200 was not."""
    a, b = pair()
    out = Outgoing(a, b.aor, None if then == "wants the answer" else sdp(1))
    inc = Incoming(b)
    inc.say(200, "OK", sdp(2))
    first = out.final()
    assert until(lambda: rows(own_system, a)[0]["state"] == "answered", 5)
    if then == "was hung up":
        call, = a.owner.request("GET", "/call").json()
        assert a.owner.request("DELETE", call["url"]).status_code == 204
    restarted(acked=False)
    while not out.queue.empty():  # of the process before
        out.queue.get()
    answer = out.final(10)
    assert answer.code == 200 and (answer.get("to"), answer.body) == (first.get("to"), first.body)
    out.confirm(answer, sdp(1) if then == "wants the answer" else b"")
    if then == "goes on":
        assert until(lambda: {r["state"] for r in rows(own_system, a)} == {"up"}, 10)
        assert inc.bye().code == 200
    hung_up(out)
    assert until(lambda: over(own_system, a), 10) == {"agent-lost" if then == "wants the answer" else "hangup"}


def test_a_phone_that_knows_no_such_call_ends_it(own_system, pair, restarted, until):
    """Phones of calls that go on are asked whether they are there (RFC 5057)."""
    a, b = pair()
    up(a, b)
    b.options = 481
    restarted()
    assert until(lambda: over(own_system, a), 15) == {"unreachable"}
    assert until(lambda: [m for m in a.seen if m.start.startswith("BYE ")], 10)


def test_sigterm_ends_what_rings_and_leaves_what_is_up(own_system, pair, restarted, until):
    a, b = pair()
    c, d = pair()
    out, inc = up(a, b)
    ringing = Outgoing(c, d.aor, sdp(1))
    called = Incoming(d)
    called.say(180)
    assert ringing.next().code == 180
    restarted(signal.SIGTERM)
    assert ringing.final(10).code == 503
    called.say(200, request=called.next("CANCEL", 10))
    called.say(487)
    assert until(lambda: over(own_system, c), 10) == {"agent-lost"}
    assert inc.bye().code == 200
    hung_up(out)
    assert until(lambda: over(own_system, a), 10) == {"hangup"}


def test_bye_passes_while_the_database_is_away(own_system, pair, until):
    a, b = pair()
    out, inc = up(a, b)
    own_system.kill("postgres")
    assert out.bye().code == 200
    hung_up(inc)
    own_system.await_ready(60)
    assert until(lambda: over(own_system, a), 20) == {"hangup"}


@pytest.fixture(scope="module", name="two")
def fixture_two(systems):
    """A system with two agents."""
    return systems("outlive-two", {"RESTSIP_DEMO": "no", "RESTSIP_AGENTS": "2"})


def far_apart(two, phone, until, transport="udp"):
    """Two phones, each at an agent of its own, once that serves."""
    two.await_ready(30)
    a, b = (rings(phone(new_account(two, name), server=server, transport=transport))
            for name, server in zip(("alice", "bob"), two.sip_all))
    assert until(lambda: a.register().code == b.register().code == 200, 20)
    return a, b


@pytest.mark.parametrize("whose", ["callee", "caller"])
def test_sigterm_ends_what_rings_at_another_agent(two, phone, until, whose):
    a, b = far_apart(two, phone, until)
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    inc.say(180)
    assert out.next().code == 180
    agents = [name for name in two.names() if name.startswith(AGENT)]
    two.kill_and_wait(agents[whose == "callee"], signal.SIGTERM)
    cancel = inc.next("CANCEL", 10)
    assert out.final(10).code == (480 if whose == "callee" else 503)
    inc.say(200, request=cancel)
    inc.say(487)
    assert until(lambda: over(two, a), 10)


def test_a_commit_whose_answer_was_lost(two, phone, until):
    """The database is killed with it: the caller hears 503, and nobody rings for a call that no agent knows."""
    a, b = far_apart(two, phone, until)
    assert Outgoing(a, "sip:nobody@example.net", sdp(1)).final().code == 404  # the challenge is known
    superuser = two.pg_owner.replace("user=restsip_owner", "user=postgres")

    def commits():
        """Until commits wait, and then until the database is killed."""
        with contextlib.suppress(psycopg.Error), psycopg.connect(superuser, autocommit=True) as db:
            while True:
                db.execute("select pg_logical_emit_message(true, 'commit', '')")

    with psycopg.connect(superuser, autocommit=True) as db:
        def waits(query):
            return db.execute("select 1 from pg_stat_activity where wait_event = 'SyncRep' and query like %s", [query]).fetchone()

        db.execute("alter system set synchronous_standby_names = 'nobody'")
        try:
            db.execute("select pg_reload_conf()")
            threading.Thread(target=commits, daemon=True).start()
            until(lambda: waits("%pg_logical_emit_message%"), 10)
            out = Outgoing(a, b.aor, sdp(1))
            until(lambda: waits("%sip_invite%"), 10)
        finally:  # or every commit after it waits
            db.execute("alter system reset synchronous_standby_names")
            two.kill("postgres")
    assert out.final(20).code == 503
    two.await_ready(60)

    def told():
        """It may have been called before its agent heard of the end."""
        with contextlib.suppress(queue.Empty):
            inc = Incoming(b, 0.05)
            inc.say(180)
            inc.say(200, request=inc.next("CANCEL", 15))
            inc.say(487)
        return over(two, a)
    assert until(told, 20) == {"agent-lost"}


def test_tags_that_are_made_up(own_system, pair, until):
    """They are of no dialog; of those who send many of them so many wait, the others are told so at once, and calls go on."""
    a, b = pair()
    out, inc = up(a, b)
    asked = set()

    def ask(method):
        raw = a.build(method, f"sip:{own_system.sip_host}:{own_system.sip_port}",
                      [("To", f"<{a.aor}>;tag={secrets.token_hex(8)}"), ("Contact", f"<{a.contact}>")],
                      call_id=secrets.token_hex(8))
        asked.add(Message(raw).branch)
        a.send(raw)

    def codes():
        return collections.Counter({m.branch: m.code for m in list(a.seen) if m.is_response and m.branch in asked}.values())

    with psycopg.connect(own_system.pg_owner) as db:
        db.execute("lock table app.leg in access exclusive mode")
        for k in range(300):
            ask(("BYE", "INFO")[k % 2])
        until(lambda: codes()[503] >= 300 - LOADS_MAX, 10)
        assert codes()[503] < 300
    until(lambda: sum(codes().values()) == 300, 10)
    assert codes()[481] + codes()[503] == 300 and codes()[481]
    assert a.exchange(a.build("INVITE", a.aor, [("To", f"<{a.aor}>;tag=x"), ("Contact", f"<{a.contact}>")],
                              call_id="made-up")).code == 481
    assert out.bye().code == 200
    hung_up(inc)
    assert until(lambda: over(own_system, a), 10) == {"hangup"}


@pytest.mark.parametrize("step", ["it rings", "who asked has gone", "who is kept is asked", "all is done"])
def test_a_transfer_at_a_kill(own_system, pair, phone, restarted, until, step):
    """Nobody is left in a call with nobody, however far it was."""
    a, b = pair()
    c = rings(phone(new_account(own_system, "carol")))
    assert c.register().code == 200
    telling(a)
    out, inc = up(a, b)
    assert refer(out, f"<{c.aor}>").code == 202
    new = Incoming(c)
    new.say(180)
    if step == "who asked has gone":
        assert out.bye().code == 200
    elif step == "who is kept is asked":
        new.say(200, "OK", sdp(3))
        invite = of_dialog(inc, "INVITE")
    elif step == "all is done":
        new.say(200, "OK", sdp(3))
        changes_over(inc, new, sdp(4))
        of_dialog(out, "BYE")
    until(lambda: not own_system.query("select from inspect.leg where email = %s and state = 'ending'", [a.aor[4:]]), 10)
    restarted()
    if step in ("it rings", "who asked has gone"):
        cancel = new.next("CANCEL", 10)
        new.say(200, request=cancel)
        new.say(487)
    elif step == "who is kept is asked":
        say(inc, 200, "OK", sdp(4), invite)
        of_dialog(inc, "ACK")
        again = of_dialog(inc, "INVITE")
        assert "m=audio 40001" in again.body.decode(), "it has the old session again"
        say(inc, 200, "OK", sdp(5), again)
        of_dialog(inc, "ACK")
        hung_up(new)
    if step in ("it rings", "who is kept is asked"):
        assert told(a)[-1].startswith("SIP/2.0 480")
        assert out.bye().code == 200
    elif step == "all is done":
        new.say(200, "OK", sdp(3))
        assert new.next("ACK", 10).body.decode() == sdp(4), "as that of the process before"
        assert new.bye().code == 200
    hung_up(inc)
    found = until(lambda: over(own_system, a), 10)
    assert found and None not in found


@pytest.mark.parametrize("step", ["one's own rings", "the other rings", "one's own is asked", "all is done"])
def test_a_dial_at_a_kill(own_system, pair, restarted, until, step):
    """Nobody is left in a call with nobody, however far it was."""
    a, b = pair()
    call = a.owner.request("POST", "/call", json={"open": False, "invite": ["/login/me", b.owner.login]}).json()["url"]
    first = Incoming(a)
    first.say(180)
    if step != "one's own rings":
        first.accept(sdp(1))
        second = Incoming(b)
        second.say(180)
    if step == "one's own is asked":
        second.say(200, "OK", sdp(3))
        of_dialog(first, "INVITE")
    elif step == "all is done":
        second.say(200, "OK", sdp(3))
        changes_over(first, second, sdp(4))
        until(lambda: not own_system.query("select from inspect.transfer where call = %s", [call.split("/")[-1]]), 10)
    else:
        until(lambda: own_system.query("select from inspect.leg where call = %s and state = 'ringing'", [call.split("/")[-1]]), 10)
    restarted()
    if step == "one's own rings" or step == "the other rings":
        ringing = first if step == "one's own rings" else second
        cancel = ringing.next("CANCEL", 10)
        ringing.say(200, request=cancel)
        ringing.say(487)
    if step == "the other rings":
        assert hung_up(first).get("call-id") == first.call_id
    elif step == "one's own is asked":
        hung_up(first)
        hung_up(second)
    elif step == "all is done":
        assert second.bye().code == 200
        hung_up(first)
    causes = until(lambda: over(own_system, a), 40)
    assert causes == ({"hangup"} if step == "all is done" else {"agent-lost"} if step == "one's own rings" else causes)
    for owner in (a.owner, b.owner):
        past = owner.request("GET", "/user/me/calls").json()
        assert [c["type"] for c in past] == (
            [] if owner is b.owner and step == "one's own rings" else ["made" if owner is a.owner else
                                                                      "missed" if step == "the other rings" else "received"])
