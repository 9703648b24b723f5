"""The torture messages of RFC 4475, each answered as their EXPECTED.tsv has it.

They lie beside the project, not in it; without them these tests are skipped.
"""
import csv
import re
import secrets
import socket
import time

import pytest

from phone import Message, Phone, digest, new_account
from restsip_system import TOP, until

MATERIAL = TOP.parent / "shared/material/rfc4475"
SENDER = "127.0.0.9"  # most of the messages want their answer at port 5060
DOMAINS = "example.net example.com"
QUIET_S = 0.3


def rows():
    path = MATERIAL / "EXPECTED.tsv"
    if not path.exists():
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"no {path}"))]
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    found = [dict(zip(("name", "section", "kind", "parse", "outcome", "note"), row))
             for row in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)]
    assert len(found) >= 49
    return [pytest.param(row, id=row["name"]) for row in found]


def is_allowed(row, code):
    """Whether a row's words allow a code; None: no answer at all."""
    parse, outcome = row["parse"], row["outcome"]
    if row["kind"].startswith("response"):
        return code is None
    if code is None:
        return "drop" in outcome
    named = {int(n) for n in re.findall(r"\b[1-6]\d\d\b", re.sub(r"never \d\d\d", "", outcome))}
    if code in named or code in (401, 407) and ("accept" in parse or "challenge" in outcome):
        return True
    if not ("accept" in parse or "normal" in outcome):
        return False
    # valid: whatever a sound request would get, but neither a failure of the server nor what only a bad one gets
    return code in (200, 202, 403, 404, 405, 406, 415, 416, 420, 480, 481, 486, 489, 501) \
        and (code >= 300 or 200 in named) or (code == 400 and "400" in parse)


def read(name):
    return (MATERIAL / "msg" / f"{name}.dat").read_bytes()


@pytest.fixture(scope="module")
def torture(systems):
    return systems("torture", {"RESTSIP_HTTP_DOMAINS": DOMAINS, "RESTSIP_DEMO": "no"})


def unfolded(raw):
    """An answer repeats Via as it came, folded where that was."""
    return Message(re.sub(rb"\r\n[ \t]+", b" ", raw))


class Udp:
    """Sends from an address of its own, and hears all ports that the messages name."""

    def __init__(self, system):
        self.server = (system.sip_host, system.sip_port)
        self.socks = []
        for port in (5060, 5050, 6050, 0):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.setblocking(False)
            sock.bind((SENDER, port))
            self.socks.append(sock)

    def send(self, raw):
        self.socks[0].sendto(raw, self.server)

    def heard(self):
        got = []
        for sock in self.socks:
            try:
                while True:
                    got.append(unfolded(sock.recv(65536)))
            except BlockingIOError:
                pass
        return got

    def close(self):
        for sock in self.socks:
            sock.close()


class Tcp:
    def __init__(self, system):
        self.sock = socket.create_connection((system.sip_host, system.sip_port), source_address=(SENDER, 0))
        self.sock.setblocking(False)
        self.buffer = b""
        self.closed = False

    def send(self, raw):
        try:
            self.sock.sendall(raw)
        except OSError:
            self.closed = True

    def heard(self):
        try:
            while data := self.sock.recv(65536):
                self.buffer += data
            self.closed = True
        except BlockingIOError:
            pass
        except OSError:
            self.closed = True
        got = []
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            got.append(unfolded(self.buffer[:end + 4]))
            self.buffer = self.buffer[end + 4:]
        return got

    def close(self):
        self.sock.close()


def probe(transport, number):
    """An OPTIONS that is in order, to be answered at once."""
    return "\r\n".join([
        "OPTIONS sip:example.net SIP/2.0", f"Via: SIP/2.0/{transport} {SENDER};branch=z9hG4bKprobe{number};rport",
        "From: <sip:a@example.net>;tag=1", "To: <sip:example.net>", f"Call-ID: probe{number}", "CSeq: 1 OPTIONS",
        "Max-Forwards: 70", "Content-Length: 0", "", ""]).encode()


def ask(link, transport, raw):
    """The answers to raw, and whether a probe after it was answered; the probe's answer ends the wait."""
    number = secrets.token_hex(8)
    link.send(raw)
    link.send(probe(transport, number))
    got, alive = [], []

    def done():
        for message in link.heard():
            (alive if message.get("call-id") == f"probe{number}" else got).append(message)
        return alive or getattr(link, "closed", False)

    until(done, 5, "the probe's answer")
    # an answer that needs the database may come after the probe's
    deadline = time.monotonic() + QUIET_S
    while not got and time.monotonic() < deadline:
        done()
        time.sleep(0.005)
    return got, bool(alive)


