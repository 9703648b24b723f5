"""Phones move in calls: over another connection, behind a NAT, to another address, to another agent."""
import pytest
from call_phone import Incoming, rings, sdp, up

from phone import Phone, new_account
from test_calls_outlive import back, fixture_pair, hung_up, over, rows  # noqa: F401 pylint: disable=unused-import


@pytest.fixture(scope="module", name="own_system")
def fixture_own_system(systems):
    """One system for all that is done to it here: each test leaves it running."""
    return systems("moved", {"RESTSIP_DEMO": "no"})


@pytest.fixture(scope="module", name="two")
def fixture_two(systems):
    """A system with two agents."""
    return systems("moved-two", {"RESTSIP_DEMO": "no", "RESTSIP_AGENTS": "2"})


def test_a_phone_comes_back_over_another_connection(own_system, pair, until):
    """The agent lives on: BYE waits for the phone, and finds it; so does what it sends itself."""
    a, b = pair("tcp")
    out, inc = up(a, b)
    b.close()
    until(lambda: rows(own_system, a) and not own_system.query("select 1 from inspect.login where email = %s", [b.aor[4:]]), 10)
    assert out.bye().code == 200
    until(lambda: {r["state"] for r in rows(own_system, a)} == {"ended", "ending"}, 10)
    back(inc)
    hung_up(inc)
    assert until(lambda: over(own_system, a), 10) == {"hangup"}
    inc.phone.close()

    a, b = pair("tcp")
    out, inc = up(a, b)
    a.close()
    back(out)
    assert out.request("INFO", [("Content-Type", "application/dtmf-relay")], "Signal=3\r\n").code == 200
    assert inc.next("INFO").body == b"Signal=3\r\n"
    assert inc.bye().code == 200
    hung_up(out)
    out.phone.close()


def test_a_connection_closes_while_a_key_waits(own_system, phone, until):
    """The next one is pressed where the phone is by then, and the call goes on."""
    own_system.await_ready(30)
    alice, bob = (new_account(own_system, name) for name in ("alice", "bob"))
    a, b = (rings(phone(owner, transport="tcp")) for owner in (alice, bob))
    assert a.register().code == b.register().code == 200
    out, inc = up(a, b)
    url = alice.request("GET", "/call").json()[0]["url"]

    def press(digits):
        answer = alice.request("SEND", bob.login, json={"command": "dtmf", "url": url, "digits": digits})
        assert answer.status_code == 202, answer.text
        return answer.json()["url"]
    b.answer = lambda r: None if r.method in ("INVITE", "ACK", "INFO") else 200
    sent = press("12")
    inc.next("INFO", 10)
    b.close()
    until(lambda: alice.request("GET", sent).json()["status"] == "failed", 10)
    back(inc)
    sent = press("3")
    assert inc.next("INFO", 10).body.startswith(b"Signal=3")
    until(lambda: alice.request("GET", sent).json()["status"] == "delivered", 10)
    assert out.bye().code == 200
    hung_up(inc)
    inc.phone.close()


def test_a_phone_loses_its_connection_twice_at_once(own_system, pair, until):
    """Its row has heard of neither the second nor its loss, and is told of both in their order."""
    a, b = pair("tcp")
    out, inc = up(a, b)
    for _ in range(2):
        inc.phone.close()
        until(lambda: not own_system.query("select 1 from inspect.login where email = %s", [b.aor[4:]]), 10)
        if _ == 0:
            back(inc)
            assert inc.request("INFO", [("Content-Type", "application/dtmf-relay")], "Signal=5\r\n").code == 200
    assert out.bye().code == 200
    until(lambda: {r["state"] for r in rows(own_system, a)} == {"ended", "ending"}, 10)
    back(inc)
    hung_up(inc)
    assert until(lambda: over(own_system, a), 10) == {"hangup"}
    inc.phone.close()


def test_a_nat_gives_a_phone_another_port(own_system, pair, phone, until):
    a, b = pair()
    out, inc = up(a, b)
    moved = rings(Phone(b.server, b.user, b.password, b.domain))
    moved.username = b.username
    try:
        inc.phone = moved
        assert inc.request("INFO", [("Content-Type", "application/dtmf-relay")], "Signal=4\r\n").code == 200
        assert out.bye().code == 200
        hung_up(inc)
        assert until(lambda: over(own_system, a), 10) == {"hangup"}

        out, inc = up(a, b)  # it says nothing in the call, but registers
        assert moved.register(contacts=[f"<{b.contact}>"]).code == 200
        inc.phone = moved
        assert out.bye().code == 200
        hung_up(inc)
    finally:
        moved.close()
    assert until(lambda: over(own_system, a), 10) == {"hangup"}


