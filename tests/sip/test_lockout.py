"""Nobody is shut out by others: neither by who forges his address, nor by who guesses at his account, nor by his own slip.

Over UDP anybody can write any address on a datagram. A socket of the victim's own address with another port is as good as a
forger: it is not the victim's, and whatever is answered does not help."""
import contextlib
import re
import socket
import threading
import time

import pytest

from baresip import Baresip
from phone import Phone, digest, new_account
from restsip_system import until

VICTIM, ATTACKER = "127.0.0.60", "127.0.0.66"


@pytest.fixture(scope="module")
def attacked(systems):
    return systems("attacked", {"RESTSIP_DEMO": "no", "RESTSIP_BOUNDS": "standard"})


def phone_of(system, account, local, transport="udp", **more):
    made = account.credential()
    server = system.sips if transport == "tls" else system.sip
    p = Phone(server, account.email.split("@")[0], made["password"], local=local, transport=transport,
              ca=system.certificate, **more)
    p.username = made["username"]
    return p


def challenge_of(system, local):
    """What a stranger is told at an address of his own."""
    with Phone(system.sip, "nobody", "", local=local) as p:
        return p.request("REGISTER", "sip:example.net", auth=False).get("www-authenticate")


def register_with(account, username, challenge, password, n):
    """A REGISTER with a digest of a nonce from elsewhere."""
    authorization = digest(challenge, "REGISTER", "sip:example.net", username, password, n)
    return (f"REGISTER sip:example.net SIP/2.0\r\nVia: SIP/2.0/UDP {VICTIM};branch=z9hG4bKforged{n};rport\r\n"
            f"From: <sip:{account.email}>;tag=1\r\nTo: <sip:{account.email}>\r\nCall-ID: forged-{n}\r\n"
            f"CSeq: {n} REGISTER\r\nContact: <sip:forged@{VICTIM}>\r\nAuthorization: {authorization}\r\n"
            "Content-Length: 0\r\n\r\n").encode()


def test_digests_with_a_nonce_from_elsewhere_count_for_nothing(attacked):
    alice, bob = new_account(attacked, "alice"), new_account(attacked, "bob")
    challenge = challenge_of(attacked, ATTACKER)
    with phone_of(attacked, alice, VICTIM) as a, phone_of(attacked, bob, VICTIM) as b, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
        assert a.register().code == 200
        forger.bind((VICTIM, 0))
        for n in range(1, 401):
            forger.sendto(register_with(alice, a.username, challenge, "wrong", n), attacked.sip)
            if n % 50 == 0:
                assert a.register().code == 200
        a.challenge = None
        assert a.register().code == 200
        assert b.register().code == 200, "who was never there before"
    assert attacked.query("select * from inspect.guess where door = 'sip' and who like %s", [f"{VICTIM}%"]) == []


def test_a_right_digest_with_a_nonce_from_elsewhere_binds_nothing(attacked):
    mallory = new_account(attacked, "mallory")
    made = mallory.credential()
    challenge = challenge_of(attacked, ATTACKER)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
        forger.bind((VICTIM, 0))
        forger.settimeout(5)
        forger.sendto(register_with(mallory, made["username"], challenge, made["password"], 1), attacked.sip)
        answer = forger.recv(65536)
    assert answer.startswith(b"SIP/2.0 401 ") and b"stale=true" in answer
    assert attacked.query("select * from inspect.login where email = %s", [mallory.email]) == []


STRANGER = ("REGISTER sip:example.net SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK{n}\r\nFrom: <sip:u{n}@example.net>;tag=1\r\n"
            "To: <sip:u@example.net>\r\nCall-ID: flood-{n}\r\nCSeq: 1 REGISTER\r\n{more}Content-Length: 0\r\n\r\n" % VICTIM)
FORGED = ('Authorization: Digest username="x", realm="example.net", nonce="' + "0" * 66 + '", uri="sip:example.net", '
          'response="' + "0" * 32 + '", qop=auth, nc=00000001, cnonce="x"\r\n')
