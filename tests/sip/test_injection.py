"""CR, LF, NUL and `>` in what users say: none of it ever becomes a header, whichever door it came in by."""
import re
import socket
import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape

import pytest

from test_events import bound
from test_publish import pidf

EVIL = ["\r\nEvil: 1", "\nEvil: 1", "\rEvil: 1", "\0", ">\r\nEvil: 1\r\nX: <", "\r\n Evil: 1", "%0d%0aEvil: 1", "\r\n\r\nBYE x"]
KNOWN = {"via", "max-forwards", "route", "to", "from", "call-id", "cseq", "date", "user-agent", "content-type",
         "content-length", "contact", "expires", "subject", "event", "subscription-state", "supported", "allow",
         "proxy-authorization", "authorization", "x-request-id"}


def is_clean(message):
    head = message.raw.split(b"\r\n\r\n")[0]
    assert {name for name, _ in message.headers} <= KNOWN, message.raw
    assert b"\0" not in head
    assert b"\n" not in head.replace(b"\r\n", b"") and b"\r" not in head.replace(b"\r\n", b"")


def next_clean(phone, body):
    """The next MESSAGE with this body, all others looked at on the way."""
    while True:
        message = phone.next_request(10)
        is_clean(message)
        if message.body == body:
            return message


# ---- REST's door ----

@pytest.mark.parametrize("evil", EVIL + ["><sip:x@y", "\"", "<"])
def test_a_contact_over_rest(account, evil):
    alice = account()
    for contact in (f"sip:a{evil}@127.0.0.1:5999", f"sip:a@127.0.0.1:5999;x={evil}", f"sip:a@127.0.0.1:5999?h={evil}"):
        answer = alice.request("POST", alice.login, json={"contact": contact, "expires": 60})
        assert answer.status_code == 400, contact


@pytest.mark.parametrize("evil", EVIL)
def test_names_subjects_and_notes_over_rest(account, phone, evil):
    """They may be refused or kept, but reach a phone as a body at most."""
    alice, bob = account("alice"), account("bob")
    p = phone(alice)
    assert p.register().code == 200
    for request in (("PATCH", f"/user/{bob.email}", {"name": f"Bob{evil}"}),
                    ("POST", "/call", {"subject": f"s{evil}"}),
                    ("POST", bob.login, {"contact": "sip:b@127.0.0.1:5998", "expires": 60, "note": f"n{evil}"})):
        answer = bob.request(request[0], request[1], json=request[2],
                             headers={"Content-Type": "application/merge-patch+json"} if request[0] == "PATCH" else {})
        assert answer.status_code < 500, answer.text
    assert bob.request("SEND", alice.login, data=b"mark", headers={"Content-Type": "text/plain"}).status_code == 202
    next_clean(p, b"mark")


@pytest.mark.parametrize("value", [b"text/plain\r\n Evil: 1", b"text/plain\0", b"text/plain;x=\"\r\n\tEvil: 1\"", b"text/plain>",
                                   b"text/plain\x0bEvil: 1", b"text/plain;x=\"a\\\r\"", b"text/plain\rEvil: 1"])
def test_a_content_type_over_rest(system, account, phone, value):
    alice, bob = account("alice"), account("bob")
    p = phone(alice)
    assert p.register().code == 200
    host, port = system.url.split("//")[1].split(":")
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        sock.sendall(f"SEND {alice.login} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n"
                     f"Authorization: Bearer {bob.token()}\r\nContent-Type: ".encode() + value + b"\r\n\r\nevil")
        answer = b""
        while more := sock.recv(65536):
            answer += more
    assert answer.split(b" ")[1] in (b"400", b"415"), answer
    assert bob.request("SEND", alice.login, data=b"mark", headers={"Content-Type": "text/plain"}).status_code == 202
    assert next_clean(p, b"mark")
    assert b"evil" not in [m.body for m in p.seen if not m.is_response]


# ---- SIP's door ----

@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("contact", [
    "<sip:a@127.0.0.1:5999>\0", "<sip:a\0@127.0.0.1:5999>", "<sip:a@127.0.0.1:5999>>",
    "<sip:a@127.0.0.1:5999;x=\"\nEvil: 1\">", "\"\rEvil: 1\" <sip:a@127.0.0.1:5999>", "\"\0\" <sip:a@127.0.0.1:5999>",
    "<sip:a>@127.0.0.1:5999>", "<sip:a%0d%0aEvil@127.0.0.1:5999>", "<sip:a%00@127.0.0.1:5999>",
    "<sip:a@127.0.0.1:5999?Evil=1>", "\"x\nEvil: 1\" <sip:a@127.0.0.1:5999>"])
def test_a_contact_over_sip(account, phone, logins, transport, contact):
    alice = account("alice")
    p = phone(alice, transport=transport)
    answer = p.register(contacts=[contact])
    assert answer.code in (400, 403), answer.raw
    assert logins(alice) == {}


@pytest.mark.parametrize("header", [
    ("Subject", "x\nEvil: 1"), ("Subject", "x\rEvil: 1"), ("Subject", "x\0y"), ("Content-Type", "text/plain\nEvil: 1"),
    ("Content-Type", "text/plain;x=\"\0\""), ("From", "\"x\nEvil: 1\" <{aor}>;tag=1"), ("From", "\"x\0\" <{aor}>;tag=1"),
    ("From", "x> <{aor}>;tag=1"), ("Contact", "<sip:a@b>\nEvil: 1")])
