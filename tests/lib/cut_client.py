"""A client of a stream that is cut off again and again, at any byte, and comes back with the last id that it has."""
import json
import socket
import struct
import time

LATER = (429, 502, 503, 504)


class CutClient:
    """Events that came whole go to `take`; of the others nothing is kept, as with a browser."""

    def __init__(self, account, path, take, rng):
        self.account, self.path, self.take, self.rng = account, path, take, rng
        self.last = None
        self.resumes = 0
        host, port = account.system.url[7:].split(":")
        self._address = (host, int(port))

    def _head(self):
        lines = [f"GET {self.path} HTTP/1.0", "Host: test", f"Authorization: Bearer {self.account.token()}",
                 "Accept: application/x-ndjson"]
        if self.last:
            lines.append(f"Last-Event-ID: {self.last}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def _line(self, line):
        if not line:
            return
        event = json.loads(line)
        if event["event"] == "end":
            return
        self.take(event)
        self.last = event.get("id", self.last)

    def visit(self, bytes_max, time_s):
        """One connection, broken off after so many bytes or that time. False: there was no stream to be had."""
        end = time.monotonic() + time_s
        try:
            with socket.create_connection(self._address, timeout=10) as sock:
                sock.sendall(self._head())
                return self._read(sock, bytes_max, end)
        except OSError:
            return False

    def _read(self, sock, bytes_max, end):
        data = b""
        while b"\r\n\r\n" not in data:
            more = sock.recv(4096)
            if not more:
                return False
            data += more
        head, data = data.split(b"\r\n\r\n", 1)
        status = int(head.split()[1])
        assert status == 200 or status in LATER, head
        if status != 200:
            return False
        self.resumes += 1
        size = 0
        while True:
            size += len(data)
            *lines, data = data.split(b"\n")
            for line in lines:
                self._line(line)
            left = end - time.monotonic()
            if left <= 0 or size >= bytes_max:
                break
            sock.settimeout(left)
            try:
                more = sock.recv(min(65536, max(1, bytes_max - size)))
            except TimeoutError:
                break
            if not more:
                return True  # the other side has ended it
            size -= len(data)
            data += more
        if self.rng.random() < 0.5:  # a reset, and not an orderly end
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return True

    def cut_once(self):
        """Broken off at a random point; time for what restarts where there is nothing."""
        if not self.visit(self.rng.choice((1, 50, 300, 2000, 20_000)), self.rng.random() ** 2 * 0.2):
            time.sleep(0.02)
            return False
        return True
