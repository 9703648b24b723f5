"""A whole system for tests, brought up by deploy/local in a state folder and on ports of its own."""
import os
import pathlib
import shlex
import signal
import subprocess
import tempfile
import time

import psycopg
import requests

from record import record

TOP = pathlib.Path(__file__).resolve().parents[2]
LOCAL = TOP / "deploy/local/restsip"
START_TIMEOUT_S = 180


def until(fn, timeout_s=5, what=None):
    """Calls fn until it returns something true, which is returned; fails after timeout_s.

    An exception of fn counts as not yet, and is shown when time is up.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        error = None
        try:
            value = fn()
            if value:
                return value
        except Exception as e:  # pylint: disable=broad-except
            value, error = None, e
        if time.monotonic() > deadline:
            raise AssertionError(
                f"not within {timeout_s} s: {what or fn}; last: {error or value!r}") from error
        time.sleep(0.01)


def run_folder():
    """Where the systems of this test run live: of tests/run, or made now."""
    if "RESTSIP_TEST_DIR" not in os.environ:
        folder = tempfile.mkdtemp(prefix="restsip-test-")
        os.chmod(folder, 0o711)  # as root, the systems run as another user
        os.environ["RESTSIP_TEST_DIR"] = folder
    return pathlib.Path(os.environ["RESTSIP_TEST_DIR"])


def read_env(path):
    """What a system has written for the shell, as a dict."""
    env = {}
    for line in pathlib.Path(path).read_text().splitlines():
        name, value = shlex.split(line)[1].split("=", 1)
        env[name] = value
    return env


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


class System:
    """One running system. `env`: further settings, e.g. {"RESTSIP_WORKERS": "4"}."""

    def __init__(self, state, env=None):
        self.state = pathlib.Path(state)
        self.settings = dict(env or {})

    def local(self, command, timeout_s=START_TIMEOUT_S):
        """Runs deploy/local/restsip."""
        env = {**os.environ, "RESTSIP_PORTS": "18080,15060", **self.settings,
               "RESTSIP_STATE": str(self.state)}
        return subprocess.run([LOCAL, command], env=env, cwd=TOP, text=True, timeout=timeout_s,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)

    def up(self):
        """Starts it, or starts it again; returns when it is ready."""
        result = self.local("up")
        assert result.returncode == 0, result.stdout
        return self.attach()

    def attach(self):
        """Learns where a system that is up already can be reached."""
        env = read_env(self.state / "env")
        self.env = env
        self.url = env["RESTSIP_URL"]
        self.sip_all = [address(text) for text in env["RESTSIP_SIP_ALL"].split()]
        self.sips_all = [address(text) for text in env["RESTSIP_SIPS_ALL"].split()]
        self.sip, self.sips = self.sip_all[0], self.sips_all[0]
        self.sip_host, self.sip_port = self.sip
        self.certificate = pathlib.Path(env["RESTSIP_CERTIFICATE"])
        self.pg = env["RESTSIP_PG"]
        self.pg_owner = env["RESTSIP_PG_OWNER"]
        self.logs = pathlib.Path(env["RESTSIP_LOGS"])
        self.pids = pathlib.Path(env["RESTSIP_PIDS"])
        self.ini = self.state / "restsip.ini"
        return self

    def down(self):
        result = self.local("down")
        assert result.returncode == 0, result.stdout

    def names(self):
        """The programs, as in the names of the pid files and logs."""
        lines = (self.state / "programs").read_text().splitlines()
        return [line.split("\t")[1] for line in lines if line.startswith("program\t")]

    def pid(self, name):
        """Of a program that runs; waits for one that is being restarted."""
        return until(lambda: int((self.pids / f"{name}.pid").read_text()), what=f"pid of {name}")

    def kill(self, name, sig=signal.SIGKILL):
        """Kills a program, which the supervisor will restart; returns the pid it had."""
        pid = self.pid(name)
        os.kill(pid, sig)
        return pid

    def kill_and_wait(self, name, sig=signal.SIGKILL):
        """Kills a program and returns once another process has its place."""
        pid = self.kill(name, sig)
        until(lambda: self.pid(name) != pid, what=f"restart of {name}")

    def log(self, name):
        return (self.logs / f"{name}.log").read_text(errors="replace")

    def request(self, method, path, timeout=20, **kwargs):
        """One HTTP request through nginx, on a connection of its own."""
        answer = requests.request(method, self.url + path, timeout=timeout, **kwargs)
        record(method, path, kwargs.get("headers"), answer, bool(kwargs.get("stream")))
        return answer

    def ready(self):
        try:
            return self.request("GET", "/health/ready").status_code == 200
        except requests.RequestException:
            return False

    def await_ready(self, timeout_s=10):
        until(self.ready, timeout_s, "/health/ready")

    def query(self, sql, params=None, conninfo=None):
        """Rows of a query as the inspect role, as dicts."""
        with psycopg.connect(conninfo or self.pg, autocommit=True,
                             row_factory=psycopg.rows.dict_row) as db:
            return db.execute(sql, params).fetchall()

    def query_owner(self, sql, params=None):
        return self.query(sql, params, self.pg_owner)


class Account:
    """An account that a test made, and the ways to be its user."""

    def __init__(self, system, email, password, made):
        self.system = system
        self.email = email
        self.password = password
        self.auth = (email, password)
        self.made = made  # the answer to POST /user
        self._token = None

    @property
    def login(self):
        """The path of its login."""
        return f"/login/{self.email}"

    def token(self):
        """A bearer token, made once."""
        if self._token is None:
            answer = self.system.request("POST", "/session", auth=self.auth)
            assert answer.status_code == 201, answer.text
            self._token = answer.json()["token"]
        return self._token

    @property
    def headers(self):
        return {"Authorization": f"Bearer {self.token()}"}

    def request(self, method, path, headers=None, **kwargs):
        """A request as this user, by bearer token."""
        return self.system.request(method, path, headers={**self.headers, **(headers or {})}, **kwargs)

    def credential(self, label="test", **more):
        """A digest credential for a SIP device: the answer of POST, with the password."""
        answer = self.request("POST", f"/user/{self.email}/credential", json={"label": label, **more})
        assert answer.status_code == 201, answer.text
        return answer.json()
