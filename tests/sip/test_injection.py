"""CR, LF, NUL and `>` in what users say: none of it ever becomes a header, whichever door it came in by."""
import socket

import pytest

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
