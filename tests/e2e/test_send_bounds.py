"""What may wait for an account, and how much an account may send; at once from many connections too."""
import concurrent.futures
import contextlib
import time

import pytest

from answers import time_in


@contextlib.contextmanager
def bounds(system, **amounts):
    """Other bounds for a while."""
    was = {name: system.query_owner("select inspect.set_bound(%s, %s) as was", (name, amount))[0]["was"]
           for name, amount in amounts.items()}
    try:
        yield
    finally:
        for name, amount in was.items():
            system.query_owner("select inspect.set_bound(%s, %s)", (name, amount))


def send(sender, recipient, body=b"hello", query=""):
    return sender.request("SEND", recipient.login + query, data=body)


def problem(answer):
    return answer.status_code, answer.json()["type"].rpartition("/")[2]


def later(seconds):
    return "?send_at=" + time_in(seconds)


def test_what_one_sender_may_have_waiting(account, system):
    alice, bob, carol = account("alice"), account("bob"), account("carol")
    with bounds(system, sender_stored=3):
        assert [send(bob, alice).status_code for _ in range(3)] == [202] * 3
        assert problem(send(bob, alice)) == (507, "too-much-waiting")
        assert send(carol, alice).status_code == 202, "another's passes"
        assert send(bob, carol).status_code == 202, "and what is for another"


def test_what_may_wait_for_an_account(account, system):
    alice, bob, carol = account("alice"), account("bob"), account("carol")
    with bounds(system, sends_stored=3, sends_stored_bytes=1000):
        assert send(bob, alice, b"x" * 998).status_code == 202
        assert send(bob, alice, b"yz").status_code == 202, "the last byte"
        assert problem(send(carol, alice, b"z")) == (507, "too-much-waiting")
        assert send(carol, alice, b"").status_code == 202, "the last message"
        assert problem(send(carol, alice, b"")) == (507, "too-much-waiting")


def test_what_an_account_sends_in_a_minute(account, system):
    alice, bob, carol = account("alice"), account("bob"), account("carol")
    with bounds(system, sends=3):
        begun = time.time()
        assert [send(bob, alice).status_code for _ in range(3)] == [202] * 3
        answer = send(bob, carol)
        assert problem(answer) == (429, "too-many-sends")
        assert 60 - (time.time() - begun) - 1 <= int(answer.headers["Retry-After"]) <= 60
        assert send(carol, alice).status_code == 202, "others are served"
    assert send(bob, alice).status_code == 202


def test_what_is_due_later(account, system):
    alice, bob = account("alice"), account("bob")
    with bounds(system, sends_scheduled=2):
        assert [send(bob, alice, query=later(3600)).status_code for _ in range(2)] == [202] * 2
        assert problem(send(bob, alice, query=later(3600))) == (409, "too-many-scheduled")
        assert send(alice, alice, query=later(3600)).status_code == 202
        assert send(bob, alice).status_code == 202, "what is due now is none of those"
    assert send(bob, alice, query=later(30 * 86400 - 60)).status_code == 202
    assert problem(send(bob, alice, query=later(30 * 86400 + 60))) == (400, "invalid-parameter")


@pytest.mark.parametrize("amounts,is_one_recipient,query,code", [
    ({"sender_stored": 5}, True, "", 507),
    ({"sends": 5}, False, "", 429),
    ({"sends_scheduled": 5}, False, later(86400), 409),
])
def test_at_once_no_more_pass_than_may(account, system, amounts, is_one_recipient, query, code):
    sender = account("sender")
    sender.token()
    recipients = [account("recipient")] * 20 if is_one_recipient else [account(f"recipient{i}") for i in range(20)]
    with bounds(system, **amounts), concurrent.futures.ThreadPoolExecutor(20) as pool:
        codes = sorted(pool.map(lambda to: send(sender, to, query=query).status_code, recipients))
    assert codes == sorted([202] * 5 + [code] * 15)
