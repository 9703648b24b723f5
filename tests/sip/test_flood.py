"""A flood from one address: whoever comes from another is served, and memory does not grow without end."""
import os
import socket
import threading
import time

import pytest

from phone import Phone, new_account
from restsip_system import until

FLOODER = "127.0.0.2"
PACKETS = 40000
GROWTH_MAX_KB = 64 * 1024
SANITIZED = os.environ.get("SANITIZE") == "1"


def request(method, lines=""):
    return (f"{method} sip:example.net SIP/2.0\r\nVia: SIP/2.0/UDP {FLOODER};branch=z9hG4bK%d\r\n"
            "From: <sip:u%d@example.net>;tag=1\r\nTo: <sip:u@example.net>\r\nCall-ID: flood-%d\r\n"
            f"CSeq: 1 {method}\r\n{lines}Content-Length: 0\r\n\r\n")


FORGED = ('Authorization: Digest username="u%d", realm="example.net", nonce="' + "0" * 66 + '", uri="sip:example.net", '
          'response="' + "0" * 32 + '", qop=auth, nc=00000001, cnonce="x"\r\n')
KINDS = {
    "junk": "\x01\x02 hello %d %d %d",
    "malformed": request("OPTIONS").replace("CSeq: 1 OPTIONS", "CSeq: x"),
    "registers": request("REGISTER", "Contact: <sip:a@127.0.0.2>\r\n"),
    "invites": request("INVITE"),
    "forged": request("REGISTER", FORGED.replace("%d", "x")),
    "responses": request("OPTIONS").replace("OPTIONS sip:example.net SIP/2.0", "SIP/2.0 200 OK"),
    "stun": None,
}


def rss_kb(system):
    with open(f"/proc/{system.pid('restsip-agent')}/status", encoding="ascii") as status:
        return int(next(line for line in status if line.startswith("VmRSS")).split()[1])


def flood(server, kind, stop):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((FLOODER, 0))
        for n in range(PACKETS):
            if stop.is_set():
                return
            raw = (KINDS[kind] % (n, n, n)).encode() if KINDS[kind] else \
                b"\x00\x01\x00\x00\x21\x12\xa4\x42" + n.to_bytes(12, "big")
            sock.sendto(raw, server)


@pytest.fixture(scope="module")
def flooded(systems):
    return systems("flooded", {"RESTSIP_DEMO": "no"})


@pytest.mark.parametrize("kind", KINDS)
def test_others_are_served_meanwhile(flooded, kind):
    server = (flooded.sip_host, flooded.sip_port)
    pid = flooded.pid("restsip-agent")
    alice = new_account(flooded, "alice")
    made = alice.credential()
    stop = threading.Event()
    with Phone(server, alice.email.split("@")[0], made["password"]) as phone:
        phone.username = made["username"]
        assert phone.register().code == 200
        before = rss_kb(flooded)
        thread = threading.Thread(target=flood, args=(server, kind, stop), daemon=True)
        thread.start()
        try:
            for _ in range(30):
                # the kernel's queue may be full for a moment: the phone repeats, as phones do
                assert phone.register(timeout_s=30).code == 200
        finally:
            thread.join(60)
            stop.set()
        assert not thread.is_alive()
        assert phone.register(timeout_s=30).code == 200
    assert flooded.pid("restsip-agent") == pid
    if not SANITIZED:
        until(lambda: rss_kb(flooded) - before <= GROWTH_MAX_KB, 10, "memory within its bounds")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_phone_that_subscribes_without_end(flooded, transport):
    """As baresip does where it registers within a millisecond: each SUBSCRIBE is a dialog of its own and has no
    credentials. That it is a phone of ours gets it no more answers than its budget has, and others are served."""
    burst, per_s = 2000, 200  # agent.unproven_burst, unproven_per_s
    own_burst, own_per_s = 32, 4  # of a phone's address and port
    server = (flooded.sip_host, flooded.sip_port)
    pid = flooded.pid("restsip-agent")

    def phone_of(name, **more):
        user = new_account(flooded, name)
        made = user.credential()
        phone = Phone(server, user.email.split("@")[0], made["password"], **more)
        phone.username = made["username"]
        assert phone.register().code == 200
        return phone

    def storm(phone):
        for n in range(PACKETS):
            phone.send(phone.build("SUBSCRIBE", phone.aor, [
                ("Event", "message-summary"), ("Contact", f"<{phone.contact}>"), ("Expires", "600"),
                ("Call-ID", f"storm-{n}"), ("From", f"<{phone.aor}>;tag={n}")]))

    with phone_of("alice", local=FLOODER, transport=transport) as mad, phone_of("bob") as phone:
        before, already = rss_kb(flooded), len(mad.seen)
        began = time.monotonic()
        thread = threading.Thread(target=storm, args=(mad,), daemon=True)
        thread.start()
        while thread.is_alive():
            assert phone.register(timeout_s=30).code == 200
        assert phone.register(timeout_s=30).code == 200
        elapsed_s = time.monotonic() - began
        codes = [m.code for m in mad.seen[already:]]
        served = codes.count(401)
        assert 0 < served <= burst + own_burst + (per_s + own_per_s) * elapsed_s + 1
        assert set(codes) <= ({401, 480} if transport == "tcp" else {401}), set(codes)
    assert flooded.pid("restsip-agent") == pid
    if not SANITIZED:
        until(lambda: rss_kb(flooded) - before <= GROWTH_MAX_KB, 10, "memory within its bounds")


def test_connections_of_one_address_are_counted(systems):
    few = systems("few", {"RESTSIP_DEMO": "no", "RESTSIP_AGENT_SOURCE_CONNECTIONS": "20"})
    server = (few.sip_host, few.sip_port)
    made = []

    def is_closed(sock):
        sock.settimeout(0.2)
        try:
            return sock.recv(1) == b""
        except socket.timeout:
            return False
        except OSError:
            return True

    try:
        for _ in range(30):
            made.append(socket.create_connection(server, source_address=(FLOODER, 0)))
        until(lambda: sum(map(is_closed, made)) == 10, 10)
        alice = new_account(few, "alice")
        credential = alice.credential()
        with Phone(server, alice.email.split("@")[0], credential["password"], transport="tcp") as phone:
            phone.username = credential["username"]
            assert phone.register().code == 200
    finally:
        for sock in made:
            sock.close()
    # those that went make room
    until(lambda: not is_closed(socket.create_connection(server, source_address=(FLOODER, 0))), 10)


@pytest.mark.skipif(SANITIZED, reason="AddressSanitizer keeps what was freed")
def test_unfinished_messages_are_bounded(flooded):
    """Heads that never end: each connection is ended before it has taken much."""
    server = (flooded.sip_host, flooded.sip_port)
    before = rss_kb(flooded)
    made = []
    try:
        for _ in range(200):
            sock = socket.create_connection(server, source_address=("127.0.0.3", 0), timeout=10)
            made.append(sock)
            try:
                sock.sendall(b"OPTIONS sip:x SIP/2.0\r\nContent-Length: 131000\r\nX: " + b"x" * 20000 + b"\r\n\r\n"
                             + b"y" * 130000)
            except OSError:
                pass  # it was ended
        until(lambda: rss_kb(flooded) - before <= GROWTH_MAX_KB, 10)
    finally:
        for sock in made:
            sock.close()
