"""Clients that never read, beside many that do."""
import json
import os
import re
import selectors
import socket

from json_patch import follow
from stream_client import Event, Stream

LAZY = 100
READERS = 20  # each reads 5 MB; python is what takes its time
CHANGES = 90
PAD = 60_000  # bytes of a change: together more than sockets hold
MARK = re.compile(rb'"value":\s*"n-(\d+)-')


class Raw:
    """A stream of differences over HTTP/1.0, so that its bytes are those of the events."""

    def __init__(self, account, path, rcvbuf=None):
        host, port = account.system.url[7:].split(":")
        self.sock = socket.socket()
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.sock.settimeout(60)
        self.sock.connect((host, int(port)))
        self.sock.sendall(f"GET {path}?stream&updates=diff HTTP/1.0\r\nAuthorization: Bearer {account.token()}\r\n\r\n"
                          .encode())
        self.rest = b""
        self.began = False
        self.marks = []

    def read(self):
        """What there is of it; keeps the numbers of the changes."""
        data = self.sock.recv(1 << 20)
        assert data, "a stream that was read has ended"
        self.rest += data
        self.began = self.began or b'"state"' in self.rest
        end = 0
        for match in MARK.finditer(self.rest):
            self.marks.append(int(match[1]))
            end = match.end()
        self.rest = self.rest[max(end, len(self.rest) - 40):]

    def all_events(self):
        """Of one that nobody has read: what still came before its end."""
        data = b""
        while more := self.sock.recv(1 << 20):
            data += more
        lines = data.partition(b"\r\n\r\n")[2].split(b"\n")[:-1]  # the last one is cut off, or empty
        items = [json.loads(line) for line in lines if line]
        return [Event(item["event"], item.get("id"), item["data"]) for item in items]


def read_until(readers, done, until):
    with selectors.DefaultSelector() as selector:
        for reader in readers:
            selector.register(reader.sock, selectors.EVENT_READ, reader)

        def all_done():
            for key, _ in selector.select(0.1):
                key.data.read()
            return all(map(done, readers))

        until(all_done, 120)


def test_clients_that_never_read_cost_the_others_nothing(own_system, own_account, until):
    """The readers get each change once; the lazy are dropped, and miss nothing when they come back."""
    alice, bob = own_account("alice"), own_account("bob")

    def change(n):
        answer = alice.request("PUT", alice.login, json={"contact": "sip:a@192.0.2.1", "mark": f"n-{n}-",
                                                         "pad": str(n % 10) * PAD})
        assert answer.status_code in (200, 201), answer.text

    def streams():
        """Descriptors of restsip-stream, which has one for each."""
        return len(os.listdir(f"/proc/{pid}/fd"))

    pid = own_system.pid("restsip-stream")
    for bound in ("change_log", "contact", "login_members"):
        own_system.query_owner(f"select inspect.set_bound('{bound}', {2 * CHANGES * PAD})")
    change(0)
    before = streams()
    lazy = [Raw(bob, alice.login, rcvbuf=4096) for _ in range(LAZY)]
    readers = [Raw(bob, alice.login) for _ in range(READERS)]
    read_until(readers, lambda r: r.began, until)
    until(lambda: streams() >= before + LAZY + READERS, 30)
    for n in range(1, CHANGES + 1):
        change(n)
    read_until(readers, lambda r: r.marks[-1:] == [CHANGES], until)
    assert all(r.marks == list(range(1, CHANGES + 1)) for r in readers)
    # Those that stand still are let go of, which takes half a minute.
    until(lambda: streams() <= before + READERS, 90, "the lazy are dropped")
    now = bob.request("GET", alice.login).json()
    for client in lazy[:3]:
        events = client.all_events()
        assert events[0].name == "state" and len(events) < CHANGES
        again = Stream(own_system, alice.login + "?updates=diff", token=bob.token(), last=events[-1].id)
        assert again.status == 200
        until(lambda e=events, a=again: follow(e + list(a.events)) == now, 20)
        marks = [op["value"] for e in events[1:] + again.events for op in e.data if op["path"] == "/0/mark"]
        assert marks == [f"n-{n}-" for n in range(1, CHANGES + 1)]
        again.close()
    for client in lazy + readers:
        client.sock.close()
