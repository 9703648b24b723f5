"""What tests say of answers of the HTTP door, and of times in requests."""
import datetime
import re

TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")


def time_in(seconds):
    """The time in so many seconds, as requests and answers write it."""
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_problem(answer, status, slug=None, pointer=None):
    """The answer is that problem (RFC 9457); returns its body."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert re.fullmatch(r"/problems/[a-z0-9-]+", body["type"])
    assert body["title"]
    assert body["request_id"] == answer.headers["X-Request-Id"]
    if slug:
        assert body["type"] == f"/problems/{slug}", body
    if pointer is not None:
        assert [e["pointer"] for e in body["errors"]] == [pointer], body
    if status == 401:
        assert "Bearer" in answer.headers["WWW-Authenticate"]
        asked = getattr(answer, "request", None)  # who has a token is not asked for a password
        if asked is not None:
            token = asked.headers.get("Authorization", "").lower().startswith("bearer") or "ticket=" in asked.url
            assert ("Basic realm=" in answer.headers["WWW-Authenticate"]) != token
    if status == 503:
        assert answer.headers["Retry-After"]
    return body


def is_json(answer, status=200):
    """The answer is JSON with that status; returns its body."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    assert answer.headers["Content-Type"] == "application/json"
    return answer.json()


def is_empty(answer, status=204):
    assert answer.status_code == status, (answer.status_code, answer.text)
    assert answer.content == b""