def test_a_message_over_sip_is_refused(account, phone, until, header):
    alice, bob = account("alice"), account("bob")
    p, q = phone(alice), phone(bob)
    assert p.register().code == q.register().code == 200
    name, value = header
    more = [(name, value.replace("{aor}", p.aor))]
    assert p.message(q.aor, body="evil", headers=more, content_type=None if name == "Content-Type" else "text/plain").code == 400
    assert p.message(q.aor, body="mark").code in (200, 202)
    next_clean(q, b"mark")
    assert b"evil" not in [m.body for m in q.seen if not m.is_response]


@pytest.mark.parametrize("header", [
    ("Subject", "x\r\n Evil: 1"), ("Content-Type", "text/plain;x=\"a\r\n Evil: 1\""),
    ("From", "\"x\\\" > \r\n Evil: 1\" <{aor}>;tag=1"), ("Evil", "1")])
def test_what_is_well_formed_goes_on_without_its_tricks(account, phone, header):
    """Folded lines and unknown headers are in order; what the other phone gets has no trace of them."""
    alice, bob = account("alice"), account("bob")
    p, q = phone(alice), phone(bob)
    assert p.register().code == q.register().code == 200
    name, value = header
    more = [(name, value.replace("{aor}", p.aor))]
    code = p.message(q.aor, body="folded", headers=more,
                     content_type=None if name == "Content-Type" else "text/plain").code
    assert code in (200, 202, 400, 415)
    assert p.message(q.aor, body="mark").code in (200, 202)
    next_clean(q, b"mark")


# ---- what is told of it ----

MARKUP = ["</note><tuple id=\"x\"/><note>", "\"/><contact", "&amp;", "&", "&#0;", "]]>", "<!--", "<![CDATA[", "<?php ?>", "'\"", "--"]
NO_XML = ["\x01", "\x1f", "\x0b", "\ufffe", "\uffff", "\x7f", "\u2028"]
TAGS = {"presence", "tuple", "status", "basic", "contact", "note", "timestamp", "reginfo", "registration", "uri"}


def in_xml(text):
    """What XML has room for of it."""
    return re.sub("[\x01-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "", text)


def sound(notify):
    """A NOTIFY without anything that is not ours; its document."""
    is_clean(notify)
    root = ET.fromstring(notify.body)
    assert {element.tag.split("}")[-1] for element in root.iter()} <= TAGS, notify.body
    return root


def notes(notify):
    return [element.text for element in sound(notify).iter() if element.tag.endswith("}note")]


def watched(account, phone):
    """Somebody who watches presence and registrations of another."""
    alice, bob = account("alice"), account("bob")
    watcher = phone(bob)
    presence, reg = (watcher.subscribe(f"sip:{alice.email}", event) for event in ("presence", "reg"))
    sound(presence.next())
    sound(reg.next())
    return alice, presence, reg


def check_all(*subscriptions):
    for message in subscriptions[0].phone.seen:
        if not message.is_response:
            sound(message)


@pytest.mark.parametrize("evil", EVIL + MARKUP + NO_XML)
def test_what_rest_sets_in_notifies(account, phone, evil):
    alice, presence, reg = watched(account, phone)
    contact = "sip:a&b'(1)@127.0.0.1:16199;x=%3c&y"
    where = bound(alice, contact)
    sound(presence.next())
    assert contact in [uri.text for uri in sound(reg.next()).iter() if uri.tag.endswith("}uri")]
    alice.request("PATCH", f"/user/{alice.email}", json={"name": f"A{evil}"}, headers={"Content-Type": "application/merge-patch+json"})
    answer = alice.request("PUT", where, json={"presence": {"basic": "open", "note": f"n{evil}n"}})
    if "\0" in evil:
        assert answer.status_code == 400
        return
    assert answer.status_code < 300, answer.text
    assert notes(presence.next()) == [in_xml(f"n{evil}n")]
    check_all(presence, reg)


@pytest.mark.parametrize("evil", [e for e in EVIL if "\0" not in e] + MARKUP + ["\x7f", "\u2028"])
def test_what_a_phone_publishes_in_notifies(account, phone, evil):
    alice, presence, reg = watched(account, phone)
    text = escape(f"n{evil}n", {"\r": "&#13;", "\n": "&#10;"})
    with_note = phone(alice)
    assert with_note.publish(pidf("closed", text)).code == 200
    assert notes(presence.next()) == [f"n{evil}n"]
    check_all(presence, reg)


@pytest.mark.parametrize("document", [
    pidf(note="&#0;"), pidf(note="\x01"), pidf(note="\uffff"), pidf(note="&x;"), pidf(note="</note>"),
    "<!DOCTYPE p [<!ENTITY x \"y\">]>" + pidf(note="&x;").split("?>")[1], pidf()[:-1]])
def test_a_document_that_is_no_xml_is_refused(account, phone, document):
    alice, presence, reg = watched(account, phone)
    assert phone(alice).publish(document).code == 400
    assert not [c for c in alice.request("GET", alice.login).json() if "presence" in c]
    check_all(presence, reg)


@pytest.mark.parametrize("call_id", ["<x>", "\"'&]]>", "</registration>", "a\ufffe", "a\uffff", "ä", "x\x01", "x\x7f"])
def test_the_call_id_of_a_registration_in_notifies(account, phone, call_id):
    """It is an attribute of reginfo."""
    alice, presence, reg = watched(account, phone)
    a = phone(alice)
    contact = f"<sip:{a.user}&'!@{a.local}:{a.port}>"
    code = a.register(contacts=[contact], call_id=call_id).code
    assert code in (200, 400)
    if code == 200:
        told = [c.get("callid") for c in sound(reg.next()).iter() if c.tag.endswith("}contact")]
        assert told == [in_xml(call_id)]
    check_all(presence, reg)
