"""Several stream processes, as on several hosts, for the same resources."""
import io
import os
import signal
import struct
import subprocess
import threading

import pytest

import fastcgi
from ports import free_ports
from restsip_system import TOP, until as wait_until
from stream_client import Stream
from stream_steps import contacts, register, send, status_of

PROGRAM = TOP / os.environ.get("BUILD", "build") / "restsip-stream"


class Body(io.RawIOBase):
    """What a FastCGI answer brings, as a file."""

    def __init__(self, sock):
        self._sock, self._rest = sock, b""

    def readable(self):
        return True

    def readinto(self, into):
        while not self._rest:
            _, kind, _, length, padding, _ = struct.unpack(">BBHHBB", fastcgi.read_exactly(self._sock, 8))
            content = fastcgi.read_exactly(self._sock, length + padding)[:length]
            if kind == fastcgi.END:
                return 0
            self._rest = content if kind == fastcgi.STDOUT else b""
        n = min(len(into), len(self._rest))
        into[:n], self._rest = self._rest[:n], self._rest[n:]
        return n


class DirectStream(Stream):
    """A stream of a process that no nginx is in front of, as ndjson."""

    def __init__(self, port, account, path, last=None):  # pylint: disable=super-init-not-called
        self.events, self.heartbeats, self.ended, self.last_id = [], 0, False, last
        self._changed = threading.Condition()
        self._http = self._socket = fastcgi.connect(port)
        self._socket.settimeout(60)
        more = {"HTTP_LAST_EVENT_ID": last} if last else {}
        self._socket.sendall(fastcgi.request("GET", path, keep=False, HTTP_ACCEPT="application/x-ndjson",
                                             HTTP_AUTHORIZATION=f"Bearer {account.token()}", **more))
        self.answer = io.BufferedReader(Body(self._socket))
        head = []
        while (line := self.answer.readline()) not in (b"\r\n", b""):
            head.append(line.decode().rstrip().split(": ", 1))
        self.headers = dict(head)
        self.status = int(self.headers["Status"].split()[0])
        if self.status != 200:
            self.body = self.answer.read()
            return
        self._thread = threading.Thread(target=self._run, args=(self._read_ndjson,), daemon=True)
        self._thread.start()


class Host:
    """Another stream process of a system."""

    def __init__(self, system, log, name):
        self.system, self.log, self.name, self.port = system, log, name, free_ports()
        self.start()

    def start(self):
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            [PROGRAM, "-c", self.system.ini], stderr=self.log.open("ab"),
            env={**os.environ, "RESTSIP_STREAM_LISTEN": f"127.0.0.1:{self.port}", "RESTSIP_STREAM_NAME": self.name})
        wait_until(self.ready, 40)  # the database has to see that a killed one has gone

    def ready(self):
        with fastcgi.connect(self.port) as s:
            s.sendall(fastcgi.request("GET", "/login?stream"))
            return fastcgi.answer(s)[0] == 401

    def stop(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        return self.process.wait(30)


@pytest.fixture(name="hosts")
def fixture_hosts(system, tmp_path):
    """Two more stream processes beside that of the system."""
    made = []
    for name in ("second", "third"):
        made.append(Host(system, tmp_path / f"{name}.log", f"{name}-{os.getpid()}"))
    yield made
    for host in made:
        if host.process.poll() is None:
            assert host.stop() == 0, host.log.read_text()[-2000:]
        assert "Sanitizer" not in host.log.read_text(errors="replace")


def bodies_until(stream, last):
    stream.wait_message(last)
    return stream.bodies()


def test_each_tells_all_of_it(account, opened, hosts, until):
    alice, bob = account("alice"), account("bob")
    streams = [opened(alice), *[DirectStream(h.port, alice, alice.login) for h in hosts]]
    lists = [opened(bob, "/login?limit=1000"), *[DirectStream(h.port, bob, "/login?limit=1000") for h in hosts]]
    for stream in streams + lists:
        stream.wait("state")
    sent = []
    for n in range(5):
        register(alice, f"sip:a{n}@192.0.2.1")
        sent.append(send(bob, alice, f"m{n}"))
    for stream in streams:
        assert bodies_until(stream, "m4") == [f"m{n}" for n in range(5)]
        until(lambda s=stream: len(s.named("change")) == 5)
        assert [len(e.data) for e in stream.named("change")] == [1, 2, 3, 4, 5]
    for stream in lists:
        stream.wait(lambda e: e.name == "put" and e.data["id"] == alice.email and e.data["contacts"] == 5)
    # All of them together are one recipient.
    until(lambda: [r["status"] for r in bob.request("GET", sent[4]["url"]).json()["recipients"]
                   if r["kind"] == "stream"] == ["delivered"])
    for stream in streams + lists:
        stream.close()


def test_one_that_is_killed_takes_nothing_from_the_others(account, opened, hosts, until):
    alice, bob = account("alice"), account("bob")
    here = opened(alice)
    there = DirectStream(hosts[0].port, alice, alice.login)
    items = DirectStream(hosts[0].port, bob, "/login?limit=1000")
    for stream in (here, there, items):
        stream.wait("state")
    send(bob, alice, "one")
    there.wait_message("one")
    place = items.last_id
    hosts[0].stop(signal.SIGKILL)
    there.wait_end()
    send(bob, alice, "two")
    here.wait_message("two")
    register(alice, "sip:a@192.0.2.1")
    # Its clients go on at another, from where they were.
    again = DirectStream(hosts[1].port, alice, alice.login, last=there.last_id)
    assert bodies_until(again, "two") == ["two"]
    again.wait(lambda e: e.name == "change" and contacts(e) == ["sip:a@192.0.2.1"])
    other = DirectStream(hosts[1].port, bob, "/login", last=place)
    other.wait(lambda e: e.name == "put" and e.data["id"] == alice.email)
    assert not again.named("state") and not other.named("state")
    # And at itself, once it is back.
    hosts[0].start()
    back = DirectStream(hosts[0].port, alice, alice.login, last=there.last_id)
    assert bodies_until(back, "two") == ["two"] and not back.named("state")
    send(bob, alice, "three")
    for stream in (here, again, back):
        assert bodies_until(stream, "three")[-2:] == ["two", "three"]
    for stream in (here, again, back, other):
        stream.close()
    alice.request("DELETE", alice.login)
    until(lambda: send(bob, alice, "x")["status"] == "stored")


def test_the_last_stream_of_all_counts(account, opened, hosts, until):
    """Whether anybody is there for messages is a matter of all processes."""
    alice, bob = account("alice"), account("bob")
    here = opened(alice)
    there = DirectStream(hosts[0].port, alice, alice.login)
    for stream in (here, there):
        stream.wait("state")
    here.close()
    for n in range(10):
        sent = send(bob, alice, str(n))
        assert sent["status"] == "queued"
    there.wait_message("9")
    until(lambda: status_of(bob, sent) == "delivered")
    there.close()
    until(lambda: send(bob, alice, "x")["status"] == "stored")


def test_a_session_that_ends_ends_its_streams_everywhere(account, opened, hosts):
    alice = account("alice")
    streams = [opened(alice), *[DirectStream(h.port, alice, alice.login) for h in hosts]]
    for stream in streams:
        stream.wait("state")
    assert alice.request("DELETE", "/session").status_code == 204
    for stream in streams:
        assert stream.wait("end", 1).data == {"reason": "session-ended"}
        stream.wait_end()
