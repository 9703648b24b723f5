"""Two workers on the unix socket and two on TCP sockets, as on another host, behind one nginx."""
import base64
import collections
import http.client
import itertools
import json
import os
import random
import re
import signal
import threading
import time
import urllib.parse

import psycopg
import pytest

import fastcgi
from answers import time_in
from restsip_system import Account

CLIENTS = 8
DEADLINE_S = 90
METHODS = {"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "SEND", "CANCEL"}
LINE = re.compile(r"\bevent=request request_id=(\w{32}) method=(\w+) ")


@pytest.fixture(scope="module")
def mixed(systems):
    made = systems("mixed", {"RESTSIP_WORKERS": "2", "RESTSIP_TCP_WORKERS": "2", "RESTSIP_DEMO": "no",
                             "RESTSIP_LOG_LEVEL": "debug"})
    yield made
    made.down()


@pytest.fixture
def user(mixed):
    email, password = f"user-{os.urandom(4).hex()}@example.net", "first-password"
    answer = mixed.request("POST", "/user", json={"email": email, "password": password})
    assert answer.status_code == 201, answer.text
    return Account(mixed, email, password)


def workers(system):
    return [name for name in system.names() if name.startswith("restsip-api")]


def on_tcp(system):
    lines = (system.state / "programs").read_text().splitlines()
    return {line.split("\t")[1] for line in lines if "RESTSIP_API_LISTEN=" in line}


def served(system):
    """By worker: the (id, method) of all requests that stand in its log."""
    return {name: LINE.findall(system.log(name)) for name in workers(system)}


class Connection:
    """A kept connection; what it asked is counted for all of a test."""

    def __init__(self, user, ids):
        url = urllib.parse.urlsplit(user.system.url)
        self.http = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
        self.user, self.ids = user, ids

    def ask(self, method, path, status, body=None, **headers):
        """The JSON of an answer that has to have that status."""
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body)
        kind = {"Content-Type": "application/json"} if data else {}
        self.http.request(method, path, data, {**self.user.headers, **kind, **headers})
        answer = self.http.getresponse()
        text = answer.read()
        assert answer.status == status, (method, path, answer.status, text)
        self.ids.append(answer.headers["X-Request-Id"])
        return json.loads(text) if text and method != "HEAD" else None


# What one client does; each request may be on another worker than the one before it.

def register(c, number):
    contact = f"sip:c{number}-{os.urandom(3).hex()}@192.0.2.1"
    made = c.ask("POST", "/login/me", 201, {"contact": contact})
    assert contact in [item["contact"] for item in c.ask("GET", "/login/me", 200)]
    assert c.ask("PUT", made["self"], 200, {"contact": contact, "note": "x"})["id"] == made["id"]
    assert c.ask("GET", made["self"], 200)["note"] == "x"
    c.ask("HEAD", made["self"], 200)
    c.ask("DELETE", made["self"], 204)
    c.ask("GET", made["self"], 404)


def send(c, number):
    key = os.urandom(8).hex()
    path = c.user.login + "?send_at=" + time_in(86400)
    sent = c.ask("SEND", path, 202, {"number": number}, **{"Idempotency-Key": key})
    assert c.ask("SEND", path, 202, {"number": number}, **{"Idempotency-Key": key})["id"] == sent["id"]
    assert c.ask("GET", sent["url"], 200)["status"] == "queued"
    assert c.ask("CANCEL", sent["url"], 200)["status"] == "cancelled"
    assert c.ask("GET", sent["url"], 200)["status"] == "cancelled"


def call(c, number):
    made = c.ask("POST", "/call", 201, {"subject": f"number {number}"})
    part = c.ask("POST", made["url"], 201, {"url": c.user.login, "session": "rtsp://..."})
    assert [x["url"] for x in c.ask("GET", made["url"], 200)["children"]] == [part["url"]]
    c.ask("PATCH", made["url"], 200, {"subject": "another"})
    assert c.ask("GET", made["url"], 200)["subject"] == "another"
    c.ask("DELETE", part["url"], 204)
    c.ask("DELETE", made["url"], 204)
    c.ask("GET", made["url"], 404)


def mail(c, number):
    text = f"number {number}".encode()
    made = c.ask("POST", f"/user/{c.user.email}/messages", 201, text, **{"Content-Type": "text/plain"})
    path = f"/user/me/messages/{made['id']}"
    assert c.ask("PATCH", path, 200, {"seen": True})["seen"] is True
    assert c.ask("GET", path, 200, **{"Accept": "application/json"})["seen"] is True
    c.ask("DELETE", path, 204)
    c.ask("OPTIONS", path, 204)


