"""A SIP phone of a few lines, over UDP, TCP or TLS, that does just what a test says.

It sends what it is told to, byte for byte, answers what comes in as it is told to, and keeps all of it.
"""
import hashlib
import queue
import re
import secrets
import socket
import threading
import time

from tlssocket import TlsSocket

HOST = "127.0.0.1"
COMPACT = {"c": "content-type", "f": "from", "i": "call-id", "k": "supported", "l": "content-length",
           "m": "contact", "t": "to", "v": "via"}
HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


def new_account(system, name):
    """A fresh account on any system."""
    return system.account(f"{name}-{secrets.token_hex(4)}@example.net")


class Silence(AssertionError):
    """No answer has come in time."""


class Message:
    """A request or response that came in."""

    def __init__(self, raw, source=None):
        self.raw = raw
        self.source = source
        self.at = time.monotonic()
        head, self.body = raw.split(b"\r\n\r\n", 1)
        text = re.sub(r"\r\n[ \t]+", " ", head.decode("utf-8", "surrogateescape"))
        self.start, *lines = text.split("\r\n")
        self.headers = []
        for line in lines:
            name, value = line.split(":", 1)
            name = name.strip().lower()
            self.headers.append((COMPACT.get(name, name), value.strip()))

    def all(self, name):
        return [v for n, v in self.headers if n == name.lower()]

    def get(self, name, default=None):
        return next(iter(self.all(name)), default)

    @property
    def method(self):
        return self.start.split(" ")[0]

    @property
    def uri(self):
        return self.start.split(" ")[1]

    @property
    def code(self):
        return int(self.start.split(" ")[1])

    @property
    def reason(self):
        return self.start.split(" ", 2)[2]

    @property
    def is_response(self):
        return self.start.startswith("SIP/2.0 ")

    @property
    def branch(self):
        return re.search(r"branch=([^;,\s]+)", self.get("via")).group(1)

    @property
    def contacts(self):
        """{uri: seconds left} of a REGISTER's answer."""
        found = {}
        for value in self.all("contact"):
            uri, params = re.match(r'(?:"(?:[^"\\]|\\.)*" )?<([^>]*)>(.*)', value).groups()
            found[uri] = int(re.search(r"expires=(\d+)", params).group(1))
        return found

    def __repr__(self):
        return f"<{self.start}>"


def digest(challenge, method, uri, username, password, nc=1, change=None):
    """An Authorization value for a challenge (RFC 7616); `change` overrides single parameters, None leaves one out."""
    given = dict(re.findall(r'(\w+)="?([^",]*)"?', challenge.split(" ", 1)[1]))
    algorithm = given.get("algorithm", "MD5")

    def h(text):
        return HASHES[algorithm](text.encode()).hexdigest()

    p = {"username": username, "realm": given["realm"], "nonce": given["nonce"], "uri": uri,
         "algorithm": algorithm, "qop": "auth", "nc": f"{nc:08x}", "cnonce": secrets.token_hex(4)}
    p.update(change or {})
    ha1 = h(f"{p['username']}:{p['realm']}:{password}")
    ha2 = h(f"{method}:{p['uri']}")
    middle = f"{p['nc']}:{p['cnonce']}:{p['qop']}:" if p["qop"] else ""
    p.setdefault("response", h(f"{ha1}:{p['nonce']}:{middle}{ha2}"))
    bare = ("algorithm", "qop", "nc")
    return "Digest " + ", ".join(
        f"{k}={v}" if k in bare else f'{k}="{v}"' for k, v in p.items() if v is not None)


