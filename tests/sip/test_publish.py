"""PUBLISH (RFC 3903): a phone's presence is REST's, and who watches at either door sees it."""
import json
import secrets

import pytest

from phone import new_account
from test_events import PIDF, as_rest, bound

AGENT = "restsip-agent"


def pidf(basic="open", note=None, contact=None):
    inner = f"<status><basic>{basic}</basic></status>"
    inner += f"<contact>{contact}</contact>" if contact else ""
    inner += f"<note>{note}</note>" if note else ""
    return ('<?xml version="1.0"?><presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:x@example.net">'
            f'<tuple id="t1">{inner}</tuple></presence>')


def shown(account):
    """[(source, contact, presence)] of the contacts that have a presence, as a GET shows them."""
    return [(c["source"], c.get("contact"), c["presence"])
            for c in account.request("GET", account.login).json() if "presence" in c]


def lapse(account):
    account.system.query_owner(
        "update app.publication p set expires_at = now() from app.account a where a.id = p.account_id and a.email = %s"
        " returning p.id", [account.email])


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_registered_phone(account, phone, transport):
    """Its contact has the presence, in GET, in PIDF, in an open stream and in a NOTIFY, until it takes it back."""
    alice, bob = account("alice"), account("bob")
    a, b = phone(alice, transport=transport), phone(bob)
    a.register()
    sub = b.subscribe(f"sip:{alice.email}", "presence")
    sub.next()
    with alice.system.request("GET", alice.login + "?stream", headers=bob.headers, stream=True) as stream:
        events = (json.loads(line) for line in stream.iter_lines() if line.strip())
        assert next(events)["event"] == "state"
        answer = a.publish(pidf("closed", "in a meeting"))
        assert answer.code == 200
        assert answer.get("expires") == "3600"
        etag = answer.get("sip-etag")
        assert shown(alice) == [("sip", a.contact, {"basic": "closed", "note": "in a meeting"})]
        event = next(e for e in events if e["event"] not in ("ping", "message"))
        assert event["data"][0]["presence"]["note"] == "in a meeting"
    notify = sub.next()
    assert b"in a meeting" in notify.body and b"<basic>closed</basic>" in notify.body
    assert notify.body == as_rest(alice, PIDF)

    answer = a.publish(pidf("open", "back"), etag=etag)
    assert answer.code == 200 and answer.get("sip-etag") != etag
    assert b"back" in sub.next().body
    etag = answer.get("sip-etag")
    answer = a.publish(etag=etag, expires=100)
    assert (answer.code, answer.get("expires")) == (200, "100")
    assert shown(alice) == [("sip", a.contact, {"basic": "open", "note": "back"})]
    assert a.register().code == 200
    assert shown(alice) == [("sip", a.contact, {"basic": "open", "note": "back"})], "it outlives a refresh"
    assert a.publish(etag=answer.get("sip-etag"), expires=0).code == 200
    assert shown(alice) == []
    assert b"back" not in sub.next().body


def test_the_contact_that_the_document_names(account, phone):
    alice = account("alice")
    a = phone(alice)
    a.register()
    bound(alice, "sip:alice@192.0.2.1")
    assert a.publish(pidf("closed", "elsewhere", "sip:alice@192.0.2.1")).code == 200
    assert shown(alice) == [("rest", "sip:alice@192.0.2.1", {"basic": "closed", "note": "elsewhere"})]


def test_a_phone_that_is_not_registered(account, phone, until):
    """Its presence stands by itself, is no place to send to, and moves to its contact once there is one."""
    alice, bob = account("alice"), account("bob")
    a = phone(alice)
    answer = a.publish(pidf("open", "thinking"), expires=600)
    assert answer.code == 200
    assert shown(alice) == [("publish", None, {"basic": "open", "note": "thinking"})]
    (item,) = alice.request("GET", alice.login).json()
    assert item["expires"] == 600 and "lifetime" not in item
    assert b"thinking" in as_rest(bob, PIDF) or b"thinking" in as_rest(alice, PIDF)
    assert alice.email not in [e["id"] for e in bob.request("GET", "/login?limit=1000").json()]
    sent = bob.request("SEND", alice.login, data=b"hi", headers={"Content-Type": "text/plain"})
    assert bob.request("GET", sent.headers["Location"]).json()["status"] == "stored"
    a.register()
    answer = a.publish(etag=answer.get("sip-etag"))
    assert answer.code == 200
    assert shown(alice) == [("sip", a.contact, {"basic": "open", "note": "thinking"})]
    lapse(alice)
    until(lambda: shown(alice) == [])


def test_it_lapses(account, phone, until):
    alice, bob = account("alice"), account("bob")
    sub = phone(bob).subscribe(f"sip:{alice.email}", "presence")
    sub.next()
    a = phone(alice)
    etag = a.publish(pidf("open", "soon gone")).get("sip-etag")
    sub.await_body(b"soon gone")
    lapse(alice)
    sub.await_body(b"<basic>closed</basic>")
    assert shown(alice) == []
    assert a.publish(etag=etag).code == 412


