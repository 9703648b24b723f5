"""Who guesses learns nothing: neither who there is nor, soon, whether a password is right."""
import base64
import http.client
import re
import secrets
import socket
import subprocess
import time

import pytest

from phone import Phone, new_account
from restsip_system import until

GUESSES = 50  # of one address for one user, within five minutes


@pytest.fixture(scope="module")
def guessed(systems):
    """A system of its own, for its guesses count against the address that all tests come from."""
    return systems("guessed", {"RESTSIP_DEMO": "no"})


def phone_of(system, account, local="127.0.0.1", password=None):
    made = account.credential()
    p = Phone((system.sip_host, system.sip_port), account.email.split("@")[0], password or made["password"], local=local)
    p.username = made["username"]
    return p


def nobody(system, local="127.0.0.1"):
    p = Phone((system.sip_host, system.sip_port), f"nobody-{secrets.token_hex(4)}", "a-guess", local=local)
    p.username = p.user
    return p


def shape(answer, phone):
    """An answer without what differs in any two."""
    text = answer.raw.decode().replace(phone.username, "USER").replace(phone.user, "USER").replace(str(phone.port), "PORT")
    return re.sub(r'(nonce="|tag=|branch=|Call-ID: |CSeq: )[^"\r\n;]*', r"\1X", text)


@pytest.mark.parametrize("method", ["REGISTER", "MESSAGE", "SUBSCRIBE", "PUBLISH", "INVITE"])
def test_a_stranger_cannot_tell_who_there_is(guessed, method):
    known, unknown = phone_of(guessed, new_account(guessed, "alice")), nobody(guessed)
    shapes = set()
    for p in (known, unknown):
        with p:
            answer = p.request(method, f"sip:{p.user}@example.net" if method != "REGISTER" else "sip:example.net",
                               [("Event", "presence"), ("Contact", "<sip:x@127.0.0.1:5999>")], auth=False)
            assert answer.code == 401
            shapes.add(shape(answer, p))
    assert len(shapes) == 1, shapes


def test_a_wrong_password_tells_no_more_than_a_user_who_is_not(guessed):
    known, unknown = phone_of(guessed, new_account(guessed, "alice"), "127.0.0.10", "wrong"), nobody(guessed, "127.0.0.10")
    told = []
    for p in (known, unknown):
        with p:
            answers = [p.register() for _ in range(GUESSES + 1)]
            told.append([shape(answer, p) for answer in answers])
            assert [a.code for a in answers] == [401] * GUESSES + [480]
            assert 0 < int(answers[-1].get("retry-after")) <= 300
    strip = [[re.sub(r"Retry-After: \d+", "Retry-After: N", text) for text in one] for one in told]
    assert strip[0] == strip[1]


def test_after_fifty_guesses_the_right_one_is_not_told_there_but_elsewhere(guessed):
    alice = new_account(guessed, "alice")
    with phone_of(guessed, alice, "127.0.0.11", "wrong") as guesser:
        until(lambda: guesser.register().code == 480, 20)
        guesser.password = alice.credential()["password"]
        assert guesser.register().code == 480
    with phone_of(guessed, alice, "127.0.0.11") as another:
        assert another.register().code == 200, "another credential is another name to guess"
    with phone_of(guessed, alice, "127.0.0.12") as owner:
        assert owner.register().code == 200


def test_of_one_source_300_guesses_are_enough_whoever_they_are_of(systems):
    system = systems("guesser", {"RESTSIP_DEMO": "no", "RESTSIP_BOUNDS": "standard"})
    alice, bob = new_account(system, "alice"), new_account(system, "bob")
    with phone_of(system, alice, "127.0.0.14") as owner, phone_of(system, bob, "127.0.0.14") as new:
        assert owner.register().code == 200
        for _ in range(6):
            with nobody(system, "127.0.0.14") as guesser:
                assert {guesser.register().code for _ in range(GUESSES)} == {401}
        answer = new.register()
        assert answer.code == 480 and 0 < int(answer.get("retry-after")) <= 300
        assert owner.register().code == 200, "known there"
        assert ask(system, "127.0.0.14", alice) == 200, "HTTP counts apart"
    with phone_of(system, bob, "127.0.0.15") as elsewhere:
        assert elsewhere.register().code == 200


