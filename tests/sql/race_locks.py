"""Who waits for whom: claims for nobody, the janitor for nobody long, and nobody for each other."""
import hashlib
import itertools
import os
import threading
import time

import psycopg
import pytest

NUMBERS = itertools.count(1)
CRYPT = "$y$j9T$rrrrrrrrrrrrrrrrrrrrr.$hash"
ROUNDS = 15


def connect(autocommit=True):
    return psycopg.connect(os.environ["RESTSIP_TEST_PG"] + " options='-c role=restsip_owner'", autocommit=autocommit)


@pytest.fixture(name="db")
def fixture_db():
    with connect() as db:
        yield db


class Account:
    def __init__(self, db):
        self.db, self.email = db, f"locks{next(NUMBERS)}-{os.getpid()}@example.net"
        self.token = hashlib.sha256(self.email.encode()).digest()
        db.execute("select * from api.user_create(%s, %s, '{}')", (self.email, CRYPT))
        db.execute("select * from api.session_create(%s, %s, %s, 3600)", (self.email, CRYPT.encode(), self.token))
        self.id = db.execute("select id from app.account where email = %s", (self.email,)).fetchone()[0]

    def register(self, n=1, flow=None, agent=None):
        self.db.execute("select * from api.login_register(null, %s, 'me', %s, %s, 600, '{}', null)",
                        (self.token, f"sip:{n}@192.0.2.1", f"sip:{n}@192.0.2.1"))
        self.db.execute("update app.login set flow = %s, agent_id = %s where account_id = %s", (flow, agent, self.id))
        return self

    def lapse(self, seconds):
        self.db.execute("update app.login set expires_at = now() - make_interval(secs => %s),"
                        " sweep_at = now() - make_interval(secs => %s) where account_id = %s", (seconds, seconds, self.id))

    def contacts(self):
        return self.db.execute("select count(*) from app.login where account_id = %s", (self.id,)).fetchone()[0]

    def send(self, to):
        return self.db.execute("select n from api.send_post(null, %s, %s, null, 'text/plain', 'x', true, null, null)",
                               (self.token, to.email)).fetchone()[0]


def agent_of(db, name):
    return db.execute("select agent from api.agent_start(%s, 'b')", (f"{name}-{os.getpid()}",)).fetchone()[0]


