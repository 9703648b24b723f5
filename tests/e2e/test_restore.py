"""A backup that is made under load and restored into another cluster, as README says: no number, no ETag and no place in a
stream that was given out after it is given out again for something else."""
import itertools
import subprocess
import threading

import pytest
import requests
from follower import LATER
from restsip_system import Account, System, run_folder, until
from stream_client import Stream

EACH = 12  # operations of each kind: before the backup, between it and the crash, and after the restore
TOOL_TIMEOUT_S = 60
ROLES = "restsip_owner, restsip_api, restsip_stream, restsip_agent, restsip_inspect, restsip_operator"
TEXTS = itertools.count(1)


def superuser(system, dbname="restsip"):
    return system.pg.replace("user=restsip_inspect", "user=postgres").replace("dbname=restsip", f"dbname={dbname}")


def tool(*command):
    done = subprocess.run(command, text=True, check=False, timeout=TOOL_TIMEOUT_S, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, (command, done.stdout)


class Given:
    """What has been given out, over both lives."""

    def __init__(self):
        self.made, self.etags, self.twice, self.odd = {}, {}, [], []
        self.counts = {}
        self._lock = threading.Lock()

    def make(self, life, kind, answer):
        """Something new has a URL that nothing had before."""
        if answer.status_code in LATER:
            return
        if answer.status_code not in (201, 202):
            self.odd.append((kind, answer.status_code, answer.text))
            return
        url = answer.json().get("self") or answer.json()["url"]
        with self._lock:
            if url in self.made:
                self.twice.append((kind, url, self.made[url], life))
            self.made[url] = life
            self.counts[life, kind] = self.counts.get((life, kind), 0) + 1

    def look(self, path, answer):
        """An ETag is of one content."""
        if answer.status_code in LATER:
            return
        if answer.status_code != 200:
            self.odd.append((path, answer.status_code, answer.text))
            return
        with self._lock:
            known = self.etags.setdefault((path, answer.headers["ETag"]), answer.text)
        if known != answer.text:
            self.twice.append((path, answer.headers["ETag"], known, answer.text))


class Load:
    """What a user does, one thing after the other, until it is stopped."""

    def __init__(self, life, given, alice, bob):
        self.life, self.given, self.alice, self.bob = life, given, alice, bob
        self.stopped = threading.Event()
        kinds = (self.contact, self.send, self.call, self.mail, self.profile)
        self.threads = [threading.Thread(target=self.run, args=(kind,), daemon=True) for kind in kinds]
        for thread in self.threads:
            thread.start()

    def run(self, kind):
        while not self.stopped.wait(0.01):
            if kind in (self.send, self.call, self.mail) and self.given.counts.get((self.life, kind.__name__), 0) >= 2 * EACH:
                continue  # of what stays there is a bound, however long a backup takes
            try:
                kind(f"{self.life}-{next(TEXTS)}")
            except requests.RequestException as error:
                self.given.odd.append((kind.__name__, repr(error)))

    def make(self, kind, account, method, path, **body):
        self.given.make(self.life, kind, account.request(method, path, **body))

    def contact(self, text):
        self.make("contact", self.alice, "POST", self.alice.login, json={"contact": f"sip:{text}@127.0.0.1:9", "expires": 3600})
        answer = self.alice.request("GET", self.alice.login)
        self.given.look(self.alice.login, answer)
        for old in answer.json()[:-3] if answer.status_code == 200 else []:
            self.alice.request("DELETE", old["url"])

    def send(self, text):
        path = self.bob.login  # who has no contact: it is stored
        self.make("send", self.alice, "SEND", path, data=text, headers={"Content-Type": "text/plain"})

    def call(self, text):
        self.make("call", self.bob, "POST", "/call", json={"subject": text})

    def mail(self, text):
        path = f"/user/{self.bob.email}/messages"
        self.make("mail", self.bob, "POST", path, json={"type": "text", "url": f"https://example.net/{text}"})
        self.given.look(path, self.bob.request("GET", path))

    def profile(self, text):
        self.bob.request("PATCH", f"/user/{self.bob.email}", json={"nick": text},
                         headers={"Content-Type": "application/merge-patch+json"})
        self.given.look("/user/bob", self.bob.request("GET", f"/user/{self.bob.email}"))

    def has_done(self, life):
        return all(self.given.counts.get((life, kind), 0) >= EACH for kind in ("contact", "send", "call", "mail"))

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join(30)


def restore(system, roles, dump):
    """README's lines, into a cluster that has nothing of ours."""
    assert (done := system.local("database")).returncode == 0, done.stdout
    system.attach()
    entry = superuser(system, "postgres")
    tool("psql", "-Xq", entry, "-c", "drop database restsip")
    tool("psql", "-Xq", entry, "-c", f"drop owned by {ROLES}", "-c", f"drop role {ROLES}")
    tool("psql", "-Xq", entry, "-f", roles)  # goes on where a role is there: postgres is
    tool("psql", "-Xq", entry, "-c", "create database restsip template template0 encoding 'UTF8' locale 'C'")
    tool("pg_restore", "--exit-on-error", "-d", superuser(system), dump)
    assert (done := system.local("down")).returncode == 0, done.stdout
    return system.up()


@pytest.fixture
def restored(request):
    """A system with a cluster of its own, from initdb on."""
    system = System(run_folder() / f"{request.node.name[:20]}-restored", {"RESTSIP_DEMO": "no", "RESTSIP_CLUSTER": ""})
    yield system
    system.down()


def test_what_was_given_out_after_a_backup_is_not_given_out_again(own_system, restored, tmp_path):
    given = Given()
    alice, bob = own_system.account("alice@example.net", "alice-secret"), own_system.account("bob@example.net", "bob-secret")
    watched = {path: Stream(own_system, path, token=alice.token()) for path in (alice.login, "/login", "/call")}
    watched["mine"] = Stream(own_system, bob.login, token=bob.token())

    first = Load("first", given, alice, bob)
    until(lambda: first.has_done("first"), 60, "operations before the backup")
    roles, dump = tmp_path / "roles.sql", tmp_path / "dump"
    tool("pg_dumpall", "--roles-only", "-d", superuser(own_system, "postgres"), "-f", roles)
    tool("pg_dump", "-Fc", "-d", superuser(own_system), "-f", dump)
    first.life = "lost"
    until(lambda: first.has_done("lost"), 60, "operations that the backup does not have")
    first.stop()
    bob.request("DELETE", bob.request("POST", bob.login, json={"contact": "sip:bob@127.0.0.1:9"}).json()["self"])
    own_system.request("SEND", bob.login, data=b"lost", auth=alice.auth, headers={"Content-Type": "text/plain"})
    watched["mine"].wait_message("lost", 10)
    places = {path: stream.last_id for path, stream in watched.items()}
    own_system.down()

    restore(restored, roles, dump)
    assert restored.query("select restores from inspect.epoch") == [{"restores": 1}]
    tokens = alice.token(), bob.token()
    alice, bob = (Account(restored, account.email, account.password) for account in (alice, bob))
    alice._token, bob._token = tokens  # pylint: disable=protected-access
    # Who comes back with a place of the lost life gets a state first, whether something has happened since or not.
    for path, account in ((alice.login, alice), ("/login", alice), ("/call", alice), ("mine", bob)):
        stream = Stream(restored, bob.login if path == "mine" else path, token=account.token(), last=places[path])
        stream.wait(lambda event: True, 10)
        assert stream.events[0].name == "state", (path, places[path], stream.events[0])
        stream.close()
    second = Load("second", given, alice, bob)
    mine = Stream(restored, bob.login, token=bob.token(), last=places["mine"])
    until(lambda: second.has_done("second"), 60, "operations after the restore")
    second.stop()
    after = restored.request("SEND", bob.login, data=b"after", auth=alice.auth, headers={"Content-Type": "text/plain"})
    mine.wait_message("after", 10)
    assert mine.events[0].name == "state"
    mine.close()
    assert not given.twice, given.twice[:10]
    assert after.json()["url"] not in given.made and not given.odd, given.odd[:10]


def test_a_second_start_is_no_new_life(own_system):
    own_system.kill_and_wait("postgres")
    own_system.await_ready(20)
    own_system.down()
    own_system.up()
    assert own_system.query("select restores from inspect.epoch") == [{"restores": 0}]
