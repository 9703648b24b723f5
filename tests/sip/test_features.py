"""What a phone says of itself (RFC 3840): it comes back in the answer to a REGISTER, in reginfo and in JSON. What the server
says of itself, and OPTIONS to one's own address, which the phone answers (RFC 3261, section 11)."""
import re
import xml.etree.ElementTree as ET

import pytest

NS = "{urn:ietf:params:xml:ns:reginfo}"


def rest_of(answer, p):
    """The parameters of a phone's own contact in an answer, without its expires."""
    value, = (v for v in answer.all("contact") if f"<{p.contact}>" in v)
    return re.sub(r";expires=\d+", "", value.split(f"<{p.contact}>", 1)[1])


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("params, features", [
    (";audio;video", {"audio": True, "video": True}),
    (';methods="INVITE, ACK, MESSAGE"', {"methods": "INVITE, ACK, MESSAGE"}),
    (';+org.linphone.specs="lime,groupchat/1.1"', {"+org.linphone.specs": "lime,groupchat/1.1"}),
    (';+sip.x="a;b,\\"c\\\\"', {"+sip.x": 'a;b,"c\\'}), (";class=personal;ob", {"class": "personal", "ob": True}),
    (';description="<Böb>"', {"description": "<Böb>"}), (";x=1;X=2", {"x": "1", "X": "2"})])
def test_features_come_back(account, phone, params, features, transport):
    alice = account("alice")
    p = phone(alice, transport=transport)
    answer = p.register(contacts=[f"<{p.contact}>{params}"])
    assert answer.code == 200, answer.raw
    assert rest_of(answer, p) == params
    assert rest_of(p.register(contacts=[]), p) == params
    contact, = alice.request("GET", alice.login).json()
    assert contact["features"] == features and "name" not in contact
    root = ET.fromstring(alice.request("GET", alice.login, headers={"Accept": "application/reginfo+xml"}).content)
    assert {e.get("name"): e.text for e in root.iter(NS + "unknown-param")} \
        == {name: None if value is True else value for name, value in features.items()}
    assert p.register().code == 200
    contact, = alice.request("GET", alice.login).json()
    assert "features" not in contact


@pytest.mark.parametrize("display, name", [
    ('"Alice\'s desk"', "Alice's desk"), ("Alice", "Alice"), ('"a \\"b\\" \\\\c"', 'a "b" \\c'), ("Böb (home)", "Böb (home)"),
    ('"<sip:x@y>, z"', "<sip:x@y>, z")])
def test_a_display_name_comes_back(account, phone, display, name):
    alice = account("alice")
    p = phone(alice)
    answer = p.register(contacts=[f"{display} <{p.contact}>;q=0.5;audio"])
    assert answer.code == 200, answer.raw
    assert answer.contacts == {p.contact: 3600} and rest_of(answer, p) == ";q=0.5;audio"
    quoted = re.match(r'"((?:[^"\\]|\\.)*)" <', answer.get("contact")).group(1)
    assert re.sub(r"\\(.)", r"\1", quoted) == name
    contact, = alice.request("GET", alice.login).json()
    assert (contact["name"], contact["features"]) == (name, {"audio": True})
    root = ET.fromstring(alice.request("GET", alice.login, headers={"Accept": "application/reginfo+xml"}).content)
    assert [e.text for e in root.iter(NS + "display-name")] == [name]
    # a change by REST leaves it, and an own member of that name goes first
    assert alice.request("PUT", contact["url"], json={"note": "x"}).ok
    assert alice.request("GET", contact["url"]).json()["name"] == name
    assert alice.request("PUT", contact["url"], json={"note": "x", "name": "mine"}).ok
    assert alice.request("GET", contact["url"]).json()["name"] == "mine"
    assert p.register(contacts=[f"{display} <{p.contact}>"]).code == 200
    contact, = alice.request("GET", alice.login).json()
    assert (contact["name"], contact["note"]) == ("mine", "x")


def test_a_device_has_features_beside_its_instance(account, phone):
    p = phone(account("alice"), transport="tcp")
    instance = '+sip.instance="<urn:uuid:00000000-0000-1000-8000-000A95A0E128>"'
    answer = p.register(contacts=[f'"Cell" <{p.contact}>;audio;reg-id=1;{instance};+sip.y="z"'],
                        headers=[("Supported", "outbound")])
    assert answer.code == 200, answer.raw
    assert answer.get("contact").startswith('"Cell" <')
    assert rest_of(answer, p) == f';{instance};reg-id=1;audio;+sip.y="z"'


