"""The PROTOS suite c07-sip: each case is survived, and whoever asks after it is answered.

The cases lie beside the project, not in it. `make test` takes a sample of them, `make test-long` all.
"""
import os
import re
import secrets
import socket
import statistics
import tarfile
import time

import pytest

from restsip_system import TOP, until

ARCHIVE = TOP.parent / "shared/material/protos-c07-sip/testcases-even.tar.xz"
LONG = os.environ.get("RESTSIP_LONG") == "1"
SAMPLE = 250  # of some 2,260 cases, two packets each
SENDER, PORT = "127.0.0.6", 5099
DATAGRAM_MAX = 65507
QUICK_S = 0.1

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
    """Seconds until an OPTIONS is answered."""
    number = secrets.token_hex(8)
    probe = "\r\n".join([
        "OPTIONS sip:example.net SIP/2.0", f"Via: SIP/2.0/UDP {SENDER}:{PORT};branch=z9hG4bK{number};rport",
        "From: <sip:a@example.net>;tag=1", "To: <sip:example.net>", f"Call-ID: {number}", "CSeq: 1 OPTIONS",
        "Max-Forwards: 70", "Content-Length: 0", "", ""]).encode()
    started = time.monotonic()
    sock.sendto(probe, server)

    def answered():
        return number.encode() in sock.recv(65536)  # answers to the case come by as well

    until(answered, 10, "an answer to the probe")
    return time.monotonic() - started


def test_all_cases_are_survived(systems):
    much = "1000000"
    system = systems("protos", {
        "RESTSIP_DEMO": "no", "RESTSIP_AGENT_BAD_BURST": much, "RESTSIP_AGENT_BAD_PER_S": much,
        "RESTSIP_AGENT_UNPROVEN_BURST": much, "RESTSIP_AGENT_UNPROVEN_PER_S": much})
    server = (system.sip_host, system.sip_port)
    pid = system.pid("restsip-agent")
    waits = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind((SENDER, PORT))
        sock.settimeout(0.5)
        for number, data in cases():
            for packet in packets(data):
                packet = expand(packet, number)
                if len(packet) <= DATAGRAM_MAX:
                    sock.sendto(packet, server)
                else:
                    with socket.create_connection(server, source_address=(SENDER, 0), timeout=10) as tcp:
                        try:
                            tcp.sendall(packet)
                        except OSError:
                            pass  # cut off: so be it
                waits.append(ask(sock, server))
    waits.sort()
    late = sum(wait > QUICK_S for wait in waits)
    print(f"{len(waits)} packets; probe: median {statistics.median(waits) * 1000:.1f} ms, worst {waits[-1] * 1000:.1f} ms, "
          f"{late} later than {QUICK_S * 1000:.0f} ms")
    assert len(waits) >= 2 * SAMPLE
    assert late <= len(waits) / 100
    assert system.pid("restsip-agent") == pid
    assert not system.query("select 1 from inspect.login")
