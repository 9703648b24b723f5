"""/login: contacts of an account, registered over HTTP."""
import concurrent.futures
import time

import pytest

from answers import TIME, is_empty, is_json, is_problem

A, B, C = "sip:a@192.0.2.1:5062", "sip:b@192.0.2.2", "sips:c@[2001:db8::1]:5061;transport=tcp"


def register(who, contact=A, **more):
    answer = who.request("POST", who.login, json={"contact": contact, **more})
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


def contacts(who):
    return [item["contact"] for item in is_json(who.request("GET", who.login))]


def text(who, method, path, body, kind="text/plain", **headers):
    return who.request(method, path, data=body, headers={"Content-Type": kind, **headers})


# ---- registering ----

def test_a_registration_says_where_it_is(quick):
    alice = quick
    answer = alice.request("POST", alice.login, json={"contact": A})
    body = is_json(answer, 201)
    assert body["url"] == alice.login and body["expires"] == 3600
    assert body["self"] == f"{alice.login}/{body['id']}" == answer.headers["Location"]
    item, = is_json(alice.request("GET", alice.login))
    assert item["id"] == body["id"] and item["contact"] == A and item["url"] == body["self"]
    assert item["source"] == "rest" and item["expires"] == 3600 and TIME.match(item["expires_at"])
    assert is_json(alice.request("GET", body["self"])) == item


def test_it_shows_in_sql(system, account):
    alice = account("alice")
    register(alice)
    rows = system.query("select * from inspect.login where email = %s", (alice.email,))
    assert len(rows) == 1 and rows[0]["contact"] == A and rows[0]["source"] == "rest"


def test_the_same_contact_again_keeps_its_id(quick):
    alice = quick
    first = register(alice, "sip:a@host.example.net")
    for same in ("sip:a@HOST.example.NET", "SIP:a@host.example.net", "sip:%61@host.example.net"):
        answer = alice.request("POST", alice.login, json={"contact": same})
        body = is_json(answer, 200)
        assert body["id"] == first["id"]
        assert "Location" not in answer.headers
    assert register(alice, "sip:a@host.example.net:5060")["id"] != first["id"]
    assert len(contacts(alice)) == 2


def test_unknown_members_are_kept_and_given_again(quick):
    alice = quick
    made = register(alice, device={"model": "x", "n": [1, 2.50, None, True]}, note="ä☃")
    item = is_json(alice.request("GET", made["self"]))
    assert item["device"] == {"model": "x", "n": [1, 2.5, None, True]} and item["note"] == "ä☃"


def test_members_of_the_server_cannot_be_taken(quick):
    alice = quick
    made = register(alice, id=99, url="/x", self="/x", source="sip", expires_at="never", user_agent="me")
    item = is_json(alice.request("GET", made["self"]))
    assert item["id"] == made["id"] and item["url"] == made["self"] and item["source"] == "rest"
    assert item["expires_at"] != "never" and "user_agent" not in item


def test_expires_is_in_seconds_and_bounded(quick):
    alice = quick
    assert register(alice, expires=60)["expires"] == 60
    assert register(alice, expires=10**9)["expires"] == 604800
    assert register(alice, expires=None)["expires"] == 3600


def test_q_is_kept(quick):
    alice = quick
    made = register(alice, q=0.5)
    assert is_json(alice.request("GET", made["self"]))["q"] == 0.5
    for q in (-0.1, 1.1, "0.5"):
        answer = alice.request("POST", alice.login, json={"contact": B, "q": q})
        is_problem(answer, 400, "invalid-member", "/q")


def test_a_contact_that_has_lapsed_is_gone(account, until):
    alice = account("alice")
    made = register(alice, expires=1)
    register(alice, B)
    until(lambda: contacts(alice) == [B])
    is_problem(alice.request("GET", made["self"]), 404, "contact-not-found")
    is_problem(alice.request("PUT", made["self"]), 404, "contact-not-found")
    assert register(alice)["id"] != made["id"]


