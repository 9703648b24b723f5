"""Lists as streams: the log of /login and /call, read while transactions commit out of order, on purpose."""
import contextlib
import hashlib
import itertools
import json
import os
import random
import threading
import time

import psycopg
import pytest

NUMBERS = itertools.count(1)
CRYPT = "$y$j9T$rrrrrrrrrrrrrrrrrrrrr.$hash"
ROUNDS, WRITERS = 400, 4


def connect(role, autocommit=True):
    return psycopg.connect(os.environ["RESTSIP_TEST_PG"] + f" options='-c role={role}'", autocommit=autocommit)


class Reader:
    """One stream process that watches one list, as one account, and what it knows of the list."""

    def __init__(self, db, account, name="login", limit=1000):
        self.db, self.name, self.limit = db, name, limit
        self.process_name = f"list{next(NUMBERS)}-{os.getpid()}"
        self.process = db.execute("select process from api.stream_start(%s)", (self.process_name,)).fetchone()[0]
        self.caller = account.id
        self.place = (None, None, None)
        self.items, self.seen = {}, []
        self.open(account)

    def open(self, account):
        self.db.execute("select * from api.watch_open(%s, null, %s, null, 'list', %s)",
                        (self.process, account.token, self.name))

    def close(self):
        self.db.execute("select api.watch_close(%s, 'list', %s, false)",
                        (self.process, 1 if self.name == "login" else 2))

    def page(self):
        upto, doc = self.db.execute("select upto, doc from api.list_page(%s, %s, %s, null, 1000)",
                                    (self.process, self.name, self.caller)).fetchone()
        if upto is not None:
            self.place = (upto, None, None)
            self.items = {item["id"]: item for item in json.loads(doc)}
        return upto is not None

    def await_page(self, timeout_s=20):
        deadline = time.monotonic() + timeout_s
        while not self.page():
            assert time.monotonic() < deadline, "never ready"
            time.sleep(0.005)
        return self

    def read(self):
        """One read; its rows, applied. None: the log does not reach."""
        rows = self.db.execute(
            "select upto, reaches, more, n, xid, key, doc, stale, seen_by, was_seen_by"
            " from api.list_read(%s, %s, %s, %s, %s, %s)",
            (self.process, self.name, *self.place, self.limit)).fetchall()
        upto, reaches, self.more = rows[0][:3]
        if not reaches:
            return None
        rows = [row for row in rows if row[3] is not None]
        for _, _, _, n, xid, key, doc, stale, seen_by, was in rows:
            self.seen.append((n, xid))
            sees = doc is not None and (seen_by is None or self.caller in seen_by)
            if sees and not stale:
                self.items[key] = json.loads(doc)
            elif not sees and (was is None or self.caller in was):
                self.items.pop(key, None)
        if len(rows) == self.limit:
            self.place = (self.place[0], upto, rows[-1][3])
        else:
            self.place = (upto, None, None)
        return rows


class Account:
    def __init__(self, name):
        self.email = f"{name}{next(NUMBERS)}-{os.getpid()}@example.net"
        self.token = hashlib.sha256(self.email.encode() + os.urandom(8)).digest()
        with connect("restsip_api") as db:
            db.execute("select * from api.user_create(%s, %s, '{}')", (self.email, CRYPT))
            db.execute("select * from api.session_create(%s, %s, %s, 3600)", (self.email, CRYPT.encode(), self.token))
        with connect("postgres") as db:
            self.id = db.execute("select id from app.account where email = %s", (self.email,)).fetchone()[0]

    def register(self, db, contact="a"):
        return db.execute("select n, bell from api.login_register(null, %s, 'me', %s, %s, 600, '{}', null)",
                          (self.token, f"sip:{contact}@192.0.2.1", contact)).fetchone()

    def unregister(self, db):
        db.execute("select * from api.login_delete(null, %s, 'me', null, null)", (self.token,))

    def call(self, db, sql, *params):
        return db.execute(f"select * from api.{sql}", (self.token, *params)).fetchone()


