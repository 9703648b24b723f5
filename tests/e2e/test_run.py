"""make run, up, down, status and reset, as a person uses them."""
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import termios
import time

import psycopg
import pytest
import requests

from restsip_system import LOCAL, PORTS, TOP, System, read_env, run_folder

LINES_MAX = 20
READY_S = 60
STOPPED_S = 30


class MakeRun:
    """`make run` in the foreground of a terminal, with its output in a file."""

    def __init__(self, state):
        self.state = pathlib.Path(state)
        self.output = self.state.with_suffix(".out")
        env = {"RESTSIP_PORTS": PORTS, **os.environ, "RESTSIP_STATE": str(self.state)}
        env.pop("RESTSIP_CLUSTER", None)  # nothing is there before
        def take_terminal():
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored where the tests run in the background
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.terminal, theirs = os.openpty()
        with open(self.output, "w", encoding="utf-8") as out:
            # pylint: disable=subprocess-popen-preexec-fn
            self.process = subprocess.Popen(["make", "--no-print-directory", "run"], cwd=TOP, env=env, stdout=out,
                                            stderr=subprocess.STDOUT, stdin=theirs, start_new_session=True,
                                            preexec_fn=take_terminal)
        os.close(theirs)

    def lines(self):
        return self.output.read_text().splitlines()

    def is_up(self):
        assert self.process.poll() is None, self.output.read_text()
        return self.lines() and self.lines()[-1] == "Stop: Ctrl-C"

    def ctrl_c(self):
        os.write(self.terminal, b"\x03")
        self.process.wait(timeout=STOPPED_S)
        os.close(self.terminal)


def processes(state):
    """What runs from a state folder, zombies aside: {pid: command line}."""
    found = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        if str(state) in command:
            found[int(path.parent.name)] = command
    return found


def nobody_listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture
def state(request):
    """A folder name for the state; what is left running there is stopped."""
    path = run_folder() / f"{request.node.name}-{os.getpid()}"
    yield path
    System(path).local("down")


@pytest.fixture
def make_run(state, until):
    """Starts `make run` on the test's state folder and returns once it says that it is up."""
    runs = []

    def start():
        run = MakeRun(state)
        runs.append(run)
        until(run.is_up, READY_S, "make run")
        return run

    yield start
    for run in runs:
        if run.process.poll() is None:
            run.ctrl_c()


def bash(line, timeout_s=20):
    return subprocess.run(["bash", "-c", line], text=True, capture_output=True, timeout=timeout_s, check=False)


def test_what_make_run_prints_works_when_pasted(make_run, state, until):
    run = make_run()
    lines = run.lines()
    assert len(lines) <= LINES_MAX, "\n".join(lines)
    curls = [line.strip() for line in lines if line.strip().startswith("curl ")]
    assert len(curls) == 3, lines
    look, send, stream = curls

    heard = state.with_suffix(".stream")
    with open(heard, "w", encoding="utf-8") as out:
        with subprocess.Popen(["bash", "-c", "exec " + stream], stdout=out, stderr=subprocess.DEVNULL) as listener:
            try:
                until(heard.read_text, 10, "a first event of the stream")
                assert bash(look).stdout.startswith("["), bash(look)
                sent = bash(send + " -s -w '\n%{http_code}'").stdout
                assert sent.splitlines()[-1] == "202", sent
                until(lambda: "hello, alice" in heard.read_text(), 5, "the message in the stream")
            finally:
                listener.terminate()

    psql, = [line.split(": ", 1)[1] for line in lines if "psql" in line]
    shown = bash(psql)
    assert shown.returncode == 0 and "row" in shown.stdout, shown
    operator, = [line.split(": ", 1)[1] for line in lines if "restsipctl" in line]
    shown = bash(operator)
    assert shown.returncode == 0 and not shown.stderr, shown
    assert "user passwd" in bash(operator.removesuffix(" who") + " --help").stdout
    source, = [line.split(": ", 1)[1] for line in lines if line.endswith("/env")]
    assert bash(f'{source}; curl -sf "$RESTSIP_URL/health/live"').returncode == 0


def test_ctrl_c_leaves_nothing_running_and_the_next_run_has_the_data(make_run, state):
    run = make_run()
    env = read_env(state / "env")
    url = env["RESTSIP_URL"]
    assert bool(env["RESTSIP_NG"]) == bool(shutil.which("rtpengine"))
    assert bool(env["RESTSIP_NG"]) != any("apt-get install rtpengine-daemon" in line for line in run.lines())
    alice = ("alice@example.net", "alice-demo")
    made = requests.post(f"{url}/login/alice@example.net", json={"contact": "sip:kept@192.0.2.1"}, auth=alice,
                         timeout=10)
    assert made.status_code == 201, made.text
    assert len(processes(state)) > 5

    run.ctrl_c()

    assert run.process.returncode == 0, run.output.read_text()
    assert run.lines()[-1] == "Stop: Ctrl-C"
    assert not processes(state)
    assert nobody_listens(int(url.rsplit(":", 1)[1]))
    assert nobody_listens(int(env["RESTSIP_SIP"].rsplit(":", 1)[1]))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:  # rtpengine has gone, where there was one
        s.bind(("127.0.0.1", int((env["RESTSIP_NG"] or ":0").rsplit(":", 1)[1])))
    assert not [path for path in state.rglob("*") if path.is_socket()]
    assert not list((state / "pids").iterdir())

    make_run()
    assert read_env(state / "env")["RESTSIP_URL"] == url
    contacts = requests.get(f"{url}/login/alice@example.net", auth=alice, timeout=10).json()
    assert "sip:kept@192.0.2.1" in [contact["contact"] for contact in contacts]


