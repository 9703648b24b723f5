"""An email is one account by both doors, however its local part is written; it is shown as it was signed up with."""
import secrets
import subprocess
from urllib.parse import quote

import pytest

from answers import is_json, is_problem
from phone import digest
from restsip_system import TOP, Account

PG_TIMEOUT_S = 60


@pytest.fixture(name="alice")
def fixture_alice(system):
    return system.account(f"Alice-{secrets.token_hex(4)}.X@example.net")


def other(email):
    """The same, in the other case."""
    local, domain = email.split("@")
    return f"{local.swapcase()}@{domain}"


def test_a_name_is_taken_in_any_case(system, alice):
    for email in (other(alice.email), alice.email.lower(), alice.email):
        is_problem(system.request("POST", "/user", json={"email": email, "password": "12345678"}), 409, "account-exists")


def test_it_rests_in_any_case(system):
    gone = Account(system, f"Gone-{secrets.token_hex(4)}@example.net", "12345678")
    is_json(system.request("POST", "/user", json={"email": gone.email, "password": gone.password}), 201)
    assert system.request("DELETE", f"/user/{other(gone.email)}", auth=gone.auth).status_code in (200, 204)
    is_problem(system.request("POST", "/user", json={"email": gone.email.lower(), "password": "12345678"}), 409,
               "account-exists")


def test_http_finds_it_in_any_case(system, alice):
    bob = system.account(f"bob-{secrets.token_hex(4)}@example.net")
    made = is_json(system.request("POST", "/session", auth=(other(alice.email), alice.password)), 201)
    assert is_json(system.request("GET", "/user/me", headers={"Authorization": f"Bearer {made['token']}"}))["id"] == alice.email
    for path in (f"/user/{other(alice.email)}", f"/user/{alice.email.lower()}"):
        assert is_json(bob.request("GET", path))["id"] == alice.email
    login = f"/login/{other(alice.email)}"
    assert is_json(bob.request("GET", login)) == []
    is_json(alice.request("POST", login, json={"contact": "sip:a@192.0.2.1"}), 201)
    shown = is_json(bob.request("GET", login))
    assert [c["url"].rpartition("/")[0] for c in shown] == [alice.login]
    assert is_json(bob.request("GET", alice.login)) == shown
    assert bob.request("GET", login).headers["ETag"] == bob.request("GET", alice.login).headers["ETag"]
    call = is_json(bob.request("POST", "/call", json={"invited": [other(alice.email), alice.email.lower()]}), 201)
    assert call["invited"] == [alice.email]
    is_problem(bob.request("PUT", f"/user/{other(alice.email)}", json={}), 403, "not-owner")


def test_guesses_are_counted_in_any_case(system, alice):
    for n, email in enumerate((alice.email, other(alice.email), alice.email.lower())):
        assert system.request("POST", "/session", auth=(email, "wrong")).status_code == 401
        keys = system.query_owner("select key, failures from app.throttle where key like 'ha:%%' and lower(key) = lower(%s)",
                                  [f"ha:{alice.email}"])
        assert keys == [{"key": f"ha:{alice.email.lower()}", "failures": n + 1}]


def test_guesses_of_a_phone_are_counted_in_any_case(system, alice):
    """Where many ask at once, too; and who is unlocked is, however that is written."""
    name, source = alice.credential()["username"], "192.0.2.77"
    assert name != name.lower()
    asked = """select c.i from api.digest_credential_many(1, jsonb_build_array(jsonb_build_object('i', 0, 'username', %s::text,
        'realm', 'example.net', 'source', %s::text))) c"""
    assert len(system.query_owner(asked, [name, source])) == 1
    most, = system.query_owner("select app.bound('wrong_passwords')::int as n")
    system.query_owner("select api.digest_failed(%s, 'example.net', %s) from generate_series(1, %s)", [name, source, most["n"]])
    assert system.query_owner(asked, [name, source]) == []
    unlocked, = system.query_owner("select inspect.unlock(%s) as n", [other(alice.email)])
    assert unlocked["n"] > 0
    assert len(system.query_owner(asked, [name, source])) == 1


def test_a_phone_registers_in_any_case(system, alice, phone, logins):
    one = phone(alice)
    one.user = one.user.swapcase()
    answer = one.register()
    assert answer.code == 200 and answer.contacts == {one.contact: 3600}
    assert list(logins(alice)) == [one.contact]
    url = is_json(alice.request("GET", alice.login))[0]["url"]
    assert url.startswith(f"/login/{alice.email}/")
    bob = phone(system.account(f"bob-{secrets.token_hex(4)}@example.net"))
    bob.register()
    assert bob.message(f"sip:{alice.email.lower()}").code == 200
    assert one.next_request().method == "MESSAGE"
    watched = bob.subscribe(f"sip:{other(alice.email)}", "presence")
    assert watched.answer.code == 200 and f"{alice.email}".encode() in watched.next().body
    assert one.message(f"sip:{bob.user.upper()}@example.net").code == 200
    came = next(r for r in iter(bob.next_request, None) if r.method == "MESSAGE")
    assert f"<sip:{alice.email}>" in came.get("from")
    assert one.register(expires=0, sender=f"sip:{alice.email}", to=f"sip:{alice.email.lower()}").contacts == {}