def back_again(two, side, server, until):
    """The phone of a dialog loses its connection, and comes back to that agent."""
    side.phone.close()
    until(lambda: not two.query("select 1 from inspect.login where email = %s", [side.phone.aor[4:]]), 10)
    side.phone.server = server
    return back(side)


def test_a_phone_comes_back_to_another_agent(two, phone, until):
    """Its leg follows its connection: with what it sends, and with what is sent to it."""
    two.await_ready(30)
    first, second = two.sip_all
    for hangs_up in ("itself", "the other"):
        a = rings(phone(new_account(two, "alice"), server=first))
        b = rings(phone(new_account(two, "bob"), server=second, transport="tcp"))
        assert a.register().code == b.register().code == 200
        out, inc = up(a, b)
        back_again(two, inc, first, until)
        if hangs_up == "itself":
            assert inc.bye().code == 200
            hung_up(out)
        else:
            assert out.bye().code == 200
            hung_up(inc)
        assert until(lambda p=a: over(two, p), 10) == {"hangup"}
        inc.phone.close()


def test_a_page_and_a_phone_that_has_come_back_to_another_agent(two, phone, until):
    """What the page offers and presses is handed on to that."""
    two.await_ready(30)
    first, second = two.sip_all
    alice, bob = new_account(two, "alice"), new_account(two, "bob")
    b = rings(phone(bob, server=second, transport="tcp"))
    assert until(lambda: b.register().code == 200, 20)
    answer = alice.request("POST", "/call", json={"session": {"type": "offer", "sdp": sdp(1)}, "open": False, "invite": [bob.login]})
    url = answer.json()["url"]

    def children():
        return {c["email"]: c for c in alice.request("GET", url).json()["children"]}
    inc = Incoming(b)
    inc.accept()
    until(lambda: children()[bob.email]["state"] == "joined", 10)
    back_again(two, inc, first, until)
    answer = alice.request("PUT", children()[alice.email]["url"], json={"session": {"type": "offer", "sdp": sdp(3)}})
    assert answer.status_code == 202 and answer.json()["pending"], answer.text
    invite = inc.next("INVITE", 10)
    assert "m=audio 40003" in invite.body.decode()
    inc.say(200, "OK", sdp(4), invite)
    inc.next("ACK", 10)
    until(lambda: "pending" not in children()[alice.email], 10)
    assert children()[bob.email]["session"] == {"type": "answer", "sdp": sdp(4)}
    back_again(two, inc, second, until)
    answer = alice.request("SEND", bob.login, json={"command": "dtmf", "url": url, "digits": "1"})
    assert answer.status_code == 202, answer.text
    assert inc.next("INFO", 10).body.startswith(b"Signal=1")
    until(lambda: alice.request("GET", answer.json()["url"]).json()["status"] == "delivered", 10)
    assert inc.bye().code == 200


def proven(side, method):
    """A request of a dialog's, which is refused with 401 first and then has a digest."""
    challenged = side.request(method, timeout_s=10)
    assert challenged.code == 401
    side.cseq += 1
    side.phone.challenge, side.phone.nc = challenged.get("www-authenticate"), 0
    return side.phone.exchange(side.phone.signed(method, side.target, [("From", side.mine), ("To", side.theirs)],
                                                 cseq=side.cseq, call_id=side.call_id), 10)


def test_a_phone_at_another_address_and_another_agent(two, phone, until):
    """Neither knows it: its digest does, and nobody else's, who has seen the tags."""
    two.await_ready(30)
    first, second = two.sip_all
    alice, bob, stranger = (new_account(two, name) for name in ("alice", "bob", "carol"))
    a, b = rings(phone(alice, server=first)), rings(phone(bob, server=second))
    assert until(lambda: a.register().code == b.register().code == 200, 20)
    out, inc = up(a, b)
    inc.phone = phone(stranger, server=first, local="127.0.0.78")
    assert proven(inc, "BYE").code == 403  # From is the phone's
    mine, inc.mine = inc.mine, inc.mine.replace(b.aor, inc.phone.aor)
    assert proven(inc, "BYE").code == 481
    inc.mine = mine
    inc.phone = rings(phone(bob, server=first, local="127.0.0.77"))
    assert proven(inc, "INFO").code == 200, "the caller's phone answers it"
    assert inc.request("INFO", timeout_s=10).code == 200, "it is known there from then on"
    assert out.bye().code == 200
    assert inc.phone.next_request().method == "BYE", "and is reached there"
    assert until(lambda: over(two, a), 10) == {"hangup"}
