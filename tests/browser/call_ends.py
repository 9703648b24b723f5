"""Ends of a call that have media: a page in Chromium, and baresip. Each plays a tone and says what it hears."""
import array
import re
import socket
import time

from baresip import Baresip, RATE, WAV_HEAD, pitch, play
from linphone import Linphone

LOUD_DB = -60
LISTEN_S = 0.5
MEDIA = """module srtp.so
module dtls_srtp.so
module ice.so
module_app cons.so
cons_listen 127.0.0.1:{keys}
rtcp_mux yes
"""
WEBRTC = ";mediaenc=dtls_srtp;medianat=ice"


class Page:
    """call_page.html, in a browser whose microphone plays `hz`."""

    keeps_its_ear = True

    def __init__(self, browser, url, hz):
        self.browser, self.url, self.hz = browser, url, hz

    def sign_in(self, account):
        self.browser.get(self.url)
        self.run("signIn", account.system.url, account.email, account.password)
        return self

    def run(self, function, *args):
        """What a function of the page returns."""
        said = self.browser.execute_async_script(
            """const [name, args, done] = arguments;
            window[name](...args).then((is) => done({ is }), (error) => done({ error: String(error) }));""", function, args)
        assert "error" not in said, (said, self.diary())
        return said["is"]

    def see(self, expression):
        return self.browser.execute_script(f"return {expression}")

    def diary(self):
        return "\n".join(self.see("page.log"))

    def dial(self, to, **more):
        self.run("dial", to.email, more)

    def rings(self):
        return self.see("!!page.ringing")

    def accept(self):
        self.run("accept")

    def hang_up(self):
        self.run("hangUp")

    def hold(self):
        self.run("hold", True)

    def resume(self):
        self.run("hold", False)

    def is_up(self):
        return self.see("!!(page.call && page.call.up && page.call.pc.connectionState === 'connected')")

    def is_free(self):
        return self.see("!page.call || !!page.call.over")

    def has_stopped(self):
        """Another has answered."""
        return self.see("page.cancelled === 'answered-elsewhere'")

    def hears(self):
        """In hertz; 0 for silence."""
        heard = self.run("heard")
        return heard["hz"] if heard and heard["db"] > LOUD_DB else 0

    def packets(self):
        """So many have come in."""
        return (self.run("heard") or {}).get("packets", 0)

    def close(self):
        self.see("page.call && !page.call.over && end(page.call)")


class Desk(Baresip):
    """baresip as a phone on the desk, with plain RTP; or WebRTC, as a page. It plays `hz`."""

    keeps_its_ear = False  # what baresip 1.0.0 writes down of a call ends with its first hold

    def __init__(self, folder, server, account, peer, until, hz, address, is_web):  # pylint: disable=too-many-arguments
        self.hz, self.is_web = hz, is_web
        super().__init__(folder, server, account, account.credential(), peer, until, params=WEBRTC if is_web else "",
                         tone=hz, interface=address, settings=lambda port: MEDIA.format(keys=port))

    def _key(self, key):
        """What has no name for the control socket."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.sendto(key, ("127.0.0.1", self.keys))

    def diary(self):
        return self.said()

    def dial(self, to):
        self.command("dial", f"sip:{to.email}")

    def rings(self):
        return "INCOMING" in self.ask("listcalls")

    def accept(self):
        self.command("accept")

    def hang_up(self):
        self.command("hangup")

    def hold(self):
        self._key(b"x")

    def resume(self):
        self._key(b"X")

    def is_up(self):
        return "ESTABLISHED" in self.ask("listcalls")

    def is_free(self):
        return "Active calls (0)" in self.ask("listcalls")

    def has_stopped(self):
        """Another has answered."""
        return "CANCEL sip:" in self.said()

    def hears(self):
        """The tone of the next moment, in hertz; 0 for silence, or where nothing comes."""
        wanted = 2 * int(LISTEN_S * RATE)
        before = {path: path.stat().st_size for path in self.heard.glob("*-dec.wav")}
        deadline = time.monotonic() + 2 * LISTEN_S
        while time.monotonic() < deadline:
            for path in self.heard.glob("*-dec.wav"):
                now = path.stat().st_size // 2 * 2
                if now - max(before.get(path, 0), WAV_HEAD) >= wanted:
                    return pitch(array.array("h", path.read_bytes()[now - wanted:now]))
            time.sleep(0.05)
        return 0


class Soft(Linphone):
    """linphone-daemon, with plain RTP. It has no ear that could be read, and no voice before speak()."""

    def __init__(self, *args, hz):
        self.hz = hz
        super().__init__(*args)

    def _state(self):
        found = re.findall(r"Event-type: call-state-changed\s+Event: LinphoneCall(\w+)", self.said())
        return found[-1] if found else None

    def diary(self):
        return self.said()

    def dial(self, to):
        self.command(f"call sip:{to.email}")

    def rings(self):
        return self._state() == "IncomingReceived"

    def accept(self):
        self.command("answer")

    def speak(self):
        play(self.folder / "tone.wav", self.hz)
        self.command(f"incall-player-start {self.folder / 'tone.wav'}")

    def hang_up(self):
        self.command("terminate")

    def is_up(self):
        return self._state() == "StreamsRunning"

    def is_free(self):
        return self._state() in (None, "End", "Error", "Released")