@pytest.fixture(name="api")
def fixture_api():
    with connect("restsip_api") as db:
        yield db


@pytest.fixture(name="stream")
def fixture_stream():
    with connect("restsip_stream") as db:
        yield db


@pytest.fixture(autouse=True)
def unwatched():
    """Each test finds no list watched, and no log."""
    with connect("postgres") as db:
        db.execute("delete from app.watch where kind = 'list'")
        db.execute("delete from app.list_change")
        db.execute("delete from app.list_log")  # what is counted of it
        yield
        db.execute("delete from app.watch where kind = 'list'")


@contextlib.contextmanager
def transaction(with_xid=True):
    """One that stays open, and has its number, until the block ends."""
    with connect("restsip_api", autocommit=False) as db:
        if with_xid:
            db.execute("select pg_current_xact_id()")
        yield db
        db.commit()


def logged():
    with connect("postgres") as db:
        return db.execute("select count(*) from app.list_change").fetchone()[0]


def test_unwatched_it_is_not_logged_and_nothing_is_rung(api):
    assert Account("a").register(api)[1] is None and logged() == 0


def test_a_page_waits_for_who_may_not_have_seen_the_watch(api, stream):
    alice, bob = Account("a"), Account("b")
    with transaction() as late:
        assert alice.register(late)[1] is None
        reader = Reader(stream, bob)
        assert not reader.page() and not reader.page()
        assert bob.register(api)[1] == ["restsip_change|list/login"]
        assert not reader.page()
    assert reader.page()
    assert {alice.email, bob.email} <= set(reader.items)


def test_what_commits_late_is_not_overtaken(api, stream):
    alice, bob = Account("a"), Account("b")
    reader = Reader(stream, bob).await_page()
    with transaction() as late:
        alice.register(late)
        bob.register(api)
        assert reader.read() == [] and reader.more
    rows = reader.read()
    assert [row[5] for row in rows] == [alice.email, bob.email] and not reader.more
    assert reader.read() == []


def test_an_operator_sees_whom_readers_wait_for(api):
    def shown():
        seconds = [row[0] for row in api.execute("select figures from api.metrics('test', 1, '') where figures ~ '^restsip_transaction'")]
        with connect("restsip_inspect") as db:
            return db.execute("select pid, role, program, state from inspect.transaction where writes and seconds >= 1").fetchall(), seconds
    with psycopg.connect(os.environ["RESTSIP_TEST_PG"], user="postgres", application_name="forgotten") as held:
        pid = held.info.backend_pid
        held.execute("select pg_current_xact_id()")
        time.sleep(1.6)
        rows, seconds = shown()
        assert (pid, "postgres", "forgotten", "idle in transaction") in rows, rows
        assert len(seconds) == 1 and int(seconds[0].split()[1]) >= 1, seconds
    assert pid not in [row[0] for row in shown()[0]]


def test_what_runs_in_another_database_holds_up_nobody(api, stream):
    """Its transactions have numbers among ours."""
    alice = Account("a")
    with psycopg.connect(os.environ["RESTSIP_TEST_PG"], dbname="postgres", user="postgres") as other:
        other.execute("select pg_current_xact_id()")
        reader = Reader(stream, alice).await_page()
        alice.register(api)
        rows = reader.read()
        assert [row[5] for row in rows] == [alice.email] and not reader.more
        with transaction():
            assert reader.read() == [], "it went back"
            alice.unregister(api)
            assert reader.read() == [] and reader.more, "what runs here is waited for"
        assert [row[5] for row in reader.read()] == [alice.email]
    assert reader.read() == [], "it went back"


def test_what_is_rolled_back_never_was(api, stream):
    alice, bob = Account("a"), Account("b")
    reader = Reader(stream, bob).await_page()
    with transaction() as db:
        alice.register(db)
        db.rollback()
    bob.register(api)
    assert [row[5] for row in reader.read()] == [bob.email]


