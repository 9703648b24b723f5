"""Messages of published advisories against other servers: each is refused, and changes nothing."""
import re
import socket

import pytest

from phone import Message
from restsip_system import TOP, until

MATERIAL = TOP.parent / "shared/material/es-advisory-messages"
SENDER = "127.0.0.5"


def paths():
    found = sorted(MATERIAL.glob("*.sip"))
    return [pytest.param(path, id=path.stem) for path in found] or [
        pytest.param(None, marks=pytest.mark.skip(reason=f"no {MATERIAL}"))]


def everything(system):
    """All that an operator can see, but what moves by itself."""
    names = [row["table_name"] for row in system.query(
        "select table_name from information_schema.views where table_schema = 'inspect' "
        "and table_name in ('account', 'login', 'send', 'delivery', 'call', 'participant', 'message', 'subscription')")]
    assert "login" in names and "send" in names
    return {name: system.query(f"select count(*) as n from inspect.{name}")[0]["n"] for name in names}


@pytest.fixture(scope="module")
def target(systems):
    return systems("advisories", {"RESTSIP_HTTP_DOMAINS": "example.net sip.test one.example.com example.com localhost"})


def answers(system, raw, transport):
    """What comes back to raw, until an OPTIONS after it is answered or the connection is closed."""
    probe = (f"OPTIONS sip:example.net SIP/2.0\r\nVia: SIP/2.0/{transport} {SENDER};branch=z9hG4bKprobe;rport\r\n"
             "From: <sip:a@example.net>;tag=1\r\nTo: <sip:example.net>\r\nCall-ID: probe\r\nCSeq: 1 OPTIONS\r\n"
             "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n").encode()
    server = (system.sip_host, system.sip_port)
    # where Via's port says, or to the source
    port = int((re.search(rb"Via:[^\r\n]*:(\d+)", raw) or re.search(rb"()", b"")).group(1) or 5060)
    got = []
    if transport == "UDP":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((SENDER, port))
            sock.settimeout(0.5)
            sock.sendto(raw, server)
            sock.sendto(probe, server)
            until(lambda: got.append(sock.recv(65536)) or b"Call-ID: probe" in got[-1], 5)
            try:
                while True:
                    got.append(sock.recv(65536))
            except OSError:
                pass
    else:
        with socket.create_connection(server, source_address=(SENDER, 0), timeout=5) as sock:
            sock.sendall(raw)
            sock.shutdown(socket.SHUT_WR)
            data = b""
            try:
                while more := sock.recv(65536):
                    data += more
            except OSError:
                pass
            got = [part for part in re.split(rb"(?<=\r\n\r\n)", data) if part]
    return [m for m in map(Message, got) if m.get("call-id") != "probe"]


@pytest.mark.parametrize("ends", ["as it is", "CRLF"])
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
@pytest.mark.parametrize("path", paths())
def test_it_is_refused_without_effect(target, path, transport, ends):
    raw = path.read_bytes()
    if ends == "CRLF":
        raw = re.sub(rb"\r?\n", b"\r\n", raw)
    pid, before = target.pid("restsip-agent"), everything(target)
    for answer in answers(target, raw, transport):
        assert answer.code >= 400, answer.raw
    assert everything(target) == before
    assert target.pid("restsip-agent") == pid
