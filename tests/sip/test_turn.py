"""Phones that do not answer hold up nobody else."""
import concurrent.futures

import requests
from test_message import send

PHONES = 16
SENDS = 40  # to each of them


def test_one_accounts_silent_phones_hold_up_no_other(account, phone, system, until):
    mallory, alice, bob = account("mallory"), account("alice"), account("bob")
    silent = [phone(mallory, answer=None) for _ in range(PHONES)]
    for p in silent:
        assert p.register().code == 200
    desk = phone(bob)
    desk.register()
    mallory.token()

    def shout(_):
        with requests.Session() as session:
            return [session.request("SEND", system.url + mallory.login, headers=mallory.headers, data=b"?",
                                    timeout=20).status_code for _ in range(SENDS // 4)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert {code for codes in pool.map(shout, range(4)) for code in codes} == {202}
    most = "select contact, count(*)::int as n from inspect.delivery where recipient = %s and state = 'sending' group by 1"
    until(lambda: sum(row["n"] for row in system.query(most, [mallory.email])) == 64)
    status = send(alice, bob, b"meanwhile")
    assert desk.next_request(10).body == b"meanwhile"
    until(lambda: status()["status"] == "delivered")
    assert phone(alice).register().code == 200
    sending = system.query(most, [mallory.email])
    assert max(row["n"] for row in sending) <= 8
    assert sum(row["n"] for row in sending) <= 64


def test_a_phone_that_answers_gets_all(account, phone, until):
    """More than eight, and more than an account may have under way."""
    alice, bob = account("alice"), account("bob")
    p = phone(alice)
    p.register()
    sent = {f"message {i}".encode() for i in range(100)}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda body: send(bob, alice, body), sorted(sent)))
    assert {m.body for m in p.next_requests(len(sent), 10)} == sent


def test_what_we_refuse_ourselves_is_not_the_phones_silence(account, phone, system, until):
    """A stranger sends what no datagram holds, by little: the phone has still answered lately, and has more than eight."""
    alice, bob, mallory = account("alice"), account("bob"), account("mallory")
    p = phone(alice)
    p.register()
    status = send(bob, alice, b"hello")
    assert p.next_request(10).body == b"hello"
    until(lambda: status()["status"] == "delivered")
    rows = "select state, count(*)::int as n from inspect.delivery where recipient = %s group by 1"
    p.answer = None
    send(bob, alice, b"first")  # so that it is busy, and the database is told
    assert p.next_request(10).body == b"first"
    large = send(mallory, alice, b"x" * 65080)
    until(lambda: large()["status"] == "failed")
    why = system.query("select code, reason from inspect.delivery where recipient = %s and code is not null and state = 'failed'",
                       [alice.email])
    assert why == [{"code": 413, "reason": "Too large for UDP"}]  # of the agent
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: send(bob, alice, b"%d" % i), range(20)))
    until(lambda: {r["state"]: r["n"] for r in system.query(rows, [alice.email])}.get("sending") == 21)


def test_what_waits_follows_when_the_phone_answers(account, phone, system, until):
    alice, bob = account("alice"), account("bob")
    p = phone(alice, answer=None)
    p.register()
    sent = [f"message {i}".encode() for i in range(150)]  # 128 wait for a contact
    for body in sent:
        send(bob, alice, body)
    rows = "select state, count(*)::int as n from inspect.delivery where recipient = %s group by 1"
    assert {r["state"]: r["n"] for r in system.query(rows, [alice.email])}["stored"] == 22
    p.answer = 200
    until(lambda: {r["state"]: r["n"] for r in system.query(rows, [alice.email])} == {"delivered": 150}, 60)


def test_too_many_messages_are_480_and_say_when_to_come_again(account, phone, system):
    alice, bob = account("alice"), account("bob")
    p = phone(bob)
    was, = system.query_owner("select inspect.set_bound('sends', 2) as was")
    try:
        assert [p.message(f"sip:{alice.email}").code for _ in range(2)] == [202, 202]
        answer = p.message(f"sip:{alice.email}")
        assert answer.code == 480 and 1 <= int(answer.get("retry-after")) <= 60
    finally:
        system.query_owner("select inspect.set_bound('sends', %s)", [was["was"]])
    was, = system.query_owner("select inspect.set_bound('sender_stored', 3) as was")
    try:
        assert p.message(f"sip:{alice.email}").code == 202
        assert p.message(f"sip:{alice.email}").code == 480
    finally:
        system.query_owner("select inspect.set_bound('sender_stored', %s)", [was["was"]])
