"""/user: sign-up, profiles, and who sees what of them."""
import decimal
import json

import pytest

from answers import is_empty, is_json, is_problem


def new_email(account):
    """An email that nobody has."""
    return account().email.replace("@", "-new@")


def test_sign_up_answers_where_everything_is(system, account):
    email = new_email(account)
    answer = system.request("POST", "/user", json={"email": email, "password": "x" * 20, "name": "A", "n": 1})
    body = is_json(answer, 201)
    assert body["id"] == email
    assert body["url"] == answer.headers["Location"] == f"/user/{email}"
    assert body["login"] == f"/login/{email}"
    assert body["messages"] == f"/user/{email}/messages"
    assert "password" not in body
    assert answer.headers["ETag"]
    assert system.request("GET", "/login/me", auth=(email, "x" * 20)).status_code == 200


def test_without_a_password_one_is_made_and_shown_once(system, account):
    email = new_email(account)
    answer = system.request("POST", "/user", json={"email": email})
    password = is_json(answer, 201)["password"]
    assert answer.headers["Cache-Control"] == "no-store"
    mine = system.request("GET", "/user/me", auth=(email, password))
    assert "password" not in is_json(mine)


def test_an_email_is_taken_once_whatever_the_case_of_its_domain(system, account):
    alice = account("alice")
    local, domain = alice.email.split("@")
    for email in (alice.email, f"{local}@{domain.upper()}"):
        is_problem(system.request("POST", "/user", json={"email": email}), 409, "account-exists", "/email")


def test_the_domain_is_stored_in_lower_case(system, account):
    local, domain = new_email(account).split("@")
    body = is_json(system.request("POST", "/user", json={"email": f"{local}@{domain.title()}"}), 201)
    assert body["id"] == f"{local}@{domain}"


@pytest.mark.parametrize("body, pointer", [
    ({}, "/email"),
    ({"email": None}, "/email"),
    ({"email": 5}, "/email"),
    ({"email": ""}, "/email"),
    ({"email": "alice"}, "/email"),
    ({"email": "a b@example.net"}, "/email"),
    ({"email": "a\r\n@example.net"}, "/email"),
    ({"email": "<a@example.net>"}, "/email"),
    ({"email": "a%40b@example.net"}, "/email"),
    ({"email": "x" * 300 + "@example.net"}, "/email"),
    ({"email": "ok@example.net", "password": ""}, "/password"),
    ({"email": "ok@example.net", "password": "1234567"}, "/password"),
    ({"email": "ok@example.net", "password": "ääääääé"}, "/password"),
    ({"email": "ok@example.net", "password": 1}, "/password"),
    ({"email": "ok@example.net", "password": "x" * 5000}, "/password"),
])
def test_a_sign_up_that_is_wrong_is_pointed_at(system, body, pointer):
    is_problem(system.request("POST", "/user", json=body), 400, "invalid-member", pointer)


@pytest.mark.parametrize("body", ["", "[]", '"alice@example.net"', "null", "{", "5"])
def test_a_sign_up_that_is_no_object_is_refused(system, body):
    is_problem(system.request("POST", "/user", data=body), 400)


def test_a_domain_that_is_not_hosted_is_refused(system):
    is_problem(system.request("POST", "/user", json={"email": "a@elsewhere.example"}), 403, "domain-not-hosted",
               "/email")


def test_closed_sign_up_is_refused(strict):
    is_problem(strict.request("POST", "/user", json={"email": "a@example.net"}), 403, "signup-closed")


def test_another_media_type_is_refused(system):
    is_problem(system.request("POST", "/user", data="<email/>", headers={"Content-Type": "application/xml"}), 415)


def test_a_password_may_hold_anything(system, account):
    email, password = new_email(account), "pä:ss wörd:☃\t"
    assert system.request("POST", "/user", json={"email": email, "password": password}).status_code == 201
    auth = (email.encode(), password.encode())
    assert system.request("GET", "/login/me", auth=auth).status_code == 200
    assert system.request("GET", "/login/me", auth=(email, "pä:ss".encode())).status_code == 401


def test_the_owner_sees_all_and_others_what_is_public(system, account):
    alice, bob = account("alice", deep={"a": [1, 2.50, None]}), account("bob")
    alice.request("PATCH", "/user/me", json={"name": "Alice"})
    mine = is_json(alice.request("GET", f"/user/{alice.email}"))
    assert mine["name"] == "Alice" and mine["deep"] == {"a": [1, 2.5, None]}
    assert is_json(alice.request("GET", "/user/me")) == mine
    public = {"id", "url", "name", "login", "messages"}
    for answer in (bob.request("GET", f"/user/{alice.email}"), system.request("GET", f"/user/{alice.email}")):
        assert set(is_json(answer)) == public