def test_a_later_state_in_an_earlier_window_stays(api, stream):
    """An item's second change is read before its first, which a third transaction holds back."""
    alice, bob = Account("a"), Account("b")
    reader = Reader(stream, bob).await_page()
    with contextlib.ExitStack() as first:
        second = first.enter_context(transaction())
        with transaction():
            alice.register(api, "one")
            alice.register(second, "two")
            first.close()
            rows = reader.read()
            assert [json.loads(row[6])["contacts"] for row in rows] == [2] and reader.more
        rows = reader.read()
        assert [(row[5], row[7]) for row in rows] == [(alice.email, True)]
    assert reader.items[alice.email]["contacts"] == 2


def test_a_refresh_is_no_change(api, stream):
    alice = Account("a")
    reader = Reader(stream, alice).await_page()
    assert alice.register(api)[1] and alice.register(api)[1] is None
    assert len(reader.read()) == 1
    alice.unregister(api)
    assert [row[6] for row in reader.read()] == [None] and alice.email not in reader.items


def test_a_window_can_be_left_in_the_middle(api, stream):
    accounts = [Account("m") for _ in range(5)]
    reader = Reader(stream, accounts[0], limit=2).await_page()
    with transaction():
        for account in accounts:
            account.register(api)
            account.register(api, "b")
    assert [len(reader.read()) for _ in range(3)] == [2, 2, 1]
    assert {a.email: 2 for a in accounts} == {k: v["contacts"] for k, v in reader.items.items()
                                             if k in {a.email for a in accounts}}


def test_another_process_inherits_the_history(api, stream):
    alice, bob = Account("a"), Account("b")
    reader = Reader(stream, bob).await_page()
    reader.close()
    alice.register(api)
    with connect("restsip_stream") as other, transaction():
        late = Reader(other, bob)
        late.place = reader.place
        assert [row[5] for row in late.read()] == [alice.email]


def test_where_history_was_cut_it_does_not_reach(api, stream):
    alice = Account("a")
    reader = Reader(stream, alice).await_page()
    alice.register(api)
    before = reader.place
    with connect("postgres") as db:
        db.execute("select app.sweep_list('login', now() + interval '1 s')")
    assert reader.read() is None and logged() == 0
    reader.await_page()
    assert alice.email in reader.items and reader.read() == []
    reader.place = before
    assert reader.read() is None
    reader.place = (1 << 60, None, None)
    assert reader.read() is None


def test_a_log_has_room_for_so_much(api, stream):
    """The oldest goes, and whoever comes from before takes the page; those who keep up do not notice."""
    owner, bob = Account("a"), Account("b")
    call = owner.call(api, "call_create(null, %s, 's', null, true, null, '{}', null, null)")[0]
    reader = Reader(stream, bob, "call").await_page()
    before = reader.place
    with connect("postgres") as db:
        try:
            db.execute("select inspect.set_bound('list_log', 20000)")
            for round_ in range(3):
                for i in range(30):
                    owner.call(api, f"call_patch(null, %s, {call}, '{{subject}}', '{round_}-{i}', null, null, null, '{{}}', null)")
                assert reader.read() is not None
                while db.execute("select app.sweep_list('call', '-infinity')").fetchone()[0]:
                    pass
                size = db.execute("select coalesce(sum(size), 0) from app.list_change").fetchone()[0]
                counted = db.execute("select bytes from app.list_log where list = 'call'").fetchone()[0]
                assert 10000 < size == counted <= 20000
                assert reader.read() == [] and reader.items[str(call)]["subject"] == f"{round_}-29"
            reader.place = before
            assert reader.read() is None
        finally:
            db.execute("select inspect.set_bound('list_log')")


def test_unwatched_for_a_while_it_does_not_reach(api, stream):
    alice, bob = Account("a"), Account("b")
    reader = Reader(stream, bob).await_page()
    with connect("postgres") as db:
        db.execute("delete from app.watch where kind = 'list'")
    alice.register(api)
    reader.open(bob)
    place = reader.place
    reader.await_page()
    reader.place = place
    assert reader.read() is None