@pytest.mark.parametrize("body, pointer", [
    ({}, "/contact"),
    ({"contact": None}, "/contact"),
    ({"contact": 5}, "/contact"),
    ({"contact": ""}, "/contact"),
    ({"contact": "alice"}, "/contact"),
    ({"contact": "http://192.0.2.1/"}, "/contact"),
    ({"contact": "tel:+1234"}, "/contact"),
    ({"contact": "<sip:a@192.0.2.1>"}, "/contact"),
    ({"contact": "sip:a@192.0.2.1?subject=x"}, "/contact"),
    ({"contact": "sip:a@192.0.2.1\r\nX: y"}, "/contact"),
    ({"contact": "sip:a@192.0.2.1:99999"}, "/contact"),
    ({"contact": "sip:" + "a" * 1100 + "@h"}, "/contact"),
    ({"contact": A, "expires": 0}, "/expires"),
    ({"contact": A, "expires": -5}, "/expires"),
    ({"contact": A, "expires": 1.5}, "/expires"),
    ({"contact": A, "expires": "60"}, "/expires"),
    ({"contact": A, "lifetime": "stream"}, "/lifetime"),
    ({"lifetime": "for ever"}, "/lifetime"),
    ([], ""),
    ([{"contact": A}, {"contact": "x"}], "/1/contact"),
    ([{"contact": A}, {}], "/1/contact"),
    ([{"contact": A}, 5], "/1"),
    ([A, "x"], "/1"),
    (5, ""),
    ("x", ""),
])
def test_what_is_wrong_is_pointed_at(quick, body, pointer):
    alice = quick
    answer = alice.request("POST", alice.login, json=body)
    if pointer:
        is_problem(answer, 400, "invalid-member", pointer)
    else:
        is_problem(answer, 400)
    assert contacts(alice) == []


def test_several_at_once_are_all_or_none(quick):
    alice = quick
    answer = alice.request("POST", alice.login, json=[{"contact": A, "expires": 60, "x": 1}, B, {"contact": C}])
    made = is_json(answer, 201)
    assert [m["expires"] for m in made] == [60, 3600, 3600]
    assert len({m["id"] for m in made}) == 3
    assert contacts(alice) == [A, B, C]
    again = is_json(alice.request("POST", alice.login, json=[A, B]), 200)
    assert [m["id"] for m in again] == [m["id"] for m in made[:2]]


def test_32_contacts_and_no_more(account):
    alice = account("alice")
    made = is_json(alice.request("POST", alice.login, json=[f"sip:a@192.0.2.1:{5000 + i}" for i in range(32)]), 201)
    assert len(made) == 32
    is_problem(alice.request("POST", alice.login, json={"contact": B}), 409, "too-many-contacts")
    assert register(alice, "sip:a@192.0.2.1:5000")["id"] == made[0]["id"]
    bob = account("bob")
    too_many = [f"sip:a@192.0.2.1:{5000 + i}" for i in range(33)]
    is_problem(bob.request("POST", bob.login, json=too_many), 409, "too-many-contacts")
    assert contacts(bob) == []


def test_text_registers_a_contact_a_line(quick):
    alice = quick
    assert is_json(text(alice, "POST", alice.login, A), 201)["url"] == alice.login
    made = is_json(text(alice, "POST", alice.login, f"{B}\r\n{C}\r\n", "text/uri-list"), 201)
    assert len(made) == 2
    assert contacts(alice) == [A, B, C]
    is_problem(text(alice, "POST", alice.login, "hello\n"), 400)
    is_problem(text(alice, "POST", alice.login, ""), 400)
    is_problem(text(alice, "POST", alice.login, f"{A}\n\nhello"), 400)


def test_a_uri_list_may_have_comments(quick):
    alice = quick
    assert text(alice, "POST", alice.login, f"# mine\r\n{A}\r\n", "text/uri-list").status_code == 201
    assert contacts(alice) == [A]


def test_a_json_string_is_a_contact(quick):
    alice = quick
    assert is_json(alice.request("POST", alice.login, json=A), 201)["expires"] == 3600


def test_what_curl_says_is_json(quick):
    alice = quick
    answer = text(alice, "POST", alice.login, '{"contact":"%s"}' % A, "application/x-www-form-urlencoded")
    assert answer.status_code == 201


@pytest.mark.parametrize("kind", ["application/xml", "image/png", "multipart/form-data; boundary=x", "nonsense"])
def test_other_media_types_are_refused(quick, kind):
    alice = quick
    is_problem(text(alice, "POST", alice.login, A, kind), 415)
    is_problem(text(alice, "PUT", alice.login, A, kind), 415)


def test_me_and_percent_encoding_name_the_account(quick):
    alice = quick
    made = is_json(alice.request("POST", "/login/me", json={"contact": A}), 201)
    assert made["url"] == alice.login
    local, domain = alice.email.split("@")
    for path in ("/login/me", f"/login/{local}%40{domain.upper()}", alice.login + "/"):
        assert [c["contact"] for c in is_json(alice.request("GET", path))] == [A]


