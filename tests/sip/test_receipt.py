"""Receipts of messages (RFC 5438): they move what they name, and are messages to nobody."""
import pytest

from test_message import send

IMDN = ('<?xml version="1.0" encoding="UTF-8"?><imdn xmlns="urn:ietf:params:xml:ns:imdn"><message-id> {id} </message-id>'
        "<datetime>2026-11-29T18:00:00Z</datetime>{rest}</imdn>")
DELIVERED = "<delivery-notification><status><delivered/></status></delivery-notification>"
DISPLAYED = "<display-notification><status><displayed/></status></display-notification>"
OTHERS = ["<delivery-notification><status><failed/></status></delivery-notification>",
          "<processing-notification><status><processed/></status></processing-notification>",
          "<display-notification><status><delivered/></status></display-notification>", "<displayed/>"]
CPIM = ("From: <sip:{sender}>\r\nTo: <sip:{to}>\r\nDateTime: 2026-11-29T18:00:00Z\r\nNS: imdn <urn:ietf:params:imdn>\r\n"
        "imdn.Message-ID: {id}\r\n{more}\r\nContent-Type: {type}\r\n\r\n{body}")


def imdn(message_id, rest=DISPLAYED):
    return IMDN.format(id=message_id, rest=rest)


def cpim(sender, to, message_id, content_type, body, more="imdn.Disposition-Notification: positive-delivery, display\r\n"):
    return CPIM.format(sender=sender.email, to=to.email, id=message_id, type=content_type, body=body, more=more)


def receipt(caller, to, body, content_type="message/imdn+xml"):
    """By REST."""
    return caller.request("SEND", to.login, data=body.encode(), headers={"Content-Type": content_type})


@pytest.fixture(name="sends")
def fixture_sends(system):
    return lambda to: system.query("select * from inspect.send where recipient = %s order by n", [to.email])


def test_a_phones_receipt_moves_the_message(account, phone, sends, until):
    alice, bob = account("alice"), account("bob")
    a, other = phone(alice), phone(alice)
    a.register()
    other.register()
    status = send(bob, alice)
    message = a.next_request()
    other.next_request()
    until(lambda: status()["status"] == "delivered")
    assert a.message(f"sip:{bob.email}", imdn(message.get("call-id")), "message/imdn+xml").code == 200
    now = status()
    assert now["status"] == "displayed"
    assert {r["contact"]: r["status"] for r in now["recipients"]} == {a.contact: "displayed", other.contact: "delivered"}
    assert a.message(f"sip:{bob.email}", imdn(message.get("call-id"), DELIVERED), "message/imdn+xml").code == 200
    assert status() == now, "it goes no way back"
    assert not sends(bob)


def test_a_receipt_that_is_quicker_than_the_answer(account, phone, until):
    """It settles the delivery: nothing is sent again."""
    alice, bob = account("alice"), account("bob")
    a = phone(alice, answer=None)
    a.register()
    status = send(bob, alice)
    first = a.next_request()
    call_id, branch = first.get("call-id"), first.branch
    until(lambda: status()["status"] == "sending")
    assert a.message(f"sip:{bob.email}", imdn(call_id, DELIVERED), "message/imdn+xml").code == 200
    assert status()["status"] == "delivered"
    a.answer = 480  # to what was on its way
    a.register()
    send(bob, alice, b"another")
    came = a.next_request()
    while came.body != b"another":
        assert came.branch == branch, "it is sent again"
        came = a.next_request()
    assert status()["status"] == "delivered"


@pytest.mark.parametrize("rest", OTHERS)
def test_what_says_something_else_changes_nothing(account, phone, sends, until, rest):
    alice, bob = account("alice"), account("bob")
    a = phone(alice)
    a.register()
    status = send(bob, alice)
    call_id = a.next_request().get("call-id")
    until(lambda: status()["status"] == "delivered")
    before = status()
    assert a.message(f"sip:{bob.email}", imdn(call_id, rest), "message/imdn+xml").code == 200
    assert status() == before and not sends(bob)


