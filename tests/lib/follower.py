"""A client that comes back: whenever its stream ends, with Last-Event-ID."""
import threading
import time

from stream_client import Stream

LATER = (502, 503, 504)


class Follower:
    def __init__(self, account, path=None, sse=False):
        self.account, self.path, self.sse = account, path or account.login, sse
        self.refused = []  # answers that were neither a stream nor "later"
        self._past, self._stream, self._stopped = [], None, False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        last = None
        while not self._stopped:
            try:
                stream = Stream(self.account.system, self.path, token=self.account.token(), sse=self.sse, last=last)
            except OSError:
                time.sleep(0.05)
                continue
            if stream.status != 200:
                if stream.status not in LATER or not stream.headers["Retry-After"]:
                    self.refused.append((stream.status, stream.body))
                time.sleep(0.1)
                continue
            with self._lock:
                self._stream = stream
            while not self._stopped and not stream.ended:
                time.sleep(0.01)
            with self._lock:
                self._past += stream.events
                self._stream = None
            last = stream.last_id
            stream.close()

    def cut(self):
        """Breaks its connection, if it has one."""
        with self._lock:
            if self._stream:
                self._stream.close()

    def connected(self):
        with self._lock:
            return self._stream is not None and not self._stream.ended

    def events(self):
        """All that came, over all streams."""
        with self._lock:
            return self._past + (list(self._stream.events) if self._stream else [])

    def bodies(self):
        return [e.data.get("body") for e in self.events() if e.name == "message"]

    def last_doc(self):
        """The resource as this client knows it."""
        return next((e.data for e in reversed(self.events()) if e.name in ("state", "change")), None)

    def stop(self):
        self._stopped = True
        self._thread.join(5)
