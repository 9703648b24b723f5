"""Many SIP phones over TCP in one thread: they register, keep what they get, and come back elsewhere when they are cut off."""
import asyncio
import hashlib
import re
import secrets
import threading
import time

from restsip_system import until


def make_accounts(system, count, prefix):
    """Accounts with a credential each, by the functions themselves: hashing that many passwords would take minutes."""
    names = [f"{prefix}{i}" for i in range(count)]
    with_ha1 = [(f"{n}@example.net", n, hashlib.md5(f"{n}:example.net:pw".encode()).hexdigest()) for n in names]
    system.query_owner("""
        select count(u.version) from unnest(%s::text[]) email,
            api.user_create(email, '$y$j9T$abcdefghijklmnopqrstu.$none', '{}') u""", [[row[0] for row in with_ha1]])
    system.query_owner("""
        select count(app.credential_put(e, n, 'example.net', 'MD5', h, 'swarm')::text)
        from unnest(%s::text[], %s::text[], %s::text[]) as t(e, n, h)""", [list(c) for c in zip(*with_ha1)])
    return names


class TcpPhone(asyncio.Protocol):
    """One phone. `servers`: the first is its own, the next one is where it goes when that is gone."""

    def __init__(self, user, servers, more=""):
        self.user, self.servers, self.more = user, servers, more
        self.aor = f"sip:{user}@example.net"
        self.instance = f"urn:uuid:00000000-0000-4000-8000-{secrets.token_hex(6)}"
        self.call_id, self.tag = secrets.token_hex(8), secrets.token_hex(4)
        self.cseq = 0
        self.registered = None  # the server where it is
        self.messages = []  # (Call-ID, CSeq, From, body), repeats of a transaction left out
        self.branches = set()
        self.answers = True
        self.transport, self.buffer, self.challenge, self.nc = None, b"", None, 0
        self.here = None

    async def connect(self, server):
        loop = asyncio.get_running_loop()
        while True:
            try:
                await loop.create_connection(lambda: self, *server)
                self.here = server
                break
            except OSError:
                await asyncio.sleep(0.05)
        self.register()

    def connection_made(self, transport):
        self.transport, self.buffer, self.challenge = transport, b"", None

    def connection_lost(self, _):
        self.registered = None
        self.servers = self.servers[1:] + self.servers[:1]
        asyncio.get_running_loop().create_task(self.connect(self.servers[0]))

    def register(self):
        host, port = self.transport.get_extra_info("sockname")
        self.cseq += 1
        lines = ["REGISTER sip:example.net SIP/2.0", f"Via: SIP/2.0/TCP {host}:{port};branch=z9hG4bK{secrets.token_hex(8)}",
                 "Max-Forwards: 70", f"From: <{self.aor}>;tag={self.tag}", f"To: <{self.aor}>", f"Call-ID: {self.call_id}",
                 f"CSeq: {self.cseq} REGISTER", f"Contact: <sip:{self.user}@{host}:{port};transport=tcp>{self.more}",
                 "Expires: 600", "Content-Length: 0"]
        if self.challenge:
            self.nc += 1
            h = [hashlib.md5(t.encode()).hexdigest() for t in (f"{self.user}:example.net:pw", "REGISTER:sip:example.net")]
            nonce = re.search(r'nonce="([^"]+)"', self.challenge).group(1)
            response = hashlib.md5(f"{h[0]}:{nonce}:{self.nc:08x}:c:auth:{h[1]}".encode()).hexdigest()
            lines.insert(-1, f'Authorization: Digest username="{self.user}", realm="example.net", nonce="{nonce}", '
                             f'uri="sip:example.net", algorithm=MD5, qop=auth, nc={self.nc:08x}, cnonce="c", '
                             f'response="{response}"')
        self.transport.write("\r\n".join(lines + ["", ""]).encode())

    def data_received(self, data):
        self.buffer += data
        while True:
            self.buffer = self.buffer.lstrip(b"\r\n")
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.buffer[:end].decode()
            size = end + 4 + int(re.search(r"\ncontent-length:\s*(\d+)", head, re.I).group(1))
            if len(self.buffer) < size:
                return
            body, self.buffer = self.buffer[end + 4:size], self.buffer[size:]
            self.take(head.split("\r\n"), body)

    def take(self, lines, body):
        headers = {}
        for line in lines[1:]:
            name, value = line.split(":", 1)
            headers.setdefault(name.lower(), value.strip())
        if lines[0].startswith("SIP/2.0 401"):
            self.challenge, self.nc = headers["www-authenticate"], 0
            self.register()
        elif lines[0].startswith("SIP/2.0 200"):
            self.registered = self.here
        elif lines[0].startswith("SIP/2.0 "):
            asyncio.get_running_loop().call_later(0.3, self.register)
        else:
            branch = re.search(r"branch=([^;]+)", headers["via"]).group(1)
            if branch not in self.branches:
                self.branches.add(branch)
                self.messages.append((headers["call-id"], headers["cseq"], headers["from"], body))
            if self.answers:
                keep = [l for l in lines[1:] if l.split(":")[0].lower() in ("via", "from", "call-id", "cseq")]
                answer = ["SIP/2.0 200 OK", *keep, f"To: {headers['to']};tag={self.tag}", "Content-Length: 0", "", ""]
                self.transport.write("\r\n".join(answer).encode())


class Swarm:
    """A loop in a thread of its own, with all its phones."""

    def __init__(self, phones):
        self.phones = phones
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        for phone in phones:
            asyncio.run_coroutine_threadsafe(phone.connect(phone.servers[0]), self.loop)

    def until_registered(self, servers, timeout_s):
        """Waits until each phone is registered at one of these."""
        until(lambda: all(p.registered in servers for p in self.phones), timeout_s,
              lambda: sum(p.registered in servers for p in self.phones))
        return time.monotonic()

    def close(self):
        async def stop():
            for phone in self.phones:
                phone.connection_lost = lambda _: None
                if phone.transport:
                    phone.transport.abort()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
        asyncio.run_coroutine_threadsafe(stop(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