def ask(system, source, account):
    """The status of a GET with the password, from an address of one's choice."""
    host, port = system.url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20, source_address=(source, 0))
    token = base64.b64encode(":".join(account.auth).encode()).decode()
    connection.request("GET", "/login/me", headers={"Authorization": f"Basic {token}"})
    status = connection.getresponse().status
    connection.close()
    return status


def tell_apart(one, other):
    """How often a guess by time alone is right: of a value of each, that the larger one is `one`'s. A half: nothing is told."""
    return sum((a > b) + (a == b) / 2 for a in one for b in other) / (len(one) * len(other))


def seconds(call):
    started = time.perf_counter()
    assert call().code == 401
    return time.perf_counter() - started


@pytest.mark.parametrize("what", ["a first request", "a wrong password"])
def test_time_tells_nothing(guessed, what):
    """Known and unknown users take turns, each pair from an address of its own and at the same moment of the machine's. What
    took another way would be told apart nearly always."""
    pairs, guesses = 40, 8
    known_s, unknown_s = [], []
    for number in range(pairs):
        alice = new_account(guessed, "alice")  # each has so many credentials
        local = f"127.0.{2 + (what == 'a wrong password')}.{number + 1}"
        with phone_of(guessed, alice, local, "wrong") as known, nobody(guessed, local) as unknown:
            asked = [(known, known_s), (unknown, unknown_s)]
            for p, _ in asked:
                assert p.request("REGISTER", "sip:example.net", auth=False).code == 401
                assert p.register().code == 401  # the statements are there
            for n in range(guesses):
                for p, took in asked if n % 2 else reversed(asked):
                    took.append(seconds(p.register if what == "a wrong password" else
                                        lambda p=p: p.request("REGISTER", "sip:example.net", auth=False)))
    told = tell_apart(known_s, unknown_s)
    medians = [1000 * sorted(took)[len(took) // 2] for took in (known_s, unknown_s)]
    print(f"{what}: medians {medians[0]:.3f} and {medians[1]:.3f} ms, told apart {told:.3f}")
    # of so many samples it is 0.5 +- 0.023 where there is no difference
    assert 0.35 < told < 0.65, medians


def run(program, *arguments):
    return subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=120, check=False, cwd="/").stdout


def test_svwar_finds_nobody(guessed, tmp_path):
    users = [new_account(guessed, "war").email.split("@")[0] for _ in range(3)]
    words = tmp_path / "users"
    words.write_text("\n".join(users + [f"nobody{n}" for n in range(20)]) + "\n")
    for method in ("REGISTER", "OPTIONS", "INVITE"):
        out = run("svwar", "-d", str(words), "-m", method, "-p", str(guessed.sip_port), "--force", "--maximumtime=20",
                  f"--domain={'example.net'}", guessed.sip_host)
        told = {user: re.findall(rf"{user}\s*\|\s*(\w+)", out) for user in users + ["nobody1", "nobody7"]}
        assert len({tuple(v) for v in told.values()}) == 1, out


def test_svcrack_finds_no_password(guessed, tmp_path):
    account = new_account(guessed, "crack")
    made = account.credential()
    words = tmp_path / "words"
    words.write_text("\n".join([f"wrong{n}" for n in range(4 * GUESSES)] + [made["password"]]) + "\n")
    out = run("svcrack", "-u", made["username"], "-d", str(words), "-p", str(guessed.sip_port), "--maximumtime=20",
              "--domain=example.net", guessed.sip_host)
    assert made["password"] not in out, out


def test_what_is_logged_of_guesses_is_little_and_escaped(guessed):
    before = len(guessed.log("restsip-agent"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.13", 0))
        for n in range(3000):
            sock.sendto(f"OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nCall-ID: a=\"b\\{n}\r\nSubject: x\ny\r\n\r\n".encode(),
                        (guessed.sip_host, guessed.sip_port))
        with phone_of(guessed, new_account(guessed, "log")) as p:
            assert p.register().code == 200
    lines = guessed.log("restsip-agent")[before:].splitlines()
    assert len(lines) < 300
    assert all(re.match(r"\d{4}-\d\d-\d\dT\S+ level=\w+ prog=restsip-agent event=\w+", line) for line in lines)
