"""What comes late undoes nothing that has come since, and whose account ends in the middle of a request hears 401."""
import contextlib
import hashlib
import itertools
import os
import random
import threading
import time

import psycopg
import pytest

CRYPT = "$y$j9T$rrrrrrrrrrrrrrrrrrrrr.$hash"
DEADLINE_S = 20
RACES = 300
NUMBERS = itertools.count(1)


def connect(role, autocommit=True):
    return psycopg.connect(os.environ["RESTSIP_TEST_PG"] + f" options='-c role={role}'", autocommit=autocommit)


class User:
    """An account with a token, a digest credential and no contact."""

    def __init__(self, db, name):
        self.email = f"{name}-{next(NUMBERS)}-{os.getpid()}@example.net"
        self.token = hashlib.sha256(self.email.encode()).digest()
        self.ticket = hashlib.sha256(b"ticket" + self.token).digest()
        db.execute("select * from api.user_create(%s, %s, '{}')", (self.email, CRYPT))
        db.execute("select * from api.session_create(%s, %s, %s, 3600)", (self.email, CRYPT.encode(), self.token))
        db.execute("select * from api.ticket_create(null, %s, %s)", (self.token, self.ticket))
        db.execute("select * from api.credential_create(%s, %s, 'me', 'x', null, 'pw')", (self.email, CRYPT.encode()))
        self.id, = db.execute("select id from app.account where email = %s", (self.email,)).fetchone()
        self.digest = db.execute("select id, ha1 from app.credential where account_id = %s", (self.id,)).fetchone()

    def login(self, db, key="k", flow=None, agent=None):
        n, = db.execute("select n from api.login_register(null, %s, 'me', %s, %s, 600, '{}', null)",
                        (self.token, f"sip:{key}@192.0.2.1", key)).fetchone()
        db.execute("update app.login set flow = %s, agent_id = %s where account_id = %s and n = %s", (flow, agent, self.id, n))
        return n

    def send(self, db, to):
        n, = db.execute("select n from api.send_post(null, %s, %s, null, 'text/plain', 'x', true, null, null)",
                        (self.token, to.email)).fetchone()
        return n

    def cancel(self, db, to, n):
        return db.execute("select status from api.send_cancel(null, %s, %s, %s)", (self.token, to.email, n)).fetchone()[0]


@pytest.fixture(name="db")
def fixture_db():
    with connect("postgres") as db:
        yield db


@pytest.fixture(name="alice")
def fixture_alice(db):
    return User(db, "alice")


@pytest.fixture(name="bob")
def fixture_bob(db):
    return User(db, "bob")


@pytest.fixture(name="agent")
def fixture_agent(db):
    agent, = db.execute("select agent from api.agent_start(%s, 'b')", (f"ends-{next(NUMBERS)}-{os.getpid()}",)).fetchone()
    return agent


def wait_for(condition):
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.005)


def behind(db, first, second):
    """Runs `first` (SQL and values), then `second` beside it until it waits; commits the first. What the second one got:
    its rows, or the SQLSTATE that it was refused with."""
    got = []

    def run(other):
        try:
            got.append(other.execute(*second).fetchall())
        except psycopg.Error as error:
            got.append(error.sqlstate)

    with connect("postgres", autocommit=False) as one, connect("postgres") as two:
        one.execute(*first)
        thread = threading.Thread(target=run, args=(two,), daemon=True)
        thread.start()
        wait_for(lambda: got or db.execute("select cardinality(pg_blocking_pids(%s)) > 0",
                                           (two.info.backend_pid,)).fetchone()[0])
        one.commit()
        thread.join(DEADLINE_S)
    assert got, "it still waits"
    return got[0]


# ---- whose account ends ----

