"""What two phones play is what each hears of the other, once a call is up and however the two have come together."""
import pytest
from call_phone import Outgoing, rings, sdp

from test_calls_softphones import OfBaresip
from test_transfer import refer, send, telling, told, url_of
from test_transfer_attended import replaces

WAIT_S = 30
ALICE_HZ, BOB_HZ, CAROL_HZ = 1000, 400, 700


@pytest.fixture(name="plays")
def fixture_plays(softphone, account):
    """A baresip that plays a tone, and its account: plays(name, hertz)."""
    def make(name, hertz):
        owner = account(name)
        end = OfBaresip(lambda mine, peer, transport: softphone(mine, peer, transport, tone=hertz), owner, owner, "udp")
        end.hertz = hertz
        return end, owner
    return make


def talk(until, one, other):
    """Each hears the other's tone, within 1 %."""
    for hears, plays in ((one, other), (other, one)):
        until(lambda h=hears, p=plays: abs(h.phone.hears() / p.hertz - 1) < 0.01, WAIT_S, f"{plays.hertz} Hz")
    until(lambda: one.is_up() and other.is_up(), WAIT_S)


def answers(until, end):
    until(end.rings, WAIT_S)
    end.accept()


def ends(until, one, other):
    one.hang_up()
    until(lambda: one.is_free() and other.is_free(), WAIT_S)


def local(n):
    return sdp(n).replace("192.0.2.1", "127.0.0.1")


@pytest.fixture(name="calling")
def fixture_calling(phone, account):
    """A phone that plays nothing, and calls: calling(accounts…), all at once."""
    def make(*others):
        alice = account("alice")
        a = telling(rings(phone(alice)))
        assert a.register().code == 200
        return a, alice, [Outgoing(a, f"sip:{other.email}", local(n)) for n, other in enumerate(others, 1)]
    return make


@pytest.mark.parametrize("by", ["caller", "callee"])
def test_one_of_them_hands_the_other_on(plays, until, by):
    a, alice = plays("alice", ALICE_HZ)
    b, bob = plays("bob", BOB_HZ)
    c, carol = plays("carol", CAROL_HZ)
    one, called = (a, bob) if by == "caller" else (b, alice)
    one.dial(called)
    answers(until, b if by == "caller" else a)
    talk(until, a, b)
    a.hand_on(carol)
    answers(until, c)
    talk(until, b, c)
    until(a.is_free, WAIT_S)
    ends(until, b, c)


@pytest.mark.parametrize("swapped", [False, True])
def test_a_phone_has_two_others_talk(plays, calling, until, swapped):
    b, bob = plays("bob", BOB_HZ)
    c, carol = plays("carol", CAROL_HZ)
    a, _, (out, out2) = calling(bob, carol)
    for end, side in ((b, out), (c, out2)):
        answers(until, end)
        side.confirm(timeout_s=WAIT_S)
    first, second = (out2, out) if swapped else (out, out2)
    assert refer(first, replaces(second)).code == 202
    assert told(a)[-1] == "SIP/2.0 200 OK"
    talk(until, b, c)
    ends(until, c, b)


def test_rest_hands_one_on(plays, calling, until):
    b, bob = plays("bob", BOB_HZ)
    c, carol = plays("carol", CAROL_HZ)
    _, alice, (out,) = calling(bob)
    answers(until, b)
    out.confirm(timeout_s=WAIT_S)
    assert send(alice, bob, url_of(alice), carol.login).status_code == 202
    answers(until, c)
    talk(until, b, c)
    ends(until, b, c)


def test_rest_has_two_talk(plays, until):
    """Click-to-dial, and the one who was dialled is handed on by REST."""
    a, alice = plays("alice", ALICE_HZ)
    b, bob = plays("bob", BOB_HZ)
    c, carol = plays("carol", CAROL_HZ)
    made = alice.request("POST", "/call", json={"open": False, "invite": ["/login/me", bob.login]})
    assert made.status_code == 201, made.text
    answers(until, a)
    answers(until, b)
    talk(until, a, b)
    assert send(alice, bob, made.json()["url"], carol.login).status_code == 202
    answers(until, c)
    talk(until, b, c)
    until(a.is_free, WAIT_S)
    ends(until, c, b)


def test_who_was_dialled_hangs_up(plays, until):
    a, alice = plays("alice", ALICE_HZ)
    b, bob = plays("bob", BOB_HZ)
    made = alice.request("POST", "/call", json={"open": False, "invite": ["/login/me", bob.login]})
    assert made.status_code == 201, made.text
    answers(until, a)
    answers(until, b)
    talk(until, a, b)
    ends(until, b, a)
    ended = until(lambda: next(c for c in [alice.request("GET", made.json()["url"]).json()] if c["state"] == "ended"), WAIT_S)
    assert ended["ended"] == {"by": bob.email, "cause": "hangup"}
