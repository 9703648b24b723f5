"""Flows: the connections that bindings have come over, and those of a device (RFC 5626)."""
import pathlib
import re
import secrets
import socket
import struct

import psycopg
import pytest

from phone import digest
from test_message import send


def test_a_binding_over_tcp_goes_with_its_connection(account, phone, logins, until):
    alice = account()
    p = phone(alice, transport="tcp")
    assert p.register(expires=600).contacts == {p.contact: 600}
    assert logins(alice)[p.contact]["flow"].startswith("tcp:")
    p.close()
    until(lambda: not logins(alice), 2)


def test_a_binding_over_tcp_whose_phone_listens_outlives_its_connection(account, phone, logins, until):
    """A connection is opened to its contact then: only flows of RFC 5626 end with theirs."""
    alice, bob = account(), account()
    p = phone(alice, transport="tcp").listen()
    flow = '+sip.instance="<urn:uuid:00000000-0000-1000-8000-000000000001>";reg-id=1'
    elsewhere, plain = "sip:a@127.0.0.2:16191;transport=tcp", p.contact.replace(";transport=tcp", "")
    p.register()
    p.register(contacts=[f"<{elsewhere}>", f"<{plain}>"])
    p.register(contacts=[f"<sip:b@127.0.0.1:16191;transport=tcp>;{flow}"], headers=[("Supported", "outbound")])
    assert len(logins(alice)) == 4
    p.drop()
    until(lambda: list(logins(alice)) == [p.contact], 5)
    assert logins(alice)[p.contact]["flow"] is None
    status = send(bob, alice, b"over a new one", "text/plain")
    came = p.next_request()
    assert came.uri == p.contact and came.body == b"over a new one"
    until(lambda: status()["status"] == "delivered")
    assert p.register().contacts[p.contact] and logins(alice)[p.contact]["flow"].startswith("tcp:")


def test_a_message_whose_connection_closes_goes_over_a_new_one(account, phone, until):
    alice, bob = account(), account()
    p = phone(alice, transport="tcp", answer=None).listen()
    p.register()
    status = send(bob, alice, b"twice", "text/plain")
    first = p.next_request()
    p.answer = 200
    p.drop()
    again = p.next_request()
    assert [again.get(h) for h in ("call-id", "cseq")] == [first.get(h) for h in ("call-id", "cseq")]
    until(lambda: status()["status"] == "delivered")
    assert status()["recipients"][0]["contact"] == p.contact


def test_a_binding_over_tls_is_never_reached_in_clear(account, phone, logins, until):
    """Somebody listens there, in clear: he gets TLS handshakes, and nothing else."""
    alice, bob = account(), account()
    p = phone(alice, transport="tls")
    tcp, udp = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    port = tcp.getsockname()[1]
    udp.bind(("127.0.0.1", port))
    udp.setblocking(False)
    secure = f"sip:a@127.0.0.1:{port};transport=tls"
    p.register(contacts=[f"<{secure}>", f"<sip:b@127.0.0.1:{port};transport=tcp>", f"<sip:c@127.0.0.1:{port}>"])
    p.close()
    until(lambda: list(logins(alice)) == [secure], 5)
    status = send(bob, alice, b"in secret", "text/plain")
    with tcp, udp:
        tcp.settimeout(10)
        conn, _ = tcp.accept()
        with conn:
            conn.settimeout(10)
            assert conn.recv(2) == b"\x16\x03"
        until(lambda: status()["status"] == "stored", 10)
        with pytest.raises(BlockingIOError):
            udp.recv(1)


def test_a_connection_that_closes_before_its_binding_is_there_takes_it_along(account, phone, logins, until, system):
    alice = account()
    p = phone(alice, transport="tcp")
    p.challenge = p.request("REGISTER", f"sip:{p.domain}", auth=False).get("www-authenticate")
    authorization = digest(p.challenge, "REGISTER", f"sip:{p.domain}", p.username, p.password)
    id_of = "(select id from app.account where email = %s)"
    with psycopg.connect(system.pg_owner) as db:
        db.execute(f"select from app.resource where kind = 'login' and id = {id_of} for update", [alice.email])
        p.send(p.build("REGISTER", f"sip:{p.domain}", [("Contact", f"<{p.contact}>"), ("Authorization", authorization)]))
        until(lambda: system.query_owner("select from pg_locks where not granted"))
        p.close()
        until(lambda: not [line for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()
                           if line.split()[2].endswith(f":{p.port:04X}")], what="the agent has closed it")
    until(lambda: system.query_owner(f"select from app.credential where account_id = {id_of} and used_at is not null",
                                     [alice.email]), what="the binding is written")
    until(lambda: not logins(alice), 3)


def test_two_bindings_over_one_connection_share_its_flow(account, phone, logins, until):
    alice = account()
    p = phone(alice, transport="tcp")
    p.register(contacts=[f"<{p.contact}>", "<sip:b@127.0.0.2:16191;transport=tcp>"])
    assert len({row["flow"] for row in logins(alice).values()}) == 1
    p.close()
    until(lambda: not logins(alice), 2)


# ---- flows of a device (RFC 5626) ----

OUTBOUND = ("Supported", "path, outbound")
DEVICE = '+sip.instance="<urn:uuid:00000000-0000-1000-8000-000a95a0e128>"'