def test_only_its_recipient_says_so_and_only_to_its_sender(account, phone, sends, until):
    alice, bob, carol = account("alice"), account("bob"), account("carol")
    a, c = phone(alice), phone(carol)
    a.register()
    status = send(bob, alice)
    call_id = a.next_request().get("call-id")
    until(lambda: status()["status"] == "delivered")
    before, url = status(), status()["url"]
    for sender, to, names in ((c, bob, call_id), (a, carol, call_id), (c, bob, url), (a, bob, "f" * 32 + call_id[32:]),
                              (a, bob, "no-such-message"), (a, bob, "x" * 250)):
        assert sender.message(f"sip:{to.email}", imdn(names), "message/imdn+xml").code == 200
    for sender, to, names in ((carol, bob, call_id), (carol, bob, url), (bob, bob, url), (alice, carol, url)):
        assert receipt(sender, to, imdn(names)).status_code == 204
    assert status() == before
    assert not sends(bob) and not sends(carol)


def test_a_page_says_that_it_has_shown_it(account, system, sends, until):
    alice, bob = account("alice"), account("bob")
    with system.request("GET", alice.login + "?stream", headers=alice.headers, stream=True) as stream:
        lines = stream.iter_lines()
        assert b"state" in next(lines)
        status = send(bob, alice)
        until(lambda: status()["status"] == "delivered")
    assert receipt(alice, bob, imdn(status()["url"])).status_code == 204
    assert status()["status"] == "displayed" and status()["recipients"][0]["status"] == "displayed"
    again = send(bob, alice)
    assert receipt(alice, bob, imdn(system.url + again()["url"])).status_code == 204
    assert again()["status"] == "stored", "nobody has got it"
    assert not sends(bob)


@pytest.mark.parametrize("wrapped", [False, True])
def test_who_asks_for_receipts_by_cpim(account, phone, sends, until, wrapped):
    """message/cpim passes as it is, and its own id names it."""
    alice, bob = account("alice"), account("bob")
    a = phone(alice)
    a.register()
    body = cpim(bob, alice, "34jk324j", "text/plain", "hello")
    status = send(bob, alice, body.encode(), "message/cpim")
    assert a.next_request().body == body.encode()
    until(lambda: status()["status"] == "delivered")
    says, content_type = imdn("34jk324j"), "message/imdn+xml"
    if wrapped:
        says, content_type = cpim(alice, bob, "other", content_type, says, ""), "message/cpim"
    assert a.message(f"sip:{bob.email}", says, content_type).code == 200
    assert status()["status"] == "displayed" and not sends(bob)


@pytest.mark.parametrize("body", [
    "", "<imdn>", imdn(""), imdn("x" * 257), IMDN.format(id="", rest="").replace("message-id", "id"),
    '<!DOCTYPE imdn [<!ENTITY a "b">]>' + imdn("a").split("?>")[1], imdn("a").replace(":imdn", ":other"),
    imdn("a", "<a>" * 20 + "</a>" * 20), imdn("a", "<message-id>b</message-id>"), imdn("a")[:-1]])
def test_what_cannot_be_read_is_400(account, phone, body):
    alice, bob = account("alice"), account("bob")
    a = phone(alice)
    a.register()
    assert a.message(f"sip:{bob.email}", body, "message/imdn+xml").code == 400
    answer = receipt(alice, bob, body)
    assert answer.status_code == 400 and "message-id" in answer.json()["detail"]


def test_they_use_up_no_minute_but_their_own(account, phone, system, until):
    """A phone sends them by itself: who sends to it must not be able to silence its owner by that."""
    alice, bob = account("alice"), account("bob")
    a = phone(alice)
    a.register()
    spent = "insert into app.send_rate (account_id, since, {0}) select id, now(), {1} from app.account where email = %s " \
            "on conflict (account_id) do update set {2} returning 1"
    system.query_owner(spent.format("sends, receipts, receipts_since", "0, 1000000, now()",
                                    "receipts = 1000000, receipts_since = now()"), [alice.email])
    assert a.message(f"sip:{bob.email}", imdn("a"), "message/imdn+xml").code == 480
    assert receipt(alice, bob, imdn("a")).status_code == 429
    status = send(bob, alice)
    call_id = a.next_request().get("call-id")
    assert a.message(f"sip:{bob.email}", imdn(call_id), "message/imdn+xml").code == 200, "what moves something passes"
    assert status()["status"] == "displayed"
    send(alice, bob)
    system.query_owner(spent.format("sends, receipts", "1000000, 0", "since = now(), sends = 1000000, receipts = 0"),
                       [alice.email])
    assert a.message(f"sip:{bob.email}", "hello").code == 480
    assert receipt(alice, bob, imdn("a")).status_code == 204
