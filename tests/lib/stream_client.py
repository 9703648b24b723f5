"""A client of an open stream, in either format, on a thread of its own."""
import base64
import http.client
import json
import threading
import time


class Event:
    def __init__(self, name, event_id, data):
        self.name, self.id, self.data = name, event_id, data

    def __repr__(self):
        return f"{self.name}#{self.id} {self.data!r}"


class Stream:
    """GET that stays open. `status` and `headers` are there at once; events come as they come.

    last: resume from this id (Last-Event-ID). sse: as server-sent events, else ndjson.
    """

    def __init__(self, system, path, auth=None, token=None, sse=False, last=None, headers=None, timeout=60):
        self.events = []
        self.heartbeats = 0
        self.ended = False
        self.last_id = last
        self._changed = threading.Condition()
        host, port = system.url[7:].split(":")
        self._http = http.client.HTTPConnection(host, int(port), timeout=timeout)
        head = {"Accept": "text/event-stream" if sse else "application/x-ndjson", **(headers or {})}
        if auth:
            head["Authorization"] = "Basic " + base64.b64encode(":".join(auth).encode()).decode()
        if token:
            head["Authorization"] = "Bearer " + token
        if last:
            head["Last-Event-ID"] = last
        self._http.request("GET", path, headers=head)
        self.answer = self._http.getresponse()
        self._socket = self._http.sock
        self.status, self.headers = self.answer.status, self.answer.headers
        if self.status != 200:
            self.body = self.answer.read()
            self.close()
            return
        read = self._read_sse if sse else self._read_ndjson
        self._thread = threading.Thread(target=self._run, args=(read,), daemon=True)
        self._thread.start()

    def _run(self, read):
        try:
            read()
        except (OSError, http.client.HTTPException, ValueError, AttributeError):
            pass
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def _add(self, event):
        with self._changed:
            self.events.append(event)
            if event.id:
                self.last_id = event.id
            self._changed.notify_all()

    def _lines(self):
        while line := self.answer.readline():
            if not line.endswith(b"\n"):
                return  # cut off
            yield line[:-1].decode()

    def _read_ndjson(self):
        for line in self._lines():
            if not line:
                self.heartbeats += 1
                continue
            item = json.loads(line)
            self._add(Event(item["event"], item.get("id"), item["data"]))

    def _read_sse(self):
        fields = {}
        for line in self._lines():
            if line.startswith(":"):
                self.heartbeats += 1
            elif line:
                name, _, value = line.partition(":")
                fields[name] = value[1:] if value.startswith(" ") else value
            else:
                if "data" in fields:
                    self._add(Event(fields.get("event", "message"), fields.get("id"), json.loads(fields["data"])))
                fields = {}

    def wait(self, match, timeout_s=5):
        """The first event, from the beginning, for which match is true; match may be an event's name."""
        if isinstance(match, str):
            name, match = match, lambda event: event.name == name
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                for event in self.events:
                    if match(event):
                        return event
                left = deadline - time.monotonic()
                assert left > 0 and not self.ended, f"ended={self.ended}; came: {self.events}"
                self._changed.wait(left)

    def wait_message(self, body, timeout_s=5):
        return self.wait(lambda e: e.name == "message" and e.data.get("body") == body, timeout_s)

    def wait_end(self, timeout_s=5):
        with self._changed:
            assert self._changed.wait_for(lambda: self.ended, timeout_s), f"still open: {self.events}"

    def named(self, name):
        with self._changed:
            return [event for event in self.events if event.name == name]

    def bodies(self):
        return [event.data.get("body") for event in self.named("message")]

    def close(self):
        try:
            if self._socket:
                self._socket.shutdown(2)
        except OSError:
            pass
        self._http.close()
