"""baresip as a phone: headless, on loopback, told what to do over its control socket."""
import array
import json
import math
import pathlib
import re
import socket
import subprocess
import time
import wave

from ports import free_ports

CONFIG = """poll_method epoll
net_interface {interface}
sip_listen 127.0.0.1:{port}
sip_cafile {certificate}
call_max_calls 4
ctrl_tcp_listen 127.0.0.1:{control}
module_path /usr/lib/baresip/modules
module g711.so
module_app account.so
module_app menu.so
module_app contact.so
module_app ctrl_tcp.so
"""
MWI_TIMER_S = 0.001
TONE = """audio_source aufile,{file}
snd_path {heard}
module aufile.so
module sndfile.so
"""
RATE = 8000  # samples a second, of G.711
TONE_S = 180
WAV_HEAD = 44  # bytes; what they say of the length is written last


def play(path, hertz, rate=RATE, seconds=TONE_S):
    """A file that has one tone."""
    second = array.array("h", (round(8000 * math.sin(2 * math.pi * hertz * n / rate)) for n in range(rate)))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(second.tobytes() * seconds)


def pitch(samples):
    """The frequency of a tone by the times at which it rises through zero; 0: there is none."""
    rises = [n - samples[n] / (samples[n] - samples[n - 1]) for n in range(1, len(samples)) if samples[n - 1] < 0 <= samples[n]]
    return (len(rises) - 1) * RATE / (rises[-1] - rises[0]) if len(rises) > 1 and max(samples) > 1000 else 0


class Baresip:
    """`peer`: the address of record that message() sends to; `modules`: mwi and presence, which subscribe, the latter to
    the peer; `params`: more of the account, e.g. pubint=600, by which it publishes; `line`: its account, as it is; `tone`: what
    it plays into its calls, in hertz; `interface`: where its media are; `settings`: more of its config, of a port for it."""

    def __init__(self, folder, server, account, credential, peer, until, transport="udp", modules=(), params="",
                 line=None, expires=600, tone=None, interface="127.0.0.1", settings=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        self.until = until
        self.port = free_ports(4)
        self.control, self.keys = self.port + 2, self.port + 3
        user = account.email
        (self.folder / "config").write_text(CONFIG.format(
            port=self.port, control=self.control, certificate=account.system.certificate, interface=interface)
            + (settings(self.keys) if settings else "") + self._audio(tone)
            + "".join(f"module_app {name}.so\n" for name in modules))
        line = line or (
            f"<sip:{user};transport={transport}>;auth_user={credential['username']};"
            f"auth_pass={credential['password']};outbound=\"sip:{server[0]}:{server[1]};transport={transport}\";"
            f"regint={expires};answermode=manual;mwi={'yes' if 'mwi' in modules else 'no'}{params}")
        (self.folder / "accounts").write_text("" if "mwi" in modules else line + "\n")
        presence = ";presence=p2p" if "presence" in modules else ""
        (self.folder / "contacts").write_text(f'"Peer" <sip:{peer.email}>;access=allow{presence}\n')
        self.log_file = self.folder / "log"
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(["baresip", "-f", self.folder, "-v", "-s"], stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL)
        self.socket = self.until(lambda: socket.create_connection(("127.0.0.1", self.control)), 10)
        if "mwi" in modules:
            self._register_late(line)

    def _audio(self, tone):
        self.heard = self.folder / "heard"
        self.heard.mkdir()
        if tone is None:
            return ""
        play(self.folder / "tone.wav", tone)
        return TONE.format(file=self.folder / "tone.wav", heard=self.heard)

    def hears(self):
        """The tone that has come in within its last second, in hertz; 0: none."""
        files = sorted(self.heard.glob("*-dec*.wav"), key=lambda f: f.stat().st_mtime_ns)
        data = files[-1].read_bytes()[WAV_HEAD:] if files else b""
        return pitch(array.array("h", data[len(data) % 2:])[-RATE:]) if len(data) >= 2 * RATE else 0

    def _register_late(self, line):
        """Gives it its account once mwi's first timer is over. When that finds a user that has registered already, it
        subscribes without end: it walks over a list to which each subscription is appended."""
        self.ask("help")
        over = time.monotonic() + 2 * MWI_TIMER_S
        self.until(lambda: time.monotonic() > over)
        self.ask("help")  # timers come after what is read, so by the next command it is over
        self.command("uanew", line)

    def close(self):
        self.socket.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)

    def trace(self):
        return self.log_file.read_bytes()

    def said(self):
        """All that it sent and got, without colours."""
        return re.sub(rb"\x1b\[[0-9;]*m", b"", self.trace()).decode("utf-8", "replace")

    def command(self, name, params=""):
        text = json.dumps({"command": name, "params": params, "token": "t"}).encode()
        self.socket.sendall(b"%d:%s," % (len(text), text))

    def ask(self, name, params="", timeout_s=5):
        """What a command says; events that come before it are dropped."""
        self.command(name, params)
        self.socket.settimeout(timeout_s)
        buffer = b""
        while True:
            head, colon, rest = buffer.partition(b":")
            if not colon or len(rest) <= int(head):
                more = self.socket.recv(65536)
                assert more, "baresip is gone"
                buffer += more
                continue
            answer, buffer = json.loads(rest[:int(head)]), rest[int(head) + 1:]
            if answer.get("response"):
                return answer["data"]

    def message(self, text):
        self.command("message", text)

    def is_registered(self):
        return re.search(rb"SIP/2\.0 200 OK[^\0]*?CSeq: \d+ REGISTER", self.trace()) is not None

    def received(self):
        """Heads and bodies of the MESSAGEs in the trace."""
        plain = re.sub(rb"\x1b\[[0-9;]*m", b"", self.trace())
        found = []
        for match in re.finditer(rb"MESSAGE sip:[^\r\n]* SIP/2\.0\r\n.*?\r\n\r\n", plain, re.DOTALL):
            head = match.group()
            length = int(re.search(rb"\r\nContent-Length: (\d+)", head, re.IGNORECASE).group(1))
            found.append((head.decode(), plain[match.end():match.end() + length]))
        return found
