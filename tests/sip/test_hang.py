"""A program that hangs is noticed, killed and started again, and what was acknowledged is there, once."""
import contextlib
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import sys
import time

import pytest
from follower import Follower
from ports import free_ports
from restsip_system import TOP

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "e2e"))
# pylint: disable=wrong-import-position,wrong-import-order
from test_ledger import Clients, Ledger

LONG = os.environ.get("RESTSIP_LONG") == "1"
WATCHDOG_S = 15 if LONG else 4  # that is what deploy/systemd says, too
NOTICED_S = WATCHDOG_S + 5
PROGRAMS = ("restsip-agent", "restsip-stream", "restsip-api")


@pytest.fixture(scope="module", name="watched")
def fixture_watched(systems):
    """One for all tests of this file, which leave it running."""
    return systems("watched", {"RESTSIP_DEMO": "no", "RESTSIP_WATCHDOG_S": str(WATCHDOG_S)})


def acknowledged(ledger, kind):
    return {entry.body for entry in ledger.of(kind) if entry.acknowledged}


@contextlib.contextmanager
def started(folder, program, notify, limit_us):
    """A program without a database, which says to this socket that it turns."""
    ini = folder / "restsip.ini"
    ini.write_text(f"[database]\nconninfo = host={folder} dbname=nothing\n[http]\ndomains = example.net\n"
                   f"[api]\nlisten = unix:{folder}/api\n[stream]\nlisten = unix:{folder}/stream\n"
                   f"[agent]\nlisten = 127.0.0.1:{free_ports()}\n")
    notify.bind(str(folder / "notify"))
    notify.settimeout(10)
    env = {k: v for k, v in os.environ.items() if k != "WATCHDOG_PID"}
    env |= {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": limit_us}
    with subprocess.Popen([TOP / os.environ.get("BUILD", "build") / program, "-c", ini], env=env,
                          stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("name", PROGRAMS)
def test_who_hangs_is_started_again(watched, phone, until, name):
    if name == "restsip-api":
        name += "-1"
    alice, bob, erin = (watched.account(f"{n}-{name}@example.net") for n in ("alice", "bob", "erin"))
    p, follower, ledger = phone(erin), Follower(alice), Ledger()
    assert p.register().code == 200
    until(follower.connected)
    clients = Clients(ledger)
    clients.start(clients.send, "streamed", bob, alice)
    clients.start(clients.send, "sip", bob, erin)
    until(lambda: len(acknowledged(ledger, "sip")) > 5)

    pid = watched.kill(name, signal.SIGSTOP)
    until(lambda: watched.pid(name) != pid, NOTICED_S)
    until(watched.ready, 10)
    until(follower.connected, 10)
    before = {kind: len(acknowledged(ledger, kind)) for kind in ("streamed", "sip")}
    until(lambda: all(len(acknowledged(ledger, kind)) > n + 5 for kind, n in before.items()), 30)
    clients.stop()
    assert f"event=hangs name={name} pid={pid}" in watched.log("supervisor")

    until(lambda: acknowledged(ledger, "streamed") <= set(follower.bodies()), 10)
    assert len(follower.bodies()) == len(set(follower.bodies()))

    def came():  # what is sent once more has the same Call-ID, by which phones know it
        return [body for _, body in {(m.get("call-id"), m.body.decode())
                                     for m in p.seen if not m.is_response and m.method == "MESSAGE"}]
    until(lambda: acknowledged(ledger, "sip") <= set(came()), 40)
    assert len(came()) == len(set(came()))
    assert ledger.odd == [] and follower.refused == []
    follower.stop()


def test_nobody_is_killed_for_a_pause_of_all(watched, until):
    """As when a machine is suspended: who could not speak has not hung."""
    names = ("restsip-agent", "restsip-stream", "restsip-api-1", "restsip-api-2")
    pids = [watched.pid(name) for name in names]
    hung = watched.log("supervisor").count("event=hangs")
    supervisor = int(pathlib.Path(f"/proc/{pids[0]}/stat").read_text().rsplit(")", 1)[1].split()[1])
    thaw = time.monotonic() + WATCHDOG_S + 3
    try:
        for pid in (supervisor, *pids):
            os.kill(pid, signal.SIGSTOP)
        until(lambda: time.monotonic() > thaw, WATCHDOG_S + 10)
    finally:
        for pid in (supervisor, *pids):
            os.kill(pid, signal.SIGCONT)
    until(watched.ready, 20)
    assert [watched.pid(name) for name in names] == pids and watched.log("supervisor").count("event=hangs") == hung


@pytest.mark.parametrize("program", PROGRAMS)
def test_who_listens_no_more_holds_up_nobody(tmp_path, program):
    """Whoever watches stands still, and its queue is full: the program turns on, and ends when it is told to."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, started(tmp_path, program, notify, "30000") as process:
        notify.recv(4096)
        deadline = time.monotonic() + 2  # in which it says more than the queue holds
        while time.monotonic() < deadline and process.poll() is None:
            select.select([], [], [], 0.1)
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize("program", PROGRAMS)
def test_it_says_that_it_serves_and_that_it_turns(tmp_path, program):
    """As systemd asks for it, and without a database too: that may come later."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, started(tmp_path, program, notify, "600000"):
        for _ in range(3):
            assert set(notify.recv(4096).decode().split("\n")) >= {"READY=1", "WATCHDOG=1"}


@pytest.mark.parametrize("unit", ["restsip-agent@", "restsip-api@", "restsip-stream"])
def test_systemd_is_told_to_listen(unit):
    lines = (TOP / f"deploy/systemd/{unit}.service").read_text().splitlines()
    assert {"Type=notify", "WatchdogSec=15", "WatchdogSignal=SIGKILL", "TimeoutStartSec=30", "TimeoutStartFailureMode=kill",
            "Restart=always"} <= set(lines)


def test_who_hangs_during_its_start_is_started_again(tmp_path, until):
    """It never says a word. Who is not asked for one, as PostgreSQL, may be silent."""
    (tmp_path / "list").write_text("program\thangs\tTERM\t-\twatched\t/bin/sleep\t600\n"
                                   "program\tsilent\tTERM\t-\t-\t/bin/sleep\t600\n")
    log, command = tmp_path / "log", TOP / os.environ.get("BUILD", "build") / "restsip-supervisor"
    with open(log, "wb") as out, subprocess.Popen(
            [command, "-d", tmp_path / "list", tmp_path, tmp_path, tmp_path / "lock"], stderr=out,
            env={**os.environ, "RESTSIP_WATCHDOG_S": "1"}) as supervisor:
        try:
            hung = re.compile(r"event=hangs name=hangs pid=(\d+) silent_ms=(\d+)")
            until(lambda: len(hung.findall(log.read_text())) >= 2, 20)
        finally:
            supervisor.terminate()
    text = log.read_text()
    first, second = hung.findall(text)[:2]
    assert first[0] != second[0] and min(int(first[1]), int(second[1])) >= 2000
    assert text.count("event=started name=silent") == 1 and "event=hangs name=silent" not in text


def test_each_of_our_programs_is_waited_for(system):
    lines = [line.split("\t") for line in (system.state / "programs").read_text().splitlines()]
    of = {line[1]: line[4] for line in lines if line[0] == "program"}
    assert {name for name, watch in of.items() if watch == "watched"} == {n for n in of if n.startswith("restsip-")}
    assert len(of) >= 6
