"""What the agent answers to requests that are wrong, or not for it (RFC 3261 section 8.2, RFC 4475)."""
import re
import secrets
import socket

import pytest

from tlssocket import TlsSocket

USUAL = ["Via: SIP/2.0/{tp} 127.0.0.1:{port};branch=z9hG4bK{random};rport", "From: <sip:a@example.net>;tag=1",
         "To: <sip:a@example.net>", "Call-ID: {random}", "CSeq: 1 OPTIONS", "Max-Forwards: 70", "Content-Length: 0"]


class Raw:
    """A socket that says what it is told to, and reads one answer."""

    def __init__(self, system, transport):
        self.transport = transport
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        self.socket = socket.socket(socket.AF_INET, kind)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.connect((system.sip_host, system.sip_port))

    def ask(self, start, lines, body=b"", timeout_s=2):
        """The code of the answer, None where there is none."""
        text = "\r\n".join([start, *lines]).format(
            tp=self.transport.upper(), port=self.socket.getsockname()[1], random=secrets.token_hex(8))
        self.socket.sendall(text.encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body)
        self.socket.settimeout(timeout_s)
        try:
            self.answer = self.socket.recv(65536)
        except OSError:
            return None
        match = re.match(rb"SIP/2\.0 (\d+) ", self.answer)
        return int(match.group(1)) if match else None

    def is_ended(self):
        """Whether the other side closes the connection."""
        try:
            return self.socket.recv(65536) == b""
        except ConnectionError:
            return True

    def is_alive(self):
        return self.ask("OPTIONS sip:example.net SIP/2.0", USUAL) == 200


@pytest.fixture(params=["udp", "tcp"])
def raw(request, system):
    one = Raw(system, request.param)
    yield one
    one.socket.close()


def without(name):
    return [line for line in USUAL if not line.startswith(name + ":")]


def test_options_say_what_there_is(raw):
    assert raw.is_alive()
    assert (b"\r\nAllow: ACK, BYE, CANCEL, INFO, INVITE, MESSAGE, NOTIFY, OPTIONS, PRACK, PUBLISH, REFER, REGISTER, SUBSCRIBE, UPDATE\r\n"
            in raw.answer)
    assert b"\r\nAccept: " in raw.answer
    assert b"\r\nSupported: 100rel, outbound, path, replaces, timer\r\n" in raw.answer


@pytest.mark.parametrize("name", ["From", "To", "Call-ID", "CSeq"])
def test_a_missing_header_is_400(raw, name):
    assert raw.ask("OPTIONS sip:example.net SIP/2.0", without(name)) == 400
    assert raw.is_alive()


@pytest.mark.parametrize("line", [
    "From: <sip:b@example.net>;tag=2", "To: <sip:b@example.net>", "Call-ID: other", "CSeq: 2 OPTIONS",
    "Max-Forwards: 5", "Qefda: Digest x", "Expires: 99999999999999999999"])
def test_a_line_too_many_is_400(raw, line):
    assert raw.ask("OPTIONS sip:example.net SIP/2.0", [*USUAL[:-1], line, USUAL[-1]]) == 400
    assert raw.is_alive()


@pytest.mark.parametrize("line", ["CSeq: 1 INVITE", "CSeq: 4294967296 OPTIONS", "CSeq: 36893488147419103232 OPTIONS",
                                  "Max-Forwards: 300", "From: \"unbalanced <sip:a@example.net>;tag=1"])
def test_a_value_that_cannot_be_is_400(raw, line):
    name = line.split(":")[0]
    assert raw.ask("OPTIONS sip:example.net SIP/2.0", [line if l.startswith(name + ":") else l for l in USUAL]) == 400
    assert raw.is_alive()


@pytest.mark.parametrize("method,code", [
    ("INVITE", 401), ("SUBSCRIBE", 489), ("PUBLISH", 489), ("BYE", 481), ("CANCEL", 481), ("INFO", 405),
    ("NEWMETHOD", 501), ("register", 501), ("RE%47IST%45R", 501), ("ACK", None)])
def test_other_methods_are_refused(raw, method, code):
    lines = [l if not l.startswith("CSeq") else f"CSeq: 1 {method}" for l in USUAL]
    assert raw.ask(f"{method} sip:a@example.net SIP/2.0", lines, timeout_s=2 if code else 0.3) == code
    if code in (405, 501):
        assert b"\r\nAllow: " in raw.answer
    assert raw.is_alive()


def test_an_unknown_scheme_is_416(raw):
    assert raw.ask("OPTIONS nobodyKnowsThisScheme:totallyopaque SIP/2.0", USUAL) == 416


