#!/usr/bin/python3
"""From a SIP REGISTER to the event on a watcher's open stream: p50, p99 and longest in ms.

streams_register.py URL SIP RATE SECONDS; the accounts bench1 to bench50 have the tokens token1 to token50. It counts from
when a REGISTER was due; one that is challenged anew is sent again and counts from the first.
"""
import pathlib
import re
import secrets
import select
import socket
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).parents[1] / "tests" / part) for part in ("lib", "sip")]
from phone import Message, digest  # pylint: disable=wrong-import-position

ACCOUNTS = 50
GIVE_UP_S = 10


class Watched:
    """An account: what its phone needs, and a stream that somebody else has open on its login."""

    def __init__(self, url, sip, i):
        self.user, self.password = f"bench{i}", "bench"
        self.email, self.sip = f"bench{i}@example.net", sip
        self.call_id, self.tag, self.cseq, self.nc = secrets.token_hex(8), secrets.token_hex(4), 0, 0
        self.challenge, self.due = None, None
        host, port = url[7:].split(":")
        self.stream = socket.create_connection((host, int(port)))
        self.stream.sendall(f"GET /login/{self.email}?stream HTTP/1.1\r\nHost: x\r\n"
                            f"Authorization: Bearer token{i % ACCOUNTS + 1}\r\n\r\n".encode())

    def register(self, phone):
        uri = f"sip:{self.sip[0]}:{self.sip[1]}"
        self.cseq += 1
        lines = [f"REGISTER {uri} SIP/2.0",
                 f"Via: SIP/2.0/UDP 127.0.0.1:{phone.getsockname()[1]};branch=z9hG4bK{secrets.token_hex(8)};rport",
                 f"From: <sip:{self.email}>;tag={self.tag}", f"To: <sip:{self.email}>", f"Call-ID: {self.call_id}",
                 f"CSeq: {self.cseq} REGISTER", "Max-Forwards: 70",
                 f"Contact: <sip:bench@127.0.0.1:{phone.getsockname()[1]}>;expires=600", "Content-Length: 0"]
        if self.challenge:
            self.nc += 1
            lines.append("Authorization: " + digest(self.challenge, "REGISTER", uri, self.user, self.password, self.nc))
        phone.sendto(("\r\n".join(lines) + "\r\n\r\n").encode(), self.sip)


class Bench:
    def __init__(self, url, sip):
        self.phone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.phone.bind(("127.0.0.1", 0))
        self.phone.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.all = [Watched(url, sip, i) for i in range(1, ACCOUNTS + 1)]
        self.by_call = {w.call_id: w for w in self.all}
        self.by_fd = {w.stream.fileno(): w for w in self.all}
        self.poll = select.epoll()
        for fd in (self.phone.fileno(), *self.by_fd):
            self.poll.register(fd, select.EPOLLIN)
        self.ms = []

    def look(self, timeout_s):
        for fd, _ in self.poll.poll(max(timeout_s, 0)):
            if fd == self.phone.fileno():
                self.answered(Message(self.phone.recv(65536)))
                continue
            watched = self.by_fd[fd]
            data = watched.stream.recv(65536)
            assert data, "a stream has ended"
            if b'"change"' in data and watched.due:
                self.ms.append((time.monotonic() - watched.due) * 1e3)
                watched.due = None

    def answered(self, answer):
        watched = self.by_call[answer.get("call-id")]
        if answer.code == 401:
            watched.challenge, watched.nc = answer.get("www-authenticate"), 0
            watched.register(self.phone)
        assert answer.code in (100, 200, 401), answer.start

    def run(self, rate, count):
        self.ms = []
        began = time.monotonic() + 0.1
        for k in range(count):
            due = began + k / rate
            while (left := due - time.monotonic()) > 0:
                self.look(left)
            watched = self.all[k % ACCOUNTS]
            give_up = time.monotonic() + GIVE_UP_S
            while watched.due and time.monotonic() < give_up:
                self.look(0.01)
            watched.due = due
            watched.register(self.phone)
        give_up = time.monotonic() + GIVE_UP_S
        while len(self.ms) < count and time.monotonic() < give_up:
            self.look(0.01)
        return sorted(self.ms), count - len(self.ms)


def main():
    url, sip, rate, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
    host, port = re.sub("^sips?:", "", sip).rsplit(":", 1)
    bench = Bench(url, (host, int(port)))
    bench.run(rate, ACCOUNTS)  # challenges
    ms, missed = bench.run(rate, int(rate * seconds))
    print(f"{ms[len(ms) // 2]:.2f} {ms[len(ms) * 99 // 100]:.2f} {ms[-1]:.2f}; {missed} missed")


main()
