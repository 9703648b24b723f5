"""Settlements that go together wait for nobody: what somebody holds is left out, and asked for alone."""
import json
import os

import psycopg
import pytest

CONNINFO = os.environ["RESTSIP_TEST_PG"]


@pytest.fixture(name="claimed")
def fixture_claimed():
    """Two messages that an agent has claimed, of two accounts that keep what does not arrive: (agent, items)."""
    with psycopg.connect(CONNINFO, autocommit=True) as db:
        def one(sql, *args):
            return db.execute(sql, args).fetchone()
        agent, = one("select agent from api.agent_start('settle:1', 'boot')")
        names = [f"settle{i}@example.net" for i in range(2)]
        for name in names:
            one("select email from api.user_create(%s, '$y$j9T$aaaaaaaaaaaaaaaaaaaaa.$hash', '{}')", name)
            one("select n from api.login_register(%s, '$y$j9T$aaaaaaaaaaaaaaaaaaaaa.$hash', 'me', 'sip:x@192.0.2.1', "
                "'sip:x@192.0.2.1', null, '{}', null)", name)
            one("""select status from api.send_post(%s, '$y$j9T$aaaaaaaaaaaaaaaaaaaaa.$hash', %s, null, 'text/plain', 'x',
                true, null, 'rid')""", names[0], name)
        rows = db.execute("select delivery, attempt, recipient from api.delivery_claim(%s, 100, 30) where delivery is not null",
                          [agent]).fetchall()
        # Another file may have left some of its own.
        items = [{"i": names.index(to), "delivery": d, "attempt": a, "code": 480, "reason": "why"}
                 for d, a, to in rows if to in names]
        yield db, agent, names, sorted(items, key=lambda item: item["i"])
        for name in names:
            one("select email from api.user_delete(%s, '$y$j9T$aaaaaaaaaaaaaaaaaaaaa.$hash', 'me', null)", name)
        db.execute("delete from app.agent where id = %s", [agent])


def test_what_somebody_holds_is_left_out(claimed):
    db, agent, names, items = claimed

    def settle(of):
        return db.execute("select i, state from api.delivery_settle_many(%s, %s)", [agent, json.dumps(of)]).fetchall()
    db.execute("set lock_timeout = '2s'")
    with psycopg.connect(CONNINFO) as holder:
        holder.execute("""select from app.resource r join app.account a on a.id = r.id
            where r.kind = 'login' and a.email = %s for update of r""", [names[0]])
        assert settle(items) == [(1, "stored")]
        assert not settle(items[:1])  # few as they are, others come behind them
        with pytest.raises(psycopg.errors.LockNotAvailable):
            settle([{**items[0], "waits": True}])
        holder.rollback()
    assert settle(items[:1]) == [(0, "stored")]
