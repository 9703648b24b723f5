"""linphone-daemon as a phone: told what to do on its standard input, says what happens on its standard output."""
import functools
import json
import os
import pathlib
import re
import subprocess
import threading

from ports import free_ports

NOWHERE = "198.51.100.1"  # RFC 5737
CONFIG = """[sip]
default_proxy=0
sip_port=0
sip_tcp_port=0
sip_tls_port=0
guess_hostname=0
verify_server_certs=0
[auth_info_0]
username={user}
userid={username}
passwd={password}
realm={domain}
domain={domain}
[proxy_0]
reg_proxy=<sip:{server};transport={transport}>
reg_route=<sip:{server};transport={transport};lr>
reg_identity=sip:{user}@{domain}
reg_expires={expires}
reg_sendregister=1
publish=1
[friend_0]
url="Peer" <sip:{peer}>
pol=accept
subscribe=1
"""


# As its assistant writes what is typed into it.
PASTED = """[sip]
default_proxy=0
guess_hostname=0
[auth_info_0]
username={username}
passwd={password}
domain={domain}
[proxy_0]
reg_proxy={proxy}
reg_identity={address}
reg_expires=600
reg_sendregister=1
"""


@functools.cache
def give_way_out():
    """Every 5 s it looks for a way to a public address, and closes everything where there is none. A network namespace that
    has loopback alone gets one, which leads nowhere."""
    links = json.loads(subprocess.run(["ip", "-j", "link"], check=True, capture_output=True, timeout=10).stdout)
    if [link["ifname"] for link in links] == ["lo"] and os.geteuid() == 0:
        for what in (f"address replace {NOWHERE}/32 dev lo", f"route replace default dev lo src {NOWHERE}"):
            subprocess.run(["ip", *what.split()], check=False, capture_output=True, timeout=10)


class Linphone:
    """It subscribes to the presence of `peer`, and publishes its own; with what is `pasted` alone it only registers."""

    def __init__(self, folder, server, account, credential, peer, transport="udp", pasted=None, expires=600):
        give_way_out()
        self.folder = pathlib.Path(folder)
        (self.folder / ".local/share/linphone").mkdir(parents=True)  # or it cannot open its database
        user, domain = account.email.split("@")
        (self.folder / "rc").write_text(PASTED.format(**pasted) if pasted else CONFIG.format(
            user=user, username=credential["username"], password=credential["password"], domain=domain,
            server=f"{server[0]}:{server[1]}", transport=transport, peer=peer.email, expires=expires))
        self.log = self.folder / "log"
        self.output = b""
        self.process = subprocess.Popen(
            ["linphone-daemon", "--config", self.folder / "rc", "--log", self.log], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=self.folder,
            env={**os.environ, "HOME": str(self.folder)})
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        self.command(f"port sip {free_ports()} {transport}")  # or it has no listening point

    def _read(self):
        while chunk := os.read(self.process.stdout.fileno(), 65536):
            self.output += chunk

    def close(self):
        try:
            self.command("quit")
            self.process.wait(10)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait(10)
        self.thread.join(5)
        self.process.stdin.close()
        self.process.stdout.close()

    def command(self, text):
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def said(self):
        return self.output.decode("utf-8", "replace")

    def trace(self):
        """All that it sent and got, among its own remarks."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def is_registered(self):
        return re.search(r"SIP/2\.0 200 OK\r?\n(?:[^\r\n]+\r?\n)*CSeq: \d+ REGISTER", self.trace()) is not None

    def message(self, to, text):
        self.command(f"message sip:{to.email} {text}")

    def received(self):
        """[(from, content)] of the messages that it got."""
        return re.findall(r'Event-type: message-received\s+From: (\S+)\s+To: \S+\s+Id: \S+\s+Content: "(.*?)"\s',
                          self.said(), re.DOTALL)

    def notified(self):
        """Bodies of the presence documents that it got."""
        return re.findall(r"NOTIFY sip:.*?Content-Type: application/pidf\+xml.*?(<presence.*?</presence>)", self.trace(),
                          re.DOTALL)