def profile(c, number):
    c.ask("PATCH", "/user/me", 200, {f"member{number}": number})
    assert c.ask("GET", "/user/me", 200)[f"member{number}"] == number
    c.ask("GET", "/nothing/here", 404)


SCRIPTS = (register, send, call, mail, profile)


def all_served_all(system, since):
    """Whether each worker was asked with each method since then."""
    return all({method for _, method in lines[since[name]:]} >= METHODS for name, lines in served(system).items())


def test_one_clients_requests_in_any_mixture(mixed, user):
    assert len(workers(mixed)) == 4
    user.token()
    since = {name: len(lines) for name, lines in served(mixed).items()}
    stop, wrong, ids = threading.Event(), [], []

    def client(number):
        rng = random.Random(number)
        connection = Connection(user, ids)
        try:
            while not stop.is_set():
                rng.choice(SCRIPTS)(connection, number)
        except Exception as e:  # pylint: disable=broad-except
            wrong.append(e)
        connection.http.close()
    threads = [threading.Thread(target=client, args=(i,), daemon=True) for i in range(CLIENTS)]
    for thread in threads:
        thread.start()
    sharing = itertools.cycle([name for name in workers(mixed) if name not in on_tcp(mixed)])
    try:
        deadline = time.monotonic() + DEADLINE_S
        while not wrong and not all_served_all(mixed, since):
            assert time.monotonic() < deadline, "each method at each worker"
            # nginx keeps its connections: while one of the two on a socket rests, the other takes the new ones.
            resting = next(sharing)
            mixed.kill(resting, signal.SIGSTOP)
            stop.wait(0.2)
            mixed.kill(resting, signal.SIGCONT)
            stop.wait(0.5)
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert not wrong, wrong
    # Each request was executed, by one worker, once.
    lines = [request_id for name, got in served(mixed).items() for request_id, _ in got[since[name]:]]
    counted = collections.Counter(lines)
    assert len(set(ids)) == len(ids)
    assert {counted[x] for x in ids} == {1}


def test_a_new_password_ends_the_old_one_at_every_worker(mixed, user):
    """Each worker remembers for a minute that a password was right; those on TCP can be asked one by one."""
    programs = (mixed.state / "programs").read_text()
    ports = [int(port) for port in re.findall(r"RESTSIP_API_LISTEN=127\.0\.0\.1:(\d+)", programs)]
    assert len(ports) == 2

    def statuses(password):
        basic = "Basic " + base64.b64encode(f"{user.email}:{password}".encode()).decode()
        for port in ports:
            with fastcgi.connect(port) as s:
                s.sendall(fastcgi.request("GET", "/user/me", HTTP_AUTHORIZATION=basic))
                yield fastcgi.answer(s)[0]

    assert list(statuses("first-password")) == [200, 200]
    assert user.system.request("PATCH", "/user/me", auth=(user.email, "first-password"),
                               json={"password": "second-password"}).status_code == 200
    assert list(statuses("first-password")) == [401, 401]
    assert list(statuses("second-password")) == [200, 200]


# ---- a worker without a database ----

@pytest.fixture(name="limited")
def fixture_limited(systems):
    """A system with two workers, of which one, or both, can be kept from the database: limited(1)."""
    system = systems("limited", {"RESTSIP_WORKERS": "2", "RESTSIP_DEMO": "no"})
    admin = system.pg_owner.replace("user=restsip_owner", "user=postgres")
    ours = "select count(*)::int as n from pg_stat_activity where usename = 'restsip_api'"
    each = system.query(ours, conninfo=admin)[0]["n"] // 2

    def limit(workers):
        with psycopg.connect(admin, autocommit=True) as db:
            db.execute(f"alter role restsip_api connection limit {-1 if workers == 2 else each * workers}")
        for number in range(2, workers, -1):
            system.kill_and_wait(f"restsip-api-{number}")
    limit.system = system
    yield limit
    limit(2)


def test_one_without_the_database_leaves_requests_to_one_with_it(limited, until):
    system = limited.system
    user = system.account("limited@example.net")
    user.token()
    limited(1)
    assert [user.request("GET", "/login/me").status_code for _ in range(50)] == [200] * 50
    assert system.ready()
    came = system.log("restsip-api-2").count("event=database_up")
    limited(2)
    until(lambda: system.log("restsip-api-2").count("event=database_up") > came, 10)


def test_where_none_has_it_they_say_so(limited, until):
    user = limited.system.account("unlimited@example.net")
    user.token()
    limited(0)
    answers = [user.request("GET", "/login/me") for _ in range(3)]
    assert [(a.status_code, "Retry-After" in a.headers) for a in answers] == [(503, True)] * 3
    assert not limited.system.ready()
    limited(2)
    until(limited.system.ready, 10)
    assert user.request("GET", "/login/me").status_code == 200
