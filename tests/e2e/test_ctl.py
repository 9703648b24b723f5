"""restsipctl: what an operator does without SQL, on a system where nobody may sign up."""
import json
import os
import pathlib
import pty
import re
import secrets
import subprocess

import pytest

from answers import is_json, is_problem
from ctl import Ctl, program
from restsip_system import TOP, Account
from stream_client import Stream

CONTACTS = ["sip:a@192.0.2.1", "sip:b@192.0.2.2"]


@pytest.fixture
def ctl(strict):
    return Ctl(strict)


@pytest.fixture
def user(ctl):  # pylint: disable=redefined-outer-name
    """An account that an operator has made."""
    def make(name):
        email = f"{name}-{secrets.token_hex(4)}@example.net"
        return Account(ctl.system, email, ctl.json("user", "add", email)["password"])
    return make


def sign_in(user, password=None):
    return user.system.request("POST", "/session", auth=(user.email, password or user.password))


def contacts(user):
    return [c["contact"] for c in is_json(user.request("GET", "/login/me"))]


def operations(ctl, about):
    return [(o["what"], o["detail"]) for o in ctl.system.query(
        "select what, detail from inspect.operation where about = %s order by at, what", (about,))]


def test_the_whole_story(ctl, until):
    """Sign-up is closed: an operator makes an account, resets its password, throws out one phone, unlocks it, disables it."""
    email = f"story-{secrets.token_hex(4)}@example.net"
    system = ctl.system
    is_problem(system.request("POST", "/user", json={"email": email, "password": "story-secret"}), 403, "signup-closed")

    said = ctl.done("user", "add", email, "--name", "Story")
    password = re.search(r"^password: (\S+)$", said, re.MULTILINE).group(1)
    alice = Account(system, email, password)
    token = is_json(sign_in(alice), 201)["token"]
    assert is_json(system.request("GET", "/user/me", headers={"Authorization": f"Bearer {token}"}))["name"] == "Story"

    said = ctl.done("user", "passwd", email)
    reset = re.search(r"^password: (\S+)$", said, re.MULTILINE).group(1)
    is_problem(sign_in(alice), 401)
    is_problem(system.request("GET", "/user/me", headers={"Authorization": f"Bearer {token}"}), 401)
    is_json(sign_in(alice, reset), 201)

    for contact in CONTACTS:
        is_json(alice.request("POST", "/login/me", json={"contact": contact}), 201)
    listed = {row["contact"]: row["n"] for row in ctl.json("who") if row["email"] == email}
    assert listed.keys() == set(CONTACTS)
    with_stream = Stream(system, alice.login, token=alice.token())
    ctl.done("kick", email, listed[CONTACTS[0]])
    assert contacts(alice) == CONTACTS[1:]
    with_stream.wait(lambda e: [c["contact"] for c in e.data] == CONTACTS[1:])
    assert "no such contact" in ctl.refused("kick", email, listed[CONTACTS[0]])

    system.query_owner("""insert into app.throttle (key, failures, since) values (%s, 1000, now()), (%s, 1000, now())
        on conflict (key) do update set failures = 1000 returning key""", (f"hp:127.0.0.1:{email}", f"ha:{email}"))
    system.query_owner("delete from app.known_source where account_id = (select id from app.account where email = %s) returning 1",
                       (email,))
    is_problem(sign_in(alice, "guessed-one"), 429, "too-many-guesses")
    ctl.done("unlock", email)
    is_problem(sign_in(alice, "guessed-one"), 401)
    is_json(sign_in(alice, reset), 201)
    ctl.done("unlock", email)
    assert "not held up" in ctl.done("unlock", email)

    ctl.done("user", "disable", email)
    assert with_stream.wait("end").data["reason"] in ("session-ended", "access-ended")
    with_stream.wait_end()
    is_problem(alice.request("GET", "/user/me"), 401)
    is_problem(sign_in(alice, reset), 403, "account-disabled")
    is_problem(sign_in(alice, "wrong-password"), 401)
    assert not [row for row in ctl.json("who") if row["email"] == email]
    assert ctl.json("user", "show", email)["disabled_at"]

    ctl.done("user", "enable", email)
    is_json(sign_in(alice, reset), 201)
    assert operations(ctl, email) == [
        ("user add", None), ("user passwd", None), ("kick", f"contact {listed[CONTACTS[0]]}"), ("unlock", None), ("unlock", None), ("unlock", None),
        ("user disable", None), ("user enable", None)]
    row, = system.query("select role, program from inspect.operation where about = %s and what = 'user add'", (email,))
    assert row["role"] == "restsip_operator" and row["program"].startswith("restsipctl ")