def test_a_second_run_of_the_same_state_is_refused(make_run, state):
    make_run()
    again = System(state).local("run")
    assert again.returncode == 1 and "already running" in again.stdout
    assert System(state).attach().ready()


def test_up_status_down_reset(state):
    system = System(state, {"RESTSIP_WORKERS": "3"}).up()
    status = system.local("status")
    assert status.returncode == 0, status.stdout
    lines = status.stdout.splitlines()
    assert lines[-3:] == [f"state {state}", f"shell . {state}/env", f"url   {system.url}"]
    lines = lines[:-3]
    assert [line.split()[0] for line in lines] == system.names() and len(lines) == 7
    assert all(line.endswith(" up") for line in lines)
    again = system.local("up")
    assert again.returncode == 0 and f"restsip is up already: {system.url}\n" in again.stdout, again.stdout
    assert f"'{system.url}/login/me?stream'" in again.stdout and f"127.0.0.1:{system.sip_port} (UDP or TCP)" in again.stdout
    assert f'psql "{system.pg}"' in again.stdout
    for line in lines:
        os.kill(int(line.split()[1]), 0)
    system.down()
    status = system.local("status")
    assert status.returncode == 1 and status.stdout.count(" down") == 7
    assert status.stdout.splitlines()[-1] == f"state {state}"
    assert system.local("reset").returncode == 0
    assert not state.exists()
    status = system.local("status")
    assert status.returncode == 1 and status.stdout == f"nothing was started from {state} yet (make up)\n"


def test_reset_leaves_what_is_not_ours(state):
    state.mkdir()
    (state / "thesis.txt").write_text("years of work")
    assert System(state).local("reset").returncode != 0
    assert (state / "thesis.txt").exists()
    shutil.rmtree(state)


def test_taken_ports_are_stepped_over(state):
    with socket.socket() as http, socket.socket(type=socket.SOCK_DGRAM) as sip:
        http.bind(("0.0.0.0", 0))
        http.listen()
        sip.bind(("127.0.0.1", 0))
        taken = http.getsockname()[1], sip.getsockname()[1]
        system = System(state, {"RESTSIP_PORTS": "{},{}".format(*taken)}).up()
        http_port = int(system.url.rsplit(":", 1)[1])
        assert taken[0] < http_port < taken[0] + 100
        assert taken[1] < system.sip_port < taken[1] + 100
        system.down()


def test_two_systems_side_by_side(system, own_system):
    assert system.ready() and own_system.ready()
    assert system.url != own_system.url and system.sip_port != own_system.sip_port
    assert system.query("select 1 as one") == own_system.query("select 1 as one")


def test_a_long_and_odd_path(state, until):
    """Unix sockets have at most 107 bytes of path; a blank or a quote in a path breaks careless scripts."""
    odd = state.with_name("it's a folder " + "x" * 90)
    system = System(odd, {"RESTSIP_DEMO": "no"}).up()
    host = psycopg.conninfo.conninfo_to_dict(system.pg)["host"]
    assert len(host) < 90
    assert system.query("select 1 as one")
    assert bash(f". {str(odd / 'env')!r}; echo \"$RESTSIP_PG\"").stdout.strip() == system.pg
    system.down()
    assert not pathlib.Path(host).exists()
    until(lambda: not processes(odd))


def test_a_program_that_cannot_start_is_named(state):
    started = time.monotonic()
    system = System(state, {"RESTSIP_LOG_LEVEL": "nonsense"})
    failed = system.local("up")
    assert failed.returncode != 0
    assert time.monotonic() - started < 60
    assert re.search(r"restsip-\S+ does not stay up", failed.stdout), failed.stdout
    assert not processes(state)


def test_every_program_is_restarted_within_a_second(own_system, until):
    for name in own_system.names():
        started = time.monotonic()
        old = own_system.kill(name)
        until(lambda n=name, o=old: own_system.pid(n) != o, 1.5, f"restart of {name}")
        assert time.monotonic() - started < 1.5
        own_system.await_ready()


