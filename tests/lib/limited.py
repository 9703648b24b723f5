"""Programs with less than they want: descriptors, or memory."""
import os
import re
import resource
import subprocess

import fastcgi
from ports import free_ports
from restsip_system import TOP, until

SANITIZED = os.environ.get("SANITIZE") == "1"  # a sanitizer wants all of the address space
ROOM = 4 << 20  # bytes that it may still get: enough for a request, not for a password's hash


def take_descriptors(pid):
    """From now on a process opens nothing more."""
    fds = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    lowest_free = next(n for n in range(len(fds) + 1) if n not in fds)
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest_free, hard))


def give_descriptors(pid):
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))


def take_memory(pid, room=ROOM):
    """From now on a process gets only so many bytes more, beside what it keeps for itself."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        kib = int(re.search(r"VmSize:\s+(\d+) kB", f.read()).group(1))
    owner = os.stat(f"/proc/{pid}")
    him = [] if owner.st_uid == os.geteuid() else [
        "setpriv", f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups"]
    subprocess.run([*him, "prlimit", f"--pid={pid}", f"--as={kib * 1024 + room}:"], check=True)


def memory_is_taken(log):
    """Whether a program has said that it ends for that."""
    return 'event=failed error="Cannot allocate memory"' in log and "event=no_memory where=program" in log


class Program:
    """One more program of a system, on a port of its own: restsip-api, restsip-stream or restsip-agent."""

    def __init__(self, system, name, log, descriptors=None):
        self.log_file, self.port = log, free_ports()
        kind = name.split("-")[1].upper()
        env = {k: v for k, v in os.environ.items() if not k.startswith("LISTEN_")}
        env |= {f"RESTSIP_{kind}_LISTEN": f"127.0.0.1:{self.port}", "RESTSIP_STREAM_NAME": f"limited {self.port}",
                "RESTSIP_AGENT_TLS_LISTEN": ""}
        few = ["prlimit", f"--nofile={descriptors}:{descriptors}"] if descriptors else []
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            [*few, TOP / os.environ.get("BUILD", "build") / name, "-c", system.ini], stderr=log.open("wb"), env=env)
        self.pid = self.process.pid

    def log(self):
        return self.log_file.read_text(errors="replace")

    def connect(self):
        return fastcgi.connect(self.port)

    def ask(self, *args, **kwargs):
        """One FastCGI request on a connection of its own: status, headers and body."""
        with self.connect() as s:
            s.sendall(fastcgi.request(*args, **kwargs))
            return fastcgi.answer(s)

    def lines(self, event):
        return [line for line in self.log().splitlines() if f" event={event} " in line]

    def end(self):
        self.process.terminate()
        until(lambda: self.process.poll() is not None, 30, "its end")
        assert self.process.returncode == 0, self.log()[-2000:]
        assert "Sanitizer" not in self.log()
