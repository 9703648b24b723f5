"""Two phones of one account behind two NATs, with one and the same private address in their contacts: each is a phone by itself."""
import pytest
from call_phone import Incoming, Outgoing, rings, sdp

from phone import Phone

NATS = ("127.0.0.61", "127.0.0.62", "127.0.0.63")


class Natted(Phone):
    """`local` is where it is seen from; it knows its private address alone."""
    contact = "sip:phone@192.168.1.2:5060"


@pytest.fixture(name="behind", params=["udp", "tcp"])
def fixture_behind(request, account):
    """Makes phones of bob's, registered: behind(nat), his second one like his first."""
    bob = account("bob")
    credential = bob.credential()
    made = []

    def make(nat):
        one = rings(Natted(bob.system.sip, bob.email.split("@")[0], credential["password"], bob.email.split("@")[1],
                           transport=request.param, local=NATS[nat]))
        one.username = credential["username"]
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()


@pytest.fixture(name="alice")
def fixture_alice(phone, account):
    a = rings(phone(account("alice")))
    assert a.register().code == 200
    return a


@pytest.mark.parametrize("who", [0, 1])
def test_both_ring_and_each_has_its_dialog(behind, alice, who):
    phones = [behind(0), behind(1)]
    for p in phones:
        assert p.register().code == 200
    out = Outgoing(alice, phones[0].aor, sdp(1))
    sides = [Incoming(p) for p in phones]
    other = sides[1 - who]
    other.say(180)
    assert out.next().code == 180
    sides[who].accept()
    out.confirm(out.final())
    other.say(200, request=other.next("CANCEL"))
    other.say(487)
    for p in (phones[who], phones[1 - who]):  # that one last
        answer = p.register()
        assert answer.code == 200 and len(answer.all("contact")) == 2
    assert out.request("INFO", [("Content-Type", "application/dtmf-relay")], "Signal=5\r\n").code == 200
    assert sides[who].next("INFO").body == b"Signal=5\r\n"
    assert out.bye().code == 200
    sides[who].next("BYE")
    assert not [r for r in other.phone.seen if not r.is_response and r.method in ("INFO", "BYE")]


def test_one_that_has_moved_is_the_same(behind):
    first, second, moved = behind(0), behind(1), behind(2)
    assert first.register().code == second.register().code == 200
    moved.call_id, moved.cseq = first.call_id, first.cseq
    assert len(moved.register().all("contact")) == 2
    assert len(second.register(expires=0).all("contact")) == 1
