"""A whole system for tests, brought up by deploy/local in a state folder and on ports of its own."""
import json
import os
import pathlib
import secrets
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

import requests

from record import record

# What it waits with by itself is select(), which ends at 1024 open files: a swarm of phones has more.
os.environ.setdefault("PSYCOPG_WAIT_FUNC", "wait_epoll")
import psycopg  # pylint: disable=wrong-import-position,wrong-import-order

TOP = pathlib.Path(__file__).resolve().parents[2]
LOCAL = TOP / "deploy/local/restsip"
START_TIMEOUT_S = 180
PORTS = "18080,15060"  # the first to look at, where tests/run names no others
# Each connection to PostgreSQL is a process, which plans anew what it is asked: most of what a start costs. For tests that do not
# ask what a connection holds up.
SMALL = {"RESTSIP_API_READERS": "2", "RESTSIP_API_WRITERS": "3", "RESTSIP_AGENT_QUERIES": "2"}


def until(fn, timeout_s=5, what=None):
    """Calls fn until it returns something true, which is returned; fails after timeout_s.

    An exception of fn counts as not yet, and is shown when time is up. Asking is work: who has waited long is asked less.
    """
    started = time.monotonic()
    deadline = started + timeout_s
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
        time.sleep(min(max(0.01, (time.monotonic() - started) / 20), 0.1))


def run_folder():
    """Where the systems of this test run live: of tests/run, or made now."""
    if "RESTSIP_TEST_DIR" not in os.environ:
        folder = tempfile.mkdtemp(prefix="restsip-test-")
        os.chmod(folder, 0o711)  # as root, the systems run as another user
        os.environ["RESTSIP_TEST_DIR"] = folder
    return pathlib.Path(os.environ["RESTSIP_TEST_DIR"])


def preload(name):
    """Settings with which a system's programs have a library of tests/lib preloaded, from where they may read it."""
    path = run_folder() / f"{name}.so"
    shutil.copyfile(TOP / os.environ.get("BUILD", "build") / path.name, path)
    path.chmod(0o755)
    env = {"LD_PRELOAD": str(path)}
    if os.environ.get("SANITIZE"):
        env["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
    return env


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
    """One running system, without rtpengine. `env`: further settings, e.g. {"RESTSIP_WORKERS": "4", "RESTSIP_RELAY": "127.0.0.1"}."""

    def __init__(self, state, env=None):
        self.state = pathlib.Path(state)
        self.settings = dict(env or {})
        self.prefix = []  # of the command that starts it
        self._connections = {}  # to the database, kept: a test may ask many times
        self._common = None  # the password that accounts have in common, and its hash

    def local(self, command, timeout_s=START_TIMEOUT_S):
        """Runs deploy/local/restsip."""
        env = {"RESTSIP_PORTS": PORTS, "RESTSIP_RELAY": "no", **os.environ, **self.settings, "RESTSIP_STATE": str(self.state)}
        return subprocess.run([*self.prefix, LOCAL, command], env=env, cwd=TOP, text=True, timeout=timeout_s,
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
        self.ng = address(env["RESTSIP_NG"]) if env["RESTSIP_NG"] else None  # of rtpengine
        self.certificate = pathlib.Path(env["RESTSIP_CERTIFICATE"])
        self.pg = env["RESTSIP_PG"]
        self.pg_owner = env["RESTSIP_PG_OWNER"]
        self.logs = pathlib.Path(env["RESTSIP_LOGS"])
        self.pids = pathlib.Path(env["RESTSIP_PIDS"])
        self.ini = self.state / "restsip.ini"
        return self

    def down(self):
        while self._connections:
            self._connections.popitem()[1].close()
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

    def await_ready(self, timeout_s=30):
        """The database's recovery alone takes 10 s on a machine whose disk is busy."""
        until(self.ready, timeout_s, "/health/ready")

    def query(self, sql, params=None, conninfo=None):
        """Rows of a query as the inspect role, as dicts."""
        conninfo = conninfo or self.pg
        db = self._connections.pop(conninfo, None)  # so that two threads have two
        try:
            _ = db and db.execute("select")
        except psycopg.Error:  # the database has had another life since
            db.close()
            db = None
        db = db or psycopg.connect(conninfo, autocommit=True, prepare_threshold=None, row_factory=psycopg.rows.dict_row)
        try:
            return db.execute(sql, params).fetchall()
        finally:
            if self._connections.setdefault(conninfo, db) is not db:
                db.close()

    def query_owner(self, sql, params=None):
        return self.query(sql, params, self.pg_owner)

    def account(self, email, password=None, **profile):
        """A fresh account. Without a password or a profile of its own it has the password of others: hashing one takes
        longer than most tests, and they need a thousand accounts."""
        alike = not password and not profile
        if alike and self._common:
            password, hashed = self._common
            made = self.query_owner("select email from api.user_create(%s, %s, null)", (email, hashed))
            assert made == [{"email": email}]
            return Account(self, email, password)
        password = password or secrets.token_urlsafe(9)
        answer = self.request("POST", "/user", json={"email": email, "password": password, **profile})
        assert answer.status_code == 201, answer.text
        if alike:
            row, = self.query_owner("select password_hash from app.account where email = %s", (email,))
            self._common = password, row["password_hash"]
        return Account(self, email, password)


class Account:
    """An account that a test made, and the ways to be its user."""

    def __init__(self, system, email, password):
        self.system = system
        self.email = email
        self.password = password
        self.auth = (email, password)
        self._token = None

    @property
    def login(self):
        """The path of its login."""
        return f"/login/{self.email}"

    def token(self):
        """A bearer token, made once; not by POST /session, which has a password hashed, a thousand times in a run."""
        if self._token is None:
            self._token = self.session(86400)
        return self._token

    @property
    def headers(self):
        return {"Authorization": f"Bearer {self.token()}"}

    def request(self, method, path, headers=None, **kwargs):
        """A request as this user, by bearer token."""
        return self.system.request(method, path, headers={**self.headers, **(headers or {})}, **kwargs)

    def session(self, lives_s):
        """A bearer token for so many seconds, which may be fewer than POST /session gives."""
        token = secrets.token_urlsafe(32)
        made = self.system.query_owner(
            """insert into app.session (token, account_id, expires_at)
            select sha256(%s), id, now() + make_interval(secs => %s) from app.account where email = %s returning account_id""",
            (token.encode(), lives_s, self.email))
        assert len(made) == 1, self.email
        return token

    def credential(self, label="test", algorithm=None):
        """A digest credential for a SIP device: what POST answers, with the password; not by POST, which needs Basic, and
        so a hash of the account's password."""
        password = secrets.token_urlsafe(12)
        made, = self.system.query_owner(
            """select c.doc from app.account a, lateral api.credential_create(a.email, convert_to(a.password_hash, 'UTF8'),
            'me', %s, %s, %s) c where a.email = %s""", (label, algorithm, password, self.email))
        return {**json.loads(made["doc"]), "password": password}
