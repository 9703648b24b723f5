"""That somebody is writing (RFC 3994): told to streams and phones, and kept nowhere."""
import json

import pytest

from test_message import send

TYPE = "application/im-iscomposing+xml"
DOC = ('<?xml version="1.0" encoding="UTF-8"?><isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing">'
       "<state>{state}</state>{rest}</isComposing>")
CPIM = "From: <sip:a@example.net>\r\n\r\nContent-Type: " + TYPE + "\r\n\r\n"


def doc(state="active", rest="<contenttype>text/plain</contenttype><refresh>90</refresh>"):
    return DOC.format(state=state, rest=rest)


@pytest.fixture(name="writes")
def fixture_writes(phone):
    """Has an account say so, by both doors: writes(alice, bob, body, type) answers the codes."""
    def make(account):
        p = phone(account)

        def by_sip(to, body, content_type=TYPE):
            return p.message(f"sip:{to.email}", body, content_type).code

        def by_rest(to, body, content_type=TYPE):
            return account.request("SEND", to.login, data=body.encode(), headers={"Content-Type": content_type}).status_code
        return by_sip, by_rest
    return make


@pytest.fixture(name="kept")
def fixture_kept(system):
    return lambda to: system.query("select * from inspect.send where recipient = %s", [to.email])


def test_streams_and_phones_are_told(account, phone, system, writes, kept):
    alice, bob = account("alice"), account("bob")
    a = phone(alice)
    a.register()
    with system.request("GET", alice.login + "?stream", headers=alice.headers, stream=True) as stream:
        lines = (json.loads(line) for line in stream.iter_lines() if line.strip())
        assert next(lines)["event"] == "state"
        for say in writes(bob):
            for body, told in ((doc(), {"state": "active", "refresh": 90}), (doc("idle", ""), {"state": "idle"}),
                               (CPIM + doc("gone", "<refresh>x</refresh>"), {"state": "idle"})):
                assert say(alice, body, "message/cpim" if body.startswith("From") else TYPE) in (200, 204)
                event = next(e for e in lines if e["event"] == "composing")
                assert event["data"] == {"from": bob.email, **told} and "id" not in event
                m = a.next_request()
                assert (m.method, m.get("content-type")) == ("MESSAGE", TYPE)
                assert m.get("from").startswith(f"<sip:{bob.email}>") and m.uri == a.contact
                assert f"<state>{told['state']}</state>" in m.body.decode()
                assert ("<refresh>90</refresh>" in m.body.decode()) == ("refresh" in told)
        send(bob, alice, b"here it is")
        assert next(e for e in lines if e["event"] != "composing")["data"]["body"] == "here it is"
    assert len(kept(alice)) == 1


def test_who_is_not_there_does_not_hear_of_it(account, phone, system, writes, kept, until):
    alice, bob = account("alice"), account("bob")
    for say in writes(bob):
        assert say(alice, doc()) in (200, 204)
    status = send(bob, alice, b"hello")
    a = phone(alice)
    a.register()
    assert a.next_request().body == b"hello"
    until(lambda: status()["status"] == "delivered")
    assert len(kept(alice)) == 1 and a.requests.empty()


def test_phones_that_do_not_answer_shut_out_nobody(account, phone, until):
    """Whose places they keep makes way: of one who writes 8, of all 64."""
    alice, carol = account("alice"), account("carol")
    silent, c = phone(alice, answer=None), phone(carol)
    silent.register()
    c.register()

    def says(who, to, n):
        for k in range(n):
            answer = who.request("SEND", to.login, data=doc("active", f"<refresh>{60 + k}</refresh>").encode(),
                                 headers={"Content-Type": TYPE})
            assert answer.status_code == 204
            until(lambda k=k: [m for m in list((silent if to is alice else c).seen) if not m.is_response
                               and who.email in m.get("from") and b"<refresh>%d</refresh>" % (60 + k) in m.body], 10)
    for n in range(8):
        says(account(f"writer-{n}"), alice, 8)
    last = account("last")
    says(last, carol, 1)
    says(last, alice, 9)


def test_a_phone_that_does_not_answer_keeps_nothing(account, phone, writes, kept):
    alice, bob = account("alice"), account("bob")
    a = phone(alice, answer=486, transport="tcp")
    a.register()
    for say in writes(bob):
        assert say(alice, doc()) in (200, 204)
        assert a.next_request().get("content-type") == TYPE
    assert not kept(alice)


@pytest.mark.parametrize("body", ["", "<isComposing>", doc("")[:-1], doc(" "), doc("active", "<state>idle</state>"),
                                  doc("a" * 33), doc().replace("im-iscomposing", "other"),
                                  "<!DOCTYPE x>" + doc().split("?>")[1], doc("active", "<a>" * 20 + "</a>" * 20)])
def test_what_cannot_be_read_is_400(account, writes, body):
    alice, bob = account("alice"), account("bob")
    for say in writes(bob):
        assert say(alice, body) == 400


def test_to_nobody_it_is_404(account, writes):
    bob, nobody = account("bob"), account("nobody")
    nobody.email = "no-such-user@example.net"
    for say in writes(bob):
        assert say(nobody, doc()) == 404
