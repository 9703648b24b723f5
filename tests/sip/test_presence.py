"""Presence, whole (RFC 3863, RFC 4479, RFC 4480): what one door sets the other shows, in JSON and in XML."""
import json
import pathlib
import xml.etree.ElementTree as ET

import pytest

from test_events import PIDF, as_rest, bound

PIDF_NS, MODEL, RPID = ("{urn:ietf:params:xml:ns:pidf%s}" % end for end in ("", ":data-model", ":rpid"))
PLACES = "{urn:ietf:params:xml:ns:location-type}"
OPENAPI = json.loads((pathlib.Path(__file__).resolve().parents[2] / "web/openapi.json").read_text())


def document(inner):
    return ('<?xml version="1.0"?><presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:x@example.net"'
            ' xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model" xmlns:rpid="urn:ietf:params:xml:ns:pidf:rpid"'
            f' xmlns:lt="urn:ietf:params:xml:ns:location-type" xmlns:o="urn:other">{inner}</presence>')


def tuple_(inner="", basic="open"):
    return f'<tuple id="t"><status><basic>{basic}</basic></status>{inner}</tuple>'


def person(inner):
    return document(tuple_() + f'<dm:person id="p">{inner}</dm:person>')


def presences(account):
    return [c["presence"] for c in account.request("GET", account.login).json() if "presence" in c]


def put(account, where, presence):
    return account.request("PUT", where, json={"presence": presence})


def put_pidf(account, path, text, method="PUT"):
    return account.request(method, path, data=text.encode(), headers={"Content-Type": PIDF})


def shown(root):
    """The words of the person, its notes, and the notes of tuples: of a document of ours."""
    one = root.find(MODEL + "person")
    said = {name: [] if one is None else [(e.tag.split("}")[0] + "}", e.tag.split("}")[1], e.text)
                                          for e in one.findall(f"{RPID}{name}/*")]
            for name in ("activities", "mood", "place-type")}
    return said, [] if one is None else [e.text for e in one.findall(MODEL + "note")], \
        [e.text for e in root.findall(f"{PIDF_NS}tuple/{PIDF_NS}note")]


WORKING = {"basic": "closed", "activities": ["on-the-phone", "busy", "other:on stage"], "mood": ["in_awe"],
           "place_type": ["office", "other:a tent"], "note": "back <soon> & \"well\""}


def is_working(root):
    said, of_person, of_tuple = shown(root)
    assert said == {"activities": [(RPID, "on-the-phone", None), (RPID, "busy", None), (RPID, "other", "on stage")],
                    "mood": [(RPID, "in_awe", None)],
                    "place-type": [(PLACES, "office", None), (RPID, "other", "a tent")]}
    assert of_person == of_tuple == [WORKING["note"]]
    assert [e.text for e in root.iter(PIDF_NS + "basic")] == ["closed"]


def test_what_rest_says_phones_see(account, phone):
    alice, bob = account("alice"), account("bob")
    sub = phone(bob).subscribe(f"sip:{alice.email}", "presence")
    sub.next()
    made = alice.request("POST", alice.login, json={"contact": "sip:alice@192.0.2.1", "presence": WORKING})
    assert made.status_code == 201, made.text
    assert presences(alice) == [WORKING]
    notify = sub.next()
    is_working(ET.fromstring(notify.body))
    assert notify.body == as_rest(alice, PIDF)
    assert put(alice, made.json()["self"], "open").status_code == 200
    assert ET.fromstring(sub.next().body).find(MODEL + "person") is None
    assert presences(alice) == [{"basic": "open"}]


def test_what_a_phone_says_rest_and_phones_see(account, phone):
    """What it has published is what a NOTIFY says; and a NOTIFY's document is one that can be published."""
    alice, bob = account("alice"), account("bob")
    a = phone(alice)
    a.register()
    sub = phone(bob).subscribe(f"sip:{alice.email}", "presence")
    sub.next()
    answer = a.publish(document(tuple_(basic="closed") + (
        '<dm:person id="p"><rpid:activities until="2030-01-01T00:00:00Z"><rpid:note>x</rpid:note><rpid:on-the-phone/>'
        '<rpid:busy/><rpid:other>on stage</rpid:other></rpid:activities><rpid:mood><rpid:in_awe/></rpid:mood>'
        '<rpid:place-type><lt:office/><rpid:other>a tent</rpid:other></rpid:place-type>'
        '<dm:note>back &lt;soon> &amp; "well"</dm:note><dm:timestamp>2026-01-01T00:00:00Z</dm:timestamp></dm:person>')))
    assert answer.code == 200
    assert presences(alice) == [WORKING]
    notify = sub.next()
    is_working(ET.fromstring(notify.body))
    assert notify.body == as_rest(alice, PIDF)
    assert a.publish(notify.body.decode(), etag=answer.get("sip-etag")).code == 200
    assert presences(alice) == [WORKING]


