"""Orders that the agent reads before what they are about: they came by another connection, and a commit is seen by others
before who has made it is told."""
import threading
import time

import pytest
from call_phone import Incoming, rings, sdp
from silent_proxy import behind_proxy

from phone import new_account
from test_calls import up
from test_transfer import refer, telling, told


@pytest.fixture(scope="module", name="slow")
def fixture_slow(systems):
    yield from behind_proxy(systems, "overtaken")


@pytest.fixture(name="slow_answers")
def fixture_slow_answers(slow):
    yield slow.proxy.slow.update
    slow.proxy.slow.clear()


@pytest.mark.parametrize("loaded", [0, 0.8], ids=["it is nobody's leg yet", "it rings meanwhile"])
def test_a_cancel_overtakes_its_invite(slow, slow_answers, phone, until, loaded):
    """Who is kept hangs up before the agent has read whom it is to call."""
    alice, bob, carol = (rings(phone(new_account(slow, name))) for name in ("alice", "bob", "carol"))
    for p in (alice, bob, carol):
        assert p.register().code == 200
    telling(alice)
    out, inc = up(alice, bob)
    slow_answers({b"leg_refer": 0.4, b"leg_load": loaded})
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
    assert told(alice)[-1].split()[1] == "487"
    until(lambda: not slow.query("select 1 from inspect.leg where state <> 'ended'"), 5)
    if not loaded:
        time.sleep(0.5)
        assert carol.requests.empty(), "the INVITE was sent all the same"
