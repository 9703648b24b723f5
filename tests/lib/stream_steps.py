"""Steps that tests of streams share."""
import http.client
import json
import socket
import time

from follower import LATER


def send(sender, to, body, **how):
    answer = sender.request("SEND", to.login, data=body, headers={"Content-Type": "text/plain"}, **how)
    assert answer.status_code == 202, answer.text
    return answer.json()


def status_of(sender, sent):
    return sender.request("GET", sent["url"]).json()["status"]


def register(account, contact, **more):
    answer = account.request("POST", account.login, json={"contact": contact, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


def contacts(event):
    return [c["contact"] for c in event.data]


def problem(stream, status, name):
    assert stream.status == status
    assert stream.headers["Content-Type"].startswith("application/problem+json")
    body = json.loads(stream.body)
    assert body["type"] == f"/problems/{name}" and body["request_id"]


def ended_with(stream, reason, timeout_s=1):
    assert stream.wait("end", timeout_s).data == {"reason": reason}
    stream.wait_end()


def private_call(owner, *invited):
    answer = owner.request("POST", "/call", json={"subject": "one", "open": False,
                                                  "invited": [account.email for account in invited]})
    assert answer.status_code == 201, answer.text
    return answer.json()["url"]


def patch(owner, path, **members):
    answer = owner.request("PATCH", path, json=members)
    assert answer.status_code == 200, answer.text


def insist(fn, timeout_s=15):
    """Calls fn until it is answered with 2xx."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = fn()
        if answer.status_code < 300:
            return answer
        assert answer.status_code in LATER, answer.text
        assert answer.headers["Retry-After"] and time.monotonic() < deadline
        time.sleep(0.05)


def slow_client(account):
    """A connection that asks for a stream and does not read it."""
    host, port = account.system.url[7:].split(":")
    client = http.client.HTTPConnection(host, int(port), timeout=10)
    client.sock = socket.socket()
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.sock.settimeout(10)
    client.sock.connect((host, int(port)))
    client.request("GET", account.login + "?stream", headers=account.headers)
    return client