@pytest.mark.parametrize("inner,expected", [
    ('<rpid:activities><rpid:away/></rpid:activities>', {"activities": ["away"]}),
    ('<rpid:mood><rpid:happy/><rpid:sleepy/></rpid:mood>', {"mood": ["happy", "sleepy"]}),
    ('<rpid:place-type><lt:train/></rpid:place-type>', {"place_type": ["train"]}),
    ('<dm:note>of the person</dm:note>', {"note": "of the person"}),
    ('<rpid:activities><rpid:other>Grüße</rpid:other></rpid:activities>', {"activities": ["other:Grüße"]}),
    ('<rpid:activities><rpid:unknown/></rpid:activities><dm:note xml:lang="de">ja</dm:note>',
     {"activities": ["unknown"], "note": "ja"})])
def test_each_part_goes_both_ways(account, phone, inner, expected):
    alice = account("alice")
    a = phone(alice)
    a.register()
    assert a.publish(person(inner)).code == 200
    assert presences(alice) == [{"basic": "open", **expected}]
    by_phone = as_rest(alice, PIDF)
    (item,) = alice.request("GET", alice.login).json()
    assert put(alice, item["url"], expected).status_code == 200
    assert presences(alice) == [{"basic": "open", **expected}] and as_rest(alice, PIDF) == by_phone
    assert put_pidf(alice, item["url"], person(inner)).status_code == 200
    assert presences(alice) == [{"basic": "open", **expected}] and as_rest(alice, PIDF) == by_phone


@pytest.mark.parametrize("word,whole", [
    ("open", {"basic": "open"}), ("closed", {"basic": "closed"}), ("away", {"basic": "open", "activities": ["away"]}),
    ("on-the-phone", {"basic": "open", "activities": ["on-the-phone"]}),
    ("other:gone fishing", {"basic": "open", "activities": ["other:gone fishing"]})])
def test_a_word_is_short_for_it(account, word, whole):
    alice = account("alice")
    where = bound(alice, "sip:alice@192.0.2.1", presence=word)
    assert presences(alice) == [whole]
    assert put(alice, where, {}).status_code == 200
    assert put(alice, where, word).status_code == 200
    assert presences(alice) == [whole]


@pytest.mark.parametrize("presence,pointer,said", [
    ("gardening", "", "looking-for-work"), ("Away", "", "on-the-phone"), ("", "", "busy"), (5, "", "busy"), (["away"], "", "busy"),
    ({"basic": "away"}, "/basic", "open or closed"), ({"activities": "busy"}, "/activities", "array"),
    ({"activities": ["on-phone"]}, "/activities/0", "on-the-phone"), ({"mood": ["happy", "glad"]}, "/mood/1", "happy"),
    ({"place_type": ["Office"]}, "/place_type/0", "office"), ({"place_type": [None]}, "/place_type/0", "office"),
    ({"mood": ["other:"]}, "/mood/0", "other:"), ({"mood": ["other:" + "x" * 95]}, "/mood/0", "94 bytes"),
    ({"mood": ["sad"] * 17}, "/mood", "16"), ({"note": "x" * 1001}, "/note", "1000"), ({"note": "ö" * 501}, "/note", "1002"),
    ({"xml": "<a/>"}, "/xml", "object"), ({"xml": {"tuple": "<a>"}}, "/xml/tuple", "well-formed"),
    ({"xml": {"tuple": "<!DOCTYPE a><a/>"}}, "/xml/tuple", "well-formed"),
    ({"xml": {"presence": "</p:presence>"}}, "/xml/presence", "well-formed"),
    ({"xml": {"presence": "<tuple xmlns='urn:ietf:params:xml:ns:pidf'/>"}}, "/xml/presence", "PIDF itself")])
def test_wrong_json_is_told_what_is_right(account, presence, pointer, said):
    alice = account("alice")
    where = bound(alice, "sip:alice@192.0.2.1", presence="busy")
    answer = put(alice, where, presence)
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["pointer"] == "/presence" + pointer and said in answer.json()["detail"], answer.text
    assert alice.request("POST", alice.login, json=[{"contact": "sip:a@192.0.2.9", "presence": presence}]).status_code == 400
    assert presences(alice) == [{"basic": "open", "activities": ["busy"]}]


