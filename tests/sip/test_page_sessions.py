"""A page and a phone in a call: what either offers, and what the other says to that."""
import queue

import psycopg
import pytest
from call_phone import HOLD, Incoming, Outgoing, sdp
from call_phone import offer as reinvite
from test_page_calls import call, children, command, fixture_called, fixture_people, offer  # noqa: F401 pylint: disable=unused-import


def origin(body):
    return next(line for line in body.splitlines() if line.startswith("o="))


@pytest.fixture(name="up")
def fixture_up(called, until):
    """Alice's page and bob's phone, in a call: her account, his, his side of it, the call's and her URL."""
    alice, bob, b = called
    url = call(alice, bob, session=offer())
    inc = Incoming(b)
    inc.accept()
    until(lambda: children(alice, url)[bob.email]["state"] == "joined", 5)
    return alice, bob, inc, url, children(alice, url)[alice.email]["url"]


def test_a_page_offers_another_session(up, until):
    alice, bob, inc, url, me = up
    answer = alice.request("PUT", me, json={"session": {"type": "offer", "sdp": HOLD}})
    assert answer.status_code == 202 and answer.json()["pending"] and answer.json()["session"] == offer()
    again = alice.request("PUT", me, json={"session": offer(6)})
    assert again.status_code == 409 and again.json()["type"].endswith("exchange-pending")
    request = inc.next("INVITE")
    assert "a=sendonly" in request.body.decode() and origin(request.body.decode()) == "o=- 1 2 IN IP4 192.0.2.1"
    inc.say(200, "OK", sdp(7), request)
    inc.next("ACK")
    mine = until(lambda: next(c for c in [children(alice, url)[alice.email]] if "pending" not in c), 5)
    assert mine["session"]["sdp"] == HOLD
    assert children(alice, url)[bob.email]["session"] == {"type": "answer", "sdp": sdp(7)}


def test_a_phone_refuses_another_session(up, until):
    alice, _, inc, url, me = up
    assert alice.request("PUT", me, json={"session": offer(6)}).status_code == 202
    inc.say(488, "Not Acceptable Here", request=inc.next("INVITE"))
    inc.next("ACK")
    mine = until(lambda: next(c for c in [children(alice, url)[alice.email]] if "pending" not in c), 5)
    assert mine["session"] == offer() and mine["sip"]["code"] == 488


def test_a_phone_holds_and_the_page_answers(up, until):
    alice, bob, inc, url, me = up
    found = reinvite(inc, HOLD)
    child = until(lambda: next(c for c in [children(alice, url)[bob.email]] if c.get("hold")), 5)
    assert child["session"] == {"type": "offer", "sdp": HOLD}
    assert alice.request("PUT", me, json={"session": offer(6)}).status_code == 409
    assert alice.request("PUT", me, json={"session": {"type": "answer", "sdp": sdp(6)}}).status_code == 200
    answer = found.get(timeout=5)
    assert answer.code == 200 and "m=audio 40006" in answer.body.decode()
    assert inc.bye().code == 200


def leg_of(system, owner):
    """The only leg of an account's only call."""
    leg, = system.query("select l.id from inspect.leg l join inspect.call c on c.id = l.call where c.owner = %s", [owner.email])
    return leg["id"]


def order(system, leg, kind, body=None):
    """What an agent is to do with a leg, by the database."""
    system.query_owner("with job as (insert into app.leg_job (leg_id, agent_id, kind, sdp) "
                       "select l.id, l.agent_id, %s::text, %s::text from app.leg l where l.id = %s returning agent_id) "
                       "select pg_notify('restsip_job_' || j.agent_id, 'call') from job j", [kind, body, leg])


def test_both_offer_at_once(up, system, until):
    """The page's was first: what is said of the phone's, which has had its answer by then, is not said of the page's."""
    alice, bob, inc, url, _ = up
    leg = leg_of(system, alice)
    with psycopg.connect(system.pg_owner) as db:
        db.execute("select 1 from app.resource r join app.leg l on l.call_id = r.id where r.kind = 'call' and l.id = %s "
                   "for update of r", [leg])
        db.execute("update app.leg set asking = now() where id = %s", [leg])
        found = reinvite(inc, HOLD)
        until(lambda: db.execute("select exists (select from pg_locks where not granted)").fetchone()[0], 5)
        order(system, leg, "offer", sdp(6))
    assert found.get(timeout=5).code == 491
    request = inc.next("INVITE")
    inc.say(100, "Trying", request=request)
    with pytest.raises(queue.Empty):
        inc.next("CANCEL", 1)
    inc.say(200, "OK", sdp(7), request)
    inc.next("ACK")
    until(lambda: children(alice, url)[bob.email]["session"] == {"type": "answer", "sdp": sdp(7)}, 5)
    assert inc.bye().code == 200


def test_what_is_withdrawn_is_no_offer_of_the_phone(up, system, until):
    """An order that comes late, of what the other side had offered before."""
    alice, bob, inc, url, me = up
    found = reinvite(inc, HOLD)
    until(lambda: children(alice, url)[bob.email].get("hold"), 5)
    order(system, leg_of(system, alice), "refuse")
    assert alice.request("PUT", me, json={"session": {"type": "answer", "sdp": sdp(6)}}).status_code == 200
    assert found.get(timeout=10).code == 200
    assert inc.bye().code == 200


def test_a_phone_asks_for_an_offer(up, until):
    alice, bob, inc, url, _ = up
    answer = reinvite(inc, "").get(timeout=5)
    assert answer.code == 200 and answer.body.decode() == sdp(1)
    until(lambda: children(alice, url)[bob.email]["session"] == {"type": "answer", "sdp": sdp(7)}, 5)


def test_an_offer_to_a_page_without_media_is_answered_at_once(people, page, until):
    a, alice, bob = people
    stream = page(bob)
    out = Outgoing(a, f"sip:{bob.email}", sdp(1))
    url = command(stream, "invite")["json"]["url"]
    assert bob.request("POST", url, json={}).status_code == 201
    out.confirm()
    answer = reinvite(out, HOLD).get(timeout=5)
    assert answer.code == 200 and "a=inactive" in answer.body.decode()
    assert children(bob, url)[alice.email]["hold"] is True
    assert out.bye().code == 200


def test_a_page_that_answered_changes_its_session(people, page, until):
    a, _, bob = people
    stream = page(bob)
    out = Outgoing(a, f"sip:{bob.email}", sdp(1))
    url = command(stream, "invite")["json"]["url"]
    me = bob.request("POST", url, json={}).json()["url"]
    out.confirm()
    until(lambda: bob.request("PUT", me, json={"session": offer(4)}).status_code == 202, 5)  # once the ACK is known
    request = a.requests.get(timeout=5)
    assert request.method == "INVITE" and "m=audio 40004" in request.body.decode()
    Incoming.say(out, 200, "OK", sdp(5), request)
    until(lambda: children(bob, url)[bob.email].get("session") == offer(4), 5)
    assert out.bye().code == 200