def test_it_ends_with_its_credential(account, phone, until):
    alice, bob = account("alice"), account("bob")
    a, b = phone(alice), phone(bob)
    sub = b.subscribe(f"sip:{alice.email}", "presence")
    sub.next()
    assert a.publish(pidf("open", "in")).code == 200
    assert b"in" in sub.next().body and len(shown(alice)) == 1
    assert alice.request("DELETE", "/user/me/credential/1").status_code == 204
    assert shown(alice) == []
    assert b"<note>in" not in sub.next().body
    until(lambda: a.publish(pidf("open", "again")).code != 200)
    assert shown(alice) == []


def test_what_rest_has_set_since_stays(account, phone):
    alice = account("alice")
    a = phone(alice)
    a.register()
    answer = a.publish(pidf("open", "by phone"))
    (item,) = alice.request("GET", alice.login).json()
    put = alice.request("PUT", item["url"], data=pidf("closed", "by hand"), headers={"Content-Type": PIDF})
    assert put.status_code == 200, put.text
    assert shown(alice) == [("sip", a.contact, {"basic": "closed", "note": "by hand"})]
    answer = a.publish(etag=answer.get("sip-etag"))
    assert shown(alice) == [("sip", a.contact, {"basic": "closed", "note": "by hand"})]
    a.publish(etag=answer.get("sip-etag"), expires=0)
    assert shown(alice) == [("sip", a.contact, {"basic": "closed", "note": "by hand"})]


def test_two_publications_of_one_contact(account, phone):
    alice = account("alice")
    a = phone(alice)
    a.register()
    a.publish(pidf("open", "first"))
    second = a.publish(pidf("closed", "second"))
    assert shown(alice) == [("sip", a.contact, {"basic": "closed", "note": "second"})]
    a.publish(etag=second.get("sip-etag"), expires=0)
    assert shown(alice) == [("sip", a.contact, {"basic": "open", "note": "first"})]


@pytest.mark.parametrize("body,headers,code", [
    (pidf(), [("Event", "reg")], 489), (pidf(), [("Event", "message-summary")], 489), (pidf(), [("Event", None)], 489),
    (pidf(), [("Content-Type", "application/json")], 415), (pidf(), [("Content-Encoding", "gzip")], 415),
    (pidf(), [("SIP-If-Match", "nothing")], 412), (pidf(), [("SIP-If-Match", "x" * 100)], 412),
    (None, [], 400), ("no xml", [], 400), ("<presence/>", [], 400), (pidf("perhaps"), [], 400),
    (pidf(), [("Expires", "59")], 423), (pidf(), [("Require", "x")], 420)],
    ids=lambda v: str(v)[:30])
def test_refusals(account, phone, body, headers, code):
    alice = account("alice")
    a = phone(alice)
    answer = a.publish(body, headers=headers)
    assert answer.code == code
    if code == 415:
        assert answer.get("accept") == PIDF or answer.get("accept-encoding") == "deflate, identity"
    if code == 489:
        assert answer.get("allow-events") == "presence"
    if code == 423:
        assert answer.get("min-expires") == "60"
    assert not alice.system.query("select * from inspect.publication where email = %s", [alice.email])


def test_nobody_publishes_for_another(account, phone):
    alice, bob = account("alice"), account("bob")
    b = phone(bob)
    headers = [("Event", "presence"), ("Content-Type", PIDF)]
    assert b.request("PUBLISH", f"sip:{alice.email}", headers, pidf()).code == 403
    assert b.request("PUBLISH", b.aor, headers, pidf(), auth=False).code == 401
    assert b.request("PUBLISH", "sip:x@example.org", headers, pidf()).code == 404
    assert shown(alice) == shown(bob) == []
    etag = phone(alice).publish(pidf()).get("sip-etag")
    assert b.publish(pidf(), etag=etag).code == 412


def test_an_equal_publish_to_a_restarted_agent(systems, phone, until):
    system = systems("publish", {"RESTSIP_DEMO": "no"})
    alice = new_account(system, "alice")
    a = phone(alice)
    call_id = secrets.token_hex(8)
    first = a.publish(pidf("open", "once"), call_id=call_id)
    cseq = a.cseq
    system.kill_and_wait(AGENT)

    def fresh_nonce():
        other = a.publish(pidf(), auth=False, timeout_s=1)
        a.challenge, a.nc = other.get("www-authenticate"), 0
        return other.code == 401

    until(fresh_nonce, 10)
    again = a.publish(pidf("open", "once"), call_id=call_id, cseq=cseq)
    assert (again.code, again.get("sip-etag")) == (200, first.get("sip-etag"))
    assert len(shown(alice)) == 1


def test_a_user_has_so_many_publications(account, phone, system):
    alice, bob = account("alice"), account("bob")
    a = phone(alice)
    system.query_owner("select inspect.set_bound('publications', 2)")
    try:
        first = a.publish(pidf("open", "one"))
        assert first.code == a.publish(pidf("open", "two")).code == 200
        assert a.publish(pidf("open", "three")).code == 403
        assert a.publish(pidf("closed", "one"), etag=first.get("sip-etag")).code == 200, "what is there may change"
        assert phone(bob).publish(pidf("open", "one")).code == 200
    finally:
        system.query_owner("select inspect.set_bound('publications')")
