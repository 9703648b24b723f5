"""What the HTTP door answered in a test run, for test_openapi.py to hold against the interface's description."""
import json
import tempfile
import threading

_FILE = tempfile.TemporaryFile("w+", encoding="utf-8")  # pylint: disable=consider-using-with
_LOCK = threading.Lock()


def record(method, path, headers, answer, streamed):
    """Keeps one answer; the body only where it was read as a whole."""
    override = (headers or {}).get("X-HTTP-Method-Override")
    if method == "POST" and override:
        method = override if isinstance(override, str) else override.decode("latin-1")
    kind = answer.headers.get("Content-Type")
    has_json = kind in ("application/json", "application/problem+json") and method != "HEAD" and not streamed
    line = json.dumps({"method": method, "path": path, "status": answer.status_code, "type": kind,
                       "headers": dict(answer.headers), "body": answer.text if has_json else None})
    with _LOCK:
        _FILE.seek(0, 2)
        _FILE.write(line + "\n")


def recorded():
    """All of them, oldest first."""
    with _LOCK:
        _FILE.seek(0)
        return [json.loads(line) for line in _FILE]