FLOODS = {"junk": "\x01\x02 hello {n}", "strangers": STRANGER.replace("{more}", ""),
          "forged": STRANGER.replace("{more}", FORGED.replace("{", "{{").replace("}", "}}")),
          "responses": STRANGER.replace("{more}", "").replace("REGISTER sip:example.net SIP/2.0", "SIP/2.0 200 OK")}


@contextlib.contextmanager
def flood(server, kind):
    """Datagrams of the victim's address, some thousands a second; sent is how many."""
    stop, sent = threading.Event(), [0]

    def run():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((VICTIM, 0))
            while not stop.is_set():
                for _ in range(20):
                    sock.sendto(FLOODS[kind].format(n=sent[0]).encode(), server)
                    sent[0] += 1
                time.sleep(0.004)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield sent
    finally:
        stop.set()
        thread.join(10)


@pytest.mark.parametrize("kind", FLOODS)
def test_a_registered_phone_is_let_in_while_its_address_is_forged(attacked, kind):
    alice, bob = new_account(attacked, "alice"), new_account(attacked, "bob")
    with phone_of(attacked, alice, VICTIM) as a, phone_of(attacked, bob, "127.0.0.61") as b, \
            phone_of(attacked, alice, VICTIM, "tls") as tls:
        assert a.register().code == b.register().code == 200
        with flood(attacked.sip, kind) as sent:
            until(lambda: sent[0] > 6000, 30, "enough to be shut out")
            for _ in range(3):
                assert a.register(timeout_s=10).code == 200, "with a nonce that it has"
                a.challenge = None
                assert a.register(timeout_s=10).code == 200, "with a fresh one"
            assert tls.register().code == 200, "nobody forges a connection"
            with phone_of(attacked, bob, VICTIM, "tcp") as tcp:
                assert tcp.register().code == 200
            assert b.message(f"sip:{alice.email}", "hello").code == 200, "its answer is heard"
            assert a.next_request(10).body == b"hello"


def test_guesses_from_elsewhere_shut_nobody_out(attacked):
    alice = new_account(attacked, "alice")
    with phone_of(attacked, alice, VICTIM) as a, phone_of(attacked, alice, ATTACKER) as guesser:
        assert a.register().code == 200
        guesser.username, guesser.password = a.username, "wrong"
        until(lambda: guesser.register().code == 480, 30)
        assert a.register().code == 200
        with phone_of(attacked, alice, "127.0.0.62") as other:
            other.username, other.password = a.username, a.password
            assert other.register().code == 200, "a new place"


def test_guesses_at_the_same_address_do_not_shut_out_who_was_there(attacked):
    alice, bob = new_account(attacked, "alice"), new_account(attacked, "bob")
    with phone_of(attacked, alice, "127.0.0.63") as a, phone_of(attacked, bob, "127.0.0.63") as b:
        assert a.register().code == b.register().code == 200
        with phone_of(attacked, alice, "127.0.0.63") as guesser:
            guesser.username, guesser.password = a.username, "wrong"
            for _ in range(60):
                assert guesser.register().code in (401, 480)
        for p in (a, b):
            p.challenge = None
            assert p.register().code == 200


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_who_mistypes_and_corrects_is_registered_at_once(attacked, tmp_path, transport):
    """baresip tries a wrong password sixteen times within a moment."""
    alice, bob = new_account(attacked, "alice"), new_account(attacked, "bob")
    made = alice.credential()
    server = attacked.sips if transport == "tls" else attacked.sip
    for n in range(2):
        wrong = Baresip(tmp_path / f"wrong-{n}", server, alice, {**made, "password": "mistyped"}, bob, until, transport)
        try:
            until(lambda one=wrong: len(re.findall(r"SIP/2\.0 401 ", one.said())) >= 10, 15)
        finally:
            wrong.close()
        assert " 503 " not in wrong.said()
    with phone_of(attacked, bob, "127.0.0.1") as other:
        assert other.register().code == 200, "others at that address"
    right = Baresip(tmp_path / "right", server, alice, made, bob, until, transport)
    try:
        until(right.is_registered, 10)
        assert "SIP/2.0 480" not in right.said() and "SIP/2.0 503" not in right.said()
    finally:
        right.close()