@pytest.mark.parametrize("row", rows())
def test_over_udp(torture, row):
    link = Udp(torture)
    pid = torture.pid("restsip-agent")
    try:
        raw = read(row["name"])
        got, alive = ask(link, "UDP", raw)
        assert alive
        codes = [m.code for m in got if m.is_response]
        assert len(got) == len(codes) <= 1, got
        code = codes[0] if codes else None
        assert is_allowed(row, code), (code, got and got[0].raw)
        if code == 501 or code == 405:
            assert got[0].get("allow")
        if code == 420:
            assert got[0].get("unsupported")
        if code:
            assert got[0].get("cseq") and got[0].get("via")
            assert len(raw) + 400 > len(got[0].raw)
    finally:
        link.close()
    assert torture.pid("restsip-agent") == pid


# Over TCP a message without Content-Length has no end (RFC 3261 section 18.3).
NO_LENGTH = ("inv2543",)
CUT = ("clerr", "baddn")


@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
@pytest.mark.parametrize("row", rows())
def test_over_tcp(torture, row, first):
    link = Tcp(torture)
    pid = torture.pid("restsip-agent")
    name = row["name"]
    try:
        if not first:
            assert ask(link, "TCP", b"")[1]
        if name in CUT:  # there may be more to come: nothing is said before
            link.send(read(name))
            time.sleep(0.1)
            assert link.heard() == []
        elif name == "dblreq":  # what follows is a message of its own
            raw = read(name)
            raw = raw[:raw.index(b"\r\n\r\nv=0") + 4 + 150]  # a few bytes more than its Content-Length
            got, alive = ask(link, "TCP", raw)
            assert alive
            until(lambda: got.extend(link.heard()) or len(got) == 2, 5)
            assert {m.get("cseq").split(" ")[1]: m.code for m in got} == {"REGISTER": 401, "INVITE": 401}
        else:
            got, alive = ask(link, "TCP", read(name))
            codes = [m.code for m in got if m.is_response]
            code = codes[0] if codes else None
            if name in NO_LENGTH:
                assert link.closed
            elif code is None and link.closed:
                assert "400" in row["outcome"] or "close" in row["outcome"] or row["kind"].startswith("response")
            else:
                assert alive or link.closed
                assert is_allowed(row, code), (code, got and got[0].raw)
            if "TCP: close" in row["outcome"]:
                until(lambda: link.heard() == [] and link.closed, 5)
    finally:
        link.close()
    assert torture.pid("restsip-agent") == pid
    again = Tcp(torture)
    assert ask(again, "TCP", b"")[1]
    again.close()


def with_credentials(raw, phone, torture):
    """The answer to a message of the set after its challenge was met."""
    link = Udp(torture)
    try:
        got, _ = ask(link, "UDP", raw)
        challenge = got[0]
        assert challenge.code == 401
        authorization = digest(challenge.get("www-authenticate"), "REGISTER", "sip:example.com", phone.username,
                               phone.password)
        head, body = raw.split(b"\r\n\r\n", 1)
        head = head.replace(b"branch=z9hG4bK", b"branch=z9hG4bK" + secrets.token_hex(4).encode())
        more = head + b"\r\nAuthorization: " + authorization.encode() + b"\r\n\r\n" + body
        return until(lambda: ask(link, "UDP", more)[0])[0]
    finally:
        link.close()


def registrant(torture, name):
    """A phone's credential for user@example.com, made for this test."""
    email, password = f"{name}@example.com", "a-password"
    if torture.request("GET", "/session", auth=(email, password)).status_code != 200:
        torture.request("POST", "/user", json={"email": email, "password": password})
    answer = torture.request("POST", f"/user/{email}/credential", json={"label": "x"}, auth=(email, password))
    assert answer.status_code == 201, answer.text
    made = answer.json()
    phone = Phone((torture.sip_host, torture.sip_port), name, made["password"], "example.com")
    phone.close()
    phone.username = made["username"]
    return phone


@pytest.mark.skipif(not MATERIAL.exists(), reason=f"no {MATERIAL}")
@pytest.mark.parametrize("name,user,contact", [
    ("cparam01", "watson", "sip:+19725552222@gw1.example.net"),
    ("cparam02", "watson", "sip:+19725552222@gw1.example.net;unknownparam"),
    ("dblreq", "j.user", "sip:j.user@host.example.com")])
def test_registrations_of_the_set_are_bound(torture, name, user, contact):
    phone = registrant(torture, user)
    answer = with_credentials(read(name), phone, torture)
    assert answer.code == 200, answer.raw
    assert contact in answer.contacts


@pytest.mark.skipif(not MATERIAL.exists(), reason=f"no {MATERIAL}")
def test_a_route_hidden_in_a_contact_is_not_kept(torture):
    phone = registrant(torture, "user")
    answer = with_credentials(read("regescrt"), phone, torture)
    assert answer.code in (400, 403), answer.raw
    assert not torture.query("select 1 from inspect.login where contact like '%%Route%%'")


@pytest.mark.skipif(not MATERIAL.exists(), reason=f"no {MATERIAL}")
def test_nul_in_a_user_is_nobody(torture):
    registrant(torture, "null-")
    link = Udp(torture)
    try:
        got, _ = ask(link, "UDP", read("escnull"))
    finally:
        link.close()
    assert got[0].code in (400, 403)
