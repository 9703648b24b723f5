"""Keys that are pressed in a call: by REST at a phone, and by a phone at a page."""
import psycopg
import pytest
from call_phone import Incoming, Outgoing, sdp

from test_page_calls import call, children, command, fixture_called, fixture_people, offer, status  # noqa: F401 pylint: disable=unused-import

WAIT_S = 20


@pytest.fixture(name="up")
def fixture_up(called, until):
    """up(allow): alice, bob, and bob's side of a call that she has made by REST; what his phone allows."""
    def make(allow=None):
        alice, bob, b = called
        url = call(alice, bob, session=offer())
        inc = Incoming(b)
        say = inc.phone.send
        if allow is not None:
            inc.phone.send = lambda raw, to=None: say(
                raw.replace("Contact:", f"Allow: {allow}\r\nContact:", 1) if isinstance(raw, str) else raw, to)
        inc.accept()
        inc.phone.send = say
        until(lambda: children(alice, url)[bob.email]["state"] == "joined", WAIT_S)
        return alice, bob, inc, url
    return make


def press(sender, to, url, digits):
    return sender.request("SEND", to.login, json={"command": "dtmf", "url": url, "digits": digits})


def keys(inc, n):
    """The next keys that a phone gets."""
    found = [inc.next("INFO", WAIT_S) for _ in range(n)]
    assert {r.get("content-type") for r in found} == {"application/dtmf-relay"}
    assert all(r.body.endswith(b"\r\nDuration=160\r\n") for r in found)
    return "".join(r.body.decode()[len("Signal=")] for r in found)


def test_rest_presses_keys_at_a_phone(up, until):
    alice, bob, inc, url = up("INVITE, INFO")
    answers = [press(alice, bob, url, "12#"), press(alice, bob, url, "a")]
    assert [a.status_code for a in answers] == [202, 202]
    assert keys(inc, 4) == "12#A", "in order"
    for answer in answers:
        sent = until(lambda a=answer: next(s for s in [status(alice, a.json())] if s["status"] == "delivered"), WAIT_S)
        assert [(r["kind"], r["sip"]["code"]) for r in sent["recipients"]] == [("contact", 200)]


def test_what_becomes_of_a_key_is_told_until_it_is_heard(up, until, system):
    """Somebody holds the call for longer than an agent waits for it."""
    alice, bob, inc, url = up("INVITE, INFO")
    inc.phone.answer = lambda r: None if r.method in ("INVITE", "ACK", "INFO") else 200
    sent = press(alice, bob, url, "1").json()
    info = inc.next("INFO", WAIT_S)
    with psycopg.connect(system.pg_owner) as db:
        def waits():
            return db.execute("select exists (select from pg_locks where not granted)").fetchone()[0]
        db.execute("select from app.resource where kind = 'call' and id = %s for update", [int(url.rsplit("/", 1)[1])])
        inc.say(200, "OK", request=info)
        until(waits, WAIT_S)
        until(lambda: not waits(), WAIT_S)
    until(lambda: status(alice, sent)["status"] == "delivered", WAIT_S)
    assert inc.bye().code == 200


def test_what_is_no_key(up):
    alice, bob, _, url = up()
    for digits in ("", "1" * 33, "5x", 5, None):
        answer = press(alice, bob, url, digits)
        assert answer.status_code == 400 and answer.json()["errors"][0]["pointer"] == "/digits", answer.text


def test_a_phone_that_does_not_allow_info(up):
    alice, bob, _, url = up("INVITE, ACK, BYE, CANCEL")
    answer = press(alice, bob, url, "1")
    assert answer.status_code == 409 and answer.json()["type"] == "/problems/keys-not-taken"


def test_a_phone_that_refuses_a_key(up, until):
    alice, bob, inc, url = up()
    inc.phone.answer = lambda r: 415 if r.method == "INFO" else None if r.method in ("INVITE", "ACK") else 200
    sent = press(alice, bob, url, "123").json()
    got = until(lambda: next(s for s in [status(alice, sent)] if s["status"] == "failed"), WAIT_S)
    assert got["recipients"][0]["sip"]["code"] == 415
    assert inc.bye().code == 200


