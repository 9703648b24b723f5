"""A phone that calls and is called, one message at a time, as a test says."""
import queue
import re
import secrets
import threading
import time

SDP = ("v=0\r\no=- {n} 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
       "m=audio 4{n:04d} RTP/AVP 0\r\na=sendrecv\r\n")


def sdp(n=1):
    return SDP.format(n=n)


HOLD = sdp(5).replace("sendrecv", "sendonly")


def uri_of(value):
    return re.search(r"<([^>]*)>", value).group(1)


def tag_of(value):
    found = re.search(r";tag=([^;]+)", value)
    return found and found.group(1)


class Dialog:
    """What both sides of a call have: BYE, and other requests within it."""

    def __init__(self, phone):
        self.phone = phone
        self.cseq = 1
        self.mine = self.theirs = self.call_id = self.target = None  # From and To of our requests

    def request(self, method, headers=(), body=b"", timeout_s=5, **more):
        self.cseq += 1
        raw = self.phone.build(method, self.target, [("From", self.mine), ("To", self.theirs), *headers], body,
                               cseq=self.cseq, call_id=self.call_id, **more)
        return self.phone.exchange(raw, timeout_s)

    def bye(self, **more):
        return self.request("BYE", **more)


class Outgoing(Dialog):
    """A call that a phone makes: its INVITE is sent at once, a challenge answered."""

    def __init__(self, phone, to, body=None, headers=(), uri=None):
        super().__init__(phone)
        self.to, self.uri, self.body, self.more = to, uri or to, body, list(headers)
        self.call_id, self.tag = secrets.token_hex(8), secrets.token_hex(4)
        self.answers = []
        self.branch = self.queue = self.raw = None
        self.tries = 0
        self._invite()

    def _invite(self):
        phone = self.phone
        self.tries += 1
        self.cseq += 1
        self.branch = "z9hG4bK" + secrets.token_hex(8)
        headers = [("Contact", f"<{phone.contact}>"), *self.more]
        if self.body:
            headers.append(("Content-Type", "application/sdp"))
        build = phone.signed if phone.challenge else phone.build
        self.raw = build("INVITE", self.uri, headers, self.body or b"", branch=self.branch, cseq=self.cseq,
                         call_id=self.call_id, tag=self.tag, to=self.to)
        self.queue = queue.Queue()
        with phone.lock:
            phone.waiting[self.branch] = self.queue
        phone.send(self.raw)

    def next(self, timeout_s=5):
        """The next answer but 100; one of 300 and above is ACKed."""
        deadline = time.monotonic() + timeout_s
        while True:
            answer = self.queue.get(timeout=max(deadline - time.monotonic(), 0.01))
            if answer.code == 100 or "CANCEL" in answer.get("cseq"):
                continue
            if answer.code >= 300:
                self._ack(answer)
            if answer.code == 401 and self.tries < 2:
                self.phone.challenge, self.phone.nc = answer.get("www-authenticate"), 0
                self._invite()
                continue
            self.answers.append(answer)
            return answer

    def final(self, timeout_s=5):
        while True:
            answer = self.next(timeout_s)
            if answer.code >= 200:
                return answer

    def _ack(self, answer):
        self.phone.send(self.phone.build("ACK", self.uri, [("To", answer.get("to"))], branch=self.branch, cseq=self.cseq,
                                         call_id=self.call_id, tag=self.tag))

    def confirm(self, answer=None, body=b"", timeout_s=5):
        """The 2xx, which is taken and ACKed."""
        answer = answer or self.final(timeout_s)
        assert answer.code == 200, answer
        self.target = uri_of(answer.get("contact"))
        self.mine, self.theirs = f"<{self.phone.aor}>;tag={self.tag}", answer.get("to")
        self.ack(body)
        return answer

    def ack(self, body=b""):
        headers = [("From", self.mine), ("To", self.theirs)] + ([("Content-Type", "application/sdp")] if body else [])
        self.phone.send(self.phone.build("ACK", self.target, headers, body, cseq=self.cseq, call_id=self.call_id))

    def cancel(self):
        self.phone.send(self.phone.build("CANCEL", self.uri, branch=self.branch, cseq=self.cseq, call_id=self.call_id,
                                         tag=self.tag, to=self.to))


