"""The system under attack: a fresh one for each round, its people, and what it takes of memory and disk."""
import dataclasses
import hashlib
import os
import pathlib
import re
import shutil
import threading

import restsip_system

from phone import ha1

AWAY = "away"  # somebody without any contact
PASSWORD = "correct-horse"  # of every account that signs in
USERS, PHONES, FRESH, STRANGERS = 50, 50, 800, 8
PHASES = 4  # of a round: they come, without strangers, strangers elsewhere, with them
WITH = 3
MIB = 1 << 20
SAMPLE_S = 0.2

# Addresses. nginx and the agent listen on 127.0.0.1 alone.
USER_AT, PHONE_AT, STRANGER_AT, VICTIM_AT = "127.10.0.{}", "127.12.0.{}", "127.20.0.{}", "127.40.0.{}"


def email(name):
    return f"{name}@example.net"


@dataclasses.dataclass
class Place:
    """Where requests go: to the system, or to the socket of nobody's that stands in its place."""

    http: tuple
    sip: tuple
    sips: tuple


def shipped_limits(tree):
    """What nginx takes from one address as it is shipped: the settings of deploy/local for it."""
    text = (tree / "deploy/nginx/limits.conf").read_text()
    found = {"RESTSIP_RATE": re.search(r"rate=(\d+)r/s", text),
             "RESTSIP_CONNECTIONS": re.search(r"limit_conn restsip_conn (\d+)", text)}
    return {name: match.group(1) for name, match in found.items() if match}


class Memory(threading.Thread):
    """The most that each of our programs has taken since it was looked at first, in MB over what it had then."""

    def __init__(self, system):
        super().__init__(daemon=True)
        self.names = [name for name in system.names() if name.startswith("restsip-")]
        self.pids = {name: system.pid(name) for name in self.names}
        self.system, self.first, self.most, self.ended = system, {}, {}, threading.Event()
        self.look()
        self.first = dict(self.most)

    def look(self):
        for name in self.names:
            try:
                status = pathlib.Path(f"/proc/{self.pids[name]}/status").read_text(encoding="ascii")
                rss = int(re.search(r"VmRSS:\s*(\d+)", status).group(1)) / 1024
            except (OSError, AttributeError):
                continue
            self.most[name] = max(rss, self.most.get(name, 0))

    def run(self):
        while not self.ended.wait(SAMPLE_S):
            self.look()

    def stop(self):
        """{program: MB it grew by}; a program that was started anew has died: None."""
        self.ended.set()
        self.join()
        self.look()
        return {name: None if self.system.pid(name) != self.pids[name] else self.most[name] - self.first[name]
                for name in self.names}


class World:
    """A running system with its people."""

    def __init__(self, tree, folder, number, cluster):
        env = {"RESTSIP_DEMO": "no", "RESTSIP_BOUNDS": "standard", **shipped_limits(tree)}
        if cluster:
            env |= {"RESTSIP_CLUSTER": str(cluster), "RESTSIP_BUILT": "yes"}
        restsip_system.TOP, restsip_system.LOCAL = tree, tree / "deploy/local/restsip"
        self.system, self.place = restsip_system.System(folder / f"state{number}", env), None

    def up(self):
        self.system.up()
        host, port = self.system.url[7:].split(":")
        self.place = Place((host, int(port)), self.system.sip, self.system.sips)
        return self

    def people(self, strangers):
        """The honest with what they have, and fresh accounts for the strangers: {name: token}."""
        sql = self.system.query_owner
        self.system.account(email(AWAY), PASSWORD)
        hashed = sql("select password_hash from app.account where email = %s", (email(AWAY),))[0]["password_hash"]
        users, phones = [f"user{n}" for n in range(USERS)], [f"phone{n}" for n in range(PHONES)]
        others = [f"fresh{n}" for n in range(FRESH)] + [f"guessed{n}" for n in range(PHASES)]
        everybody = users + phones + others + strangers
        sql("select count(u.version) from unnest(%s::text[]) email, api.user_create(email, %s, '{}') u",
            ([email(name) for name in everybody], hashed))
        with_phones = phones + strangers
        sql("select count(app.credential_put(e, n, 'example.net', 'MD5', h, 'bench')::text) "
            "from unnest(%s::text[], %s::text[], %s::text[]) as t(e, n, h)",
            [[email(n) for n in with_phones], with_phones, [ha1(n) for n in with_phones]])
        tokens = {name: hashlib.sha256(name.encode()).hexdigest() for name in users + phones + strangers}
        sql("insert into app.session (token, account_id, expires_at) select sha256(convert_to(t, 'UTF8')), a.id, "
            "now() + interval '1 day' from unnest(%s::text[], %s::text[]) as x(t, e) "
            "join app.account a on a.email = x.e returning account_id",
            [list(tokens.values()), [email(name) for name in tokens]])
        return tokens

    def disk(self):
        """Bytes of the database, and of log written so far."""
        row, = self.system.query_owner("select pg_database_size(current_database())::bigint as size, "
                                       "pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint as wal")
        return row["size"], row["wal"]

    def down(self, logs=None):
        """logs: a folder that they are copied to."""
        self.system.down()
        if logs:
            shutil.copytree(self.system.state / "logs", logs, dirs_exist_ok=True)
        shutil.rmtree(self.system.state, ignore_errors=True)


def make_cluster(tree, folder):
    """A stopped cluster with the schema alone, which every round begins with."""
    world = World(tree, folder, "-first", None)
    world.system.up()
    world.system.down()
    kept = folder / "cluster"
    shutil.copytree(world.system.state / "pg", kept, symlinks=True)
    owner = os.stat(world.system.state)
    for path in [kept, *kept.rglob("*")]:
        os.chown(path, owner.st_uid, owner.st_gid)
    shutil.rmtree(world.system.state, ignore_errors=True)
    return kept
