"""A third phone that others wrote: Twinkle."""
import json
import shutil

import pytest

from test_events import subscriptions
from test_message import send
from twinkle import Twinkle

pytestmark = pytest.mark.skipif(not shutil.which("twinkle-console"), reason="there is no twinkle-console")
EMOJI, LONG = "Grüße 🎉", "y" * 2996 + "🎉"


@pytest.fixture(name="twinkle")
def fixture_twinkle(tmp_path, until):
    """Starts Twinkle for an account, and waits until it has registered."""
    made = []

    def make(account, transport="udp", **more):
        one = Twinkle(tmp_path / f"twinkle-{len(made)}", account, transport, **more)
        made.append(one)
        if "password" not in more:
            until(one.is_registered, 30)
        return one

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_messages_both_ways(account, twinkle, logins, system, until, transport):
    alice, bob = account("alice"), account("bob")
    one = twinkle(alice, transport)
    (row,) = logins(alice).values()
    assert (row["source"], row["expires"], row["user_agent"]) == ("sip", 600, "Twinkle/1.10.2")
    for text in (EMOJI, LONG):
        status = send(bob, alice, text.encode(), "text/plain;charset=utf-8")
        until(lambda t=text: (f"sip:{bob.email}", t) in one.received(), 10)
        until(lambda s=status: s()["status"] == "delivered")
    with system.request("GET", bob.login + "?stream", headers=bob.headers, stream=True) as stream:
        lines = (json.loads(line) for line in stream.iter_lines() if line.strip())
        assert next(lines)["event"] == "state"
        for text in (EMOJI, LONG):
            one.message(bob, text)
            told = next(e for e in lines if e["event"] == "message")["data"]
            assert (told["from"], told["body"]) == (alice.email, text)


def test_it_says_who_is_there_refreshes_and_unregisters(account, twinkle, logins, until):
    alice, bob = account("alice"), account("bob")
    one = twinkle(alice)

    def shown():
        return [c.get("presence") for c in bob.request("GET", alice.login).json()]
    until(lambda: shown() == [{"basic": "open"}], 10)
    one.command("presence -b offline")
    until(lambda: shown() == [{"basic": "closed"}], 10)
    cseq, = (row["cseq"] for row in logins(alice).values())
    one.command("register")
    until(lambda: [row["cseq"] > cseq for row in logins(alice).values()] == [True], 10)
    one.command("deregister")
    until(lambda: not logins(alice), 10)


def test_its_lamp_is_lit_and_goes_out(account, twinkle, until):
    alice, bob = account("alice"), account("bob")
    one = twinkle(alice)
    until(lambda: "Messages-Waiting: no" in one.trace(), 10)
    made = bob.request("POST", f"/user/{alice.email}/messages", json={"type": "voice", "url": "https://example.org/1"})
    assert made.status_code == 201, made.text
    until(lambda: "Voice-Message: 1/0" in one.trace(), 10)
    assert alice.request("PATCH", made.headers["Location"], json={"seen": True}).status_code == 200
    until(lambda: "Voice-Message: 0/1" in one.trace(), 10)
    assert subscriptions(alice)[0]["code"] == 200


def test_a_wrong_password(account, twinkle, logins, until):
    """It says so, and tries no more."""
    alice = account("alice")
    one = twinkle(alice, password="wrong")
    until(lambda: "401" in one.said(), 15)
    assert not logins(alice)