class Incoming(Dialog):
    """The next INVITE that a phone gets; the phone's `answer` is to be None for INVITE."""

    def __init__(self, phone, timeout_s=5):
        super().__init__(phone)
        self.invite = self.next("INVITE", timeout_s)
        # one of another call, that is not at its end yet, or comes again
        while "tag=" in self.invite.get("to") or self.invite.get("via") in phone.taken:
            self.invite = self.next("INVITE", timeout_s)
        phone.taken.add(self.invite.get("via"))
        self.tag = secrets.token_hex(4)
        self.call_id = self.invite.get("call-id")
        self.target = uri_of(self.invite.get("contact"))
        self.mine, self.theirs = f"{self.invite.get('to')};tag={self.tag}", self.invite.get("from")

    def next(self, method=None, timeout_s=5):
        """The next request with that method, or any."""
        deadline = time.monotonic() + timeout_s
        while True:
            request = self.phone.requests.get(timeout=max(deadline - time.monotonic(), 0.01))
            if method in (None, request.method):
                return request

    def say(self, code, reason="Whatever", body="", request=None):
        request = request or self.invite
        lines = [f"SIP/2.0 {code} {reason}"]
        for name, value in request.headers:
            if name == "to" and code > 100 and "tag=" not in value:
                value += f";tag={self.tag}"
            if name in ("via", "from", "to", "call-id", "cseq", "record-route"):
                lines.append(f"{name.title()}: {value}")
        lines.append(f"Contact: <{self.phone.contact}>")
        if body:
            lines.append("Content-Type: application/sdp")
        self.phone.send("\r\n".join(lines + [f"Content-Length: {len(body)}", "", body]), request.source)

    def accept(self, body=None):
        """200, and its ACK."""
        self.say(200, "OK", sdp(2) if body is None else body)
        return self.next("ACK")

    def cancelled(self, timeout_s=5):
        """Waits for the CANCEL, which it gives, and does as it says: 200 to that, 487 to the INVITE."""
        cancel = self.next("CANCEL", timeout_s)
        self.say(200, request=cancel)
        self.say(487)
        return cancel


def rings(phone):
    """Makes a phone leave INVITEs to the test; all else is answered with 200, an ACK with nothing."""
    phone.answer = lambda request: None if request.method in ("INVITE", "ACK") else 200
    return phone


def up(a, b):
    """A call that is up: both sides of it."""
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    inc.accept()
    out.confirm()
    return out, inc


def offer(side, body, timeout_s=5, also=()):
    """A re-INVITE, in a thread of its own, until its final answer, which is ACKed: where that comes."""
    side.cseq += 1
    cseq, branch = side.cseq, "z9hG4bK" + secrets.token_hex(8)
    head = [("From", side.mine), ("To", side.theirs), ("Contact", f"<{side.phone.contact}>"), *also]
    raw = side.phone.build("INVITE", side.target, head + ([("Content-Type", "application/sdp")] if body else []), body,
                           cseq=cseq, call_id=side.call_id, branch=branch)
    found = queue.Queue()

    def run():
        answer = side.phone.exchange(raw, timeout_s)
        more = {} if answer.code == 200 else {"branch": branch}
        answers = not body and answer.code == 200
        side.phone.send(side.phone.build("ACK", side.target, head + ([("Content-Type", "application/sdp")] if answers else []),
                                         sdp(7) if answers else b"", cseq=cseq, call_id=side.call_id, **more))
        found.put(answer)
    threading.Thread(target=run, daemon=True).start()
    return found
