"""Another phone that others wrote: linphone."""
import json
import re
import shutil

import pytest

from linphone import Linphone
from test_events import bound, subscriptions
from test_message import send

pytestmark = pytest.mark.skipif(not shutil.which("linphone-daemon"), reason="there is no linphone-daemon")


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_curl_and_a_stream(account, linphone, logins, system, until, transport):
    """SEND reaches it, and tells that it did; what it sends is in an open stream."""
    alice, bob = account("alice"), account("bob")
    one = linphone(alice, bob, transport)
    (row,) = logins(alice).values()
    assert (row["source"], row["expires"]) == ("sip", 600)
    status = send(bob, alice, b"hello from curl", "text/plain")
    until(lambda: one.received() == [(f"sip:{bob.email}", "hello from curl")])
    until(lambda: status()["status"] == "delivered")
    with system.request("GET", bob.login + "?stream", headers=bob.headers, stream=True) as stream:
        lines = (json.loads(line) for line in stream.iter_lines() if line.strip())
        assert next(lines)["event"] == "state"
        one.message(bob, "hello, web")
        told = next(e for e in lines if e["event"] == "message" and e["data"]["content_type"] == "text/plain")
        assert (told["data"]["from"], told["data"]["body"]) == (alice.email, "hello, web")
    # its receipt names what it got, and is no message to bob
    (number,) = until(lambda: re.findall(r"<message-id>[0-9a-f]{32}-(\d+)@restsip</message-id>", one.trace())[:1])
    assert status()["url"].endswith(f"/{number}")
    assert {r["content_type"].split(";")[0] for r in system.query("select * from inspect.send where recipient = %s",
                                                                  [bob.email])} == {"text/plain"}


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_messages_that_are_not_short_and_plain(account, phone, linphone, until, transport):
    alice, bob = account("alice"), account("bob")
    b = phone(bob)
    b.register()
    one = linphone(alice, bob, transport)
    for text in ("Grüße 🎉", "y" * 2996 + "🎉"):
        status = send(bob, alice, text.encode(), "text/plain")
        until(lambda t=text: (f"sip:{bob.email}", t) in one.received(), 10)
        until(lambda s=status: s()["status"] == "delivered")
        one.message(bob, text)
        until(lambda t=text: t.encode() in [m.body for m in list(b.seen) if not m.is_response and m.method == "MESSAGE"], 10)


def test_it_unregisters(account, linphone, logins, until):
    alice, bob = account("alice"), account("bob")
    one = linphone(alice, bob)
    assert logins(alice)
    one.command("unregister 1")
    until(lambda: not logins(alice), 10)


def test_a_wrong_password(account, logins, system, tmp_path, until):
    """It gives up, and does not ask for ever."""
    alice, bob = account("alice"), account("bob")
    one = Linphone(tmp_path / "wrong", system.sip, alice, {**alice.credential(), "password": "wrong"}, bob)
    try:
        def state():
            one.command("register-status ALL")
            return re.findall(r"State: (\w+)", one.said())[-1]
        until(lambda: state() == "LinphoneRegistrationFailed", 30)
        assert not logins(alice)
        assert len(re.findall(r"CSeq: \d+ REGISTER", one.trace())) < 20
    finally:
        one.close()


@pytest.mark.parametrize("transport,other", [("udp", "udp"), ("tcp", "udp"), ("tls", "tls")])
def test_baresip_and_linphone_talk(account, linphone, softphone, until, transport, other):
    alice, bob = account("alice"), account("bob")
    one, two = linphone(alice, bob, transport), softphone(bob, alice, other)
    two.message("ping from baresip")
    until(lambda: one.received() == [(f"sip:{bob.email}", "ping from baresip")])
    one.message(bob, "pong from linphone")
    until(lambda: b"pong from linphone" in [body for _, body in two.received()])


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_presence(account, linphone, until, transport):
    """It sees what REST sets, and REST and others see what it publishes."""
    alice, bob = account("alice"), account("bob")
    one = linphone(alice, bob, transport)
    until(lambda: len(one.notified()) == 1)
    assert "<basic>closed</basic>" in one.notified()[0]
    where = bound(bob, "sip:bob@192.0.2.1")
    until(lambda: "<basic>open</basic>" in one.notified()[-1])
    bob.request("PUT", where, json={"presence": {"basic": "closed", "activities": ["away"], "note": "at lunch"}})
    until(lambda: "at lunch" in one.notified()[-1] and "<rpid:away/>" in one.notified()[-1])
    until(lambda: subscriptions(alice)[0]["code"] == 200)
    (item,) = until(lambda: [c for c in bob.request("GET", alice.login).json() if "presence" in c])
    assert item["presence"]["basic"] == "open" and item["source"] == "sip"


def test_both_see_each_other(account, linphone, softphone, until):
    alice, bob = account("alice"), account("bob")
    one = linphone(alice, bob)
    two = softphone(bob, alice, modules=("presence",), params=";pubint=600")
    until(lambda: "Online" in two.ask("contacts"), 20)
    until(lambda: "<basic>open</basic>" in one.notified()[-1], 20)
    two.command("quit")
    until(lambda: "<basic>closed</basic>" in one.notified()[-1], 20)