def test_an_unknown_extension_is_420(raw):
    lines = ["Require: nothingSupportsThis, nothingSupportsThisEither", "Require: path", *USUAL]
    assert raw.ask("OPTIONS sip:example.net SIP/2.0", lines) == 420
    assert b"\r\nUnsupported: nothingSupportsThis, nothingSupportsThisEither\r\n" in raw.answer


def test_compact_forms_and_folding_pass(raw):
    lines = [USUAL[0].replace("Via", "v"), "f: <sip:a@example.net>\r\n ;tag=1", "t : <sip:a@example.net>",
             "i: {random}", "CSEQ: 1\r\n  OPTIONS", "MAX-forwards: 0070", "l: 0"]
    assert raw.ask("OPTIONS sip:example.net SIP/2.0", lines) == 200


def test_a_datagram_that_says_more_than_it_has_is_400(system):
    raw = Raw(system, "udp")
    assert raw.ask("OPTIONS sip:example.net SIP/2.0", [*USUAL[:-1], "Content-Length: 10"], b"123") == 400
    assert raw.is_alive()


@pytest.mark.parametrize("junk", [b"\r\n\r\n", b"\0" * 100, b"hello", b"GET / HTTP/1.1\r\n\r\n", b"SIP/2.0 200 OK\r\n\r\n",
                                  b"OPTIONS sip:a SIP/2.0\r\n\r\n", secrets.token_bytes(1400),
                                  b"\x00\x01\x00\x08\x21\x12\xa4\x42" + bytes(20), b"A" * 60000])
def test_junk_is_survived(raw, system, junk):
    try:
        raw.socket.sendall(junk)
    except OSError:
        pass
    again = Raw(system, raw.transport)
    assert again.is_alive()


def test_a_reply_is_not_led_elsewhere(system):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.2", 0))
        other.settimeout(0.3)
        raw = Raw(system, "udp")
        port = other.getsockname()[1]
        lines = [f"Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{{random}};maddr=127.0.0.2", *USUAL[1:]]
        assert raw.ask("OPTIONS sip:example.net SIP/2.0", lines, timeout_s=0.3) is None
        with pytest.raises(OSError):
            other.recv(100)
        assert raw.is_alive()


def test_keep_alives_over_tcp_are_answered(system):
    raw = Raw(system, "tcp")
    assert raw.is_alive()
    raw.socket.sendall(b"\r\n\r\n")
    assert raw.socket.recv(100) == b"\r\n"
    assert raw.is_alive()


def test_pieces_of_a_stream_are_put_together(system):
    raw = Raw(system, "tcp")
    assert raw.is_alive()
    text = "\r\n".join(["OPTIONS sip:example.net SIP/2.0", *USUAL, "", ""]).format(
        tp="TCP", port=1, random="pieces").encode()
    for byte in text * 2:
        raw.socket.sendall(bytes([byte]))
    got = b""
    while got.count(b"SIP/2.0 200 OK") < 2:
        got += raw.socket.recv(65536)


BODY_MAX, READ_MAX, HEAD_MAX = 64 << 10, 128 << 10, 32 << 10
LARGE = [  # what comes: body, Content-Length, more of the head; the code; whether the connection goes on
    (BODY_MAX, BODY_MAX, 0, 401, True), (BODY_MAX + 1, BODY_MAX + 1, 0, 413, True), (READ_MAX, READ_MAX, 0, 413, True),
    (0, READ_MAX + 1, 0, 413, False), (1000, 1 << 40, 0, 413, False), (0, 0, HEAD_MAX, 513, False)]


@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
@pytest.mark.parametrize("case", LARGE, ids=lambda case: f"{case[0]}-{case[1]}-{case[2]}")
@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_the_size_of_a_message_is_limited(system, transport, case, first):
    """From the first one of a connection on, and before anybody has said who he is."""
    size, length, head, code, goes_on = case
    raw = Raw(system, "tcp")
    if transport == "tls":
        raw.socket.close()
        raw.socket, raw.transport = TlsSocket(system.sips, system.certificate), transport
        raw.socket.settimeout = lambda timeout: None
    if not first:
        assert raw.is_alive()
    lines = [line.replace("OPTIONS", "MESSAGE") for line in USUAL if not line.startswith("Content-Length")]
    lines += [f"Content-Length: {length}", "X: " + "x" * head]
    assert raw.ask("MESSAGE sip:a@example.net SIP/2.0", lines, b"b" * size, timeout_s=10) == code
    if goes_on:
        assert raw.is_alive()
    else:
        assert raw.is_ended()
