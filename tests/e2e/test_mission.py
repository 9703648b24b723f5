"""The samples that this interface was asked for, pasted as they were: members and types are theirs, ids are ours."""
import os

import pytest

from answers import is_empty, is_json

CONTACT = "sip:example@192.1.2.3:5062"


@pytest.fixture
def people(account):
    """By their local parts: the samples' names, with a number behind them."""
    return {name: account(name) for name in ("example", "kundan", "alok")}


def said(sample, body):
    """Every member of the sample is in the body, with its type."""
    for name, value in sample.items():
        assert name in body, name
        assert type(body[name]) is type(value), (name, body[name])
    return body


# ---- login ----

def test_a_new_registration(people):
    me = people["example"]
    answer = me.request("POST", me.login, json={"contact": CONTACT})
    body = said({"url": "/login/example@example.net", "id": 1, "expires": 3600}, is_json(answer, 201))
    assert body["url"] == me.login and body["id"] == 1 and body["expires"] == 3600


def test_a_refresh_and_an_unregistration(people):
    me = people["example"]
    is_json(me.request("POST", me.login, json={"contact": CONTACT}), 201)
    is_json(me.request("PUT", f"{me.login}/1", json=CONTACT), 200)
    item, = is_json(me.request("GET", me.login))
    assert said({"id": 1, "contact": CONTACT}, item)["contact"] == CONTACT
    is_empty(me.request("DELETE", f"{me.login}/1"))
    assert is_json(me.request("GET", me.login)) == []


def test_put_registers_and_delete_unregisters(people):
    me = people["example"]
    is_json(me.request("PUT", me.login, json={"contact": CONTACT}), 201)
    assert [c["contact"] for c in is_json(people["alok"].request("GET", me.login))] == [CONTACT]
    is_empty(me.request("DELETE", me.login))
    assert is_json(me.request("GET", me.login)) == []


def test_the_list_of_who_is_logged_in(people):
    me = people["example"]
    is_json(me.request("POST", me.login, json={"contact": CONTACT}), 201)
    assert me.login in [item["url"] for item in is_json(me.request("GET", "/login?limit=1000"))]


# ---- call ----

def test_a_call_from_its_beginning_to_its_end(people):
    kundan, alok = people["kundan"], people["alok"]
    answer = alok.request("POST", "/call", json={"subject": "some discussion topic"})
    call = said({"id": "123", "url": "/call/123"}, is_json(answer, 201))
    assert call["url"] == f"/call/{call['id']}"

    answer = kundan.request("POST", call["url"], json={"url": kundan.login, "session": "rtsp://..."})
    part = said({"id": 2, "url": "/call/123/2"}, is_json(answer, 201))
    assert part["url"] == f"{call['url']}/{part['id']}"

    body = said({"subject": "some discussion topic", "children": []}, is_json(kundan.request("GET", call["url"])))
    child, = body["children"]
    said({"url": "/call/123/2", "session": "rtsp://..."}, child)
    assert child["url"] == part["url"] and child["session"] == "rtsp://..."

    is_empty(kundan.request("DELETE", part["url"]))
    is_empty(alok.request("DELETE", call["url"]))
    assert alok.request("GET", call["url"]).status_code == 404


# ---- invite ----

@pytest.mark.parametrize("to, body", [
    ("alok", b'{"command": "invite", "url": "/call/123", "id": 567}'),
    ("alok", b'{"command": "cancel", "url": "/call/123", "id": 567}'),
    ("kundan", b'{"command": "reject", "url": "/call/123", "id": 567, "reason": "busy"}'),
])
@pytest.mark.parametrize("how", ["SEND", "override", "alias"])
def test_an_invitation_its_cancellation_and_its_rejection(system, people, to, body, how):
    sender, target = people["example"], people[to]
    method, path, headers = {
        "SEND": ("SEND", target.login, {}),
        "override": ("POST", target.login, {"X-HTTP-Method-Override": "SEND"}),
        "alias": ("POST", f"{target.login}/messages", {}),
    }[how]
    answer = sender.request(method, path, data=body, headers={"Content-Type": "application/json", **headers})
    sent = is_json(answer, 202)
    assert sent["url"] == f"{target.login}/{sent['id']}" == answer.headers["Location"]
    assert sent["from"] == sender.email and sent["to"] == target.email and sent["size"] == len(body)
    rows = system.query_owner("select s.body, s.content_type from app.send s join app.account a on a.id = s.account_id "
                              "where a.email = %s and s.n = %s", (target.email, sent["id"]))
    assert [(bytes(row["body"]), row["content_type"]) for row in rows] == [(body, "application/json")]


def test_what_is_not_sent_yet_is_taken_back(people):
    sender, target = people["example"], people["alok"]
    sent = is_json(sender.request("SEND", target.login, json={"command": "invite"}), 202)
    assert sent["status"] == "stored"
    for _ in range(2):
        assert is_json(sender.request("CANCEL", sent["url"]))["status"] == "cancelled"


# ---- profile and messages ----

def test_signing_up_and_what_a_profile_leads_to(system):
    email = f"kundan-{os.urandom(5).hex()}@example.net"
    answer = system.request("POST", "/user", json={"email": email, "name": "Kundan"})
    body = said({"id": "kundan@example.net", "url": "/user/kundan@example.net"}, is_json(answer, 201))
    assert body["id"] == email and body["url"] == f"/user/{email}"

    me = (email, body["password"])
    profile = is_json(system.request("GET", body["url"], auth=me))
    assert profile["name"] == "Kundan"
    assert is_json(system.request("GET", profile["login"], auth=me)) == []
    assert system.request("SEND", profile["login"], auth=me, data=b"hello").status_code == 202
    assert is_json(system.request("GET", profile["messages"], auth=me)) == []


def test_offline_messages(system, people):
    kundan = people["kundan"]
    path = f"/user/{kundan.email}/message"
    answer = system.request("POST", path, json={"url": "rtsp://..."})
    assert is_json(answer, 201)["url"] == "rtsp://..."
    message, = is_json(kundan.request("GET", path))
    assert said({"url": "rtsp://..."}, message)["url"] == "rtsp://..."
    assert people["alok"].request("GET", path).status_code == 403
    assert system.request("GET", path).status_code == 401
