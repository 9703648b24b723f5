"""/user/{id}/credential: what a SIP device signs in with."""
import hashlib

import pytest

from answers import is_empty, is_json, is_problem


def path(who, n=None):
    return f"/user/{who.email}/credential" + (f"/{n}" if n else "")


def create(who, body=None):
    """With the password: a token is not enough."""
    return who.system.request("POST", path(who), auth=who.auth, json=body)


def test_a_token_makes_no_credential(account):
    alice = account("alice")
    is_problem(alice.request("POST", path(alice), json={}), 403, "password-needed")
    assert is_json(alice.request("GET", path(alice))) == []


def test_an_account_has_32(account):
    alice = account("alice")
    made = [alice.credential() for _ in range(31)]
    assert is_json(create(alice), 201)
    is_problem(create(alice), 409, "too-many-credentials")
    is_empty(alice.request("DELETE", path(alice, made[0]["id"])))
    assert is_json(create(alice), 201)


def test_a_credential_is_shown_once_with_lines_to_paste(account):
    alice = account("alice")
    answer = create(alice, {"label": "desk phone"})
    made = is_json(answer, 201)
    assert answer.headers["Location"] == made["url"] == path(alice, made["id"])
    assert answer.headers["Cache-Control"] == "no-store"
    assert made["username"] == alice.email.split("@")[0]
    assert made["realm"] == "example.net"
    assert made["label"] == "desk phone" and made["algorithm"] == "MD5"
    assert made["password"] in made["baresip"] and alice.email in made["baresip"]
    assert made["linphone"]["password"] == made["password"]
    listed = is_json(alice.request("GET", path(alice)))
    assert [item["id"] for item in listed] == [made["id"]]
    assert made["password"] not in alice.request("GET", path(alice)).text
    one = alice.request("GET", path(alice, made["id"]))
    assert is_json(one) == listed[0] and made["password"] not in one.text


def test_the_body_may_be_empty(account):
    alice = account("alice")
    made = is_json(create(alice), 201)
    assert made["label"] == ""


@pytest.mark.parametrize("algorithm, digest", [("MD5", hashlib.md5), ("SHA-256", hashlib.sha256)])
def test_only_the_digest_of_it_is_kept(system, account, algorithm, digest):
    alice = account("alice")
    made = alice.credential(algorithm=algorithm)
    text = f"{made['username']}:{made['realm']}:{made['password']}"
    rows = system.query_owner("""select c.ha1, c.algorithm from app.credential c
        join app.account a on a.id = c.account_id where a.email = %s""", (alice.email,))
    assert rows == [{"ha1": digest(text.encode()).hexdigest(), "algorithm": algorithm}]


def test_every_device_has_a_username_of_its_own(account):
    alice = account("alice")
    made = [alice.credential() for _ in range(3)]
    assert len({(m["username"], m["realm"]) for m in made}) == 3
    assert len({m["id"] for m in made}) == 3


@pytest.mark.parametrize("body, pointer", [
    ({"label": 5}, "/label"),
    ({"label": "x" * 5000}, "/label"),
    ({"algorithm": "SHA-1"}, "/algorithm"),
    ({"algorithm": 5}, "/algorithm"),
    ({"algorithm": ""}, "/algorithm"),
])
def test_what_is_wrong_is_pointed_at(quick, body, pointer):
    is_problem(create(quick, body), 400, "invalid-member", pointer)


def test_a_credential_can_be_deleted(account):
    alice = account("alice")
    n = alice.credential()["id"]
    is_empty(alice.request("DELETE", path(alice, n)))
    is_problem(alice.request("DELETE", path(alice, n)), 404, "credential-not-found")
    is_problem(alice.request("GET", path(alice, n)), 404, "credential-not-found")
    assert is_json(alice.request("GET", path(alice))) == []


def test_credentials_are_their_owners_alone(system, account):
    alice, bob = account("alice"), account("bob")
    n = alice.credential()["id"]
    for method, where in (("POST", path(alice)), ("GET", path(alice)), ("GET", path(alice, n)),
                          ("DELETE", path(alice, n))):
        is_problem(bob.request(method, where), 403, "not-owner")
        is_problem(system.request(method, where), 401)
    assert len(is_json(alice.request("GET", "/user/me/credential"))) == 1
