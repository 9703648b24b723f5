"""The PROTOS suite c07-sip: each case is survived, and whoever asks after it is answered.

The cases lie beside the project, not in it. `make test` takes a sample of them, `make test-long` all.
"""
import os
import re
import secrets
import socket
import tarfile
import time

import pytest

from restsip_system import TOP

ARCHIVE = TOP.parent / "shared/material/protos-c07-sip/testcases-even.tar.xz"
LONG = os.environ.get("RESTSIP_LONG") == "1"
SAMPLE = 250  # of some 2,260 cases, two packets each
SENDER, PORT = "127.0.0.6", 5099
DATAGRAM_MAX = 65507
QUICK_S = 0.1
GIVEN_UP_S = 5
TRIES = 3  # of a probe: machines stall, and that is not the agent's doing

pytestmark = pytest.mark.skipif(not ARCHIVE.exists(), reason=f"no {ARCHIVE}")


def cases():
    with tarfile.open(ARCHIVE) as tar:
        members = sorted((m for m in tar if m.isfile()), key=lambda m: m.name)
        step = 1 if LONG else max(1, len(members) // SAMPLE)
        for member in members[::step]:
            yield int(re.sub(r"\D", "", member.name.rsplit("/", 1)[-1])), tar.extractfile(member).read()


def packets(data):
    """A case is LENGTH SP BYTES for each of its packets."""
    while match := re.match(rb"(\d+) ", data):
        end = match.end() + int(match.group(1))
        yield data[match.end():end]
        data = data[end:]


def expand(packet, number):
    """Fills in what a case leaves open: who, where, which transaction."""
    values = {"To": "bob@example.net", "To-Name": "bob", "To-Address": "example.net", "To-IP": "127.0.0.1",
              "From": "user@example.net", "From-Name": "user", "From-Address": SENDER, "From-IP": SENDER,
              "Send-To": "127.0.0.1", "Call-ID": number, "CSeq": 1, "Local-Port": PORT, "Branch-ID": f"{number:010d}",
              "Teardown-Method": "CANCEL"}
    names = "|".join(sorted(values, key=len, reverse=True)).encode()
    packet = re.sub(rb"<(" + names + rb")>", lambda m: str(values[m.group(1).decode()]).encode(), packet)
    body = packet.partition(b"\r\n\r\n")[2]
    return packet.replace(b"<Content-Length>", str(len(body)).encode())


def ask(sock, server):
    """Seconds until an OPTIONS is answered, which the agent does alone, without the database, or GIVEN_UP_S and more."""
    number = secrets.token_hex(8)
    probe = "\r\n".join([
        "OPTIONS sip:example.net SIP/2.0", f"Via: SIP/2.0/UDP {SENDER}:{PORT};branch=z9hG4bK{number};rport",
        "From: <sip:a@example.net>;tag=1", "To: <sip:example.net>", f"Call-ID: {number}", "CSeq: 1 OPTIONS",
        "Max-Forwards: 70", "Content-Length: 0", "", ""]).encode()
    started = time.monotonic()
    sock.sendto(probe, server)
    while number.encode() not in receive(sock):  # answers to the case come by as well
        if time.monotonic() - started > GIVEN_UP_S:
            break
    return time.monotonic() - started


def receive(sock):
    try:
        return sock.recv(65536)
    except socket.timeout:
        return b""


def ran_s(pid):
    """Seconds that a process has run: of a stall it tells whose it was."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as stat:
        return int(stat.read().split()[0]) / 1e9


class Probes:
    """How long each was waited for."""

    def __init__(self, sock, server, pid):
        self.sock, self.server, self.pid = sock, server, pid
        self.waits, self.late = [], []

    def after(self, number):
        """One after a case; again where it was late, and so on. What was always late is no stall of the machine."""
        for attempt in range(TRIES):
            ran = ran_s(self.pid)
            wait = ask(self.sock, self.server)
            if not attempt:
                self.waits.append(wait)
            if wait <= QUICK_S:
                return
            self.late.append((number, wait, ran_s(self.pid) - ran))
        raise AssertionError(f"late after case {number}, {TRIES} times: {self.late[-TRIES:]}")

    def __str__(self):
        waits = sorted(1000 * wait for wait in self.waits)
        shares = ", ".join(f"p{100 * q:g} {waits[min(int(q * len(waits)), len(waits) - 1)]:.1f}" for q in (.5, .9, .99, .999, 1))
        late = "".join(f"; case {number} {1000 * wait:.0f} ms, of which the agent ran {1000 * ran:.0f}"
                       for number, wait, ran in self.late)
        return f"{len(waits)} probes, ms: {shares}; {len(self.late)} later than {1000 * QUICK_S:.0f}{late}"


def send(sock, server, packet):
    if len(packet) <= DATAGRAM_MAX:
        sock.sendto(packet, server)
        return
    with socket.create_connection(server, source_address=(SENDER, 0), timeout=10) as tcp:
        try:
            tcp.sendall(packet)
        except OSError:
            pass  # cut off: so be it


def test_all_cases_are_survived(systems):
    much = "1000000"
    system = systems("protos", {
        "RESTSIP_DEMO": "no", "RESTSIP_AGENT_BAD_BURST": much, "RESTSIP_AGENT_BAD_PER_S": much,
        "RESTSIP_AGENT_UNPROVEN_BURST": much, "RESTSIP_AGENT_UNPROVEN_PER_S": much})
    server = (system.sip_host, system.sip_port)
    pid = system.pid("restsip-agent")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind((SENDER, PORT))
        sock.settimeout(0.5)
        probes = Probes(sock, server, pid)
        for number, data in cases():
            for packet in packets(data):
                send(sock, server, expand(packet, number))
                probes.after(number)
    print(probes)
    assert len(probes.waits) >= 2 * SAMPLE
    assert system.pid("restsip-agent") == pid
    assert not system.query("select 1 from inspect.login")