SUBSCRIBE = ("select * from api.sip_subscribe(%%(agent)s, %%(%(who)scredential)s, %%(%(who)sha1)s, %%(%(whom)s)s, jsonb_build_object("
             "'event', 'presence', 'call_id', 'c' || %%(bob)s, 'remote_tag', 'r', 'local_tag', 'l', 'local_uri', 'sip:a',"
             " 'remote_uri', 'sip:b', 'local_target', 'sip:c', 'remote_target', 'sip:d', 'remote_cseq', 1), false, 60)")
INVITE = ("select * from api.sip_invite(%%(agent)s, %%(%(who)scredential)s, %%(%(who)sha1)s, %%(%(whom)s)s, jsonb_build_object("
          "'call_id', 'c' || %%(bob)s, 'remote_tag', 'r', 'local_tag', 'l', 'local_uri', 'sip:a', 'remote_uri', 'sip:b',"
          " 'local_target', 'sip:c', 'remote_target', 'sip:d', 'remote_cseq', 1, 'hops', 70), 'v=0', null, 60, false)")
COMMAND = ("select * from api.send_post(null, %%(%(token)s)s, %%(%(whom)s)s, null, 'application/json', convert_to("
           "'{\"command\":\"%(command)s\",\"url\":\"/call/' || %%(%(call)s)s || '\"}', 'UTF8'), true, null, null)")
