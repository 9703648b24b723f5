"""Orders that the agent reads before what they are about: they came by another connection, and a commit is seen by others
before who has made it is told."""
import queue
import threading
import time

import pytest
from call_phone import Incoming, Outgoing, rings, sdp, up
from silent_proxy import behind_proxy

from phone import new_account
from test_keys import keys, press
from test_page_calls import call, children, command
from test_pickup import replaces, ringing
from test_transfer import changes_over, refer, request, send as hand_on, telling, told

SLOW_S = 1.5


@pytest.fixture(scope="module", name="slow")
def fixture_slow(systems):
    yield from behind_proxy(systems, "overtaken")


@pytest.fixture(name="slow_answers")
def fixture_slow_answers(slow):
    yield slow.proxy.slow.update
    slow.proxy.slow.clear()


@pytest.fixture(name="people")
def fixture_people(slow, phone):
    """n accounts, and a registered phone of each."""
    def make(n):
        accounts = [new_account(slow, name) for name in ("alice", "bob", "carol")[:n]]
        phones = [rings(phone(one)) for one in accounts]
        for one in phones:
            assert one.register().code == 200
        return accounts, phones
    return make


def over(system, *phones):
    """Whether nobody is in a call by these any more."""
    return not system.query("select 1 from inspect.leg where state <> 'ended' and email = any(%s)", [[p.aor[4:] for p in phones]])


@pytest.mark.parametrize("loaded", [0, 2 * SLOW_S], ids=["it is nobody's leg yet", "it rings meanwhile"])
def test_a_cancel_overtakes_its_invite(slow, slow_answers, phone, until, loaded):
    """Who is kept hangs up before the agent has read whom it is to call."""
    alice, bob, carol = (rings(phone(new_account(slow, name))) for name in ("alice", "bob", "carol"))
    for p in (alice, bob, carol):
        assert p.register().code == 200
    telling(alice)
    out, inc = up(alice, bob)
    slow_answers({b"leg_refer": SLOW_S, b"leg_load": loaded})
    asks = threading.Thread(target=lambda: refer(out, f"<{carol.aor}>"), daemon=True)
    asks.start()
    until(lambda: slow.query("select 1 from inspect.leg where email = %s", [carol.aor.removeprefix("sip:")]), 5)
    assert inc.bye().code == 200
    Incoming.next(out, "BYE")
    asks.join(10)
    if loaded:
        new = Incoming(carol)
        new.say(180)
        new.say(200, request=new.next("CANCEL"))
        new.say(487)
    assert [line.split()[1] for line in told(alice)] == ["100", "487"]
    until(lambda: over(slow, alice, bob, carol), 5)
    if not loaded:
        time.sleep(0.5)
        assert carol.requests.empty(), "the INVITE was sent all the same"


def test_an_end_overtakes_the_beginning(slow, slow_answers, people, until):
    """REST ends a call whose phone's agent has not read that it was made."""
    (alice, _), (a, b) = people(2)
    slow_answers({b"sip_invite": SLOW_S})
    out = Outgoing(a, b.aor, sdp(1))
    row, = until(lambda: slow.query("select id from inspect.call where owner = %s", [alice.email]), 5)
    assert alice.request("DELETE", f"/call/{row['id']}").status_code == 204
    assert out.final().code == 480
    until(lambda: over(slow, a, b), 5)
    assert b.requests.empty(), "it rings all the same"


def test_an_answer_overtakes_the_beginning(slow, slow_answers, people, page, until):
    """A page answers before the phone's agent has read that it rings."""
    (alice,), (a,) = people(1)
    bob = new_account(slow, "bob")
    stream = page(bob)
    slow_answers({b"sip_invite": SLOW_S})
    out = Outgoing(a, f"sip:{bob.email}", sdp(1), [("Expires", "1")])
    url = command(stream, "invite")["json"]["url"]
    assert bob.request("POST", url, json={"session": {"type": "answer", "sdp": sdp(2)}}).status_code == 201
    assert out.confirm(out.final()).body.decode() == sdp(2)
    with pytest.raises(queue.Empty):
        out.next(3)  # its ACK was heard, and it rings no more
    assert out.bye().code == 200
    until(lambda: over(slow, a), 5)
    assert alice.request("GET", url).json()["ended"]["cause"] == "hangup"