def test_members_of_the_server_cannot_be_taken(system, account):
    email = new_email(account)
    system.request("POST", "/user", json={"email": email, "password": "p" * 10, "id": "x", "url": "x", "login": "x"})
    body = is_json(system.request("GET", "/user/me", auth=(email, "p" * 10)))
    assert body["id"] == email and body["url"] == f"/user/{email}" and body["login"] == f"/login/{email}"


@pytest.mark.parametrize("path", ["/user/nobody@example.net", "/user/nobody", "/user/a%20b@example.net"])
def test_who_does_not_exist_is_404(system, path):
    is_problem(system.request("GET", path), 404, "user-not-found")


def test_me_needs_credentials(system):
    is_problem(system.request("GET", "/user/me"), 401, "unauthorized")


def test_a_profile_has_a_version(account):
    alice = account("alice")
    answer = alice.request("GET", "/user/me")
    etag = answer.headers["ETag"]
    again = alice.request("GET", "/user/me", headers={"If-None-Match": etag})
    is_empty(again, 304)
    assert again.headers["ETag"] == etag
    assert alice.request("GET", "/user/me", headers={"If-None-Match": '"1"'}).status_code == 200


def test_put_replaces_the_profile_and_patch_merges(account):
    alice = account("alice", a=1)
    answer = alice.request("PUT", "/user/me", json={"name": "Bea", "b": {"c": 1, "d": 2}})
    body = is_json(answer)
    assert body["name"] == "Bea" and "a" not in body and body["b"] == {"c": 1, "d": 2}
    body = is_json(alice.request("PATCH", "/user/me", json={"b": {"c": None, "e": 3}, "name": None}))
    assert "name" not in body and body["b"] == {"d": 2, "e": 3}
    assert is_json(alice.request("GET", "/user/me")) == body


def test_a_change_can_be_made_conditional(account):
    alice = account("alice")
    etag = alice.request("GET", "/user/me").headers["ETag"]
    changed = alice.request("PATCH", "/user/me", json={"a": 1}, headers={"If-Match": etag})
    assert is_json(changed)["a"] == 1 and changed.headers["ETag"] != etag
    for tag in (etag, '"nonsense"', f"W/{changed.headers['ETag']}"):
        is_problem(alice.request("PATCH", "/user/me", json={"a": 2}, headers={"If-Match": tag}), 412)
    assert is_json(alice.request("PATCH", "/user/me", json={"a": 3}, headers={"If-Match": "*"}))["a"] == 3


def test_only_the_owner_changes_and_deletes(system, account):
    alice, bob = account("alice"), account("bob")
    for method, body in (("PUT", {}), ("PATCH", {}), ("DELETE", None)):
        is_problem(bob.request(method, f"/user/{alice.email}", json=body), 403, "not-owner")
        is_problem(system.request(method, f"/user/{alice.email}", json=body), 401)


@pytest.mark.usefixtures("forgiven")
def test_a_new_password_ends_the_old_one_and_every_session(system, account):
    alice = account("alice")
    assert system.request("GET", "/login/me", auth=alice.auth).status_code == 200
    assert alice.request("POST", "/login/me", json={"contact": "sip:a@192.0.2.1"}).status_code == 201
    assert system.request("PATCH", "/user/me", auth=alice.auth, json={"password": "another one"}).status_code == 200
    is_problem(alice.request("GET", "/login/me"), 401)
    is_problem(system.request("GET", "/login/me", auth=alice.auth), 401)
    assert is_json(system.request("GET", "/login/me", auth=(alice.email, "another one"))) == [], "nor is any contact there"


def test_a_new_password_forgets_where_the_one_before_was_known(system, account):
    alice = account("alice")
    system.query_owner("""insert into app.known_source (account_id, source)
        select a.id, s from app.account a, unnest(array['127.0.0.1', '192.0.2.7']) s where a.email = %s returning source""",
                       (alice.email,))
    known = """select k.source from app.known_source k join app.account a on a.id = k.account_id where a.email = %s"""
    assert system.request("PATCH", "/user/me", auth=alice.auth, json={"name": "Alice"}).status_code == 200
    assert len(system.query_owner(known, (alice.email,))) == 2
    assert system.request("PATCH", "/user/me", auth=alice.auth, json={"password": "another one"}).status_code == 200
    assert [row["source"] for row in system.query_owner(known, (alice.email,))] == ["127.0.0.1"]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_token_sets_no_password(system, account, method):
    alice = account("alice")
    for body in ({"password": "another one"}, {"password": "another one", "revoke": True}):
        is_problem(alice.request(method, "/user/me", json=body), 403, "password-needed")
    assert alice.request("GET", "/login/me").status_code == 200
    assert system.request("GET", "/login/me", auth=alice.auth).status_code == 200