REQUESTS = {
    "SEND": ("select * from api.send_post(null, %(token)s, %(alice)s, null, 'text/plain', 'x', true, null, null)", "RS401"),
    "SEND with a key": ("select * from api.send_post(null, %(token)s, %(alice)s, null, 'text/plain', 'x', true, null, null,"
                        " 'key', 'print')", "RS401"),
    "SEND to oneself": ("select * from api.send_post(null, %(token)s, 'me', null, 'text/plain', 'x', true, null, null)",
                        "RS401"),
    "CANCEL": ("select * from api.send_cancel(null, %(token)s, %(alice)s, %(sent)s)", "RS401"),
    "POST /call": ("select * from api.call_create(null, %(token)s, 's', null, true, null, '{}', null, null)", "RS401"),
    "POST /call with a key": ("select * from api.call_create(null, %(token)s, 's', null, true, null, '{}', 'key', 'print')",
                              "RS401"),
    "POST /call/{id}": ("select * from api.call_join(null, %(token)s, %(call)s, 'me', '{}', '{}', null, null)", "RS401"),
    "PATCH /call/{id}": ("select * from api.call_patch(null, %(token)s, %(own)s, '{}', null, null, null, null, '{}', null)",
                         "RS404"),
    "DELETE /call/{id}": ("select * from api.call_delete(null, %(token)s, %(own)s, null)", "RS404"),
    "PUT /user": ("select * from api.user_put(null, %(token)s, 'me', '{}', false, null, null)", "RS401"),
    "PUT /user by password": ("select * from api.user_put(%(bob)s, %(hash)s, 'me', '{}', false, null, null)", "RS401"),
    "POST /login by password": ("select * from api.login_register(%(bob)s, %(hash)s, 'me', 'sip:b', 'b', 600, '{}', null)",
                                "RS401"),
    "PUT /user, a password": ("select * from api.user_put(%(bob)s, %(hash)s, 'me', '{}', false, 'x', null, true, null)", "RS401"),
    "DELETE /user": ("select * from api.user_delete(null, %(token)s, 'me', null)", "RS401"),
    "POST /login": ("select * from api.login_register(null, %(token)s, 'me', 'sip:b', 'b', 600, '{}', null)", "RS401"),
    "POST /login with a key": ("select * from api.login_register(null, %(token)s, 'me', 'sip:b', 'b', 600, '{}', null, 'key',"
                               " 'print')", "RS401"),
    "PUT /login": ("select * from api.login_register_many(null, %(token)s, 'me', '[{\"contact\":\"sip:b\",\"key\":\"b\"}]', true,"
                   " null)", "RS401"),
    "PUT /login/me/{n}": ("select * from api.login_refresh(null, %(token)s, 'me', 1, null, null, null, null, null)", "RS401"),
    "DELETE /login": ("select * from api.login_delete(null, %(token)s, 'me', null, null)", "RS401"),
    "POST /session": ("select * from api.session_create(%(bob)s, %(hash)s, sha256('new'), 60)", "RS401"),
    "DELETE /session": ("select * from api.session_delete(null, %(token)s)", "RS401"),
    "POST /ticket": ("select * from api.ticket_create(null, %(token)s, sha256('new'))", "RS401"),
    "POST /credential": ("select * from api.credential_create(%(bob)s, %(hash)s, 'me', '', null, 'pw')", "RS401"),
    "DELETE /credential": ("select * from api.credential_delete(null, %(token)s, 'me', 1)", "RS401"),
    "POST /messages": ("select * from api.mail_post(null, %(token)s, %(alice)s, 'text', 'http://x', null, null, '{}', null,"
                       " null)", "RS401"),
    "POST /messages of one's own": ("select * from api.mail_post(null, %(token)s, 'me', 'text', 'http://x', null, null, '{}',"
                                    " null, null)", "RS401"),
    "PATCH /messages": ("select * from api.mail_patch(null, %(token)s, 'me', 1, true, '{}', null)", "RS401"),
    "DELETE /messages": ("select * from api.mail_delete(null, %(token)s, 'me', 1, null)", "RS401"),
    "a stream": ("select * from api.watch_open(0, null, %(token)s, null, 'login', 'me')", "RS401"),
    "a stream by ticket": ("select * from api.watch_open(0, null, null, %(ticket)s, 'login', 'me')", "RS401"),
    "a stream by password": ("select * from api.watch_open(0, %(bob)s, %(hash)s, null, 'login', 'me')", "RS401"),
    "REGISTER": ("select * from api.sip_register(%(agent)s, %(credential)s, %(ha1)s, %(bob)s, 'c', 1,"
                 " '[{\"contact\":\"sip:b\",\"key\":\"b\",\"expires\":60}]', false, null, 'udp:192.0.2.1:5060', null)", "RS401"),
    "MESSAGE": ("select * from api.sip_message(%(agent)s, %(credential)s, %(ha1)s, %(alice)s, 'text/plain', 'x', 'o' || %(bob)s,"
                " null)", "RS401"),
    "PUBLISH": ("select * from api.sip_publish(%(agent)s, %(credential)s, %(ha1)s, %(bob)s, 'c', 1, null, '{}', 'b', null, 60)",
                "RS401"),
    "SUBSCRIBE": (SUBSCRIBE % {"who": "", "whom": "alice"}, "RS401"),
    "alice's SUBSCRIBE to bob": (SUBSCRIBE % {"who": "alice_", "whom": "bob"}, "RS404"),
    "alice's SEND to bob": ("select * from api.send_post(null, %(of_alice)s, %(bob)s, null, 'text/plain', 'x', true, null, null)",
                            "RS404"),
    "alice's message to bob": ("select * from api.mail_post(null, %(of_alice)s, %(bob)s, 'text', 'http://x', null, null, '{}',"
                               " null, null)", "RS404"),
    "alice's call, bob invited": ("select * from api.call_create(null, %(of_alice)s, 's', null, true, to_jsonb(array[%(bob)s]),"
                                  " '{}', null, null)", "RS400"),
    "INVITE": (INVITE % {"who": "", "whom": "alice"}, "RS401"),
    "INVITE to oneself": (INVITE % {"who": "", "whom": "bob"}, "RS404"),
    "alice's INVITE to bob": (INVITE % {"who": "alice_", "whom": "bob"}, "RS404"),
    "POST /call that rings": ("select * from api.call_create(null, %(token)s, 's', null, true, null, '{}', null, null, null,"
                              " to_jsonb(array[%(alice)s]))", "RS401"),
    "alice's call, which rings bob": ("select * from api.call_create(null, %(of_alice)s, 's', null, true, null, '{}', null, null,"
                                      " null, to_jsonb(array[%(bob)s]))", "RS400"),
    "alice's call, bob invited and rung": ("select * from api.call_create(null, %(of_alice)s, 's', null, true,"
                                           " to_jsonb(array[%(bob)s]), '{}', null, null, null, to_jsonb(array[%(bob)s]))",
                                           "RS400"),
    "SEND of an invite": (COMMAND % {"token": "token", "whom": "alice", "command": "invite", "call": "joined"}, "RS401"),
    "alice's SEND of an invite to bob": (COMMAND % {"token": "of_alice", "whom": "bob", "command": "invite", "call": "call"},
                                         "RS404"),
    "SEND of a reject": (COMMAND % {"token": "token", "whom": "alice", "command": "reject", "call": "ringing"}, "RS401"),
    "alice's SEND of a cancel to bob": (COMMAND % {"token": "of_alice", "whom": "bob", "command": "cancel", "call": "ringing"},
                                        "RS404"),
    "an answer": ("select * from api.call_join(null, %(token)s, %(ringing)s, 'me', null, '{}', null, null)", "RS401"),
    "alice's CANCEL of what bob was sent": ("select * from api.send_cancel(null, %(of_alice)s, %(bob)s, %(got)s)", "RS404"),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_an_account_ends_in_the_middle_of(name, db, alice, bob, agent):
    bob.login(db)
    alice.login(db)
    joined, ringing = [
        db.execute("select id from api.call_create(null, %s, 's', null, true, null, '{}', null, null, null, to_jsonb(%s::text[]))",
                   (alice.token, rung)).fetchone()[0] for rung in ([], [bob.email])]
    db.execute("select * from api.call_join(null, %s, %s, 'me', null, '{}', null, null)", (bob.token, joined))
    own, = db.execute("select id from api.call_create(null, %s, 'own', null, true, null, '{}', null, null)", (bob.token,)).fetchone()
    call, = db.execute("select id from api.call_create(null, %s, 's', null, true, null, '{}', null, null)", (alice.token,)).fetchone()
    db.execute("select * from api.mail_post(null, %s, %s, 'text', 'http://x', null, null, '{}', null, null)",
               (alice.token, bob.email))
    request, right = REQUESTS[name]
    values = {"alice": alice.email, "bob": bob.email, "token": bob.token, "of_alice": alice.token, "ticket": bob.ticket,
              "hash": CRYPT.encode(), "credential": bob.digest[0], "ha1": bob.digest[1], "agent": agent, "own": own, "alice_credential": alice.digest[0], "alice_ha1": alice.digest[1], "call": call,
              "joined": joined, "ringing": ringing,
              "sent": bob.send(db, alice), "got": alice.send(db, bob)}
    assert behind(db, ("select * from api.user_delete(null, %(token)s, 'me', null)", values), (request, values)) == right


def test_an_account_that_has_gone_leaves_nothing_of_its_calls(db, alice, bob):
    for open_ in (True, False):
        db.execute("select * from api.call_create(null, %s, 's', null, %s, null, '{}', null, null)", (bob.token, open_))
    ended, = db.execute("select id from api.call_create(null, %s, 's', null, true, null, '{}', null, null)",
                        (bob.token,)).fetchone()
    db.execute("select * from api.call_delete(null, %s, %s, null)", (bob.token, ended))
    db.execute("select * from api.user_delete(null, %s, 'me', null)", (bob.token,))
    assert not db.execute("select r.id from app.resource r left join app.call c on c.id = r.id"
                          " where r.kind = 'call' and c.id is null").fetchall()
    assert not db.execute("select from app.resource where id = %s and kind in ('login', 'mailbox', 'profile')", (bob.id,)).fetchall()
    assert alice.id


def test_who_joins_a_call_while_the_account_ends_is_out_of_it(db, alice, bob):
    call, = db.execute("select id from api.call_create(null, %s, 's', null, true, null, '{}', null, null)", (alice.token,)).fetchone()
    join = ("select version from api.call_join(null, %s, %s, 'me', '{}', '{}', null, null)", (bob.token, call))
    delete = ("select email from api.user_delete(null, %s, 'me', null)", (bob.token,))
    before, = db.execute("select version from api.call_get(null, %s, %s)", (alice.token, call)).fetchone()
    assert behind(db, join, delete) == [(bob.email,)]  # it has waited for the join, and sees the call
    version, doc = db.execute("select version, doc::jsonb from api.call_get(null, %s, %s)", (alice.token, call)).fetchone()
    assert version > before and doc["children"] == []


def test_one_account_that_goes_does_not_keep_the_others_of_a_lost_flow(db, alice, bob, agent):
    for user in (alice, bob):
        user.login(db, flow="tcp:b:1", agent=agent)
    first, other = sorted((alice, bob), key=lambda user: user.id)
    assert behind(db, ("select * from api.user_delete(null, %s, 'me', null)", (first.token,)),
                  ("select removed from api.flow_lost(%s, 'tcp:b:1')", (agent,))) == [(1,)]
    assert not db.execute("select from app.login where account_id = %s", (other.id,)).fetchall()


# ---- what is taken back ----

def test_cancel_in_the_moment_of_its_start(db, alice, bob):
    alice.login(db)
    n, = db.execute("select n from api.send_post(null, %s, %s, null, 'text/plain', 'x', true, now() + interval '1 hour', null)",
                    (bob.token, alice.email)).fetchone()
    db.execute("update app.send set due_at = now() where account_id = %s and n = %s", (alice.id, n))
    assert behind(db, ("select app.start_due_sends()",),
                  ("select status, doc::jsonb ->> 'status' from api.send_cancel(null, %s, %s, %s)",
                   (bob.token, alice.email, n))) == [(200, "cancelled")]


@pytest.fixture(name="process")
def fixture_process(db):
    process, = db.execute("select process from api.stream_start(%s)", (f"ends-{next(NUMBERS)}-{os.getpid()}",)).fetchone()
    return process


def open_stream(db, user, process):
    db.execute("select * from api.watch_open(%s, null, %s, null, 'login', 'me')", (process, user.token))


def test_what_a_stream_has_read_is_not_taken_back(db, alice, bob, process):
    open_stream(db, alice, process)
    n = bob.send(db, alice)
    read = ("select n from api.inbox_read(%s, null, 16)", (alice.id,))
    cancel = ("select status from api.send_cancel(null, %s, %s, %s)", (bob.token, alice.email, n))
    assert behind(db, read, cancel) == [(409,)]
    assert db.execute(*read).fetchall() == [(n,)], "and is still shown"
    db.execute("select * from api.inbox_written(%s, %s, array(select inbox from app.send where account_id = %s))",
               (process, alice.id, alice.id))
    assert db.execute(*cancel).fetchall() == [(409,)]


def test_what_is_taken_back_is_not_read(db, alice, bob, process):
    open_stream(db, alice, process)
    ns = [bob.send(db, alice) for _ in range(3)]
    cancel = ("select status from api.send_cancel(null, %s, %s, %s)", (bob.token, alice.email, ns[0]))
    # The page is full all the same: with fewer a reader thinks that it has all.
    assert behind(db, cancel, ("select n from api.inbox_read(%s, 0, 2)", (alice.id,))) == [(ns[1],), (ns[2],)]
    assert bob.cancel(db, alice, ns[0]) == 200, "again"


def test_what_a_stream_replays_is_not_taken_back_from_a_phone_alone(db, alice, bob, process):
    alice.login(db)
    n = bob.send(db, alice)
    open_stream(db, alice, process)
    assert db.execute("select n from api.inbox_read(%s, 0, 16)", (alice.id,)).fetchall() == [(n,)]
    assert bob.cancel(db, alice, n) == 409


def test_cancel_against_an_open_stream(db, alice, bob, process):
    open_stream(db, alice, process)
    db.execute("update app.setting set amount = 1000000 where name = 'sends'")
    barrier = threading.Barrier(2)
    shown, status = set(), {}
    sent = []

    def read():
        with connect("restsip_stream") as other, contextlib.suppress(threading.BrokenBarrierError):
            after = 0
            for _ in range(RACES):
                barrier.wait(DEADLINE_S)
                time.sleep(random.random() / 1000)
                for inbox, n in other.execute("select inbox, n from api.inbox_read(%s, %s, 16) where n is not null",
                                              (alice.id, after)).fetchall():
                    shown.add(n)
                    after = inbox
                    other.execute("select * from api.inbox_written(%s, %s, %s)", (process, alice.id, [inbox]))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    with connect("restsip_api") as other:
        for _ in range(RACES):
            sent.append(bob.send(other, alice))
            barrier.wait(DEADLINE_S)
            time.sleep(random.random() / 1000)
            status[sent[-1]] = bob.cancel(other, alice, sent[-1])
    reader.join(DEADLINE_S)
    db.execute("update app.setting set amount = standard where name = 'sends'")
    assert set(status.values()) == {200, 409}, "both happen"
    assert {n for n in sent if status[n] == 200} & shown == set()
    assert {n for n in sent if status[n] == 409} <= shown


# ---- what settles late ----

def test_a_delivery_is_given_back_while_its_binding_goes(db, alice, bob, agent):
    alice.login(db, flow="udp:192.0.2.1:5060", agent=agent)
    bob.send(db, alice)
    delivery, attempt = db.execute("select delivery, attempt from api.delivery_claim(%s, 10, 30)"
                                   " where recipient = %s", (agent, alice.email)).fetchone()
    got = behind(db, ("select * from api.login_delete(null, %s, 'me', null, null)", (alice.token,)),
                 ("select state from api.delivery_settle(%s, %s, %s, null, null)", (agent, delivery, attempt)))
    assert got == [("stored",)], "nobody knows its way any more"


def test_a_list_is_cut_while_somebody_inherits_it(db, alice):
    processes = [db.execute("select process from api.stream_start(%s)", (f"list{i}-{os.getpid()}",)).fetchone()[0] for i in (1, 2)]
    watch = "select * from api.watch_open(%s, null, %s, null, 'list', 'login')"
    db.execute(watch, (processes[0], alice.token))
    wait_for(lambda: db.execute("select upto from api.list_page(%s, 'login', %s, null, 10)",
                                (processes[0], alice.id)).fetchone()[0])
    alice.login(db)
    db.execute("select app.count_list('login')")
    rows, last = db.execute("select array_agg(n), max(xid) from app.list_change where list = 'login'").fetchone()
    assert rows
    behind(db, (watch, (processes[1], alice.token)), ("select app.cut_list('login', %s)", (rows,)))
    assert db.execute("select since > %s from app.watch where kind = 'list' and process_id = %s",
                      (last, processes[1])).fetchall() == [(True,)]
    db.execute("delete from app.watch where process_id = any (%s)", (processes,))


def test_two_processes_watch_a_list_again_without_waiting_for_each_other(db, alice):
    processes = [db.execute("select process from api.stream_start(%s)", (f"two{i}-{os.getpid()}",)).fetchone()[0] for i in (1, 2)]
    watch = "select * from api.watch_open(%s, null, %s, null, 'list', 'login')"
    for process in processes:
        db.execute(watch, (process, alice.token))
    wait_for(lambda: all(db.execute("select upto from api.list_page(%s, 'login', %s, null, 10)",
                                    (process, alice.id)).fetchone()[0] for process in processes))
    db.execute("update app.watch set closed_at = now() where process_id = any (%s)", (processes,))
    with connect("postgres", autocommit=False) as one, connect("postgres", autocommit=False) as two:
        two.execute("set local lock_timeout = '5s'")
        one.execute(watch, (processes[0], alice.token))
        two.execute("select * from api.watch_open(%s, null, %s, null, 'list', 'login')", (processes[1], alice.token))
    db.execute("delete from app.watch where process_id = any (%s)", (processes,))