def test_a_disabled_account_is_sent_nothing_and_keeps_what_it_has(ctl, user):
    alice, bob = user("alice"), user("bob")
    text = {"Content-Type": "text/plain"}
    before = is_json(bob.request("SEND", alice.login, data=b"before", headers=text), 202)
    is_json(bob.request("POST", f"/user/{alice.email}/messages", json={"text": "mail"}), 201)
    call = is_json(alice.request("POST", "/call", json={"subject": "hers"}), 201)["url"]
    other = is_json(bob.request("POST", "/call", json={}), 201)["url"]
    is_json(alice.request("POST", other, json={"session": "x"}), 201)

    assert ctl.json("user", "disable", alice.email) == {"email": alice.email, "disabled": True, "changed": True}
    assert ctl.json("user", "disable", alice.email) == {"email": alice.email, "disabled": True, "changed": False}
    is_problem(bob.request("SEND", alice.login, data=b"while", headers=text), 409, "account-disabled")
    is_problem(bob.request("POST", f"/user/{alice.email}/messages", json={"text": "mail"}), 409, "account-disabled")
    assert is_json(bob.request("GET", alice.login)) == []
    assert is_json(bob.request("GET", f"/user/{alice.email}"))["id"] == alice.email
    assert is_json(bob.request("GET", other))["children"] == []
    assert is_json(bob.request("GET", call))["subject"] == "hers"
    for method, path, more in (("GET", "/login/me", {}), ("POST", "/login/me", {"json": {"contact": "sip:x@192.0.2.3"}}),
                               ("SEND", bob.login, {"data": b"x", "headers": text}), ("POST", "/call", {"json": {}}),
                               ("GET", "/login/me?stream", {}), ("POST", "/user/me/credential", {"json": {}}),
                               ("PATCH", "/user/me", {"json": {"name": "x"}}), ("DELETE", "/user/me", {})):
        is_problem(ctl.system.request(method, path, auth=alice.auth, **more), 403, "account-disabled")
    is_json(bob.request("GET", before["url"]))

    ctl.done("user", "enable", alice.email)
    fresh = Account(ctl.system, alice.email, alice.password)
    with_stream = Stream(ctl.system, alice.login, token=fresh.token())
    with_stream.wait_message("before")
    with_stream.close()
    assert with_stream.bodies() == ["before"]
    assert [m["type"] for m in is_json(fresh.request("GET", "/user/me/messages"))] == ["text"]
    is_json(bob.request("SEND", alice.login, data=b"after", headers=text), 202)


# What a terminal would do something by: CSI of C1, an escape, DEL, next line, text that runs backwards, a new line.
ORDERS = "\x9b31m\x1b]0;x\x07\x7f\x85\u202eexe\u2066\u2028end"


def test_no_terminal_is_told_what_to_do(ctl, user):
    alice = user("alice")
    name = ORDERS + "ü€\U0001f600"
    is_json(alice.request("PATCH", "/user/me", json={"name": name}))
    made = ctl.done("--json", "credential", "add", alice.email, "--label", ORDERS)
    listed = ctl.done("--json", "credential", "list", alice.email)
    shown = ctl.done("--json", "user", "show", alice.email)
    assert [c["label"] for c in json.loads(listed)] == [ORDERS]
    assert json.loads(shown)["name"] == name and "ü€\U0001f600" in shown
    table = ctl.done("credential", "list", alice.email)
    assert "?31m?]0;x????exe??end" in table
    refused = ctl.refused("user", "show", f"x{ORDERS}@example.net", code=2)
    for text in (made, listed, shown, table, ctl.done("user", "show", alice.email), refused):
        assert not {*"\x9b\x1b\x07\x7f\x85\u202e\u2066\u2028"} & {*text}, text


