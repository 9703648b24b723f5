"""A media relay: a fake one, which says what a test has it say, and rtpengine."""
import os
import re
import secrets
import shutil
import socket
import subprocess
import threading

from ports import free_ports

RTPENGINE = shutil.which("rtpengine")
AT = "198.51.100.7"  # where what the fake one has translated sends to
FINGERPRINT = "a=fingerprint:sha-256 00:11\r\na=setup:actpass\r\na=rtcp-mux\r\n"


def encode(value):
    """Bencode."""
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, list):
        return b"l" + b"".join(map(encode, value)) + b"e"
    return b"d" + b"".join(encode(k) + encode(v) for k, v in value.items()) + b"e"


def decode(data, at=0):
    """A value, and where it ends."""
    if data[at:at + 1] == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1:end]), end + 1
    if data[at:at + 1] in (b"l", b"d"):
        made, is_dict = [], data[at:at + 1] == b"d"
        at += 1
        while data[at:at + 1] != b"e":
            value, at = decode(data, at)
            made.append(value)
        return (dict(zip(made[::2], made[1::2])) if is_dict else made), at + 1
    colon = data.index(b":", at)
    end = colon + 1 + int(data[at:colon])
    return data[colon + 1:end].decode(), end


def translated(sdp, web):
    """The same in the other kind of media; who has said it is seen by its port."""
    sdp = re.sub(r"a=(fingerprint|setup|rtcp-mux)[^\n]*\n", "", sdp)
    sdp = re.sub(r"c=IN IP4 \S+", f"c=IN IP4 {AT}", sdp)
    return re.sub(r"(m=\S+ \d+) \S+", r"\1 " + ("UDP/TLS/RTP/SAVPF" if web else "RTP/AVP"), sdp) + (FINGERPRINT if web else "")


class FakeRelay:
    """`way`: how it answers. ok; moves: with other ports; silent; mute: pings alone; bencode, cookie, sdp: wrongly; error: it refuses."""

    def __init__(self, port=None):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", port or 0))
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.way = "ok"
        self.sessions, self.said = set(), []  # their names; (command, name)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def close(self):
        self.socket.close()

    def _answer(self, ask):
        call = ask.get("call-id")
        if ask["command"] == "ping":
            return {"result": "pong"}
        self.said.append((ask["command"], call))
        if ask["command"] in ("offer", "answer"):
            if self.way == "error":
                return {"result": "error", "error-reason": "No more ports"}
            assert ask["command"] == "offer" or call in self.sessions
            self.sessions.add(call)
            sdp = "hello" if self.way == "sdp" else translated(ask["sdp"], "SAVPF" in ask.get("transport-protocol", ""))
            if self.way == "moves":
                sdp = re.sub(r"(m=\S+) \d+", rf"\1 {50000 + 2 * len(self.said)}", sdp)
            return {"sdp": sdp, "result": "ok"}
        if call not in self.sessions:
            return {"result": "error", "error-reason": "Unknown call-id"}
        if ask["command"] == "delete":
            self.sessions.discard(call)
        return {"created": -1, "tags": {"a": [1, "x"]}, "result": "ok"}

    def _run(self):
        while True:
            try:
                data, source = self.socket.recvfrom(65535)
                cookie, _, body = data.partition(b" ")
                if self.way == "silent" or (self.way == "mute" and b"4:ping" not in body):
                    continue
                answer = encode(self._answer(decode(body)[0]))
                if self.way == "bencode":
                    answer = answer[:-1]
                self.socket.sendto((cookie[::-1] if self.way == "cookie" else cookie) + b" " + answer, source)
            except OSError:
                return


def ask(address, command, **more):
    """What an rtpengine says at (host, port)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(1)
        s.sendto(secrets.token_hex(4).encode() + b" " + encode({"command": command, **more}), address)
        return decode(s.recv(65535).partition(b" ")[2])[0]


def sessions(address):
    return set(ask(address, "list")["calls"])


class Rtpengine:
    """The real one, as a user that may do nothing."""

    def __init__(self, folder):
        self.port, self.media = free_ports(), free_ports(60)
        self.log = open(folder / "rtpengine.log", "ab")
        self.address = f"127.0.0.1:{self.port}"
        self.process = None
        self.start()

    def start(self):
        command = [RTPENGINE, "--foreground", "--log-stderr", "--table=-1", "--interface=127.0.0.1",
                   f"--listen-ng={self.address}", f"--port-min={self.media}", f"--port-max={self.media + 59}"]
        if os.getuid() == 0:
            command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    @property
    def sessions(self):
        return sessions(("127.0.0.1", self.port))

    def aims(self):
        """Where it sends media to, by its sessions' sides: ports."""
        made = {}
        for call in self.sessions:
            for side, tag in ask(("127.0.0.1", self.port), "query", **{"call-id": call})["tags"].items():
                made[side] = [stream["advertised endpoint"]["port"] for media in tag["medias"] for stream in media["streams"][:1]]
        return made

    @property
    def ports(self):
        """How many it holds for media."""
        with open("/proc/net/udp", encoding="ascii") as f:
            ports = [int(line.split()[1].split(":")[1], 16) for line in f.readlines()[1:]]
        return sum(self.media <= port < self.media + 60 for port in ports)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        self.kill()
        self.log.close()
