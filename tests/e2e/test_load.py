"""The HTTP door under load: nobody is left waiting, nothing grows, nothing is done twice."""
import http.client
import os
import pathlib
import threading
import time
import urllib.parse

import pytest
import requests

from restsip_system import until

LONG = os.environ.get("RESTSIP_LONG") == "1"
KILLS = 200 if LONG else 20
CLIENTS = 64
ROUNDS = 15
TEXT = {"Content-Type": "text/plain"}


@pytest.fixture(scope="module")
def busy(systems):
    made = systems("busy", {"RESTSIP_WORKERS": "4", "RESTSIP_DEMO": "no"})
    made.query_owner("select inspect.set_bound('sends_stored', 1000000)")  # nobody takes what is sent here
    return made


def make(system, email):
    answer = system.request("POST", "/user", json={"email": email, "password": "p" * 12})
    assert answer.status_code == 201, answer.text
    token = system.request("POST", "/session", auth=(email, "p" * 12)).json()["token"]
    return {"Authorization": f"Bearer {token}"}


def kept(system):
    url = urllib.parse.urlsplit(system.url)
    return http.client.HTTPConnection(url.hostname, url.port, timeout=20)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_of_64_kept_clients_none_goes_unanswered(busy, method):
    headers = {**make(busy, f"fair-{method.lower()}@example.net"), "Content-Type": "application/json"}
    gate = threading.Barrier(CLIENTS)
    codes, worst, lock = [], [], threading.Lock()

    def client(number):
        connection = kept(busy)
        gate.wait()
        mine, slowest = [], 0
        for _ in range(ROUNDS):
            body = b'{"contact":"sip:a@192.0.2.%d"}' % (number % 20) if method == "POST" else None
            started = time.monotonic()
            connection.request(method, "/login/me", body, headers)
            answer = connection.getresponse()
            answer.read()
            mine.append(answer.status)
            slowest = max(slowest, time.monotonic() - started)
        connection.close()
        with lock:
            codes.extend(mine)
            worst.append(slowest)
    threads = [threading.Thread(target=client, args=(i,), daemon=True) for i in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(codes) == CLIENTS * ROUNDS and set(codes) <= {200, 201}
    assert len(worst) == CLIENTS


def test_a_refusal_among_reads_that_share_a_round_trip_is_its_own_alone(busy):
    """Reads that wait at the same time go to the database together; one that is refused must not show in another."""
    headers = make(busy, "batch@example.net")
    busy.request("PUT", "/login/me", json={"contact": "sip:a@192.0.2.1"}, headers=headers)
    asks = [("/login/me", headers, 200), ("/login/nobody@example.net", headers, 404), ("/user/me", headers, 200),
            ("/login/me", {"Authorization": "Bearer wrong"}, 401), ("/login/batch@example.net/99", headers, 404),
            ("/call/1", headers, 404), ("/user/me/messages", headers, 200), ("/login", headers, 200)]
    expected = {path: busy.request("GET", path, headers=of).text for path, of, code in asks if code == 200}
    wrong, gate = [], threading.Barrier(16)

    def client(number):
        connection = kept(busy)
        gate.wait()
        for i in range(100):
            path, of, code = asks[(number * 3 + i) % len(asks)]
            connection.request("GET", path, headers=of)
            answer = connection.getresponse()
            text = answer.read().decode()
            if answer.status != code or code == 200 and text != expected[path]:
                wrong.append((path, code, answer.status, text))
        connection.close()
    threads = [threading.Thread(target=client, args=(i,), daemon=True) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def rss_kib(system):
    """Memory of each worker by name."""
    out = {}
    for name in system.names():
        if name.startswith("restsip-api"):
            status = pathlib.Path(f"/proc/{system.pid(name)}/status").read_text()
            out[name] = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))
    return out


@pytest.mark.skipif(os.environ.get("SANITIZE") == "1",
                    reason="AddressSanitizer keeps what was freed; its own leak check looks instead")
def test_memory_does_not_grow_with_the_number_of_requests(busy):
    headers = {**make(busy, "memory@example.net"), "Content-Type": "application/json"}
    requests_of = [("GET", "/login/me", None), ("PUT", "/login/me", b'{"contact":"sip:a@192.0.2.1","x":"%s"}' % (b"y" * 3000)),
                   ("GET", "/user/nobody@example.net", None), ("POST", "/login/me", b"{" * 40),
                   ("PATCH", "/user/me", b'{"v":[%s1]}' % (b"1," * 2000)), ("GET", "/nothing", None)]

    def some(n):
        connection = kept(busy)
        for i in range(n):
            connection.request(*requests_of[i % len(requests_of)], headers)
            connection.getresponse().read()
        connection.close()

    def round_of(n):
        threads = [threading.Thread(target=some, args=(n,), daemon=True) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    round_of(150)  # whatever is made once is made
    before = rss_kib(busy)
    round_of(300)
    after = rss_kib(busy)
    # 2,400 requests: one that leaks 1 KiB would show
    assert sum(after.values()) - sum(before.values()) < 1500, (before, after)


@pytest.mark.timeout(1800 if LONG else 180)
@pytest.mark.parametrize("with_key", [False, True], ids=["plain", "with-a-key"])
def test_a_send_is_never_executed_twice_when_workers_die(busy, with_key):
    tag = "key" if with_key else "plain"
    headers = {**make(busy, f"sender-{tag}@example.net"), **TEXT}
    make(busy, f"receiver-{tag}@example.net")
    stop, lock, answered, asked = threading.Event(), threading.Lock(), {}, []

    def one(session, text, key):
        try:
            more = {"Idempotency-Key": key} if key else {}
            answer = session.request("SEND", f"{busy.url}/login/receiver-{tag}@example.net", data=text.encode(),
                                     headers={**headers, **more}, timeout=20)
            return answer.status_code, answer.json()
        except (requests.RequestException, ValueError):
            return 0, {}

    def client(number):
        session, i = requests.Session(), 0
        while not stop.is_set():
            i += 1
            text = f"{number}.{i}"
            with lock:
                asked.append(text)
            code, body = one(session, text, text if with_key else None)
            while with_key and code != 202:  # the same again, until it is known to be done
                time.sleep(0.02)
                code, body = one(session, text, text)
            if code == 202:
                with lock:
                    answered[text] = body["id"]
    threads = [threading.Thread(target=client, args=(i,), daemon=True) for i in range(6)]
    for thread in threads:
        thread.start()
    names = [name for name in busy.names() if name.startswith("restsip-api")]
    for i in range(KILLS):
        seen = len(answered)
        busy.kill_and_wait(names[i % len(names)])
        until(lambda: len(answered) > seen, 10, "requests go on")  # pylint: disable=cell-var-from-loop
    stop.set()
    for thread in threads:
        thread.join()
    rows = busy.query_owner("""select s.n, convert_from(s.body, 'UTF8') as text from app.send s
        join app.account a on a.id = s.account_id where a.email = %s""", (f"receiver-{tag}@example.net",))
    there = {}
    for row in rows:
        assert row["text"] not in there, f"{row['text']} was sent twice"
        there[row["text"]] = row["n"]
    assert set(there) <= set(asked)
    assert {text: there.get(text) for text in answered} == answered
    if with_key:
        assert set(there) == set(asked) == set(answered)