def test_credentials(ctl, user):
    alice = user("alice")
    made = ctl.json("credential", "add", alice.email, "--label", "desk\x1b[31m")
    assert made["username"] == alice.email.split("@")[0] and made["algorithm"] == "MD5" and len(made["password"]) >= 20
    second = ctl.done("credential", "add", alice.email, "--sha256")
    assert re.search(r"^username: \S+-\d+$", second, re.MULTILINE) and "password: " in second
    listed = ctl.json("credential", "list", alice.email)
    assert [(c["label"], c["algorithm"]) for c in listed] == [("desk\x1b[31m", "MD5"), ("", "SHA-256")]
    assert made["password"] not in json.dumps(listed)
    shown = ctl.done("credential", "list", alice.email)
    assert "\x1b" not in shown and "desk?[31m" in shown  # no terminal is told what to do
    ctl.done("credential", "delete", alice.email, made["n"])
    assert [c["algorithm"] for c in ctl.json("credential", "list", alice.email)] == ["SHA-256"]
    assert "no credential" in ctl.refused("credential", "delete", alice.email, made["n"])
    assert len(ctl.json("user", "show", alice.email)["credentials"]) == 1
    assert ctl.json("credential", "list", user("bob").email) == []


def test_kick_ends_all_that_is_open(ctl, user):
    alice = user("alice")
    is_json(alice.request("POST", "/login/me", json={"contact": CONTACTS[0]}), 201)
    assert ctl.json("kick", alice.email) == {"email": alice.email, "contacts": 1}
    is_problem(alice.request("GET", "/login/me"), 401)
    is_json(sign_in(alice), 201)


def test_where_sign_up_is_closed_from_the_first_start_there_is_the_demo_too(systems):
    """README has one close it so."""
    closed = systems("closed", {"RESTSIP_HTTP_SIGNUP": "closed"})
    for name in ("alice", "bob", "carol"):
        is_json(closed.request("POST", "/session", auth=(f"{name}@example.net", f"{name}-demo")), 201)
    is_problem(closed.request("POST", "/user", json={"email": "dave@example.net", "password": "dave-secret"}), 403, "signup-closed")


def test_a_source_is_unlocked(ctl):
    system = ctl.system
    keys = ["hs:2001:db8:7::", "hp:2001:db8:7:::x@example.net", "ds:2001:db8:7::", "hs:2001:db8:77::"]
    system.query_owner("insert into app.throttle (key, failures, since) select k, 9, now() from unnest(%s::text[]) k returning key",
                       (keys,))
    assert ctl.json("unlock", "2001:db8:7::5")["counters"] == 3
    left = system.query_owner("delete from app.throttle where key like %s returning key", ("%2001:db8:7%",))
    assert [row["key"] for row in left] == keys[3:]
    assert "neither an email nor an address" in ctl.refused("unlock", "example.net")
    for network in ("192.0.2.0/24", "2001:db8::/32"):
        assert "is a network" in ctl.refused("unlock", network)
    ctl.done("unlock", "2001:db8:7::/64")


def test_an_email_is_found_in_any_case(ctl, user):
    """And is written down as it was signed up with, so that all that was done to an account is found."""
    alice = user("Alice")
    is_json(alice.request("POST", "/user/me/credential", json={"label": "desk"}, auth=alice.auth), 201)
    typed = alice.email.swapcase().replace("EXAMPLE.NET", "example.net")
    shown = ctl.json("user", "show", typed)
    assert shown["email"] == alice.email and [c["label"] for c in shown["credentials"]] == ["desk"]
    assert [c["n"] for c in ctl.json("credential", "list", typed)] == [1]
    for args in (("kick",), ("credential", "delete"), ("user", "disable"), ("user", "delete")):
        ctl.done(*args, typed, *({"credential delete": ["1"], "user delete": ["--yes"]}.get(" ".join(args), [])))
    assert [what for what, _ in operations(ctl, alice.email)] == ["user add", "kick", "credential delete", "user disable", "user delete"]
    assert typed in ctl.refused("user", "show", typed)


