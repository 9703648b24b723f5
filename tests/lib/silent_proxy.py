"""In front of PostgreSQL's unix socket: connections that can be made slow, or to die without a word."""
import contextlib
import os
import random
import re
import selectors
import socket
import threading
import time

from restsip_system import until

PORT = ".s.PGSQL.5432"


class SilentProxy:
    """`folder`: where programs are to look for the socket; `behind`: where PostgreSQL's is."""

    def __init__(self, folder, behind):
        self.behind = os.path.join(behind, PORT)
        self.pairs = []  # (client, server, what the client has said)
        self.silent = set()
        self.slow = {}  # seconds that the answer to a statement takes, by a word of it
        self.jitter_s = 0  # what an answer to any takes, at most
        self.folder = str(folder)
        folder.mkdir(mode=0o755)
        path = str(folder / PORT)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        os.chmod(path, 0o777)
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self.behind)
            except OSError:
                return
            pair = (client, server, bytearray())
            self.pairs.append(pair)
            threading.Thread(target=self._forward, args=(pair,), daemon=True).start()

    def _forward(self, pair):
        client, server, said = pair
        answer_at = 0
        other = {client: server, server: client}
        with selectors.DefaultSelector() as ready:
            for end in other:
                ready.register(end, selectors.EVENT_READ)
            while True:
                for key, _ in ready.select():
                    try:
                        data = key.fileobj.recv(65536)
                    except OSError:
                        data = b""
                    if id(pair) in self.silent:
                        if data:
                            continue
                        ready.unregister(key.fileobj)
                        if not ready.get_map():
                            return
                        continue
                    if not data:
                        client.close()
                        server.close()
                        return
                    if key.fileobj is client:
                        said += data
                        pause_s = max((self.slow[word] for word in self.slow if word in data), default=0)
                        answer_at = time.monotonic() + pause_s + random.uniform(0, self.jitter_s)
                    else:
                        time.sleep(max(answer_at - time.monotonic(), 0))
                    with contextlib.suppress(OSError):  # it ends, and its end is read next
                        other[key.fileobj].sendall(data)

    def silence(self, word):
        """From now on nothing passes on the latest connection on which that was said, and neither end is told."""
        pair = next(p for p in reversed(self.pairs) if word in p[2] and p[0].fileno() >= 0)
        self.silent.add(id(pair))

    def close(self):
        self.listener.close()
        for client, server, _ in self.pairs:
            client.close()
            server.close()


def behind_proxy(systems, name):
    """A system whose agent and stream process reach the database by a proxy, `proxy`; a fixture's steps."""
    system = systems(name, {"RESTSIP_DEMO": "no"})
    text = system.ini.read_text()
    host = re.search(r"conninfo = host=(\S+)", text).group(1)
    system.proxy = SilentProxy(system.state.with_suffix(".proxy"), host)
    system.ini.write_text(text.replace(f"host={host}", f"host={system.proxy.folder}"))
    for program in ("restsip-agent", "restsip-stream"):
        system.kill_and_wait(program)
    until(lambda: len(system.proxy.pairs) > 10, 10)
    until(system.ready, 10)
    yield system
    system.down()
    system.proxy.close()