def test_a_hang_up_overtakes_a_pick_up(slow, slow_answers, people, phone, until):
    """Who calls gives up when another phone has taken the ringing one's place, whose agent has not read it."""
    (_, bob), (a, b) = people(2)
    d = rings(phone(bob))
    assert Outgoing(d, b.aor, sdp(5), [("Replaces", "x")]).final().code == 400  # it has a nonce now
    out, inc = ringing(a, b)
    slow_answers({b"sip_pickup": SLOW_S})
    picked = Outgoing(d, b.aor, sdp(5), replaces(inc))
    until(lambda: slow.query("select 1 from inspect.leg where sip_call_id = %s", [picked.call_id]), 5)
    out.cancel()
    picked.confirm()
    Incoming.next(picked, "BYE")
    final = out.final()
    if final.code == 200:  # the CANCEL came too late
        out.confirm(final)
        Incoming.next(out, "BYE")
    inc.say(200, request=inc.next("CANCEL"))
    inc.say(487)
    until(lambda: over(slow, a, b), 5)


def answers_slowly(inc, slow_answers, body):
    """Its agent has not read that it has won when others know it."""
    slow_answers({b"leg_answered": SLOW_S})
    inc.say(200, "OK", body)


def joined(account, url, other, until):
    return until(lambda: next(c for c in [children(account, url)[other.email]] if c["state"] == "joined"), 5)


def test_an_answer_overtakes_that_a_phone_has_won(slow, slow_answers, people, until):
    """To what the phone has offered: its ACK has it."""
    (alice, bob), (_, b) = people(2)
    url = call(alice, bob)
    inc = Incoming(b)
    answers_slowly(inc, slow_answers, sdp(2))
    joined(alice, url, bob, until)
    me = children(alice, url)[alice.email]["url"]
    assert alice.request("PUT", me, json={"session": {"type": "answer", "sdp": sdp(1)}}).status_code == 200
    assert inc.next("ACK").body.decode() == sdp(1)
    assert inc.bye().code == 200
    until(lambda: over(slow, b), 5)


def test_keys_overtake_that_a_phone_has_won(slow, slow_answers, people, until):
    (alice, bob), (_, b) = people(2)
    url = call(alice, bob, session={"type": "offer", "sdp": sdp(1)})
    inc = Incoming(b)
    answers_slowly(inc, slow_answers, sdp(2))
    joined(alice, url, bob, until)
    assert press(alice, bob, url, "1").status_code == 202
    assert keys(inc, 1) == "1"
    assert inc.bye().code == 200
    until(lambda: over(slow, b), 5)


def test_a_transfer_overtakes_that_a_phone_has_won(slow, slow_answers, people, until):
    """Who hands the other on leaves alone, though the agent reads last that the two are a pair."""
    (alice, bob, carol), (a, b, c) = people(3)
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    answers_slowly(inc, slow_answers, sdp(2))
    row, = until(lambda: slow.query("select call from inspect.leg where sip_call_id = %s and state = 'answered'", [out.call_id]), 5)
    assert hand_on(alice, bob, f"/call/{row['call']}", carol.login).status_code == 202
    out.confirm()
    new = Incoming(c)
    assert out.bye().code == 200
    new.say(200, "OK", sdp(3))
    changes_over(inc, new, sdp(4))
    assert new.bye().code == 200
    request(inc, "BYE")
    until(lambda: over(slow, a, b, c), 5)


def test_keys_are_pressed_in_their_order(slow, slow_answers, people, until):
    """The agent reads the answer to something else before that which the first of them came with."""
    (alice, bob, _), (a, b, c) = people(3)
    url = call(alice, bob, session={"type": "offer", "sdp": sdp(1)})
    inc = Incoming(b)
    inc.accept()
    joined(alice, url, bob, until)
    out = Outgoing(c, a.aor, sdp(1))
    other = Incoming(a)
    slow_answers({b"leg_claim": SLOW_S})
    assert press(alice, bob, url, "1").status_code == 202
    until(lambda: not slow.query_owner("select 1 from app.leg_job where kind = 'dtmf'"), 5)
    assert press(alice, bob, url, "2").status_code == 202
    other.say(180)
    assert out.next().code == 180
    assert keys(inc, 2) == "12"
    out.cancel()
    other.say(200, request=other.next("CANCEL"))
    other.say(487)
    assert inc.bye().code == 200
    until(lambda: over(slow, a, b, c), 5)