def test_settings(ctl):
    listed = {row["name"]: row for row in ctl.json("setting")}
    assert listed["contacts"]["value"] == "32" and "history" in listed
    try:
        said = ctl.done("setting", "contacts", "64")
        assert "contacts was 32" in said
        assert ctl.json("setting", "contacts")["value"] == "64"
        ctl.done("setting", "history", "2 hours")
        assert ctl.json("setting", "history")["value"] == "02:00:00"
        assert ("setting", "64, was 32") in operations(ctl, "contacts")
    finally:
        ctl.done("setting", "contacts", "default")
        ctl.done("setting", "history", "default")
    assert ctl.json("setting", "contacts") == listed["contacts"]
    assert "There is no setting nonsense" in ctl.refused("setting", "nonsense")
    assert "is a number" in ctl.refused("setting", "contacts", "many")
    assert "such as" in ctl.refused("setting", "history", "long")


def test_an_account_is_deleted_when_that_is_meant(ctl, user):
    alice = user("alice")
    assert "--yes" in ctl.refused("user", "delete", alice.email, code=2)
    is_json(sign_in(alice), 201)
    ctl.done("user", "delete", alice.email, "--yes")
    assert "There is no user" in ctl.refused("user", "passwd", alice.email)
    again = ctl.json("user", "add", alice.email)  # an operator may, at once
    is_json(sign_in(alice, again["password"]), 201)


def test_a_password_comes_from_standard_input(ctl, user):
    alice = user("alice")
    assert "password" not in ctl.done("user", "passwd", alice.email, "--password", said="chosen öne\nno more\n").split(" password")[1]
    is_json(sign_in(alice, "chosen öne".encode()), 201)
    assert "at least 8" in ctl.refused("user", "passwd", alice.email, "--password", said="short\n")
    assert "standard input" in ctl.refused("user", "passwd", alice.email, "--password")
    is_json(sign_in(alice, "chosen öne".encode()), 201)


