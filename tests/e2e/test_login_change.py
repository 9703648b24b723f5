"""/login/{email}/{n}: a contact that is refreshed, or said more of, and how contacts go."""
import pytest

from answers import is_empty, is_json, is_problem
from test_login import A, B, C, contacts, register, text


def test_put_of_a_login_registers_or_refreshes_one(quick):
    alice = quick
    first = is_json(alice.request("PUT", alice.login, json={"contact": A, "expires": 60}), 201)
    again = is_json(alice.request("PUT", alice.login, json={"contact": A, "expires": 90}), 200)
    assert again["id"] == first["id"] and again["expires"] == 90
    assert is_json(text(alice, "PUT", alice.login, B), 201)["id"] != first["id"]
    assert contacts(alice) == [A, B]


def test_put_of_an_array_replaces_the_contacts(quick):
    alice = quick
    kept = register(alice)
    register(alice, B)
    answer = alice.request("PUT", alice.login, json=[{"contact": A}, {"contact": C}])
    assert answer.status_code in (200, 201), answer.text
    assert answer.json()[0]["id"] == kept["id"]
    assert contacts(alice) == [A, C]
    is_problem(alice.request("PUT", alice.login, json=[A, "x"]), 400)
    assert contacts(alice) == [A, C]


@pytest.mark.parametrize("body, kind, contact, expires", [
    (b"", None, A, 120),
    (b"{}", "application/json", A, 120),
    (b'{"expires":240}', "application/json", A, 240),
    (b'{"contact":"sip:z@192.0.2.7"}', "application/json", "sip:z@192.0.2.7", 120),
    (b'"sip:z@192.0.2.7"', "application/json", "sip:z@192.0.2.7", 120),
    (b"sip:z@192.0.2.7", "text/plain", "sip:z@192.0.2.7", 120),
    (b"sip:z@192.0.2.7\r\n", "text/uri-list", "sip:z@192.0.2.7", 120),
    (A.encode(), "text/plain", A, 120),
])
def test_a_refresh_takes_many_forms(quick, body, kind, contact, expires):
    alice = quick
    made = register(alice, expires=120, x=1)
    before = alice.request("GET", alice.login).headers["ETag"]
    answer = alice.request("PUT", made["self"], data=body, headers={"Content-Type": kind} if kind else None)
    body = is_json(answer)
    assert body["id"] == made["id"] and body["expires"] == expires
    item, = is_json(alice.request("GET", alice.login))
    assert item["contact"] == contact and item["x"] == 1
    assert alice.request("GET", alice.login).headers["ETag"] != before


def test_a_refresh_may_change_members(quick):
    alice = quick
    made = register(alice, x=1)
    alice.request("PUT", made["self"], json={"y": 2})
    item = is_json(alice.request("GET", made["self"]))
    assert item["y"] == 2 and item["contact"] == A


def test_a_refresh_cannot_take_the_contact_of_another(quick):
    alice = quick
    register(alice)
    other = register(alice, B)
    is_problem(alice.request("PUT", other["self"], json={"contact": A}), 409, "contact-exists", "/contact")
    assert contacts(alice) == [A, B]


@pytest.mark.parametrize("body, kind", [
    (b"hello", "text/plain"), (b'"hello"', "application/json"), (b"[]", "application/json"),
    (b"5", "application/json"), (b"{", "application/json"), (b'{"expires":0}', "application/json"),
    (A.encode() + b"\n" + B.encode(), "text/plain"),
])
def test_a_refresh_that_is_wrong_is_refused(quick, body, kind):
    alice = quick
    made = register(alice)
    is_problem(text(alice, "PUT", made["self"], body, kind), 400)
    assert contacts(alice) == [A]


PIDF = """<?xml version="1.0" encoding="UTF-8"?>
<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:alice@example.net">
<tuple id="x"><status><basic>{}</basic></status><note>At lunch &amp; happy</note></tuple></presence>"""


def test_a_presence_document_sets_the_presence_of_a_contact(quick):
    alice = quick
    made = register(alice)
    answer = text(alice, "PUT", made["self"], PIDF.format("closed").encode(), "application/pidf+xml")
    assert answer.status_code == 200, answer.text
    item = is_json(alice.request("GET", made["self"]))
    assert item["presence"]["basic"] == "closed" and item["presence"]["note"] == "At lunch & happy"
    shown = alice.request("GET", alice.login, headers={"Accept": "application/pidf+xml"}).text
    assert "<basic>closed</basic>" in shown and "At lunch &amp; happy" in shown


def test_a_presence_document_leaves_all_else_of_a_contact(quick):
    alice = quick
    more = {"device": {"kind": "desk", "screens": [1, None]}, "n\u00e4me": "x", "q": 0.5, "presence": {"basic": "open"}}
    made = register(alice, expires=600, **more)
    before = is_json(alice.request("GET", made["self"]))
    text(alice, "PUT", made["self"], PIDF.format("closed").encode(), "application/pidf+xml").raise_for_status()
    after = is_json(alice.request("GET", made["self"]))
    assert after.pop("presence") == {"basic": "closed", "note": "At lunch & happy"}
    assert before.pop("presence") == {"basic": "open"}
    del before["expires_at"], after["expires_at"]
    assert after == before
    # Another kind of body says what all the members are.
    alice.request("PUT", made["self"], json={"device": 1}).raise_for_status()
    last = is_json(alice.request("GET", made["self"]))
    assert last["device"] == 1 and "presence" not in last


@pytest.mark.parametrize("body", [
    " ", "<presence", "<x/>", PIDF.format("maybe"), "hello",
    '<!DOCTYPE p [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>' + PIDF.format("&b;")[38:],
    '<!DOCTYPE p [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + PIDF.format("&x;")[38:],
    "<presence xmlns='urn:ietf:params:xml:ns:pidf'>" + "<a>" * 5000,
])
def test_a_presence_document_that_is_wrong_is_refused(quick, body):
    alice = quick
    made = register(alice)
    is_problem(text(alice, "PUT", made["self"], body.encode(), "application/pidf+xml"), 400)
    is_problem(text(alice, "POST", alice.login, body.encode(), "application/pidf+xml"), 400)


def test_one_or_all_are_unregistered(quick):
    alice = quick
    made = register(alice)
    register(alice, B)
    register(alice, C)
    is_empty(alice.request("DELETE", made["self"]))
    is_problem(alice.request("DELETE", made["self"]), 404, "contact-not-found")
    assert contacts(alice) == [B, C]
    is_empty(alice.request("DELETE", alice.login))
    is_empty(alice.request("DELETE", alice.login))
    assert contacts(alice) == []
