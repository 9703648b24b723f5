"""The database away in other ways than by its end: read-only, behind a lock, under a name that nobody resolves."""
import contextlib
import os
import pathlib
import re
import select
import shutil
import socket
import struct
import subprocess
import sys
import threading

import psycopg
import pytest

from restsip_system import System

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "sip"))
# pylint: disable=wrong-import-position
from phone import Phone, new_account

NAME = "database.test"
NAME_SERVER = "127.0.0.77"
CONTACT = {"contact": "sip:somebody@127.0.0.1:5099"}


@pytest.fixture(scope="module", name="away_system")
def fixture_away_system(systems):
    return systems("away", {"RESTSIP_DEMO": "no"})


def superuser(system):
    """Who may write even where all others are told that they may not."""
    conninfo = system.pg.replace("user=restsip_inspect", "user=postgres")
    return psycopg.connect(conninfo, autocommit=True, options="-c default_transaction_read_only=off")


def reconnect(db):
    """The programs begin new sessions."""
    db.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename ~ '^restsip_(api|stream|agent)$'")


@contextlib.contextmanager
def phone_of(account):
    credential = account.credential()
    user, domain = account.email.split("@")
    with Phone(account.system.sip, user, credential["password"], domain) as p:
        p.username = credential["username"]
        yield p


def post(account):
    return account.request("POST", account.login, json=CONTACT)


def test_a_read_only_server_is_left_for_the_primary(away_system, until):
    """503 while there is none that can be written; once there is, nothing has to be started again."""
    alice = new_account(away_system, "alice")
    with superuser(away_system) as db, phone_of(alice) as p:
        assert p.register(expires=600).code == 200
        db.execute("alter database restsip set default_transaction_read_only = on")
        try:
            reconnect(db)
            until(lambda: post(alice).status_code == 503, 10)
            answer = post(alice)
            seen = {post(alice).status_code for _ in range(10)}
            codes = {p.register(expires=600).code for _ in range(5)}
        finally:
            db.execute("alter database restsip reset default_transaction_read_only")
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert seen == {503}
        assert codes == {503}
        until(lambda: post(alice).status_code in (200, 201), 15)
        until(lambda: p.register(expires=600).code == 200, 15)

        def streams():
            with alice.request("GET", alice.login + "?stream", stream=True) as answer:
                return answer.status_code == 200
        until(streams, 15)


def test_who_waits_too_long_for_a_lock_may_come_again(away_system, until):
    alice = new_account(away_system, "alice")
    with superuser(away_system) as db, psycopg.connect(away_system.pg_owner) as holder:
        db.execute("alter role restsip_api set lock_timeout = '200ms'")
        try:
            reconnect(db)
            until(lambda: post(alice).status_code in (200, 201), 15)
            holder.execute("""select from app.resource r join app.account a on a.id = r.id
                where r.kind = 'login' and a.email = %s for update of r""", [alice.email])
            answer = post(alice)
            holder.rollback()
        finally:
            db.execute("alter role restsip_api reset lock_timeout")
            reconnect(db)
    assert answer.status_code == 503
    assert answer.headers.get("Retry-After")
    until(lambda: post(alice).status_code in (200, 201), 15)


class NameServer(threading.Thread):
    """Says that every name is 127.0.0.1, and has no other address; nothing while it is `silent`."""

    def __init__(self):
        super().__init__(daemon=True)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((NAME_SERVER, 53))
        self.silent = False
        self.asked = 0

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                question, source = self.sock.recvfrom(512)
                self.asked += 1
                if not self.silent:
                    self.sock.sendto(self.answer(question), source)

    @staticmethod
    def answer(question):
        end = question.index(b"\0", 12) + 5  # behind name, type and class
        is_a = question[end - 4:end - 2] == b"\0\1"
        head = question[:2] + b"\x81\x80" + struct.pack(">HHHH", 1, int(is_a), 0, 0)
        record = b"\xc0\x0c\0\1\0\1" + struct.pack(">IH", 1, 4) + socket.inet_aton("127.0.0.1")
        return head + question[12:end] + (record if is_a else b"")


class Proxy(threading.Thread):
    """PostgreSQL's unix socket on a port of TCP."""

    def __init__(self, find_socket):
        super().__init__(daemon=True)
        self.find_socket = find_socket
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        server = socket.socket(socket.AF_UNIX)
        with client, server, contextlib.suppress(OSError):
            server.connect(self.find_socket())
            while True:
                for one in select.select([client, server], [], [])[0]:
                    data = one.recv(65536)
                    if not data:
                        return
                    (server if one is client else client).sendall(data)


class Elsewhere(System):
    """A system whose programs have a resolver of their own, in a mount namespace."""

    def __init__(self, state, env, folder):
        super().__init__(state, env)
        (folder / "resolv.conf").write_text(f"nameserver {NAME_SERVER}\n")
        (folder / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
        self.prefix = ["unshare", "-m", "sh", "-c", 'for name in resolv.conf nsswitch.conf; do '
                       'mount --bind "$0/$name" "/etc/$name" || exit 1; done; exec "$@"', str(folder)]


@pytest.fixture(name="named_system")
def fixture_named_system(folder, tmp_path):
    can = os.geteuid() == 0 and shutil.which("unshare") and not subprocess.run(
        ["unshare", "-m", "mount", "--bind", "/etc/hosts", "/etc/hosts"], capture_output=True, check=False).returncode
    if not can:
        pytest.skip("only root has namespaces")
    state = folder / f"names-{os.getpid()}"

    def find_socket():
        host = re.search(r"conninfo = host='?([^' ]+)", (state / "restsip.ini").read_text()).group(1)
        return f"{host}/.s.PGSQL.5432"

    try:
        names, proxy = NameServer(), Proxy(find_socket)
    except OSError as error:
        pytest.skip(f"no name server can be played: {error}")
    names.start()
    proxy.start()
    conninfo = f"host={NAME} port={proxy.port} dbname=restsip sslmode=disable gssencmode=disable"
    system = Elsewhere(state, {"RESTSIP_DEMO": "no", "RESTSIP_DATABASE_CONNINFO": conninfo}, tmp_path)
    try:
        yield system.up(), names
    finally:
        names.silent = False
        system.down()
        proxy.listener.close()
        names.sock.close()


def test_silent_dns_holds_up_no_loop(named_system, until):
    """While the name server says nothing, each program loses a connection: it goes on, and gets it back by the address
    that it had."""
    system, names = named_system
    alice = new_account(system, "alice")

    def sessions():
        rows = system.query_owner("""select usename, count(*) as n, min(pid) as pid from pg_stat_activity
            where usename in ('restsip_api', 'restsip_agent', 'restsip_stream') group by usename""")
        return {row["usename"]: row for row in rows}
    before = sessions()
    assert len(before) == 3
    with phone_of(alice) as p, superuser(system) as db:
        names.silent, asked = True, names.asked
        for row in before.values():
            db.execute("select pg_terminate_backend(%s)", [row["pid"]])
        until(lambda: names.asked > asked, 5)

        def is_back():
            assert p.exchange(p.build("OPTIONS", "sip:example.net"), timeout_s=3).code == 200
            for _ in range(4):  # each worker
                assert system.request("GET", "/health/live", timeout=3).status_code == 200
            now = sessions()
            return all(now[role]["n"] >= row["n"] for role, row in before.items())
        until(is_back, 20)
        assert p.register(expires=600, timeout_s=8).code == 200
        assert post(alice).status_code == 201