class Terminal:
    """restsipctl at a terminal, which a test types at."""

    def __init__(self, ctl, *args):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen([program(), *args], env={**os.environ, "RESTSIP_SETTINGS": str(ctl.system.ini)},
                                        stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        self.said = ""

    def until(self, text):
        while text not in self.said:
            try:
                self.said += os.read(self.master, 4096).decode()
            except OSError:
                break
        assert text in self.said, self.said

    def type(self, text):
        os.write(self.master, text.encode() + b"\n")

    def end(self):
        self.until_end()
        os.close(self.master)
        return self.process.wait(30)

    def until_end(self):
        try:
            while data := os.read(self.master, 4096):
                self.said += data.decode()
        except OSError:
            pass


def test_at_a_terminal_a_password_is_asked_for_and_not_shown(ctl, user):
    alice = user("alice")
    for again, code in (("not the same", 1), ("typed-secret", 0)):
        terminal = Terminal(ctl, "user", "passwd", alice.email, "--password")
        terminal.until("New password: ")
        terminal.type("typed-secret")
        terminal.until("Again: ")
        terminal.type(again)
        assert terminal.end() == code, terminal.said
        assert "typed-secret" not in terminal.said
    is_json(sign_in(alice, "typed-secret"), 201)
    terminal = Terminal(ctl, "user", "delete", alice.email)
    terminal.until("to go on: ")
    terminal.type("yes")
    assert terminal.end() == 1 and "nothing was done" in terminal.said


@pytest.mark.parametrize("args, code, said", [
    ((), 2, "what is to be done"),
    (("users",), 2, "no command `users`"),
    (("user", "frobnicate"), 2, "no command `user frobnicate`"),
    (("user", "add"), 2, "restsipctl user add EMAIL"),
    (("user", "add", "alice@example.net", "her-password"), 2, "too much"),  # never on the command line
    (("user", "show", "alice@example.net", "--revoke"), 2, "no such option"),
    (("user", "add", "alice"), 2, "not an email"),
    (("user", "add", "alice@example.org"), 1, "its domains are example.net"),
    (("user", "show", "nobody@example.net"), 1, "There is no account nobody@example.net"),
    (("user", "disable", "nobody@example.net"), 1, "There is no user nobody@example.net"),
    (("kick", "nobody@example.net", "x"), 2, "x is not a number"),
    (("credential", "delete", "nobody@example.net", "99999999999999999999"), 2, "not a number"),
])
def test_what_is_wrong_is_said(ctl, args, code, said):
    assert said in ctl.refused(*args, code=code)


def test_an_account_is_made_once(ctl, user):
    assert "already" in ctl.refused("user", "add", user("alice").email)


def test_where_the_system_is(ctl, tmp_path):
    """By -c, by the environment, or not at all."""
    assert ctl("-c", ctl.system.ini, "who", settings=False).returncode == 0
    conninfo = ctl.system.pg.replace(" user=restsip_inspect", "")
    other = tmp_path / "restsip.ini"
    other.write_text("[database]\nconninfo = host=/nonexistent\n")
    assert ctl("-c", other, "who", env={"RESTSIP_DATABASE_CONNINFO": conninfo}).returncode == 0
    assert "cannot be reached" in ctl.refused("-c", other, "who", code=3)
    assert "No such file" in ctl.refused("-c", tmp_path / "none.ini", "who", code=3)
    other.write_text("[database]\nnonsense = 1\n")
    assert "no such setting" in ctl.refused("-c", other, "who", code=3)


def test_it_finds_the_run_of_its_own_checkout(ctl, tmp_path):
    """build/restsipctl belongs to .run."""
    (tmp_path / "build").mkdir()
    (tmp_path / ".run").mkdir()
    (tmp_path / "build/restsipctl").write_bytes(program().read_bytes())
    (tmp_path / "build/restsipctl").chmod(0o755)
    (tmp_path / ".run/restsip.ini").write_bytes(pathlib.Path(ctl.system.ini).read_bytes())
    env = {k: v for k, v in os.environ.items() if not k.startswith("RESTSIP_")}
    done = subprocess.run([tmp_path / "build/restsipctl", "setting", "contacts"], env=env, cwd="/", text=True,
                          capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done
    (tmp_path / ".run/restsip.ini").unlink()
    if not pathlib.Path("/etc/restsip/restsip.ini").exists():
        done = subprocess.run([tmp_path / "build/restsipctl", "who"], env=env, cwd="/", text=True, capture_output=True,
                              timeout=30, check=False)
        assert done.returncode == 3 and "no system found" in done.stderr


def test_the_help_and_the_readme_have_each_command(ctl):
    said = ctl.done("--help")
    readme = (TOP / "README.md").read_text()
    commands = re.findall(r"^  ((?:user|credential) \w+|kick|unlock|who|setting)", said, re.MULTILINE)
    assert len(commands) == 13
    for command in commands:
        assert re.search(rf"^restsipctl (--json )?{command}\b", readme, re.MULTILINE), command
    for code in range(4):
        assert re.search(rf"\b{code} ", said.split("Exit codes:")[1])


def test_the_role_can_do_only_that(ctl):
    """Beside functions of inspect an operator's role calls what the views call, and nothing of a program's."""
    rows = ctl.system.query_owner("""select p.oid::regprocedure::text as name from pg_proc p
        where p.pronamespace in ('api'::regnamespace, 'app'::regnamespace)
        and has_function_privilege('restsip_operator', p.oid, 'execute')
        and (p.pronamespace = 'api'::regnamespace or not has_function_privilege('restsip_inspect', p.oid, 'execute'))""")
    assert not rows