def test_a_login_that_lives_with_a_stream(account):
    alice = account("alice")
    body = is_json(alice.request("POST", alice.login, json={"lifetime": "stream", "x": 1}), 201)
    item = is_json(alice.request("GET", body["self"]))
    assert item["source"] == "stream" and item["lifetime"] == "stream" and "contact" not in item and item["x"] == 1
    is_problem(alice.request("PUT", body["self"], json={"contact": A}), 409)


# ---- who may ----

def test_only_the_owner_writes_and_who_is_signed_in_reads(system, account):
    alice, bob = account("alice"), account("bob")
    made = register(alice)
    for method, path in (("POST", alice.login), ("PUT", alice.login), ("PUT", made["self"]),
                         ("DELETE", alice.login), ("DELETE", made["self"])):
        is_problem(bob.request(method, path, json={"contact": B}), 403, "not-owner")
        is_problem(system.request(method, path, json={"contact": B}), 401, "unauthorized")
    for path in (alice.login, made["self"]):
        assert bob.request("GET", path).status_code == 200
        is_problem(system.request("GET", path), 401)
    is_problem(system.request("GET", "/login"), 401)
    assert contacts(alice) == [A]


@pytest.mark.parametrize("path", ["/login/nobody@example.net", "/login/nobody@example.net/1", "/login/nobody",
                                  "/login/%20", "/login/a@b@c"])
def test_who_does_not_exist_is_404(quick, path):
    is_problem(quick.request("GET", path), 404, "user-not-found")


@pytest.mark.parametrize("n", ["0", "999", "-1", "x", "1x", "01", "9223372036854775808", "99999999999999999999999"])
def test_a_number_that_is_not_there_is_404(quick, n):
    alice = quick
    is_problem(alice.request("GET", f"{alice.login}/{n}"), 404)
    is_problem(alice.request("DELETE", f"{alice.login}/{n}"), 404)


# ---- versions and forms ----

def test_a_login_has_a_version(quick):
    alice = quick
    register(alice)
    first = alice.request("GET", alice.login)
    etag = first.headers["ETag"]
    assert first.headers["Cache-Control"] == "private, no-cache"
    again = alice.request("GET", alice.login, headers={"If-None-Match": etag})
    is_empty(again, 304)
    assert again.headers["ETag"] == etag
    register(alice, B)
    changed = alice.request("GET", alice.login, headers={"If-None-Match": etag})
    assert len(is_json(changed)) == 2 and changed.headers["ETag"] != etag


def test_a_lapsed_contact_is_no_304(account):
    alice = account("alice")
    register(alice, expires=1)
    etag = alice.request("GET", alice.login).headers["ETag"]
    deadline = time.monotonic() + 4
    while time.monotonic() < deadline:
        answer = alice.request("GET", alice.login, headers={"If-None-Match": etag})
        if answer.status_code == 200:
            assert answer.json() == []
            return
    raise AssertionError("304 although the contact has lapsed")


def test_writing_can_be_conditional(quick):
    alice = quick
    made = register(alice)
    etag = alice.request("GET", alice.login).headers["ETag"]
    old = {"If-Match": '"1"'}
    for method, path, body in (("POST", alice.login, {"contact": B}), ("PUT", alice.login, {"contact": B}),
                               ("PUT", alice.login, [B]), ("PUT", made["self"], {}),
                               ("DELETE", made["self"], None), ("DELETE", alice.login, None)):
        is_problem(alice.request(method, path, json=body, headers=old), 412, "precondition-failed")
    assert contacts(alice) == [A]
    assert alice.request("POST", alice.login, json={"contact": B}, headers={"If-Match": etag}).status_code == 201
    is_problem(alice.request("DELETE", alice.login, headers={"If-Match": etag}), 412)


def test_of_many_conditional_writers_one_wins(account):
    alice = account("alice")
    register(alice)
    alice.token()
    etag = alice.request("GET", alice.login).headers["ETag"]

    def write(i):
        body = {"contact": f"sip:w@192.0.2.9:{6000 + i}"}
        return alice.request("POST", alice.login, json=body, headers={"If-Match": etag}).status_code
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        codes = sorted(pool.map(write, range(10)))
    assert codes == [201] + [412] * 9
    assert len(contacts(alice)) == 2


