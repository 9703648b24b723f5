"""Nobody waits for what others wait for: locks, storms of settlements, a crowd of MESSAGEs."""
import contextlib
import threading

import psycopg
import pytest

from phone import new_account

LOCKED = 6  # accounts: more than the agent has connections for what waits
STRANGERS = 8
STORM = 240  # messages that end together, to each of so many contacts
FLOWS = 4
CROWD = 7  # senders of MESSAGEs that nobody answers
EACH = 90


@pytest.fixture(scope="module", name="own_system")
def fixture_own_system(systems):
    return systems("waiting", {"RESTSIP_DEMO": "no"})


@pytest.fixture(name="own_account")
def fixture_own_account(own_system):
    return lambda name: new_account(own_system, name)


@contextlib.contextmanager
def held(system, table, accounts):
    """As whoever looks into it by psql holds these accounts' rows."""
    where = {"resource": "kind = 'login' and id", "account": "id", "login": "account_id", "subscription": "watcher_id"}[table]
    with psycopg.connect(system.pg_owner) as db:
        ids = [row[0] for row in db.execute("select id from app.account where email = any (%s)",
                                            [[a.email for a in accounts]])]
        db.execute(f"select from app.{table} where {where} = any (%s) for update", [ids])
        yield
        db.rollback()


def in_threads(*calls):
    threads = [threading.Thread(target=call) for call in calls]
    for t in threads:
        t.start()
    return threads


@pytest.mark.parametrize("table", ["resource", "account", "login"])
def test_who_waits_for_a_lock_waits_alone(own_system, own_account, phone, until, table):
    """Strangers are registered, and send messages, while six accounts wait for rows that somebody holds."""
    locked = [own_account(f"locked{i}") for i in range(LOCKED)]
    waiting = [phone(a) for a in locked]
    strangers = [phone(own_account(f"stranger{i}")) for i in range(STRANGERS)]
    for p in waiting + strangers:
        assert p.register(expires=600).code == 200
    others = [phone(a) for a in locked]  # new contacts: their rows refer to those that are held
    answers, served = [], []
    stop = threading.Event()

    def refused():
        return [a for a in answers if a.code != 200]

    def wait(p):
        while not stop.is_set():
            answers.append(p.register(expires=600, timeout_s=20))

    def serve(p):
        while not stop.is_set() and len(served) < 100 * STRANGERS:
            served.append(p.register(expires=600, timeout_s=20).code)
            served.append(p.message(p.aor, timeout_s=20).code)

    with held(own_system, table, locked):
        threads = in_threads(*(lambda p=p: wait(p) for p in waiting + others), *(lambda p=p: serve(p) for p in strangers))
        try:
            until(lambda: len(refused()) >= LOCKED and len(served) > 4 * STRANGERS, 30)
        finally:
            stop.set()
            for t in threads:
                t.join(30)
    assert set(served) <= {200, 202}, "a stranger was held up"
    assert {a.code for a in refused()} == {503}
    assert all(a.get("retry-after") for a in refused())
    for p in waiting + others:
        assert p.register(expires=600).code == 200


def test_refreshes_of_subscriptions_wait_alone(own_system, own_account, phone, until):
    """Within their dialogs SUBSCRIBEs name no resource: those of one watcher wait for that one's, and for nobody else's."""
    locked = [own_account(f"watcher{i}") for i in range(LOCKED)]
    waiting = [phone(a).subscribe(f"sip:{a.email}", "presence") for a in locked]
    strangers = [phone(a).subscribe(f"sip:{a.email}", "presence") for a in (own_account(f"reader{i}") for i in range(STRANGERS))]
    assert {s.answer.code for s in waiting + strangers} == {200}
    refused, served = [], []
    stop = threading.Event()

    def wait(s):
        while not stop.is_set():
            refused.append(s.refresh(timeout_s=20).code)

    def serve(s):
        while not stop.is_set() and len(served) < 100 * STRANGERS:
            served.append(s.refresh(timeout_s=20).code)

    with held(own_system, "subscription", locked):
        threads = in_threads(*(lambda s=s: wait(s) for s in waiting), *(lambda s=s: serve(s) for s in strangers))
        try:
            until(lambda: len(refused) >= LOCKED and len(served) > 4 * STRANGERS, 30)
        finally:
            stop.set()
            for t in threads:
                t.join(30)
    assert set(served) == {200}, "a stranger was held up"
    assert 503 in refused
    assert {s.refresh().code for s in waiting} == {200}


def test_a_storm_of_ends_holds_nobody_up(own_system, own_account, phone, until):
    """960 deliveries lose their connections together, while somebody holds what they need to be settled: others are
    served, what lapses is removed, and what another's connection had. Then they are settled."""
    for bound in ("deliveries_account", "deliveries_contact", "deliveries_destination", "sender_stored", "sends"):
        own_system.query_owner("select inspect.set_bound(%s, 100000)", [bound])
    alice, bob, lapses, leaves = (own_account(name) for name in ("alice", "bob", "lapses", "leaves"))
    flows = [phone(alice, transport="tcp", answer=None) for _ in range(FLOWS)]
    probe, short = phone(own_account("stranger")), phone(lapses)
    leaver = phone(leaves, transport="tcp")
    for p in [*flows, probe, short, leaver]:
        assert p.register(expires=600).code == 200
    own_system.query_owner("""
        select count(s.n) from generate_series(1, %s) i,
            api.send_post(%s, (select convert_to(password_hash, 'UTF8') from app.account where email = %s), %s, null,
                'text/plain', 'hello', true, null, 'storm-' || i) s""", [STORM, bob.email, bob.email, alice.email])

    def under_way():
        row, = own_system.query_owner("select count(*) as n from app.lease where agent_id is not null")
        return row["n"]

    def are_removed():  # readers do not see them any more
        return not own_system.query_owner("select from app.login where email = any (%s)", [[lapses.email, leaves.email]])
    until(lambda: under_way() >= STORM * FLOWS, 60)
    codes = []
    with held(own_system, "resource", [alice]):
        for p in [*flows, leaver]:
            p.close()
        own_system.query_owner("update app.login set expires_at = now(), sweep_at = now() where email = %s returning n",
                               [lapses.email])
        until(lambda: codes.append(probe.register(expires=600, timeout_s=20).code) or are_removed(), 15,
              "the janitor waits for settlements")
        assert under_way() >= STORM * FLOWS
        codes.append(probe.message(probe.aor).code)
    assert set(codes) == {200}
    until(lambda: under_way() == 0, 60)


def test_a_crowd_hides_nobodys_outcome(own_system, own_account, phone, until):
    """More MESSAGEs wait for an answer than one question holds; one more is answered as soon as its phone has."""
    crowd = []
    for i in range(CROWD):
        silent, sender = phone(own_account(f"silent{i}"), answer=None), phone(own_account(f"sender{i}"))
        silent.register()
        sender.register()
        crowd.append((silent, sender))
    alice, bob = own_account("alice"), own_account("bob")
    a, b = phone(alice), phone(bob)
    a.register()
    b.register()

    def shout(silent, sender):
        for i in range(EACH):
            sender.send(sender.signed("MESSAGE", silent.aor, body=f"{i}", to=silent.aor, call_id=f"{sender.tag}-{i}",
                                      headers=[("Content-Type", "text/plain")]))

    for silent, sender in crowd:
        shout(silent, sender)

    def waiting():
        row, = own_system.query_owner("select count(*) as n from app.send where sender like 'sender%'")
        return row["n"]
    until(lambda: waiting() >= CROWD * EACH, 30)
    assert b.message(a.aor, timeout_s=4).code == 200
