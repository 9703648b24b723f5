"""What an operator's `user disable` and `kick` mean to phones."""
import pytest

from ctl import Ctl
from test_message import send


@pytest.fixture
def ctl(system):
    return Ctl(system)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_phone_of_a_disabled_account_is_shut_out(ctl, account, phone, logins, until, transport):
    alice, bob = account("alice"), account("bob")
    p, q = phone(alice, transport=transport), phone(bob)
    assert p.register().code == 200 and q.register().code == 200
    watch = p.subscribe(q.aor, "presence")
    assert watch.answer.code == 200
    watch.next()
    theirs = q.subscribe(p.aor, "presence")
    assert theirs.answer.code == 200
    assert b"<basic>open</basic>" in theirs.next().body

    ctl.done("user", "disable", alice.email)
    assert not logins(alice)
    assert "terminated;reason=rejected" in watch.next().get("subscription-state").replace(" ", "")
    theirs.await_body(b"<basic>closed</basic>")
    for answer in (p.register(), p.register(expires=0), p.message(q.aor), p.subscribe(q.aor, "presence").answer,
                   p.publish(b"<?xml version='1.0'?><presence xmlns='urn:ietf:params:xml:ns:pidf' entity='sip:a@b'>"
                             b"<tuple id='t'><status><basic>open</basic></status></tuple></presence>")):
        assert (answer.code, answer.reason) == (403, "Account Disabled")
    p.challenge = None
    p.password = "wrong"
    assert p.register().code == 401
    assert not logins(alice)

    answer = q.message(p.aor)
    assert (answer.code, answer.reason) == (480, "Account Disabled")
    assert bob.request("SEND", alice.login, data=b"x").status_code == 409


def test_enabled_again_it_gets_what_came_before(ctl, account, phone):
    alice, bob = account("alice"), account("bob")
    p = phone(alice)
    send(bob, alice, b"kept")
    ctl.done("user", "disable", alice.email)
    assert p.register().code == 403
    ctl.done("user", "enable", alice.email)
    assert p.register().code == 200
    assert p.next_request().body == b"kept"


def test_one_phone_is_thrown_out_and_for_good_with_its_credential(ctl, account, phone, logins):
    alice = account("alice")
    p, q = phone(alice), phone(alice)
    assert p.register().code == 200 and q.register().code == 200
    n = logins(alice)[p.contact]["n"]
    ctl.done("kick", alice.email, n)
    assert logins(alice).keys() == {q.contact}
    assert p.register().code == 200  # it has a credential
    listed = {c["username"]: c for c in ctl.json("credential", "list", alice.email)}
    ctl.done("credential", "delete", alice.email, listed[p.username]["n"])
    assert logins(alice).keys() == {q.contact}
    assert p.register().code == 401
    assert q.register().code == 200


def test_many_registers_at_once_bind_nothing_of_a_disabled_account(ctl, account, phone, logins):
    """Those that share a statement look too."""
    accounts = [account(f"m{i}") for i in range(6)]
    phones = [phone(a) for a in accounts]
    for p in phones:
        assert p.register().code == 200
    for a in accounts[::2]:
        ctl.done("user", "disable", a.email)
    codes = [p.register().code for p in phones]
    assert codes == [403, 200] * 3
    assert [bool(logins(a)) for a in accounts] == [False, True] * 3