def test_members_that_are_not_ours_stay(account):
    """Of the contact, and of its presence; null is nothing."""
    alice = account("alice")
    more = {"contact": "sip:alice@192.0.2.1", "device": {"n": 1.50}, "presence": {"basic": "open", "sphere": ["work", 1.50]}}
    alice.request("POST", alice.login, json=more).raise_for_status()
    (item,) = alice.request("GET", alice.login).json()
    assert item["device"] == more["device"] and item["presence"] == more["presence"]
    put(alice, item["url"], None).raise_for_status()
    (item,) = alice.request("GET", alice.login).json()
    assert "presence" not in item


# ---- XML of others ----

OTHER = '<o:x o:a="1&amp;" b="2"><o:y>text &lt;</o:y><z xmlns="urn:z"/></o:x>'
INSIDE = {
    "presence": lambda x: document(tuple_() + x), "tuple": lambda x: document(tuple_(x)),
    "status": lambda x: document(f'<tuple id="t"><status><basic>open</basic>{x}</status></tuple>'), "person": person,
    "activities": lambda x: person(f"<rpid:activities><rpid:away/>{x}</rpid:activities>"),
    "mood": lambda x: person(f"<rpid:mood>{x}</rpid:mood>"),
    "place_type": lambda x: person(f"<rpid:place-type>{x}</rpid:place-type>")}
PARENT = {"presence": "presence", "tuple": "tuple", "status": "status", "person": "person", "activities": "activities",
          "mood": "mood", "place_type": "place-type"}


@pytest.mark.parametrize("place", INSIDE)
def test_xml_of_others_stays_where_it_was(account, phone, place):
    alice, bob = account("alice"), account("bob")
    a = phone(alice)
    a.register()
    sub = phone(bob).subscribe(f"sip:{alice.email}", "presence")
    sub.next()
    assert a.publish(INSIDE[place](OTHER)).code == 200

    def is_there(root):
        (parent,) = [e for e in root.iter() if e.find("{urn:other}x") is not None]
        assert parent.tag.split("}")[1] == PARENT[place]
        one = parent.find("{urn:other}x")
        assert one.attrib == {"{urn:other}a": "1&", "b": "2"}
        assert [(e.tag, e.text) for e in one] == [("{urn:other}y", "text <"), ("{urn:z}z", None)]

    body = sub.next().body
    is_there(ET.fromstring(body))
    (presence,) = presences(alice)
    assert list(presence["xml"]) == [place]
    # by REST too, as it was shown
    (item,) = alice.request("GET", alice.login).json()
    assert put(alice, item["url"], "away").status_code == 200
    assert b"urn:other" not in as_rest(alice, PIDF)
    assert put(alice, item["url"], presence).status_code == 200
    assert presences(alice) == [presence] and as_rest(alice, PIDF) == body


@pytest.mark.parametrize("make,where", [
    (lambda: document(tuple_("<note>" + "x" * 3000 + "</note>")), "note"), (lambda: person("<dm:note>" + "x" * 1001 + "</dm:note>"), "note"),
    (lambda: document(tuple_() + "<note>" + "ö" * 501 + "</note>"), "note"),
    (lambda: document(tuple_("<o:x>" + "x" * 3000 + "</o:x>")), "XML"),
    (lambda: person("<rpid:mood><rpid:other>" + "x" * 95 + "</rpid:other></rpid:mood>"), "100 bytes"),
    (lambda: document(tuple_("<contact>sip:" + "x" * 1024 + "</contact>")), "contact")])
def test_a_bound_is_named(account, phone, make, where):
    alice = account("alice")
    a = phone(alice)
    a.register()
    answer = a.publish(make())
    assert answer.code == 413 and where in answer.reason, answer.reason
    (item,) = alice.request("GET", alice.login).json()
    answer = put_pidf(alice, item["url"], make())
    assert answer.status_code == 413 and where in answer.json()["detail"]
    assert presences(alice) == []


def test_as_much_as_there_may_be(account, phone):
    alice = account("alice")
    a = phone(alice)
    a.register()
    note = "ö" * 500
    assert a.publish(person(f"<dm:note>{note}</dm:note><o:x>{'&amp;' * 400}</o:x>")).code == 200
    assert presences(alice)[0]["note"] == note
    (item,) = alice.request("GET", alice.login).json()
    assert put(alice, item["url"], {"note": note}).status_code == 200
    assert note in as_rest(alice, PIDF).decode()
    # what a login keeps has its own bound, which is named as well
    answer = a.publish(person(f"<dm:note>{note}</dm:note><o:x>{chr(10) * 2900}</o:x>"))
    assert answer.code == 413 and "login_members" in answer.reason