def test_calls_are_shown_to_whom_they_concern(api, stream):
    alice, bob, carol = Account("a"), Account("b"), Account("c")
    with connect("restsip_stream") as other:
        hers, theirs = Reader(stream, bob, "call").await_page(), Reader(other, carol, "call").await_page()

        def both():
            hers.read()
            theirs.read()
            return str(call) in hers.items, str(call) in theirs.items

        call = alice.call(api, "call_create(null, %s, 's', null, false, null, '{}', null, null)")[0]
        assert both() == (False, False)
        alice.call(api, "call_patch(null, %s, %s, '{invited}', null, null, null, %s, null, null)", call,
                   json.dumps([bob.email]))
        assert both() == (True, False)
        alice.call(api, "call_patch(null, %s, %s, '{open}', null, null, true, null, null, null)", call)
        assert both() == (True, True)
        carol.call(api, "call_join(null, %s, %s, 'me', null, '{}', null, null)", call)
        alice.call(api, "call_patch(null, %s, %s, '{open,invited}', null, null, false, null, null, null)", call)
        assert both() == (False, True)
        carol.call(api, "participant_delete(null, %s, %s, 1, null)", call)
        assert both() == (False, False)
        alice.call(api, "call_patch(null, %s, %s, '{invited}', null, null, null, %s, null, null)", call,
                   json.dumps([bob.email, carol.email]))
        assert both() == (True, True)
        alice.call(api, "call_delete(null, %s, %s, null)", call)
        assert both() == (False, False)


def test_who_loses_sight_in_the_midst_of_a_window_hears_of_it(api, stream):
    alice, bob = Account("a"), Account("b")
    call = alice.call(api, "call_create(null, %s, 's', null, false, %s, '{}', null, null)", json.dumps([bob.email]))[0]
    reader = Reader(stream, bob, "call").await_page()
    assert str(call) in reader.items
    with transaction():
        for member in ("invited", "subject"):
            alice.call(api, "call_patch(null, %s, %s, %s, 'x', null, null, null, null, null)", call, [member])
    rows = reader.read()
    assert len(rows) == 1 and str(call) not in reader.items


def test_random_writers_and_a_reader_that_comes_and_goes(stream):
    """Writers whose commits cross; at the end the reader has what a GET shows, and each row once."""
    accounts, failed, done = [Account("r") for _ in range(WRITERS)], [], threading.Event()

    def write(number):
        try:
            rng = random.Random(number)
            with connect("restsip_api", autocommit=False) as db:
                for _ in range(ROUNDS):
                    if rng.random() < 0.5:
                        db.execute("select pg_current_xact_id()")
                    for account in rng.sample(accounts, 1):
                        if rng.random() < 0.3:
                            account.unregister(db)
                        else:
                            account.register(db, rng.choice("abc"))
                    if rng.random() < 0.2:
                        time.sleep(rng.random() * 0.004)
                    if rng.random() < 0.1:
                        db.rollback()
                    else:
                        db.commit()
        except Exception as error:  # shown at the end
            failed.append(error)

    threads = [threading.Thread(target=write, args=(n,), daemon=True) for n in range(WRITERS)]
    for thread in threads:
        thread.start()
    threading.Thread(target=lambda: [t.join() for t in threads] and done.set(), daemon=True).start()
    reader, rng = Reader(stream, accounts[0], limit=3).await_page(), random.Random(0)
    deadline = time.monotonic() + 120
    while not done.is_set() or reader.read() or reader.more:
        assert time.monotonic() < deadline and not failed, failed
        assert reader.read() is not None, "its history ended"
        if rng.random() < 0.05:  # goes, and comes back within the minute
            reader.close()
            reader.open(accounts[0])
    assert not failed, failed
    emails = {account.email for account in accounts}
    with connect("restsip_api") as db:
        rows = db.execute("select email, doc from api.login_list(null, %s, null, 1000)", (accounts[0].token,))
        now = {email: json.loads(doc) for email, doc in rows if email in emails}
    assert {k: v for k, v in reader.items.items() if k in emails} == now
    assert len(set(reader.seen)) == len(reader.seen) > ROUNDS / 4