class Phone:
    """`answer`: what is said to requests: a code, (code, reason, headers), or a function of the request; None: nothing.
    An OPTIONS, which asks whether anybody is there, is answered with `options` and is none of `requests`."""

    def __init__(self, server, user, password, domain="example.net", transport="udp", answer=200, bind=None,
                 local=HOST, ca=None, options=200):
        self.server = server
        self.user, self.password, self.domain = user, password, domain
        self.username = user
        self.transport = transport
        self.answer, self.options = answer, options
        self.requests = queue.Queue()  # that came in
        self.taken = set()  # Vias of the INVITEs among them that a test has looked at
        self.responses = queue.Queue()
        self.seen = []
        self.waiting = {}  # branch: queue of its responses
        self.cseq = 0
        self.call_id = f"{secrets.token_hex(8)}@{local}"
        self.tag = secrets.token_hex(4)
        self.challenge = None
        self.nc = 0
        self.lock = threading.Lock()
        self.closed = False
        self.listener = None
        self.local = local
        if transport == "udp":
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            self.sock.bind((local, bind or 0))
        elif transport == "tls":
            self.sock = TlsSocket(server, ca, source=(local, bind or 0))
        else:
            self.sock = socket.create_connection(server, source_address=(local, bind or 0))
        self.port = self.sock.getsockname()[1]
        self.thread = threading.Thread(target=self._receive, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.closed = True
        if self.listener:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
        self.drop()

    def drop(self):
        """Its connection ends."""
        sock, thread = self.sock, self.thread  # _listen may put others in their places at once
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        sock.close()
        thread.join(5)

    def listen(self):
        """From now on its contact is where it takes a connection, once it has lost its own."""
        self.listener = socket.create_server((self.local, 0))
        self.thread_listens = threading.Thread(target=self._listen, daemon=True)
        self.thread_listens.start()
        return self

    def _listen(self):
        while not self.closed:
            try:
                sock = self.listener.accept()[0]
            except OSError:
                return
            self.thread.join(5)
            thread = threading.Thread(target=self._receive, daemon=True)
            self.sock = sock
            thread.start()
            self.thread = thread

    @property
    def aor(self):
        return f"sip:{self.user}@{self.domain}"

    @property
    def contact(self):
        more = "" if self.transport == "udp" else f";transport={self.transport}"
        port = self.listener.getsockname()[1] if self.listener else self.port
        return f"sip:{self.user}@{self.local}:{port}{more}"

    # ---- in ----

    def _receive(self):
        buffer = b""
        while not self.closed:
            try:
                if self.transport == "udp":
                    data, source = self.sock.recvfrom(65536)
                    if data.strip():
                        self._take(Message(data, source))
                    continue
                data = self.sock.recv(65536)
                if not data:
                    return
                buffer = self._frames(buffer + data)
            except OSError:
                return

    def _frames(self, buffer):
        while True:
            buffer = buffer.lstrip(b"\r\n")
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return buffer
            length = int(re.search(rb"\r\n(?:content-length|l)\s*:\s*(\d+)", buffer[:end + 2], re.I).group(1))
            if len(buffer) < end + 4 + length:
                return buffer
            self._take(Message(buffer[:end + 4 + length], self.server))
            buffer = buffer[end + 4 + length:]

    def _take(self, message):
        self.seen.append(message)
        if message.is_response:
            with self.lock:
                waiting = self.waiting.get(message.branch)
            (waiting or self.responses).put(message)
            return
        if message.method == "OPTIONS":
            if self.options is not None:
                self.reply(message, self.options)
            return
        answer = self.answer(message) if callable(self.answer) else self.answer
        if answer is not None:
            self.reply(message, *(answer if isinstance(answer, tuple) else (answer,)))
        self.requests.put(message)

    # ---- out ----

    def send(self, raw, to=None):
        if isinstance(raw, str):
            raw = raw.encode("utf-8", "surrogateescape")
        if self.transport == "udp":
            self.sock.sendto(raw, to or self.server)
        else:
            self.sock.sendall(raw)

    def reply(self, request, code, reason=None, headers=()):
        lines = [f"SIP/2.0 {code} {reason or 'Whatever'}"]
        for name, value in request.headers:
            if name == "to" and "tag=" not in value:
                value += f";tag={self.tag}"
            if name in ("via", "from", "to", "call-id", "cseq"):
                lines.append(f"{name.title()}: {value}")
        lines += [f"{name}: {value}" for name, value in headers]
        self.send("\r\n".join(lines + ["Content-Length: 0", "", ""]), request.source)

    def build(self, method, uri, headers=(), body=b"", branch=None, cseq=None, call_id=None, tag=None,
              sender=None, to=None, via=""):
        """The bytes of a request; a header given here stands in the place of the usual one."""
        self.cseq = cseq if cseq is not None else self.cseq + 1
        given = [(n, v) for n, v in headers]
        names = {n.lower() for n, _ in given}
        if isinstance(body, str):
            body = body.encode()
        usual = [
            ("Via", f"SIP/2.0/{self.transport.upper()} {self.local}:{self.port}"
                    f";branch={branch or 'z9hG4bK' + secrets.token_hex(8)};rport{via}"),
            ("Max-Forwards", "70"),
            ("From", f"<{sender or self.aor}>;tag={tag or self.tag}"),
            ("To", f"<{to or self.aor}>"),
            ("Call-ID", call_id or self.call_id),
            ("CSeq", f"{self.cseq} {method}"),
            ("Content-Length", str(len(body))),
        ]
        lines = [f"{method} {uri} SIP/2.0"]
        lines += [f"{n}: {v}" for n, v in usual if n.lower() not in names]
        lines += [f"{n}: {v}" for n, v in given if v is not None]
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body

    def exchange(self, raw, timeout_s=5, resend=True):
        """Sends a request and returns its final answer; over UDP it is repeated as RFC 3261 has it."""
        branch = Message(raw).branch
        answers = queue.Queue()
        with self.lock:
            self.waiting[branch] = answers
        deadline = time.monotonic() + timeout_s
        wait_s = 0.5
        try:
            self.send(raw)
            while True:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Silence(f"no answer within {timeout_s} s to {raw[:200]!r}")
                try:
                    answer = answers.get(timeout=min(wait_s, left))
                except queue.Empty:
                    if self.transport == "udp" and resend:
                        self.send(raw)
                        wait_s = min(2 * wait_s, 4)
                    continue
                if answer.code >= 200:
                    return answer
        finally:
            with self.lock:
                del self.waiting[branch]

    def signed(self, method, uri, headers=(), body=b"", **more):
        """The bytes of a request by the challenge that is there."""
        self.nc += 1
        authorization = digest(self.challenge, method, uri, self.username, self.password, self.nc)
        return self.build(method, uri, [*headers, ("Authorization", authorization)], body, **more)

    def request(self, method, uri, headers=(), body=b"", auth=True, timeout_s=5, **more):
        """One request; a challenge is answered, once or twice where the nonce was stale."""
        headers = list(headers)
        answer = None
        for _ in range(3):
            authorization = []
            if auth and self.challenge:
                self.nc += 1
                authorization = [("Authorization", digest(self.challenge, method, uri, self.username,
                                                          self.password, self.nc))]
            answer = self.exchange(self.build(method, uri, headers + authorization, body, **more), timeout_s)
            if answer.code != 401 or not auth:
                return answer
            if authorization and "stale=true" not in answer.get("www-authenticate").lower():
                return answer
            self.challenge, self.nc = answer.get("www-authenticate"), 0
            more.pop("cseq", None)
        return answer

    def register(self, expires=None, contacts=None, headers=(), **more):
        """contacts: values of Contact headers; None: this phone's own; []: none, which only asks."""
        values = [f"<{self.contact}>"] if contacts is None else contacts
        headers = [("Contact", v) for v in values] + list(headers)
        if expires is not None:
            headers.append(("Expires", str(expires)))
        return self.request("REGISTER", f"sip:{self.domain}", headers, **more)

    def message(self, to, body="hello", content_type="text/plain", headers=(), timeout_s=15, **more):
        """A MESSAGE to an address of record; a new Call-ID and tag each, unless given."""
        more.setdefault("call_id", secrets.token_hex(8))
        more.setdefault("tag", secrets.token_hex(4))
        headers = ([("Content-Type", content_type)] if content_type else []) + list(headers)
        return self.request("MESSAGE", to, headers, body, to=to, timeout_s=timeout_s, **more)

    def subscribe(self, to, event, expires=600, headers=(), **more):
        """A subscription; what came of it is its `answer`."""
        return Subscription(self, to, event, expires, headers, **more)

    def publish(self, body=None, etag=None, expires=None, headers=(), **more):
        """A PUBLISH of presence for this phone's own user."""
        headers = [(n, v) for n, v in (
            ("Event", "presence"), ("SIP-If-Match", etag), ("Expires", None if expires is None else str(expires)),
            ("Content-Type", "application/pidf+xml" if body else None)) if v is not None
            and n.lower() not in {k.lower() for k, _ in headers}] + [h for h in headers if h[1] is not None]
        more.setdefault("call_id", secrets.token_hex(8))
        return self.request("PUBLISH", self.aor, headers, body or b"", **more)

    def next_request(self, timeout_s=5, method=None):
        """The next request that came in; of that method."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                found = self.requests.get(timeout=max(deadline - time.monotonic(), 0.01))
            except queue.Empty:
                raise AssertionError(f"no {method or 'request'} within {timeout_s} s") from None
            if method in (None, found.method):
                return found

    def is_served(self, timeout_s=1):
        """Whether it can register: an agent that is being started anew is silent."""
        try:
            return self.register(timeout_s=timeout_s).code == 200
        except Silence:
            return False

    def next_requests(self, count, timeout_s=5):
        """So many of them; a retransmission, as to a phone that has answered late, is none."""
        came = {}
        while len(came) < count:
            message = self.next_request(timeout_s)
            came.setdefault(message.branch, message)
        return list(came.values())


class Subscription:
    """A dialog made by SUBSCRIBE: what was answered, and the NOTIFYs in it."""

    def __init__(self, phone, to, event, expires, headers=(), **more):
        self.phone, self.to, self.event = phone, to, event
        self.call_id, self.tag = secrets.token_hex(8), secrets.token_hex(4)
        self.to_tag = self.target = None
        self.read = 0  # of phone.seen
        self.cseqs = set()
        self.more = {"call_id": self.call_id, "tag": self.tag, **more}
        self.answer = self._request(to, expires, headers, self.more)

    def _request(self, uri, expires, headers, more):
        given = {n.lower() for n, _ in headers}
        usual = [("Event", self.event), ("Contact", f"<{self.phone.contact}>"),
                 ("To", f"<{self.to}>" + (f";tag={self.to_tag}" if self.to_tag else ""))]
        if expires is not None:
            usual.append(("Expires", str(expires)))
        headers = [h for h in usual if h[0].lower() not in given] + list(headers)
        answer = self.phone.request("SUBSCRIBE", uri, headers, **more)
        if answer.code == 200:
            self.to_tag = re.search(r"tag=([^;]+)", answer.get("to")).group(1)
            self.target = re.match(r"<([^>]*)>", answer.get("contact")).group(1)
        return answer

    def refresh(self, expires=600, headers=(), **more):
        """A SUBSCRIBE within the dialog."""
        return self._request(self.target, expires, headers, {**self.more, **more})

    def next(self, timeout_s=5):
        """The next NOTIFY; a retransmission is none."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            while self.read < len(self.phone.seen):
                message = self.phone.seen[self.read]
                self.read += 1
                if (not message.is_response and message.method == "NOTIFY" and message.get("call-id") == self.call_id
                        and message.get("cseq") not in self.cseqs):
                    self.cseqs.add(message.get("cseq"))
                    return message
            time.sleep(0.005)
        raise AssertionError(f"no NOTIFY within {timeout_s} s")

    def await_body(self, part, timeout_s=5):
        """The next NOTIFY that has this in its body; others may come before it."""
        deadline = time.monotonic() + timeout_s
        while True:
            message = self.next(max(0.01, deadline - time.monotonic()))
            if part in message.body:
                return message
