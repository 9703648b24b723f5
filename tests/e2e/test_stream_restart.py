"""Streams and who follows them, while programs are killed."""
import signal

import pytest
from follower import Follower
from restsip_system import SMALL
from stream_client import Stream
from stream_steps import insist


@pytest.fixture(scope="module", name="own_system")
def fixture_own_system(systems):
    """One for all tests of this file, which leave it running."""
    return systems("restart", {**SMALL, "RESTSIP_DEMO": "no"})


@pytest.mark.parametrize("how", ["stream-kill", "stream-term", "postgres-kill", "postgres-stop"])
def test_nothing_is_missed_over_a_restart(own_system, own_account, until, how):
    alice, bob = own_account("alice"), own_account("bob")
    follower = Follower(alice, sse=True)
    until(follower.connected, 10)
    for round_ in range(3):
        for i in range(5):
            if i == 2:
                name, sig = {"stream-kill": ("restsip-stream", signal.SIGKILL),
                             "stream-term": ("restsip-stream", signal.SIGTERM),
                             "postgres-kill": ("postgres", signal.SIGKILL),
                             "postgres-stop": ("postgres", signal.SIGINT)}[how]
                own_system.kill(name, sig)
            # A key, so that what was done and not answered is not done twice.
            insist(lambda: bob.request("SEND", alice.login, data=f"{round_}.{i}",
                                       headers={"Content-Type": "text/plain",
                                                "Idempotency-Key": f"{round_}.{i}"}))
        until(lambda: follower.bodies()[-1:] == [f"{round_}.4"], 15)
        until(lambda: all(row["status"] == "delivered" for row in own_system.query(
            "select status from inspect.send where recipient = %s", (alice.email,))), 15)
        insist(lambda: alice.request("PUT", alice.login, json=[{"contact": f"sip:r{round_}@192.0.2.1"}]))
        until(lambda: [c["contact"] for c in follower.last_doc()] == [f"sip:r{round_}@192.0.2.1"], 15)
        insist(lambda: alice.request("DELETE", alice.login))
        until(lambda: follower.last_doc() == [], 15)
    follower.stop()
    assert follower.refused == []
    assert follower.bodies() == [f"{r}.{i}" for r in range(3) for i in range(5)]


def test_an_open_stream_outlives_the_database(own_system, own_account, until):
    alice, bob = own_account("alice"), own_account("bob")
    stream = Stream(own_system, alice.login, token=alice.token())
    stream.wait("state")
    own_system.kill_and_wait("postgres")
    own_system.await_ready()
    insist(lambda: bob.request("SEND", alice.login, data="after", headers={"Content-Type": "text/plain"}))
    insist(lambda: alice.request("POST", alice.login, json={"contact": "sip:a@192.0.2.1"}))
    stream.wait_message("after", 10)
    stream.wait(lambda e: e.name in ("change", "state") and len(e.data) == 1, 10)
    assert not stream.ended
    stream.close()
