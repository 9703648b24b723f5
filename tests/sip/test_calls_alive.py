"""Phones in calls that are asked whether they are there, for they know no session timers."""
import pytest
from call_phone import Incoming, Outgoing, sdp
from phone import new_account
from test_session_timer import LONG, PROBE_S, came, up
from test_session_timer import fixture_over, fixture_own_system, fixture_pair  # noqa: F401 pylint: disable=unused-import

pytestmark = pytest.mark.timeout(600 if LONG else 180)


def test_a_phone_without_a_timer_is_asked(pair, over, until):
    a, b = pair()
    out, inc, _ = up(a, b)
    until(lambda: len(came(a, "OPTIONS")) > 1 and len(came(b, "OPTIONS")) > 1, 4 * PROBE_S + 10)
    assert not came(a, "BYE") and not came(b, "BYE")
    asked = came(b, "OPTIONS")[-1]
    assert (asked.get("call-id"), asked.get("to"), asked.uri) == (inc.call_id, inc.mine, b.contact)
    b.options = None
    assert Incoming.next(out, "BYE", 6 * PROBE_S + 15)
    assert over(a) == {"unreachable"}


@pytest.mark.parametrize("code", [481, 408])
def test_a_phone_that_knows_of_no_call(pair, over, code):
    a, b = pair()
    out, _, _ = up(a, b)
    b.options = code
    assert Incoming.next(out, "BYE", 2 * PROBE_S + 10)
    assert over(a) == {"unreachable"}


@pytest.mark.parametrize("transport", ["udp", "tls"])
def test_baresip_is_killed_in_a_call(pair, over, until, softphone, transport):
    """SIGKILL, so that it says no BYE; it knows no session timers."""
    a, b = pair()
    owner = new_account(a.owner.system, "carol")
    killed = softphone(owner, a.owner, transport)
    out = Outgoing(a, f"sip:{owner.email}", sdp(1).replace("192.0.2.1", "127.0.0.1"))
    assert out.next(10).code == 180
    killed.command("accept")
    out.confirm(timeout_s=10)
    until(lambda: came(a, "OPTIONS"), 4 * PROBE_S + 10)
    killed.process.kill()
    killed.process.wait(10)
    if transport == "tls" and not LONG:  # it could come back over another connection, for two minutes
        until(lambda: a.owner.system.query_owner("update app.leg set lost_at = now() - interval '3 min', asked_at = '-infinity' "
                                                 "where lost_at is not null and state = 'up' returning 1"), 10)
    assert Incoming.next(out, "BYE", 6 * PROBE_S + 150 * LONG + 20)
    assert over(a) == {"unreachable"} and b