def test_a_killed_supervisor_takes_its_programs_along(own_system, until):
    os.kill(int((own_system.state / "supervisor.lock").read_text()), signal.SIGKILL)
    until(lambda: not processes(own_system.state), 10, "the end of all programs")
    own_system.up()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_as_an_ordinary_user(request):
    """A checkout of theirs, with the programs already built: make up, status, down."""
    home = run_folder() / f"{request.node.name}-{os.getpid()}"
    shutil.copytree(TOP, home, ignore=shutil.ignore_patterns(".git", ".run", "build*", "__pycache__"))
    build = home / "build"
    build.mkdir()
    for program in pathlib.Path(os.environ["BUILD"]).glob("restsip-*"):
        shutil.copy(program, build / program.name)
    subprocess.run(["chown", "-R", "nobody:nogroup", home], check=True)

    def make(target):
        env = {"PATH": os.environ["PATH"], "RESTSIP_PORTS": os.environ.get("RESTSIP_PORTS", PORTS), "RESTSIP_BUILT": "yes"}
        return subprocess.run(["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "make",
                               "--no-print-directory", target], cwd=home, env=env, text=True, timeout=120,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    up = make("up")
    try:
        assert up.returncode == 0, up.stdout
        system = System(home / ".run").attach()
        assert system.ready()
        assert os.stat(f"/proc/{system.pid('postgres')}").st_uid == home.stat().st_uid
        assert make("status").returncode == 0
    finally:
        down = make("down")
    assert down.returncode == 0, down.stdout
    assert not processes(home / ".run")


def test_a_checkout_whose_path_has_a_blank(request, until):
    """It builds (what was built already is copied along, but for one file) and runs."""
    checkout = run_folder() / f"{request.node.name} and {os.getpid()}"
    shutil.copytree(TOP, checkout, symlinks=True, ignore=shutil.ignore_patterns(".git", ".run", "build*", "__pycache__"))
    shutil.copytree(os.environ.get("BUILD", TOP / "build"), checkout / "build",
                    ignore=shutil.ignore_patterns("unit", "fuzz", "corpus*"))
    (checkout / "common/hex.c").touch()
    env = {"PATH": os.environ["PATH"], "RESTSIP_PORTS": os.environ.get("RESTSIP_PORTS", PORTS), "RESTSIP_DEMO": "no",
           "SANITIZE": os.environ.get("SANITIZE", "")}

    def make(*target):
        return subprocess.run(["make", "--no-print-directory", *target], cwd=checkout, env=env, text=True, timeout=150,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    up = make("up")
    try:
        assert up.returncode == 0, up.stdout
        assert "common/hex.o" in (checkout / "build/build.log").read_text()
        system = System(checkout / ".run").attach()
        assert system.ready() and requests.get(system.url, timeout=10).status_code == 200
    finally:
        down = make("down")
    assert down.returncode == 0, down.stdout
    until(lambda: not processes(checkout))
    # However it is said where to build, make test says it in full.
    again = make("programs", f"BUILD={checkout}/build")
    assert again.returncode == 0 and "CC" not in again.stdout, again.stdout


def test_a_bad_port_ends_the_start(state):
    system = System(state, {"RESTSIP_DATABASE_CONNINFO": "host=/tmp dbname=restsip port=54x2"})
    failed = system.local("up")
    assert failed.returncode != 0 and "port: not a number from 1 to 65535" in failed.stdout, failed.stdout
    assert not processes(state)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_a_folder_that_is_not_ours_is_no_failed_build():
    checkout = run_folder() / f"not-ours-{os.getpid()}"
    shutil.copytree(TOP / "deploy", checkout / "deploy")
    build = checkout / "build"
    build.mkdir(mode=0o755)
    said = subprocess.run(["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", checkout / "deploy/local/restsip", "up"],
                          env={"PATH": os.environ["PATH"]}, text=True, cwd="/", stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=60, check=False)
    shutil.rmtree(checkout)
    assert said.returncode == 1 and f"may not read the source or write {build}" in said.stderr, said
    assert "does not build" not in said.stderr


def test_each_program_says_its_version():
    version = json.loads((TOP / "web/openapi.json").read_text())["info"]["version"]
    build = TOP / pathlib.Path(os.environ.get("BUILD", "build"))
    for name in ("restsip-api", "restsip-stream", "restsip-agent", "restsip-supervisor", "restsipctl"):
        said = subprocess.run([build / name, "--version"], text=True, capture_output=True, timeout=20, check=False)
        assert (said.returncode, said.stdout, said.stderr) == (0, f"{name} {version}\n", "")


def test_make_help_names_what_there_is():
    said = subprocess.run(["make", "--no-print-directory", "help"], cwd=TOP, text=True, capture_output=True, timeout=20, check=False)
    targets = set(re.search(r"^\.PHONY: ((?:.*\\\n)*.*)", (TOP / "Makefile").read_text(), re.M)[1].replace("\\", "").split())
    assert said.returncode == 0
    assert not [name for name in targets - {"help", "programs", "unit", "fuzzers"} if not re.search(rf"(^|\s){name}\b", said.stdout)]


def test_usage():
    wrong = subprocess.run([LOCAL, "fly"], text=True, capture_output=True, check=False)
    assert wrong.returncode == 1 and wrong.stderr.startswith("restsip: usage:")
