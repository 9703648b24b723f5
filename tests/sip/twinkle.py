"""Twinkle's console as a phone: told what to do on its standard input. It knows UDP and TCP, but no TLS."""
import os
import pathlib
import re
import subprocess

from ports import free_ports

USER = """user_name={user}
user_domain={domain}
auth_name={username}
auth_pass={password}
outbound_proxy={server}
all_requests_to_proxy=yes
registrar={server}
registration_time={expires}
register_at_startup=yes
sip_transport={transport}
im_send_iscomposing=no
pres_publish_startup=yes
mwi_sollicited=yes
mwi_user={user}
mwi_server={domain}
mwi_via_proxy=yes
"""
SYSTEM = """dev_ringtone=oss:/dev/null
dev_speaker=oss:/dev/null
dev_mic=oss:/dev/null
validate_audio_dev=no
log_show_sip=yes
sip_port={port}
rtp_port={rtp}
"""


class Twinkle:
    """It publishes that it is there, and subscribes to its messages' summary. `password`: another than its own."""

    def __init__(self, folder, account, transport="udp", expires=600, password=None):
        self.folder = pathlib.Path(folder)
        (self.folder / ".twinkle").mkdir(parents=True)
        self.log = self.folder / ".twinkle/twinkle.log"
        user, domain = account.email.split("@")
        credential = account.credential()
        server = "{}:{}".format(*account.system.sip)
        port = free_ports(2)
        (self.folder / ".twinkle/me.cfg").write_text(USER.format(
            user=user, domain=domain, username=credential["username"], password=password or credential["password"],
            server=server, transport=transport, expires=expires))
        (self.folder / ".twinkle/twinkle.sys").write_text(SYSTEM.format(port=port, rtp=port + 1))
        with open(self.folder / "said", "wb") as said:
            self.process = subprocess.Popen(
                ["twinkle-console", "me.cfg"], stdin=subprocess.PIPE, stdout=said, stderr=subprocess.STDOUT,
                cwd=self.folder, env={**os.environ, "HOME": str(self.folder)})

    def close(self):
        try:
            self.command("quit")
            self.process.wait(10)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait(10)
        self.process.stdin.close()

    def command(self, text):
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def said(self):
        return (self.folder / "said").read_text(errors="replace")

    def trace(self):
        """All that it sent and got, among its own remarks."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def is_registered(self):
        return "registration succeeded" in self.said()

    def message(self, to, text):
        self.command(f'message {to.email} "{text}"')

    def received(self):
        """[(from, content)] of the messages that it got."""
        return re.findall(r"Received message\nFrom:\t\t(\S+)\nTo:\t\t\S+\n\n(.*?)\n\n", self.said(), re.DOTALL)
