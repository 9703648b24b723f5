"""The janitor of a running system: much that falls due at once is done in short turns, one right after the other."""
import time

import psycopg
import pytest

from restsip_system import until

ACCOUNTS = 1500  # a turn does a hundred at most, so that turns a second apart would take 15 s and more
DONE_S = 10


@pytest.fixture(name="owner")
def fixture_owner(system):
    with psycopg.connect(system.pg_owner, autocommit=True) as db:
        yield db


def test_contacts_that_lapse_together_are_gone_soon(owner):
    mark = f"lapse{time.monotonic_ns()}-"
    owner.execute("""
        with a as (
            insert into app.account (email, password_hash)
            select %s || i || '@example.net', 'x' from generate_series(1, %s) i returning id, email),
        r as (insert into app.resource (kind, id) select 'login', a.id from a)
        insert into app.login (account_id, email, n, key, contact, source, expires_s, expires_at, sweep_at, doc)
        select a.id, a.email, 1, 'sip:j@192.0.2.1', 'sip:j@192.0.2.1', 'rest', 60, now(), now(), '{}' from a
        """, (mark, ACCOUNTS))
    until(lambda: not owner.execute("select from app.login where email like %s limit 1", (mark + "%",)).fetchall(), DONE_S)
    owner.execute("""
        with a as (delete from app.account where email like %s returning id)
        delete from app.resource r using a where r.kind = 'login' and r.id = a.id""", (mark + "%",))