def test_keys_are_bounded_and_end_with_the_call(up, until):
    alice, bob, inc, url = up()
    inc.phone.answer = lambda r: None if r.method in ("INVITE", "ACK", "INFO") else 200  # it never answers a key
    sent = [press(alice, bob, url, "1" * 32) for _ in range(9)]
    assert [a.status_code for a in sent] == [202] * 8 + [409] and sent[8].json()["type"] == "/problems/exchange-pending"
    assert inc.bye().code == 200
    for answer in sent[:8]:
        until(lambda a=answer: status(alice, a.json())["status"] == "failed", WAIT_S)
    assert press(alice, bob, url, "1").json()["status"] == "failed", "nobody is there any more"


@pytest.mark.parametrize("joins", [False, True], ids=["outside", "joined an open call"])
def test_who_was_not_called_and_has_called_nobody_presses_nothing(up, account, joins):
    alice, bob, inc, url = up()
    carol = account("carol")
    if joins:
        assert alice.request("PATCH", url, json={"open": True}).status_code == 200
        assert carol.request("POST", url, json={"email": carol.email}).status_code == 201
    assert press(carol, bob, url, "1").status_code == 202
    assert inc.next("MESSAGE", WAIT_S), "it is a message like any other"
    assert inc.bye().code == 200
    assert all(m.method != "INFO" for m in inc.phone.seen if not m.is_response)


def answered(a, bob, page):
    """A phone's call that bob's page has answered: his stream, the phone's side, the call's URL."""
    stream = page(bob)
    out = Outgoing(a, f"sip:{bob.email}", sdp(1))
    url = command(stream, "invite")["json"]["url"]
    assert bob.request("POST", url, json={"session": {"type": "answer", "sdp": sdp(2)}}).status_code == 201
    out.confirm()
    return stream, out, url


@pytest.mark.parametrize("kind,body,key", [
    ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", "5"), ("application/dtmf-relay", "Signal= 11\r\n", "#"),
    ("application/dtmf", "d", "D")])
def test_a_phone_presses_a_key_at_a_page(people, page, kind, body, key):
    a, alice, bob = people
    stream, out, url = answered(a, bob, page)
    assert out.request("INFO", [("Content-Type", kind)], body, timeout_s=WAIT_S).code == 200
    event = command(stream, "dtmf")
    assert event["from"] == alice.email
    assert event["json"] == {"command": "dtmf", "url": url, "id": event["id"], "digits": key}
    assert out.request("INFO", [("Content-Type", kind)], "Signal=x", timeout_s=WAIT_S).code == 415
    assert out.request("INFO", [("Content-Type", "text/plain")], "5", timeout_s=WAIT_S).code == 415
    assert out.bye().code == 200


def test_keys_of_a_phone_count_as_messages(people, page, system):
    a, _, bob = people
    _, out, _ = answered(a, bob, page)
    relay = [("Content-Type", "application/dtmf-relay")]
    assert out.request("INFO", relay, "Signal=1\r\n", timeout_s=WAIT_S).code == 200
    system.query_owner("update app.send_rate set since = now(), sends = 1000000000 where account_id = "
                       "(select id from app.account where email = %s) returning sends", [a.aor[4:]])
    assert out.request("INFO", relay, "Signal=2\r\n", timeout_s=WAIT_S).code == 480
    assert out.bye().code == 200


def test_keys_have_a_rate(people, page):
    a, _, bob = people
    _, out, _ = answered(a, bob, page)
    codes = {out.request("INFO", [("Content-Type", "text/plain")], "x", timeout_s=WAIT_S).code for _ in range(101)}
    assert codes == {415, 480}, "what is no key counts too"
    assert out.bye().code == 200


def test_keys_of_rest_do_not_take_the_place_of_the_phones_own(people, page):
    a, alice, bob = people
    stream, out, url = answered(a, bob, page)
    a.answer = lambda r: None if r.method in ("INVITE", "ACK", "INFO") else 200  # it never answers a key
    assert [press(bob, alice, url, "1" * 32).status_code for _ in range(3)] == [202] * 3
    a.next_request(WAIT_S, "INFO")
    for _ in range(3):
        relay = [("Content-Type", "application/dtmf-relay")]
        assert out.request("INFO", relay, "Signal=5\r\n", timeout_s=WAIT_S).code == 200
        assert command(stream, "dtmf")["json"]["digits"] == "5"
    assert out.bye().code == 200