def test_more_than_a_contact_may_have_is_refused(account, phone):
    alice = account("alice")
    p = phone(alice, transport="tcp")
    for value in (f"<{p.contact}>" + ";a" * 65, f'<{p.contact}>;x="{"y" * 4090}"', f'"{"n" * 4090}" <{p.contact}>', f'<{p.contact}>;x="{"y" * 9000}"'):
        assert p.register(contacts=[value]).code in (400, 413)
    assert alice.request("GET", alice.login).json() == []
    assert p.register(contacts=[f"<{p.contact}>" + ";a" * 64]).code == 200


def test_the_contacts_of_a_request_come_first_in_its_answer(account, phone):
    alice = account("alice")
    first, second = phone(alice), phone(alice, transport="tcp")
    assert first.register(contacts=["<sip:a@127.0.0.1:9>", "<sip:b@127.0.0.1:9>"]).code == 200
    assert list(second.register().contacts) == [second.contact, "sip:a@127.0.0.1:9", "sip:b@127.0.0.1:9"]
    assert list(first.register(contacts=["<sip:b@127.0.0.1:9>"]).contacts) \
        == ["sip:b@127.0.0.1:9", "sip:a@127.0.0.1:9", second.contact]
    assert list(second.register().contacts)[0] == second.contact


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_what_the_server_can_is_said(account, phone, transport):
    p = phone(account("alice"), transport=transport)
    answer = p.register()
    assert answer.get("allow") == ("ACK, BYE, CANCEL, INFO, INVITE, MESSAGE, NOTIFY, OPTIONS, PRACK, PUBLISH, REFER, REGISTER, SUBSCRIBE, "
                                   "UPDATE")
    assert answer.get("supported") == "100rel, outbound, path, replaces, timer"
    answer = p.exchange(p.build("OPTIONS", "sip:example.net"))
    assert answer.get("allow-events") == "conference, dialog, message-summary, presence, reg"
    assert (answer.get("accept-encoding"), answer.get("accept-language")) == ("deflate, identity", "en")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_options_to_ones_own_address_reach_the_phone(account, phone, transport):
    p = phone(account("alice"), transport=transport, options=None)
    assert p.register().code == 200
    answered = []

    def take(message, original=p._take):  # pylint: disable=protected-access
        if not message.is_response and message.method == "OPTIONS" and message.get("accept") == "application/x-probe":
            answered.append(message)
            p.reply(message, 200, "Here", [("Allow", "INVITE, X"), ("X-Secret", "1"), ("Supported", "replaces")])
        else:
            original(message)
    p._take = take  # pylint: disable=protected-access
    answer = p.request("OPTIONS", p.aor, [("Accept", "application/x-probe"), ("Max-Forwards", "9"), ("X-Own", "y")])
    assert (answer.code, answer.reason) == (200, "Here")
    assert (answer.get("allow"), answer.get("supported"), answer.get("x-secret")) == ("INVITE, X", "replaces", None)
    came = answered[0]
    assert came.uri == p.contact and came.get("call-id") == answer.get("call-id") == p.call_id
    assert (came.get("max-forwards"), came.get("x-own"), came.get("authorization")) == ("8", "y", None)
    assert came.get("from") == answer.get("from") and len(came.all("via")) == 1


@pytest.mark.parametrize("hops, registered, code", [("0", True, 483), ("70", False, 480)])
def test_options_that_reach_nobody_say_so(account, phone, hops, registered, code):
    p = phone(account("alice"))
    if registered:
        assert p.register().code == 200
    assert p.request("OPTIONS", p.aor, [("Max-Forwards", hops)]).code == code


@pytest.mark.parametrize("code, told", [(486, 486), (603, 603), (401, 480), (407, 480), (503, 480)])
def test_how_the_phone_refuses_is_told_but_for_what_would_mean_us(account, phone, code, told):
    p = phone(account("alice"), options=code)
    assert p.register().code == 200
    assert p.request("OPTIONS", p.aor).code == told


def test_options_to_others_and_of_strangers_reach_nobody(account, phone):
    a, b = phone(account("alice")), phone(account("bob"))
    assert b.register().code == 200
    seen = len(b.seen)
    assert a.request("OPTIONS", b.aor, to=b.aor).get("allow").startswith("ACK")
    forged = a.build("OPTIONS", b.aor, sender=b.aor)
    assert a.exchange(forged).code == 401
    assert len(b.seen) == seen
