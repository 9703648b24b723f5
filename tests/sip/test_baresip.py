"""A phone that others wrote: baresip."""
import json

import pytest

from test_events import bound
from test_message import delivered, send


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_it_registers_and_gets_what_is_sent(account, softphone, logins, until, transport):
    alice, bob = account("alice"), account("bob")
    phone = softphone(alice, bob, transport)
    (row,) = logins(alice).values()
    assert (row["source"], row["expires"]) == ("sip", 600)
    assert row["user_agent"].startswith("baresip")

    body = "Grüße an alle, € 5\r\n".encode()
    status = send(bob, alice, body, "text/plain")
    until(lambda: delivered(status))
    ((head, got),) = phone.received()
    assert got == body
    assert f"From: <sip:{bob.email}>;tag=" in head


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_its_message_reaches_another_phone(account, phone, softphone, system, until, transport):
    alice, bob = account("alice"), account("bob")
    b = phone(bob)
    b.register()
    softphone(alice, bob, transport).message("hello from baresip")
    m = b.next_request(10)
    assert m.body == b"hello from baresip"
    assert m.get("content-type").startswith("text/plain")
    assert m.get("from").startswith(f"<sip:{alice.email}>;tag=")
    until(lambda: [(row["sender"], row["status"]) for row in system.query(
        "select * from inspect.send where recipient = %s", [bob.email])] == [(alice.email, "delivered")])


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_messages_that_are_not_short_and_plain(account, phone, softphone, until, transport):
    """To it 3,000 bytes; from it 900, for its control socket takes no command of 1024."""
    alice, bob = account("alice"), account("bob")
    b = phone(bob)
    b.register()
    one = softphone(alice, bob, transport)
    for n in (0, 2996):
        text = "y" * n + "🎉"
        status = send(bob, alice, text.encode(), "text/plain")
        until(lambda s=status: delivered(s))
        assert one.received()[-1][1] == text.encode()
        one.message(text[-900:])
        assert b.next_request(10).body == text[-900:].encode()


def test_its_message_to_a_web_user_is_stored(account, softphone, system, until):
    alice, bob = account("alice"), account("bob")
    softphone(alice, bob).message("are you there?")
    (row,) = until(lambda: system.query("select * from inspect.send where recipient = %s", [bob.email]))
    assert (row["sender"], row["status"]) == (alice.email, "stored")


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_its_message_appears_in_a_stream(account, softphone, system, transport):
    alice, bob = account("alice"), account("bob")
    one = softphone(alice, bob, transport)
    with system.request("GET", bob.login + "?stream", headers=bob.headers, stream=True) as stream:
        lines = (json.loads(line) for line in stream.iter_lines() if line.strip())
        assert next(lines)["event"] == "state"
        one.message("hello, web")
        event = next(e for e in lines if e["event"] == "message")
    assert (event["data"]["from"], event["data"]["body"]) == (alice.email, "hello, web")


def test_two_of_them_talk(account, softphone, until):
    alice, bob = account("alice"), account("bob")
    a, b = softphone(alice, bob), softphone(bob, alice, "tcp")
    a.message("ping")
    until(lambda: [body for _, body in b.received()] == [b"ping"])
    b.message("pong")
    until(lambda: b"pong" in [body for _, body in a.received()])


def test_it_unregisters_when_it_ends(account, softphone, logins, until):
    alice, bob = account("alice"), account("bob")
    one = softphone(alice, bob)
    assert logins(alice)
    one.command("quit")
    until(lambda: not logins(alice))


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_its_lamp_is_lit_and_goes_out(account, softphone, until, transport):
    alice, bob = account("alice"), account("bob")
    one = softphone(alice, bob, transport, modules=("mwi",))
    until(lambda: "Messages-Waiting: no" in one.said(), 15)
    made = bob.request("POST", f"/user/{alice.email}/messages", json={"type": "voice", "url": "https://example.org/1"})
    assert made.status_code == 201, made.text
    until(lambda: "Voice-Message: 1/0 (0/0)" in one.said())
    assert alice.request("PATCH", made.headers["Location"], json={"seen": True}).status_code == 200
    until(lambda: "Voice-Message: 0/1 (0/0)" in one.said())
    assert one.said().count("----- MWI for ") == 3


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_it_sees_who_is_there(account, softphone, until, transport):
    alice, bob = account("alice"), account("bob")
    one = softphone(alice, bob, transport, modules=("presence",))

    def is_shown(status):
        return status in one.ask("contacts")

    until(lambda: is_shown("Offline"), 10)
    where = bound(bob, "sip:bob@192.0.2.1")
    until(lambda: is_shown("Online"))
    bob.request("PUT", where, json={"presence": {"basic": "closed"}})
    until(lambda: is_shown("Offline"))


def test_its_own_presence_is_shown(account, softphone, until, logins):
    """By what it publishes: baresip says open once it has registered."""
    alice, bob = account("alice"), account("bob")
    one = softphone(alice, bob, modules=("presence",), params=";pubint=600")
    (item,) = until(lambda: [c for c in bob.request("GET", alice.login).json() if "presence" in c])
    assert item["presence"] == {"basic": "open"}
    assert list(logins(alice)) == [item["contact"]]
    watcher = softphone(bob, alice, modules=("presence",))
    until(lambda: "Online" in watcher.ask("contacts"), 10)
    one.command("quit")
    until(lambda: "Offline" in watcher.ask("contacts"), 10)