def test_options_to_oneself_reach_the_phone_in_any_case(alice, phone):
    one = phone(alice, options=486)
    assert one.register().code == 200
    assert one.request("OPTIONS", f"sip:{other(alice.email)}").code == 486


def test_a_digests_uri_is_of_the_account_in_any_case(alice, phone):
    one = phone(alice)
    assert one.register().code == 200
    one.nc += 1
    uri = f"sip:{other(alice.email)}:5060"
    headers = [("Content-Type", "text/plain"), ("Authorization", digest(one.challenge, "MESSAGE", uri, one.username, one.password, one.nc))]
    assert one.exchange(one.build("MESSAGE", one.aor, headers, b"hi")).code == 200


def test_sha256_is_offered_in_any_case(alice, phone):
    one = phone(alice, algorithm="SHA-256")
    one.user = one.user.swapcase()
    assert one.register().code == 200
    assert "algorithm=SHA-256" in one.challenge


# ---- the update of a database in which two differ by case only ----

def run(*command):
    return subprocess.run(command, text=True, check=False, timeout=PG_TIMEOUT_S, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=TOP)


@pytest.fixture(name="earlier")
def fixture_earlier(systems):
    """The database of a system that is as it was before emails were compared without case, with two that are alike."""
    made = systems("earlier", {"RESTSIP_DEMO": "no"})
    superuser = made.pg.replace("user=restsip_inspect", "user=postgres")
    hers, bobs, lowers = "Alice@example.net", "bob@example.net", "alice@example.net"
    for email in (hers, bobs):
        made.account(email)
    done = run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", superuser, "-c", f"""
        drop view inspect.account;
        alter table app.account drop column email_key;
        delete from app.migration where name = '0040_email_key';
        delete from app.applied;
        insert into app.account (email, password_hash)
            select '{lowers}', password_hash from app.account where email = '{hers}';
        insert into app.resource (kind, id) select k::app.resource_kind, id
            from app.account, unnest(array['login', 'mailbox', 'profile']) k where email = '{lowers}'""")
    assert done.returncode == 0, done.stdout
    return made, superuser


def test_an_update_stops_and_says_how_to_rename(earlier):
    made, superuser = earlier
    refused = run("sql/migrate", superuser)
    assert refused.returncode != 0
    assert "accounts whose emails differ by case only: Alice@example.net, alice@example.net" in refused.stdout
    assert "-f sql/rename" in refused.stdout

    def rename(old, new):
        return run("psql", "-X", "-v", f"old={old}", "-v", f"new={new}", "-f", "sql/rename", superuser)
    assert "already" in rename("alice@example.net", "BOB@example.net").stdout
    assert "there is no account" in rename("carol@example.net", "x@example.net").stdout
    assert "no email" in rename("alice@example.net", "a b@example.net").stdout
    done = rename("alice@example.net", "alice-2@example.net")
    assert done.returncode == 0, done.stdout
    updated = run("sql/migrate", superuser)
    assert updated.returncode == 0, updated.stdout
    rows = made.query("select email, email_key from app.account where email ilike 'alice%%' order by 1", None, superuser)
    assert [(r["email"], r["email_key"]) for r in rows] == [
        ("Alice@example.net", "alice@example.net"), ("alice-2@example.net", "alice-2@example.net")]


@pytest.mark.parametrize("local", ["j\u00fcrgen", "ju\u0308rgen", "\u0430lice", "\uff41lice", "\u2170", "a\u200bb", "\U0001f600"])
def test_before_the_at_sign_it_is_ascii(system, phone, alice, local):
    """No name looks like another's by form: by neither door there is an account of another script."""
    email = f"{local}@example.net"
    answer = system.request("POST", "/user", json={"email": email, "password": "12345678"})
    is_problem(answer, 400, "invalid-member", "/email")
    assert "ASCII before the @" in answer.json()["detail"]
    for path in (f"/user/{quote(email)}", f"/login/{quote(email)}"):
        is_problem(alice.request("GET", path), 404)
    p = phone(alice)
    uri = f"sip:{quote(email, safe='@')}"
    assert p.message(uri).code == 404
    assert p.register(sender=uri, to=uri).code == 403