@pytest.mark.parametrize("body, pointer", [({"password": "1234567"}, "/password"), ({"revoke": True}, "/revoke"),
                                           ({"password": "12345678", "revoke": "yes"}, "/revoke")])
def test_a_new_password_that_is_wrong_is_pointed_at(system, account, body, pointer):
    alice = account("alice")
    is_problem(system.request("PATCH", "/user/me", auth=alice.auth, json=body), 400, "invalid-member", pointer)
    assert alice.request("GET", "/login/me").status_code == 200


@pytest.mark.parametrize("revoke", [False, True])
def test_a_new_password_revokes_credentials_where_it_says_so(system, account, revoke):
    alice = account("alice")
    alice.credential()
    auth = (alice.email, "12345678")
    answer = system.request("PATCH", "/user/me", auth=alice.auth, json={"password": auth[1], "revoke": revoke})
    assert "revoke" not in is_json(answer)
    assert len(is_json(system.request("GET", "/user/me/credential", auth=auth))) == (not revoke)


def test_the_same_password_anew_goes_on_to_work(system, account):
    alice = account("alice")
    for _ in range(3):
        assert system.request("GET", "/login/me", auth=alice.auth).status_code == 200
        body = {"password": alice.password}
        assert system.request("PATCH", "/user/me", json=body, auth=alice.auth).status_code == 200
        assert system.request("GET", "/login/me", auth=alice.auth).status_code == 200


def test_a_deleted_account_is_gone_and_its_email_rests(system, account):
    alice, bob = account("alice"), account("bob")
    alice.request("POST", "/login/me", json={"contact": "sip:a@192.0.2.1"})
    is_empty(alice.request("DELETE", "/user/me"))
    is_problem(system.request("GET", f"/user/{alice.email}"), 404, "user-not-found")
    is_problem(bob.request("GET", alice.login), 404, "user-not-found")
    is_problem(alice.request("GET", "/user/me"), 401)
    is_problem(system.request("GET", "/user/me", auth=alice.auth), 401)
    again = {"email": alice.email, "password": "x" * 9}
    is_problem(system.request("POST", "/user", json=again), 409, "account-exists", "/email")
    taken = system.request("POST", "/user", json={**again, "email": bob.email}).json()
    assert {**system.request("POST", "/user", json=again).json(), "request_id": 0} == {**taken, "request_id": 0}, "no word more"
    system.query_owner("update app.email_rest set deleted_at = now() - interval '30 days' where email = %s returning 1", (alice.email,))
    assert system.request("POST", "/user", json=again).status_code == 201
    assert is_json(bob.request("GET", alice.login)) == []


def test_accounts_are_listed_page_by_page(system, account):
    made = sorted(account("page").email for _ in range(5))
    someone = account("reader")
    is_problem(system.request("GET", "/user"), 401)
    seen, path = [], "/user?limit=2&after=" + made[0][:-1]
    while path:
        answer = someone.request("GET", path)
        page = is_json(answer)
        assert 1 <= len(page) <= 2
        seen += [item["id"] for item in page]
        path = answer.links.get("next", {}).get("url")
        if len(seen) > 200:
            break
    assert [email for email in seen if email in made] == made
    assert seen == sorted(seen) and len(seen) == len(set(seen))


@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "limit=x", "limit=1001", "limit=", "limit=1.5"])
def test_a_page_of_a_bad_size_is_refused(quick, query):
    is_problem(quick.request("GET", f"/user?{query}"), 400, "invalid-parameter")


def test_numbers_of_a_profile_keep_their_value(account):
    numbers = "[12345678901234567890.123456789012345678901234567890, 1e400, -0.0, 1.10, 9007199254740993]"
    alice = account("alice")
    headers = {"Content-Type": "application/json"}
    answer = alice.request("PATCH", "/user/me", data='{"v": %s}' % numbers, headers=headers)
    assert answer.status_code == 200, answer.text

    def values(text):
        return json.loads(text, parse_float=decimal.Decimal, parse_int=decimal.Decimal)
    assert values(alice.request("GET", "/user/me").text)["v"] == values(numbers)