def test_a_device_that_comes_from_elsewhere_replaces_its_binding(account, phone, logins, until):
    alice = account()
    one, two = phone(alice), phone(alice, transport="tcp")
    answer = one.register(expires=600, contacts=[f"<{one.contact};ob>;reg-id=1;{DEVICE}"], headers=[OUTBOUND])
    assert answer.get("require") == "outbound"
    assert int(answer.get("flow-timer")) == 120
    assert two.register(contacts=[f"<{two.contact};ob>;reg-id=1;{DEVICE}"], headers=[OUTBOUND]).code == 200
    assert set(logins(alice)) == {two.contact + ";ob"}
    assert one.register(contacts=[f"<{one.contact};ob>;reg-id=2;{DEVICE}"], headers=[OUTBOUND]).code == 200
    assert set(logins(alice)) == {one.contact + ";ob", two.contact + ";ob"}, "two flows of one device"
    plain = phone(alice)
    assert {re.sub("expires=[0-9]+", "expires=", told) for told in plain.register().all("contact")} == {
        f"<{two.contact};ob>;expires=;{DEVICE};reg-id=1", f"<{one.contact};ob>;expires=;{DEVICE};reg-id=2",
        f"<{plain.contact}>;expires="}, "all are told so, whoever asks"
    assert plain.register(expires=0).code == 200
    two.close()
    until(lambda: set(logins(alice)) == {one.contact + ";ob"}, 2)


def test_a_flow_is_registered_alone(account, phone, logins):
    """RFC 5626, section 6; what is removed may stand beside it."""
    alice = account("alice")
    p = phone(alice)
    flow, other = f"<{p.contact};ob>;reg-id=1;{DEVICE}", "<sip:b@127.0.0.1:16191>"
    assert p.register(contacts=[flow, other], headers=[OUTBOUND]).code == 400
    assert not logins(alice)
    assert p.register(contacts=[other]).code == 200
    assert p.register(contacts=[flow, other + ";expires=0"], headers=[OUTBOUND]).code == 200
    assert set(logins(alice)) == {p.contact + ";ob"}


def test_a_device_without_support_is_an_ordinary_contact(account, phone, logins):
    alice = account()
    one, two = phone(alice), phone(alice)
    for p in (one, two):
        answer = p.register(contacts=[f"<{p.contact}>;reg-id=1;{DEVICE}"])
        assert (answer.code, answer.get("require"), answer.get("flow-timer")) == (200, None, None)
    assert set(logins(alice)) == {one.contact, two.contact}


def test_who_keeps_its_connection_alive_may_refresh_seldom(account, phone):
    alice = account()
    p = phone(alice, transport="tcp")
    assert p.register(expires=3600).contacts == {p.contact: 840}
    assert p.register(expires=3600, headers=[OUTBOUND]).contacts == {p.contact: 840}
    assert p.register(expires=3600, headers=[OUTBOUND], contacts=[f"<{p.contact}>;reg-id=1;{DEVICE}"]).contacts == {
        p.contact: 3600}


@pytest.mark.parametrize("path,code", [
    (None, 439), ("<sip:127.0.0.1:16192;lr>", 439), ("<sip:127.0.0.1:16193;lr>, <sip:127.0.0.1:16192;lr;ob>", 439),
    ("<sip:127.0.0.1:16192;lr;ob>, <sip:127.0.0.1:16193;lr>", 200), ("<sip:127.0.0.1:16192;lr;ob>", 200)])
def test_a_first_hop_must_keep_the_flow(account, phone, path, code):
    p = phone(account())
    headers = [OUTBOUND, ("Via", f"SIP/2.0/UDP 127.0.0.1:{p.port};branch=z9hG4bK{secrets.token_hex(8)};rport"),
               ("Via", "SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bKfirst")] + ([("Path", path)] if path else [])
    p.request("REGISTER", f"sip:{p.domain}", auth=False)  # a challenge to answer at once
    p.challenge = p.request("REGISTER", f"sip:{p.domain}", auth=False).get("www-authenticate")
    assert p.register(contacts=[f"<{p.contact}>;reg-id=1;{DEVICE}"], headers=headers).code == code


def test_a_stun_request_is_told_its_address(phone, account):
    """RFC 5389, as RFC 5626 section 4.4.2 has it over UDP."""
    p = phone(account())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        s.settimeout(5)
        tid = secrets.token_bytes(12)
        s.sendto(struct.pack("!HHI", 1, 0, 0x2112A442) + tid, p.server)
        answer = s.recv(2048)
        kind, length, cookie = struct.unpack("!HHI", answer[:8])
        assert (kind, length, cookie, answer[8:20]) == (0x0101, len(answer) - 20, 0x2112A442, tid)
        attributes, at = {}, 20
        while at < len(answer):
            name, size = struct.unpack("!HH", answer[at:at + 4])
            attributes[name] = answer[at + 4:at + 4 + size]
            at += 4 + (size + 3) // 4 * 4
        _, family, port, host = struct.unpack("!BBHI", attributes[0x20])
        assert (family, port ^ 0x2112, socket.inet_ntoa(struct.pack("!I", host ^ 0x2112A442))) == (
            1, s.getsockname()[1], "127.0.0.1")