@pytest.mark.parametrize("accept, kind, needle", [
    ("application/json", "application/json", '"contact"'),
    ("*/*", "application/json", '"contact"'),
    ("text/plain", "text/plain; charset=utf-8", A + "\n"),
    ("text/uri-list", "text/uri-list", A + "\r\n"),
    ("application/reginfo+xml", "application/reginfo+xml", "<uri>" + A + "</uri>"),
    ("application/pidf+xml", "application/pidf+xml", "<basic>open</basic>"),
    ("text/html, application/pidf+xml;q=0.5, text/plain;q=0.1", "application/pidf+xml", "<presence"),
])
def test_a_login_is_had_in_several_forms(quick, accept, kind, needle):
    alice = quick
    register(alice)
    answer = alice.request("GET", alice.login, headers={"Accept": accept})
    assert answer.status_code == 200 and answer.headers["Content-Type"] == kind
    assert needle in answer.content.decode() and answer.headers["ETag"]
    assert "Accept" in answer.headers["Vary"]


@pytest.mark.parametrize("accept", ["text/html", "image/*", "application/json;q=0", "nonsense"])
def test_a_form_that_is_not_to_be_had_is_406(quick, accept):
    alice = quick
    body = is_problem(alice.request("GET", alice.login, headers={"Accept": accept}), 406, "not-acceptable")
    assert "application/json" in str(body) and "text/uri-list" in str(body)


def test_who_is_logged_in_is_listed_page_by_page(account):
    made = [account("list") for _ in range(3)]
    nobody = account("list")
    for who in made:
        register(who)
    seen, path = [], "/login?limit=2&after=" + min(who.email for who in made)[:-1]
    while path and len(seen) < 500:
        answer = nobody.request("GET", path)
        page = is_json(answer)
        seen += page
        path = answer.links.get("next", {}).get("url")
    emails = [item["id"] for item in seen]
    assert set(who.email for who in made) <= set(emails) and nobody.email not in emails
    item = next(item for item in seen if item["id"] == made[0].email)
    assert item["url"] == made[0].login and item["contacts"] == 1


# ---- the same request again ----

def test_an_idempotency_key_gives_the_same_result(account):
    alice = account("alice")
    key = {"Idempotency-Key": "k-1"}
    first = alice.request("POST", alice.login, json={"contact": A}, headers=key)
    alice.request("DELETE", alice.login)
    again = alice.request("POST", alice.login, json={"contact": A}, headers=key)
    assert again.status_code == first.status_code == 201 and again.json() == first.json()
    assert contacts(alice) == []
    is_problem(alice.request("POST", alice.login, json={"contact": B}, headers=key), 422, "idempotency-key-reused")
    many = {"Idempotency-Key": "k-2"}
    first = alice.request("POST", alice.login, json=[A, B], headers=many)
    again = alice.request("POST", alice.login, json=[A, B], headers=many)
    assert again.status_code == first.status_code == 201 and again.json() == first.json()


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_an_idempotency_key_has_bounds(quick, key):
    alice = quick
    is_problem(alice.request("POST", alice.login, json={"contact": A}, headers={"Idempotency-Key": key}), 400)


def test_the_keys_of_two_accounts_are_two(account):
    alice, bob = account("alice"), account("bob")
    for who, contact in ((alice, A), (bob, B)):
        answer = who.request("POST", who.login, json={"contact": contact}, headers={"Idempotency-Key": "same"})
        assert answer.status_code == 201


@pytest.mark.parametrize("how", ["sip:x@{sip}", "sip:{sip}", "sip:x@{sip};transport=tcp", "sips:x@{sips}",
                                 "sip:x@192.0.2.1:{port};maddr=127.0.0.1"])
def test_the_servers_own_address_is_no_contact(system, quick, how):
    alice = quick
    sips = "127.0.0.1:%d" % system.sips[1]
    own = how.format(sip="127.0.0.1:%d" % system.sip_port, sips=sips, port=system.sip_port)
    made = register(alice)
    for method, path in (("POST", alice.login), ("PUT", alice.login), ("PUT", made["self"])):
        for body in ({"contact": own}, own):
            is_problem(alice.request(method, path, json=body), 403, "contact-not-allowed")
    is_problem(alice.request("POST", alice.login, json=[{"contact": "sip:b@192.0.2.9"}, {"contact": own}]), 403)
    assert contacts(alice) == [A]
    # Another port of that host is a phone.
    assert alice.request("POST", alice.login, json={"contact": "sip:x@127.0.0.1:9"}).status_code == 201
