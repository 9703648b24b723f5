"""A SIP phone over UDP on asyncio: it registers, answers what comes, and repeats what is not answered."""
import asyncio
import hashlib
import re
import secrets
import time

DOMAIN = "example.net"
PASSWORD = "pw"
FIRST_REPEAT_S, LONGEST_REPEAT_S = 0.5, 4.0
UNANSWERED = 0


def ha1(user):
    return hashlib.md5(f"{user}:{DOMAIN}:{PASSWORD}".encode()).hexdigest()


def header(head, name):
    match = re.search(rf"\r\n{name}\s*:\s*([^\r]*)", head, re.I)
    return match.group(1) if match else ""


def authorization(user, nonce, nc, method, uri, secret=None):
    """An Authorization line for a challenge's nonce."""
    ha2 = hashlib.md5(f"{method}:{uri}".encode()).hexdigest()
    response = hashlib.md5(f"{secret or ha1(user)}:{nonce}:{nc:08x}:c:auth:{ha2}".encode()).hexdigest()
    return (f'Authorization: Digest username="{user}", realm="{DOMAIN}", nonce="{nonce}", uri="{uri}", algorithm=MD5, '
            f'qop=auth, nc={nc:08x}, cnonce="c", response="{response}"\r\n')


class Phone(asyncio.DatagramProtocol):
    """One phone at an address of its own. on_request(method, body) hears what comes in, once."""

    def __init__(self, user, on_request=None, answers=True):
        self.user, self.on_request, self.answers = user, on_request, answers
        self.aor = f"sip:{user}@{DOMAIN}"
        self.call_id, self.tag, self.cseq = secrets.token_hex(8), secrets.token_hex(4), 0
        self.nonce, self.nc = None, 0
        self.count, self.busy = 0, False  # for who uses it
        self.waiting, self.known = {}, set()
        self.transport = self.server = self.here = None
        self.sent_bytes = self.got = self.got_bytes = 0

    @classmethod
    async def open(cls, user, server, source, port=0, **more):
        """One that is bound to an address."""
        loop = asyncio.get_running_loop()
        _, phone = await loop.create_datagram_endpoint(lambda: cls(user, **more), local_addr=(source, port))
        phone.server, phone.here = server, phone.transport.get_extra_info("sockname")
        return phone

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.got += 1
        self.got_bytes += len(data)
        head, _, body = data.partition(b"\r\n\r\n")
        text = head.decode("utf-8", "replace")
        match = re.search(r"branch=([^;,\s]+)", text)
        if not match:
            return
        if text.startswith("SIP/2.0 "):
            waiting = self.waiting.get(match.group(1))
            if waiting and not waiting.done() and text[8] != "1":
                waiting.set_result(text)
            return
        if match.group(1) not in self.known:
            self.known.add(match.group(1))
            if self.on_request:
                self.on_request(text.split(" ", 1)[0], body)
        if self.answers:
            keep = [line for line in text.split("\r\n")[1:]
                    if line.split(":", 1)[0].strip().lower() in ("via", "v", "from", "f", "call-id", "i", "cseq")]
            lines = ["SIP/2.0 200 OK", *keep, f"To: {header(text, 'to')};tag={self.tag}", "Content-Length: 0", "", ""]
            self.transport.sendto("\r\n".join(lines).encode(), addr)

    def error_received(self, _):
        pass

    def contact(self, user=None, at=None):
        host, port = at or self.here
        return f"sip:{user or self.user}@{host}:{port}"

    def build(self, method, uri, to, more="", body=b"", call_id=None, rport=";rport"):
        """A request's bytes and its branch."""
        self.cseq += 1
        branch = "z9hG4bK" + secrets.token_hex(8)
        if self.nonce:
            self.nc += 1
            more = authorization(self.user, self.nonce, self.nc, method, uri) + more
        head = (f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {self.here[0]}:{self.here[1]};branch={branch}{rport}\r\n"
                f"Max-Forwards: 70\r\nFrom: <{self.aor}>;tag={self.tag}\r\nTo: <{to}>\r\nCall-ID: {call_id or self.call_id}\r\n"
                f"CSeq: {self.cseq} {method}\r\n{more}Content-Length: {len(body)}\r\n\r\n")
        return head.encode() + body, branch

    def send(self, raw):
        self.sent_bytes += len(raw)
        self.transport.sendto(raw, self.server)

    async def exchange(self, raw, branch, deadline):
        """The head of a request's final answer, or None."""
        answer = self.waiting[branch] = asyncio.get_running_loop().create_future()
        wait_s = FIRST_REPEAT_S
        try:
            self.send(raw)
            while (left := deadline - time.monotonic()) > 0:
                done, _ = await asyncio.wait([answer], timeout=min(wait_s, left))
                if done:
                    return answer.result()
                self.send(raw)
                wait_s = min(2 * wait_s, LONGEST_REPEAT_S)
            return None
        finally:
            del self.waiting[branch]

    async def request(self, method, uri, to, timeout_s, **more):
        """The code of a request's final answer; a challenge is answered, twice where the nonce was stale."""
        deadline = time.monotonic() + timeout_s
        code = UNANSWERED
        for _ in range(3):
            tried = self.nonce
            head = await self.exchange(*self.build(method, uri, to, **more), deadline)
            if head is None:
                return UNANSWERED
            code = int(head[8:11])
            if code != 401 or (tried and "stale=true" not in head.lower()):
                return code
            nonce = re.search(r'nonce="([^"]+)"', head)
            self.nonce, self.nc = nonce and nonce.group(1), 0
        return code

    async def register(self, timeout_s, contacts=None, expires=600, **more):
        """The code. contacts: URIs, its own where none are named."""
        lines = "".join(f"Contact: <{uri}>\r\n" for uri in contacts or [self.contact()]) + f"Expires: {expires}\r\n"
        return await self.request("REGISTER", f"sip:{DOMAIN}", self.aor, timeout_s, more=lines, **more)

    async def message(self, to, body, timeout_s):
        return await self.request("MESSAGE", to, to, timeout_s, more="Content-Type: text/plain\r\n", body=body,
                                  call_id=secrets.token_hex(8))

    async def subscribe(self, to, event, contact, timeout_s):
        """A subscription of its own dialog, which nobody keeps."""
        more = f"Event: {event}\r\nContact: <{contact}>\r\nExpires: 600\r\n"
        return await self.request("SUBSCRIBE", to, to, timeout_s, more=more, call_id=secrets.token_hex(8))

    def close(self):
        self.transport.abort()