# ---- of several contacts ----

def test_all_contacts_speak_of_one_person(account):
    """Each thing once, in their order; tuples are each contact's own."""
    alice = account("alice")
    kept = '<o:x xmlns:o="urn:other"></o:x>'
    bound(alice, "sip:a@192.0.2.1", presence={"basic": "closed", "activities": ["away"], "note": "out", "xml": {
        "person": kept, "tuple": kept}})
    bound(alice, "sip:a@192.0.2.2")
    bound(alice, "sip:a@192.0.2.3", presence={"activities": ["busy", "away"], "mood": ["calm"], "note": "out", "xml": {
        "person": kept, "tuple": kept}})
    bound(alice, "sip:a@192.0.2.4", presence={"activities": ["meeting"], "note": "in"})
    root = ET.fromstring(as_rest(alice, PIDF))
    said, of_person, of_tuple = shown(root)
    assert [word for _, word, _ in said["activities"]] == ["away", "busy", "meeting"]
    assert [word for _, word, _ in said["mood"]] == ["calm"] and said["place-type"] == []
    assert of_person == ["out", "in"] and of_tuple == ["out", "out", "in"]
    assert [e.text for e in root.iter(PIDF_NS + "basic")] == ["closed", "open", "open", "open"]
    assert [len(t.findall("{urn:other}x")) for t in root.findall(PIDF_NS + "tuple")] == [1, 0, 1, 0]
    assert len(root.findall(MODEL + "person")) == len(root.findall(f"{MODEL}person/{{urn:other}}x")) == 1
    alice.request("DELETE", alice.login)
    assert ET.fromstring(as_rest(alice, PIDF)).find(MODEL + "person") is None


# ---- a document as a login's body ----

@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_document_registers_the_contact_that_it_names(account, method):
    alice = account("alice")
    text = document(tuple_("<contact> sip:alice@192.0.2.7 </contact>", "closed")
                    + '<dm:person id="p"><rpid:activities><rpid:away/></rpid:activities></dm:person>')
    answer = put_pidf(alice, alice.login, text, method)
    assert answer.status_code == 201 and answer.json()["expires"] == 3600, answer.text
    (item,) = alice.request("GET", alice.login).json()
    assert item["contact"] == "sip:alice@192.0.2.7" and item["presence"] == {"basic": "closed", "activities": ["away"]}
    answer = put_pidf(alice, alice.login, text, method)
    assert answer.status_code == 200 and answer.json()["id"] == item["id"]
    answer = put_pidf(alice, alice.login, document(tuple_()), method)
    assert answer.status_code == 400 and "contact" in answer.json()["detail"]
    answer = put_pidf(alice, alice.login, document(tuple_("<contact>mailto:a@b</contact>")), method)
    assert answer.status_code == 400 and "mailto:a@b" in answer.json()["detail"]


# ---- as it is described ----

def test_the_examples_of_the_description(account):
    """Each of OpenAPI's is sent, and comes back as the one that the description of an answer shows."""
    alice = account("alice")
    schemas = OPENAPI["components"]["schemas"]
    assert schemas["PresenceRequest"]["examples"] and schemas["Presence"]["examples"]
    for example in schemas["PresenceRequest"]["examples"]:
        bound(alice, "sip:alice@192.0.2.1", presence=example)
    assert presences(alice) == schemas["Presence"]["examples"][:1]
    document_as_described = OPENAPI["paths"]["/login/{email}"]["post"]["requestBody"]["content"][PIDF]["example"]
    assert put_pidf(alice, alice.login, document_as_described, "POST").status_code in (200, 201)


@pytest.mark.parametrize("member,name", [("activities", "activities"), ("mood", "mood"), ("place_type", "place-type")])
def test_every_word_of_the_description(account, member, name):
    """They are the words that there are, each of them an element."""
    alice = account("alice")
    words = OPENAPI["components"]["schemas"]["Presence"]["properties"][member]["items"]["anyOf"][0]["enum"]
    answer = put_pidf(alice, alice.login, document(tuple_("<contact>sip:a@192.0.2.1</contact>")), "POST")
    refused = put(alice, answer.json()["self"], {member: ["none"]})
    assert ", ".join(words) in refused.json()["detail"]
    for i in range(0, len(words), 16):
        some = words[i:i + 16]
        assert put(alice, answer.json()["self"], {member: some}).status_code == 200
        said, _, _ = shown(ET.fromstring(as_rest(alice, PIDF)))
        assert [word for _, word, _ in said[name]] == some
