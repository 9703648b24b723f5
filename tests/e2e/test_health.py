"""/health and /metrics, and how the HTTP door does without its database."""
import concurrent.futures
import os
import re
import signal

import pytest
from answers import is_json, is_problem
from restsip_system import SMALL, preload


@pytest.fixture(scope="module", name="own_system")
def fixture_own_system(systems):
    """One for all tests of this file, which leave it running."""
    return systems("health", {**SMALL, "RESTSIP_DEMO": "no"})


def test_it_lives_and_is_ready(system):
    assert is_json(system.request("GET", "/health/live"))["status"] == "live"
    body = is_json(system.request("GET", "/health/ready"))
    assert body["status"] == "ready" and body["agents"] >= 1 and body["schema_version"] >= 1


def test_metrics_are_prometheus_text(system):
    answer = system.request("GET", "/metrics")
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    for line in answer.text.splitlines():
        assert line.startswith("# ") or re.fullmatch(r'[a-z_:]+(\{([a-z_]+="[^"]*",?)*\})? [0-9.+eE-]+', line), line
    assert "restsip_api_responses_total" in answer.text


def samples(system, name, until):
    """Of a metric: values by worker, or whichever labels there are."""
    def told():  # on a busy machine the database may be late, as for /health/ready
        answer = system.request("GET", "/metrics")
        return answer.text if answer.status_code == 200 else is_problem(answer, 503) and None
    text = until(told, 20)
    found = dict(re.findall(rf"^{name}{{(.*)}} ([0-9.]+)$", text, re.M))
    assert text.count(f"# TYPE {name} ") == 1
    block = text.split(f"# TYPE {name} ")[1].split("# ")[0]  # all of its samples are in one place
    assert block.count(name) == len(found)
    return found


def test_metrics_are_of_all_processes(systems, until):
    """Whichever worker answers; of one that has gone, no more."""
    system = systems("metrics", {"RESTSIP_DEMO": "no", "RESTSIP_WORKERS": "3"})
    workers = [name for name in system.names() if name.startswith("restsip-api")]
    assert len(workers) == 3

    def pids():
        return {re.search(r'pid="(\d+)"', labels)[1] for labels in samples(system, "restsip_api_requests", until)}

    def all_there():
        return pids() == {str(system.pid(name)) for name in workers}
    until(all_there, 15)
    for _ in range(30):
        assert system.request("GET", "/problems/busy").status_code == 200

    def answered():
        return sum(int(n) for labels, n in samples(system, "restsip_api_responses_total", until).items() if "2xx" in labels)
    until(lambda: answered() >= 30, 15)
    up = samples(system, "restsip_process_up", until)
    assert sorted(labels.split('"')[1] for labels in up) == ["restsip-agent", "restsip-stream"] and set(up.values()) == {"1"}
    system.kill_and_wait(workers[0])
    until(all_there, 25)
    last = 0
    for _ in range(20):  # a counter does not go back, whoever answers
        last, before = answered(), last
        assert last >= before
    system.down()


def test_they_need_no_credentials_and_take_no_wrong_ones_amiss(system):
    assert system.request("GET", "/health/live", auth=("x@example.net", "wrong")).status_code == 200


def test_without_its_database_it_answers_503_and_recovers(own_system, own_account, until):
    alice = own_account("alice")
    alice.token()
    own_system.kill("postgres")
    codes = set()

    def ask():
        answer = alice.request("GET", "/login/me")
        codes.add(answer.status_code)
        if answer.status_code != 200:
            is_problem(answer, 503)
        return answer.status_code == 200 and 503 in codes
    until(lambda: alice.request("GET", "/health/live").status_code == 200, 1)
    until(lambda: ask() or alice.request("GET", "/login/me").status_code == 200, 15)
    until(own_system.ready, 15)
    answer = alice.request("POST", "/login/me", json={"contact": "sip:a@192.0.2.1"})
    assert answer.status_code == 201, answer.text


def test_a_killed_worker_is_hardly_noticed(own_system, own_account, until):
    alice = own_account("alice")
    alice.token()
    names = [name for name in own_system.names() if name.startswith("restsip-api")]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for name in names * 2:
            reads = [pool.submit(alice.request, "GET", "/login/me") for _ in range(40)]
            own_system.kill_and_wait(name)
            codes = [read.result().status_code for read in reads]
            # a read may meet the dying worker twice; never anything but a problem
            assert set(codes) <= {200, 502, 503} and codes.count(200) >= 30, codes
    until(own_system.ready, 10)


def test_an_agent_that_hangs_is_none(systems, until):
    system = systems("hangs", {"RESTSIP_DEMO": "no", "RESTSIP_WATCHDOG_S": "0"})
    until(lambda: is_json(system.request("GET", "/health/ready"))["streams"] == 1)
    pid = system.kill("restsip-agent", signal.SIGSTOP)
    try:
        until(lambda: system.request("GET", "/health/ready").status_code == 503, 20)
        assert is_json(system.request("GET", "/health/ready"), 503)["status"] == "no-agent"
        agent, = system.query("select alive, dead_at from inspect.agent")
        assert agent == {"alive": False, "dead_at": None}, "it is not given up yet"
    finally:
        os.kill(pid, signal.SIGCONT)
    until(system.ready, 10)
    assert system.pid("restsip-agent") == pid


def test_a_full_disk_is_told(systems, folder, until):
    mark = folder / "disk-is-full"
    system = systems("full", {"RESTSIP_DEMO": "no", **preload("fulldisk"), "DISK_FULL": str(mark)})
    mark.touch()
    try:
        answer = system.request("GET", "/health/ready")
        assert is_json(answer, 503)["status"] == "no-writes" and "Retry-After" in answer.headers
    finally:
        mark.unlink()
    until(system.ready, 10)
