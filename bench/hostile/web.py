"""An HTTP client of few lines on asyncio, whose connections come from an address of its own. It is made to cost little: who
measures must not be what is measured."""
import asyncio
import base64
import json
import time

KEPT_BYTES = 1 << 18  # of a body; the rest is read and forgotten
UNANSWERED = 0  # the code of what was not answered


class Answer:
    """What came back: code 0 where nothing did."""

    def __init__(self, code=UNANSWERED, body=b"", took_s=0.0):
        self.code, self.body, self.took_s = code, body, took_s

    def json(self):
        """The body, or an empty object where it is none."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


class Connection(asyncio.Protocol):
    """One kept connection: one request at a time."""

    def __init__(self):
        self.transport, self.waiting, self.usable = None, None, True
        self._start()

    def _start(self):
        self.buffer, self.body, self.code = bytearray(), bytearray(), None
        self.left, self.chunked, self.last = 0, False, False

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, _):
        self.usable = False
        self._done(UNANSWERED)

    def _done(self, code):
        if self.waiting and not self.waiting.done():
            self.waiting.set_result((code, bytes(self.body)))

    async def ask(self, raw):
        """The answer's code and body."""
        self._start()
        self.waiting = asyncio.get_running_loop().create_future()
        self.transport.write(raw)
        return await self.waiting

    def data_received(self, data):
        self.buffer += data
        if self.code is None and not self._head():
            return
        while self.buffer:
            if self.left:
                piece = self.buffer[:self.left]
                if len(self.body) < KEPT_BYTES:
                    self.body += piece
                self.left -= len(piece)
                del self.buffer[:len(piece)]
            elif self.chunked and not self._chunk():
                return
            elif not self.chunked:
                break
        if not self.left and not self.chunked:
            self._done(self.code)

    def _head(self):
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self.buffer[:end]).lower()
        del self.buffer[:end + 4]
        self.code = int(head[9:12])
        self.chunked = b"\r\ntransfer-encoding: chunked" in head
        place = head.find(b"\r\ncontent-length:")
        if place >= 0:
            self.left = int(head[place + 17:].split(b"\r\n", 1)[0])
        if b"\r\nconnection: close" in head:
            self.usable = False
        return True

    def _chunk(self):
        """The next chunk's head, or the end; false: more has to come."""
        if self.buffer[:2] == b"\r\n":
            del self.buffer[:2]
        end = self.buffer.find(b"\r\n")
        if end < 0:
            return False
        self.left = int(self.buffer[:end], 16)
        if self.left == 0 and len(self.buffer) < end + 4:
            return False
        del self.buffer[:end + 2]
        if self.left == 0:
            del self.buffer[:2]
            self.chunked = False
        return True


class Browser:
    """Requests from one address, on kept connections, `most` of them at once."""

    def __init__(self, server, source, token=None, most=8, timeout_s=15.0):
        self.server, self.source, self.token, self.timeout_s = server, source, token, timeout_s
        self.idle, self.places = [], asyncio.Semaphore(most)

    def raw(self, method, path, body=b"", media="application/json", auth=None, token=None, more=""):
        """A request's bytes. auth: (email, password); token: another than this browser's, "" for nobody's."""
        token = self.token if token is None else token
        who = ""
        if auth:
            who = "Authorization: Basic " + base64.b64encode(":".join(auth).encode()).decode() + "\r\n"
        elif token:
            who = f"Authorization: Bearer {token}\r\n"
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\n{who}{more}"
        if body or method not in ("GET", "DELETE"):
            head += f"Content-Type: {media}\r\nContent-Length: {len(body)}\r\n"
        return head.encode() + b"\r\n" + body

    async def _connection(self):
        while self.idle:
            kept = self.idle.pop()
            if kept.usable and not kept.transport.is_closing():
                return kept
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(Connection, *self.server, local_addr=(self.source, 0))
        return made

    async def _ask(self, raw):
        connection = await self._connection()
        try:
            answer = await connection.ask(raw)
        except BaseException:
            connection.transport.abort()
            raise
        if connection.usable:
            self.idle.append(connection)
        else:
            connection.transport.close()
        return answer

    async def fetch(self, method, path, body=b"", **more):
        """One request. It is timed from here on: the wait for a place counts too."""
        started = time.monotonic()
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        raw = self.raw(method, path, body, **more)
        code, content = UNANSWERED, b""
        try:
            async with asyncio.timeout(self.timeout_s):
                async with self.places:
                    code, content = await self._ask(raw)
        except (OSError, TimeoutError, ValueError):
            pass
        return Answer(code, content, time.monotonic() - started)

    async def follow(self, path, on_line):
        """A stream, until it ends; on_line is given each line that is no heartbeat. False: it was refused."""
        reader, writer = await asyncio.open_connection(*self.server, local_addr=(self.source, 0), limit=1 << 24)
        try:
            writer.write(self.raw("GET", path, more="Accept: application/x-ndjson\r\n"))
            status = await reader.readline()
            if b" 200 " not in status:
                return False
            while await reader.readline() not in (b"\r\n", b""):
                pass
            while line := await reader.readline():
                if line[:1] == b"{":
                    on_line(line)
        except (OSError, ValueError):
            pass
        finally:
            writer.close()
        return True

    async def swallow(self, path):
        """A stream that is read and forgotten."""
        reader, writer = await asyncio.open_connection(*self.server, local_addr=(self.source, 0))
        try:
            writer.write(self.raw("GET", path, more="Accept: application/x-ndjson\r\n"))
            while await reader.read(1 << 16):
                pass
        except OSError:
            pass
        finally:
            writer.close()

    def close(self):
        for connection in self.idle:
            connection.transport.abort()