def together(*bodies):
    """Runs them at once; what went wrong."""
    barrier, wrong = threading.Barrier(len(bodies)), []

    def run(sql, params):
        with connect() as db:
            barrier.wait()
            try:
                db.execute(sql, params)
            except psycopg.Error as error:
                if not (error.sqlstate or "").startswith("RS"):
                    wrong.append((sql, error.sqlstate, error.diag.context))
    threads = [threading.Thread(target=run, args=body) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong


DELETE = "select * from api.user_delete(%s, %s, 'me', null)"


def delete(account):
    return DELETE, (account.email, CRYPT.encode())


INVITE = """select r.* from app.credential c, lateral api.sip_invite(%s, c.id, c.ha1, %s, jsonb_build_object('call_id', %s::text,
    'remote_tag', 'r', 'local_tag', 'l', 'local_uri', 'sip:a', 'remote_uri', 'sip:b', 'local_target', 'sip:c',
    'remote_target', 'sip:d', 'remote_cseq', 1, 'hops', 70), 'v=0', null, 60, false) r where c.account_id = %s"""
CALL = """select * from api.call_create(null, %s, 's', null, true, to_jsonb(array[%s::text]), '{}', null, null, null,
    to_jsonb(array[%s::text]))"""


@pytest.mark.parametrize("by", ["phone", "REST"])
def test_an_account_ends_while_it_is_called(db, by):
    """Who calls has the callee's login before a row that names the account, as who ends it has."""
    agent = agent_of(db, "called")
    alice, bob = Account(db), Account(db).register()
    db.execute("select * from api.login_stream(null, %s, 'me', '{}')", (bob.token,))
    db.execute("select * from api.credential_create(%s, %s, 'me', '', null, 'pw')", (alice.email, CRYPT.encode()))
    call = (INVITE, (agent, bob.email, bob.email, alice.id)) if by == "phone" else (CALL, (alice.token, bob.email, bob.email))
    got = [None, None]

    def run(n, sql, params):
        with connect() as other:
            waiting.append(other.info.backend_pid)
            try:
                got[n] = len(other.execute(sql, params).fetchall())
            except psycopg.Error as error:
                got[n] = error.sqlstate

    waiting, threads, deadline = [], [], time.monotonic() + 30
    with connect(autocommit=False) as holder:
        holder.execute("select from app.resource where kind = 'mailbox' and id = %s for update", (bob.id,))
        for n, body in enumerate((delete(bob), call)):
            threads.append(threading.Thread(target=run, args=(n, *body), daemon=True))
            threads[-1].start()
            while len(waiting) < len(threads) or not db.execute("select cardinality(pg_blocking_pids(%s)) > 0",
                                                               (waiting[-1],)).fetchone()[0]:
                assert time.monotonic() < deadline, "it does not wait"
                time.sleep(0.005)
        holder.rollback()
    for thread in threads:
        thread.join(30)
    assert got == [1, "RS404" if by == "phone" else "RS400"]


def test_a_lost_connection_waits_for_no_call(db):
    agent = agent_of(db, "lost")
    alice, bob = Account(db), Account(db).register(flow="udp:x:1", agent=agent)
    db.execute("select * from api.credential_create(%s, %s, 'me', '', null, 'pw')", (alice.email, CRYPT.encode()))
    db.execute(INVITE, (agent, bob.email, bob.email, alice.id))
    db.execute("update app.leg set flow = 'tcp:lost:1' where agent_id = %s", (agent,))
    lost = "select more from api.flow_lost(%s, 'tcp:lost:1')"
    left = "select count(*) from app.leg where agent_id = %s and lost_at is null"
    with connect(autocommit=False) as holder:
        holder.execute("select from app.leg where agent_id = %s and direction = 'in' for update", (agent,))
        db.execute("set statement_timeout = '5s'")
        assert db.execute(lost, (agent,)).fetchone()[0] is True, "to be asked again"
        assert db.execute(left, (agent,)).fetchone()[0] == 1
        holder.rollback()
    assert db.execute(lost, (agent,)).fetchone()[0] is False
    assert db.execute(left, (agent,)).fetchone()[0] == 0


@pytest.mark.parametrize("held", ["login", "delivery", "send"])
def test_what_has_become_of_a_ring_is_told_without_waiting(db, held):
    """An agent's claims all stand behind it. Whose news nobody holds is told; the other's is later."""
    agent = agent_of(db, "news")
    alice, bob, carl = Account(db), Account(db).register(), Account(db).register()
    db.execute("select app.rings_tell()")
    for callee in (bob, carl):
        db.execute(CALL, (alice.token, callee.email, callee.email))
    # more of the one than there are accounts in a turn
    ends = "select count(*) from app.leg l, lateral api.leg_ended(l.agent_id, jsonb_build_array(jsonb_build_object('leg', l.id," \
        " 'code', 486))) w where l.by_id = %s and l.state <> 'ended'"
    db.execute(ends, (alice.id,))
    db.execute("insert into app.ring_news (account_id, send_id, call_id, delivery_id, state, code) select n.account_id, n.send_id,"
               " n.call_id, n.delivery_id, n.state, n.code from app.ring_news n, generate_series(1, 40) where n.account_id = %s"
               " and n.delivery_id is not null", (bob.id,))
    db.execute("update app.ring_news set id = default where account_id = %s", (carl.id,))
    lock = {"login": "select from app.resource where kind = 'login' and id = %s for update",
            "delivery": "select from app.delivery where account_id = %s for update",
            "send": "select from app.send where account_id = %s for update"}[held]
    left = "select count(*) filter (where account_id = %s), count(*) filter (where account_id = %s) from app.ring_news"
    with connect(autocommit=False) as holder:
        holder.execute(lock, (bob.id,))
        db.execute("set statement_timeout = '5s'")
        db.execute("select api.leg_claim(%s)", (agent,))
        bobs, carls = db.execute(left, (bob.id, carl.id)).fetchone()
        assert bobs > 0 and carls == 0
        holder.rollback()
    db.execute("select api.leg_claim(%s)", (agent,))
    assert db.execute(left, (bob.id, carl.id)).fetchone() == (0, 0)


class Legs:
    """Two calls by phone to one account, of an agent each; what a duty does with them while somebody holds the first."""

    def __init__(self, db):
        self.db, self.agents = db, [agent_of(db, name) for name in ("legs-1", "legs-2", "legs-3")]
        alice, bob = Account(db), Account(db).register()
        db.execute("select * from api.credential_create(%s, %s, 'me', '', null, 'pw')", (alice.email, CRYPT.encode()))
        # no others have anything to do
        db.execute("select api.leg_ended(l.agent_id, jsonb_build_array(jsonb_build_object('leg', l.id))) from app.leg l"
                   " where l.state <> 'ended' order by l.id")
        for n in (1, 2):
            db.execute(INVITE, (self.agents[0], bob.email, f"{bob.email}-{n}", alice.id))
        self.legs = [row[0] for row in db.execute("select id from app.leg where direction = 'out' order by id desc limit 2")][::-1]

    def meanwhile(self, duty, held, change):
        """Runs `duty` until it waits for `held` (SQL), then does `change` in another transaction, which commits first."""
        with connect(autocommit=False) as holder, connect() as other:
            holder.execute(held, (self.legs[0],))
            turn = threading.Thread(target=lambda: other.execute("set lock_timeout = '60s'; select * from " + duty), daemon=True)
            turn.start()
            deadline = time.monotonic() + 30
            while not self.db.execute("select cardinality(pg_blocking_pids(%s)) > 0", (other.info.backend_pid,)).fetchone()[0]:
                assert time.monotonic() < deadline, "it does not wait"
                time.sleep(0.01)
            change()
            holder.rollback()
            turn.join(30)
            assert not turn.is_alive()


def test_a_call_that_is_answered_before_the_janitor_has_its_lock_goes_on(db):
    legs = Legs(db)
    db.execute("update app.leg set ring_until = now() - interval '2 min' where id = any (%s)", (legs.legs,))
    legs.meanwhile(
        "app.expire_legs()", "select from app.participant p join app.leg l on l.participant_id = p.id where l.id = %s for update of p",
        lambda: db.execute("select * from api.leg_answered(%s, %s, '{\"remote_tag\": \"t\", \"remote_target\": \"sip:b@192.0.2.1\"}',"
                           " 'v=0')", (legs.agents[0], legs.legs[1])))
    assert db.execute("select array_agg(state::text order by id) from app.leg where id = any (%s)", (legs.legs,)).fetchone() == (["ending", "up"],)


def test_a_leg_that_another_agent_has_taken_is_not_buried(db):
    legs = Legs(db)
    db.execute("update app.agent set dead_at = now() where id = %s", (legs.agents[0],))
    legs.meanwhile(
        "app.bury_dead_legs()", "select from app.resource r join app.leg l on r.kind = 'call' and r.id = l.call_id where l.id = %s"
        " for update of r",
        lambda: db.execute("update app.leg set agent_id = %s where call_id = (select call_id from app.leg where id = %s)",
                           (legs.agents[1], legs.legs[1])))
    assert db.execute("select state, agent_id from app.leg where id = %s", (legs.legs[1],)).fetchone() == ("calling", legs.agents[1])
    assert db.execute("select state from app.leg where id = %s", (legs.legs[0],)).fetchone() == ("ending",)


def test_two_accounts_that_wrote_to_each_other_end_at_once(db):
    for _ in range(ROUNDS):
        alice, bob = Account(db).register(), Account(db).register()
        for _ in range(3):
            alice.send(bob)
            bob.send(alice)
        assert not together(delete(alice), delete(bob))


def test_an_account_ends_while_its_contacts_lapse(db):
    for _ in range(ROUNDS):
        alice, bob = Account(db).register(1).register(2), Account(db).register()
        for _ in range(3):
            bob.send(alice)
            alice.send(bob)
        alice.lapse(0)
        bob.lapse(0)
        assert not together(delete(alice), ("select * from app.expire_logins()", None), delete(bob))


def test_the_first_register_of_an_hour_while_the_account_ends(db):
    agent = agent_of(db, "register")
    for _ in range(ROUNDS):
        alice = Account(db)
        db.execute("select * from api.credential_create(%s, %s, 'me', '', null, 'pw')", (alice.email, CRYPT.encode()))
        register = """select r.* from app.credential c, lateral api.sip_register(%s, c.id, c.ha1, %s, 'c', 1, '[{"contact":
            "sip:a@192.0.2.1", "key": "sip:a@192.0.2.1", "expires": 600}]', false, null, 'udp:x:1', 'phone') r
            where c.account_id = %s"""
        assert not together(delete(alice), (register, (agent, alice.email, alice.id)))


NEW_PASSWORD = "select * from api.user_put(%s, %s, 'me', '{}', true, %s, null, true)"


def waits(db, backend):
    """Until that one waits for a lock."""
    deadline = time.monotonic() + 20
    while not db.execute("select 1 from pg_locks where pid = %s and not granted", (backend,)).fetchone():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("sql", [DELETE, NEW_PASSWORD], ids=["the account ends", "credentials are revoked"])
def test_a_credential_that_comes_meanwhile_is_behind_the_locks(db, sql):
    """A phone may use it by then, and wait for the profile: who would end it now comes again."""
    alice, proof = Account(db), (CRYPT.encode(),)
    with connect(autocommit=False) as maker, connect() as ender:
        maker.execute("select * from api.credential_create(%s, %s, 'me', '', null, 'pw')", (alice.email, *proof))
        wrong = []

        def end():
            try:
                ender.execute(sql, (alice.email, *proof, *([CRYPT] if sql == NEW_PASSWORD else [])))
            except psycopg.Error as error:
                wrong.append(error.sqlstate)
        thread = threading.Thread(target=end)
        thread.start()
        try:
            waits(db, ender.info.backend_pid)
        finally:
            maker.commit()
            thread.join()
        assert wrong == ["40001"]
        end()
        assert wrong == ["40001"]
        assert not db.execute("select 1 from app.credential where account_id = %s", (alice.id,)).fetchone()


def test_claims_wait_for_nobody(db):
    """What somebody holds, or whose message somebody holds, comes up again."""
    one, two = agent_of(db, "one"), agent_of(db, "two")
    alice, bob = Account(db), Account(db)
    db.execute("delete from app.delivery where state = 'queued' and kind = 'contact'")
    alice.register()
    bob.send(alice)
    claim = "select delivery, again from api.delivery_claim(%s, 10, 30)"
    with connect(autocommit=False) as holder:
        holder.execute("select from app.send where account_id = %s for update", (alice.id,))
        db.execute("set statement_timeout = '5s'")
        assert db.execute(claim, (one,)).fetchall() == [(None, True)]
        holder.rollback()
        holder.execute("select from app.delivery where account_id = %s for update", (alice.id,))
        assert db.execute(claim, (one,)).fetchall() == [(None, True)]
        holder.rollback()
    assert [row[1] for row in db.execute(claim, (two,)).fetchall()] == [False]
    assert not db.execute(claim, (one,)).fetchall()


def test_the_janitor_leaves_out_whom_somebody_holds_but_not_for_ever(db):
    held, other = Account(db).register(), Account(db).register()
    held.lapse(0)
    other.lapse(0)
    db.execute("set lock_timeout = '30s'")
    with connect(autocommit=False) as holder:
        holder.execute("select from app.resource where kind = 'login' and id = %s for update", (held.id,))
        db.execute("select * from app.expire_logins()")
        assert (held.contacts(), other.contacts()) == (1, 0)
        held.lapse(60)  # it has been due for long: the janitor gets in line for it
        turn = threading.Thread(target=lambda: connect().execute("set lock_timeout = '60s'; select * from app.expire_logins()"))
        turn.start()
        deadline, look = time.monotonic() + 30, psycopg.connect(os.environ["RESTSIP_TEST_PG"], autocommit=True)
        while not look.execute("select from pg_stat_activity where wait_event_type = 'Lock' and query like '%expire_logins()%'"
                             " and pid <> pg_backend_pid()").fetchall():
            assert time.monotonic() < deadline, "it does not wait"
            time.sleep(0.01)
        holder.rollback()
        turn.join(30)
        look.close()
    assert held.contacts() == 0


def test_what_a_dead_agent_leaves_is_done_a_few_at_a_time(db):
    name = f"dead-{os.getpid()}"
    with connect() as listener:
        agent = listener.execute("select agent from api.agent_start(%s, 'b1')", (name,)).fetchone()[0]
        accounts = [Account(db).register(flow="tcp:192.0.2.1:9", agent=agent) for _ in range(120)]
    deadline, turns = time.monotonic() + 30, 0
    with connect() as listener:
        while True:
            try:
                channel = listener.execute("select channel from api.agent_start(%s, 'b2')", (name,)).fetchone()[0]
            except psycopg.errors.DatabaseError as error:  # the one before still has its lock, until its end is noticed
                assert error.sqlstate == "RS409" and time.monotonic() < deadline, error
                continue
            turns += 1
            left = db.execute("select count(*) from app.login where agent_id = %s", (agent,)).fetchone()[0]
            assert (channel is None) == (left > 0), "it begins when all is done"
            if channel:
                break
    assert turns >= 3 and not any(account.contacts() for account in accounts[:5])


def test_who_reads_an_inbox_has_the_login_before_its_first_message(db):
    """Or what becomes due meanwhile, and is older, would be locked after what is newer. With nothing to take it waits for
    nobody."""
    alice, bob = Account(db), Account(db)
    bob.send(alice)
    with connect(autocommit=False) as holder, connect() as reader:
        def read():
            return reader.execute("select n from api.inbox_read(%s, null, 10)", (alice.id,)).fetchall()
        reader.execute("set lock_timeout = '200ms'")
        holder.execute("select from app.resource where kind = 'login' and id = %s for update", (alice.id,))
        with pytest.raises(psycopg.errors.LockNotAvailable):
            read()
        holder.rollback()
        assert len(read()) == 1
        holder.execute("select from app.resource where kind = 'login' and id = %s for update", (alice.id,))
        assert len(read()) == 1
