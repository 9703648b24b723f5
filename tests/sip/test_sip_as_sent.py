"""SIP as phones in the field send it: compact forms, blanks, digests, tags, names and contacts that other servers take.
Each test is a kind, with the reported case first. What is taken is taken over UDP and over TCP alike."""
import csv
import pathlib
import re
import secrets

import pytest

from phone import Phone, digest, new_account
from restsip_system import TOP

REPORTED = TOP.parent / "shared/material/reported/cases.tsv"
# By which test of this file a reported case is looked at.
KINDS = {
    "s1": "test_a_compact_name_is_its_header", "s2": "test_a_length_is_read_as_any_header",
    "s3": "test_empty_lines_before_a_message_are_nothing", "s4": "test_a_digest_is_taken_as_it_was_hashed",
    "s5": "test_an_email_may_be_the_username", "s6": "test_a_digest_of_the_same_user_and_host_is_of_the_request",
    "s7": "test_a_tag_comes_back_byte_for_byte", "s8": "test_a_name_needs_no_quotes",
    "s9": "test_an_empty_parameter_of_via_is_nothing", "s10": "test_a_contact_is_read_liberally",
    "s11": "test_the_servers_address_stands_for_the_domain", "s12": "test_how_the_last_contact_ended_is_told_once",
}

PIDF = ('<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="%s"><tuple id="t"><status><basic>open</basic></status>'
        '</tuple></presence>')


def replaced(raw, *changes):
    for old, new in changes:
        old, new = (text if isinstance(text, bytes) else text.encode() for text in (old, new))
        assert old in raw, (old, raw)
        raw = raw.replace(old, new)
    return raw


def signed(p, method, uri=None, headers=(), body=b"", authorization=None, **more):
    """The bytes of a request that answers a challenge; `authorization` makes its header of the challenge and of nc."""
    if not p.challenge:
        p.challenge, p.nc = p.exchange(p.build("REGISTER", "sip:example.net")).get("www-authenticate"), 0
    if not authorization:
        return p.signed(method, uri or p.aor, headers, body, **more)
    p.nc += 1
    headers = [*headers, ("Authorization", authorization(p.challenge, p.nc))]
    return p.build(method, uri or p.aor, headers, body, **more)


@pytest.fixture(name="alice", params=["udp", "tcp"])
def fixture_alice(request, account, phone):
    return phone(account("alice"), transport=request.param)


@pytest.fixture(name="sender", params=["udp", "tcp"], scope="module")
def fixture_sender(request, system):
    """A phone that only sends, the same for all tests."""
    account = new_account(system, "sender")
    made = account.credential()
    with Phone(system.sip, account.email.split("@")[0], made["password"], transport=request.param) as p:
        yield p


def test_each_reported_case_has_its_kind():
    if not REPORTED.exists():
        pytest.skip(f"no {REPORTED}")
    with open(REPORTED, encoding="utf-8", newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)}
    mine = [n for n, row in rows.items() if row["door"] == "sip" and int(n[1:]) <= 12]
    source = pathlib.Path(__file__).read_text(encoding="utf-8")
    assert [n for n in mine if f"def {KINDS.get(n)}(" not in source] == []


# ---- compact names (RFC 3261, section 7.3.3; the list is IANA's) ----

@pytest.mark.parametrize("event, more", [
    ("o: presence", "u: presence"), ("o: reg", "U: reg"), ("O: message-summary", "k: eventlist"),
    ("o \t: presence", "y: x"), ("o: presence;id=7", "n: x"), ("o:presence", "a: *")])
def test_a_compact_name_is_its_header(sender, event, more):
    raw = signed(sender, "SUBSCRIBE", headers=[("Event", "x"), ("X-More", "x"), ("Contact", f"<{sender.contact}>")])
    answer = sender.exchange(replaced(raw, ("Event: x", event), ("X-More: x", more)))
    assert answer.code == 200, answer.raw


def test_a_request_of_compact_names_alone_is_read(sender):
    headers = [("Content-Type", "text/plain"), ("Subject", "s"), ("Supported", "x"), ("Contact", f"<{sender.contact}>")]
    raw = signed(sender, "MESSAGE", headers=headers, body=b"short")
    answer = sender.exchange(replaced(raw, ("Via:", "v:"), ("From:", "f:"), ("To:", "t:"), ("Call-ID:", "i:"),
                                     ("Content-Length:", "l:"), ("Content-Type:", "c:"), ("Subject:", "s:"),
                                     ("Supported:", "k:"), ("Contact:", "m:")))
    assert answer.code in (200, 202), answer.raw
    assert answer.get("call-id") == sender.call_id


@pytest.mark.parametrize("long, compact", [
    ("Referred-By", "b"), ("Content-Type", "c"), ("From", "f"), ("Call-ID", "i"), ("Content-Length", "l"), ("Event", "o"),
    ("Refer-To", "r"), ("Subject", "s"), ("To", "t"), ("Session-Expires", "x")])
def test_a_header_twice_is_refused_by_either_name(sender, long, compact):
    values = {"Content-Length": "0", "Content-Type": "text/plain", "Call-ID": sender.call_id}
    value = values.get(long, f"<{sender.aor}>")
    raw = sender.build("OPTIONS", "sip:example.net", [(long, value), (compact, value)])
    assert sender.exchange(raw).code == 400


def test_a_compact_contact_and_path_are_bound(alice):
    raw = signed(alice, "REGISTER", "sip:example.net", [("Contact", f"<{alice.contact}>"), ("Supported", "path"),
                                                        ("Path", "<sip:127.0.0.1:9;lr>")])
    answer = alice.exchange(replaced(raw, ("Contact:", "m:"), ("Supported:", "K:")))
    assert answer.code == 200 and list(answer.contacts) == [alice.contact]
    assert answer.get("path") == "<sip:127.0.0.1:9;lr>"


# ---- blanks (RFC 3261, section 7.3.1) ----

@pytest.mark.parametrize("line", ["Content-Length: 5 ", "Content-Length: 5\t", "Content-Length: 5\r\n ",
                                  "Content-Length:\r\n 5", "l:\r\n\t5 \r\n ", "CONTENT-LENGTH \t:5", "Content-Length:0005"])
def test_a_length_is_read_as_any_header(sender, line):
    first = signed(sender, "MESSAGE", headers=[("Content-Type", "text/plain")], body=b"five!")
    answer = sender.exchange(replaced(first, ("Content-Length: 5", line)), resend=False)
    assert answer.code in (200, 202), answer.raw
    assert sender.exchange(sender.build("OPTIONS", "sip:example.net")).code == 200


@pytest.mark.parametrize("before", [b"\r\n", b"\r\n\r\n", b"\r\n\r\n\r\n", b"\r\n" * 200])
def test_empty_lines_before_a_message_are_nothing(sender, before):
    for method, codes in (("OPTIONS", [200]), ("REGISTER", [200]), ("MESSAGE", [200, 202])):
        headers = [("Content-Type", "text/plain")] if method == "MESSAGE" else []
        raw = signed(sender, method, sender.aor if method == "MESSAGE" else "sip:example.net", headers, b"hello")
        sender.send(before + raw)
        assert sender.responses.get(timeout=5).code in codes


def test_empty_lines_before_an_answer_are_nothing(account, phone):
    bob = account("bob")
    b = phone(bob, answer=None)
    assert b.register().code == 200
    a = phone(account("alice"))

    def answer(request):
        lines = [f"{n.title()}: {v}" for n, v in request.headers if n in ("via", "from", "to", "call-id", "cseq")]
        b.send("\r\n\r\nSIP/2.0 200 OK\r\n" + "\r\n".join(lines) + "\r\nContent-Length: 0\r\n\r\n", request.source)
    b.answer = answer
    assert a.message(b.aor).code == 200


# ---- digests (RFC 7616, section 3.4) ----

def unquoted(name):
    return lambda text: re.sub(rf'\b{name}="([^"]*)"', rf"{name}=\1", text)


@pytest.mark.parametrize("params, change", [
    ({}, unquoted("uri")), ({}, lambda text: text + ","), ({"nc": "1"}, None), ({"cnonce": ""}, None),
    ({}, unquoted("nonce")), ({}, unquoted("response")), ({}, unquoted("username")), ({}, unquoted("realm")),
    ({}, lambda text: text.replace(", ", " ,, ") + " , "), ({}, lambda text: text.replace("qop=auth", 'qop="auth"')),
    ({"nc": "000000000001"}, None), ({"cnonce": "(b=;ase/64)=="}, None), ({"opaque": ""}, None),
    ({}, lambda text: text.replace("Digest ", "Digest ,") + ",stale")])
def test_a_digest_is_taken_as_it_was_hashed(sender, params, change):
    sender.challenge = None  # a count is good once
    def authorization(challenge, nc):
        text = digest(challenge, "MESSAGE", sender.aor, sender.username, sender.password, nc, params)
        return change(text) if change else text
    answer = sender.exchange(signed(sender, "MESSAGE", headers=[("Content-Type", "text/plain")], body=b"x",
                                   authorization=authorization))
    assert answer.code in (200, 202), answer.raw


@pytest.mark.parametrize("params", [{"nc": "0"}, {"nc": "1g"}, {"nc": "1ffffffff"}, {"nc": ""}, {"response": "0" * 32},
                                    {"uri": "sip:somebody@example.net"}])
def test_a_digest_that_is_wrong_stays_wrong(sender, params):
    def authorization(challenge, nc):
        return digest(challenge, "MESSAGE", sender.aor, sender.username, sender.password, nc, params)
    raw = signed(sender, "MESSAGE", headers=[("Content-Type", "text/plain")], body=b"x", authorization=authorization)
    assert sender.exchange(raw).code == 401


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest.mark.parametrize("method", ["REGISTER", "MESSAGE", "SUBSCRIBE", "PUBLISH"])
def test_an_email_may_be_the_username(account, phone, algorithm, method):
    p = phone(account("alice"), algorithm=algorithm)
    p.username += "@example.net"
    done = {"REGISTER": p.register, "MESSAGE": lambda: p.message(p.aor),
            "SUBSCRIBE": lambda: p.subscribe(p.aor, "reg").answer, "PUBLISH": lambda: p.publish(PIDF % p.aor)}[method]
    assert [done().code for _ in range(2)] in ([200, 200], [202, 202])


def test_the_email_of_a_second_credential_is_its_username_too(account, phone):
    alice = account("alice")
    phone(alice)
    p = phone(alice)
    assert p.username != alice.email.split("@")[0]
    p.username += "@example.net"
    assert p.register().code == 200


def test_the_dot_of_the_root_makes_no_other_domain(account, phone):
    alice = account("alice")
    p = phone(alice)
    p.domain += "."
    assert p.aor.endswith("@example.net.")
    assert p.register().code == 200
    assert p.message(p.aor).code in (200, 202) and p.subscribe(p.aor, "reg").answer.code == 200
    assert [c["source"] for c in alice.request("GET", "/login/me").json()] == ["sip"]


@pytest.mark.parametrize("username", ["{}@EXAMPLE.NET", "{}@example.org", "{}@example.net@example.net", "@example.net", "{}@",
                                      "x{}@example.net"])
def test_another_username_is_nobody(account, phone, username):
    p = phone(account("alice"))
    p.username = username.format(p.username)
    assert p.register().code == 401


def test_the_email_and_the_username_are_one_to_who_guesses(systems):
    guarded = systems("guesses", {"RESTSIP_DEMO": "no"})
    alice = guarded.account("alice@example.net")
    made = alice.credential()
    guarded.query_owner("insert into app.throttle (key, failures, since) values "
                        "('dp:127.0.0.1:alice@example.net', 50, now()) returning key")
    for username in ("alice", "alice@example.net"):
        with Phone(guarded.sip, "alice", made["password"]) as p:
            p.username = username
            assert p.register().code == 480


@pytest.mark.parametrize("uri", ["{}:5060", "{};transport=udp", "{}:5080;transport=TCP", "{};user=phone;x=y", "sips:{}",
                                 "{};ob", "%61{}", "{upper}"])
@pytest.mark.parametrize("method", ["MESSAGE", "SUBSCRIBE"])
def test_a_digest_of_the_same_user_and_host_is_of_the_request(sender, method, uri):
    if uri.startswith("sips:"):
        uri = "sips:" + sender.aor[4:]
    elif uri.startswith("%"):
        uri = f"sip:%{ord(sender.aor[4]):x}" + sender.aor[5:]
    elif uri == "{upper}":
        uri = sender.aor.replace("@example.net", "@EXAMPLE.net")
    uri = uri.format(sender.aor)
    headers = [("Event", "presence"), ("Contact", f"<{sender.contact}>")] if method == "SUBSCRIBE" else \
        [("Content-Type", "text/plain")]
    answer = sender.exchange(signed(sender, method, headers=headers, authorization=lambda challenge, nc: digest(
        challenge, method, uri, sender.username, sender.password, nc)))
    assert answer.code in (200, 202), answer.raw


# ---- tags, branches, names ----

@pytest.mark.parametrize("tag", ["YWxpY2U=", "a/b+c==", "{9F-1A}", "a:b@c", "a|b^c&d", "#1$2?3(4)", "[x]"])
def test_a_tag_comes_back_byte_for_byte(alice, tag):
    branch = "z9hG4bK" + secrets.token_hex(4) + tag
    answer = alice.exchange(signed(alice, "MESSAGE", headers=[("Content-Type", "text/plain")], body=b"x", tag=tag,
                                   branch=branch, call_id=secrets.token_hex(8)))
    assert answer.code in (200, 202), answer.raw
    assert answer.branch == branch and answer.get("from").endswith(f";tag={tag}")
    again = signed(alice, "SUBSCRIBE", headers=[("Event", "presence"), ("Contact", f"<{alice.contact}>")], tag=tag)
    answer = alice.exchange(again)
    assert answer.code == 200, answer.raw
    notify = alice.next_request()
    assert notify.method == "NOTIFY" and notify.get("to").endswith(f";tag={tag}")


@pytest.mark.parametrize("tag", ["a=", "b/c==", "{1}"])
def test_a_to_tag_of_another_server_is_read(sender, tag):
    raw = sender.build("BYE", sender.aor, [("To", f"<{sender.aor}>;tag={tag}")])
    answer = sender.exchange(raw)
    assert answer.code == 481 and answer.get("to").endswith(f";tag={tag}")


@pytest.mark.parametrize("name", ["Böb Ø", "Bob (work)", "Zoë / R&D", "alice@example.net", "[7] Bob #2", "日本語",
                                  "O'Neil = {x}", "名前 (自宅)"])
def test_a_name_needs_no_quotes(sender, name):
    value = f"{name} <{sender.aor}>;tag=1"
    answer = sender.exchange(signed(sender, "MESSAGE", headers=[("Content-Type", "text/plain"), ("From", value)], body=b"x"))
    assert answer.code in (200, 202), answer.raw
    assert answer.get("from") == value
    answer = sender.exchange(signed(sender, "REGISTER", "sip:example.net", [
        ("Contact", f"{name} <{sender.contact}>"), ("To", f"{name} <{sender.aor}>")]))
    assert answer.code == 200 and list(answer.contacts) == [sender.contact]


@pytest.mark.parametrize("value", ["Bell, A <{}>;tag=1", '"Bell <{}>;tag=1', "a; b <{}>;tag=1", "Bob\x01 <{}>;tag=1",
                                   'B "b" <{}>;tag=1', "Bob <<{}>>;tag=1", "Bob <{}>;tag=a b"])
def test_what_is_no_name_is_refused(sender, value):
    raw = sender.build("MESSAGE", sender.aor, [("From", value.format(sender.aor))])
    assert sender.exchange(raw).code == 400


@pytest.mark.parametrize("params", [";rport=", ";", ";rport=;", ";;rport", "; ;rport ;", ";received=;rport", ";rport;x=",
                                    ";maddr=;rport", ";ttl=;rport="])
def test_an_empty_parameter_of_via_is_nothing(sender, params):
    branch = "z9hG4bK" + secrets.token_hex(8)
    for at in (f";branch={branch}{params}", f"{params};branch={branch}"):
        value = f"SIP/2.0/{sender.transport.upper()} {sender.local}:{sender.port}{at}"
        answer = sender.exchange(signed(sender, "MESSAGE", headers=[("Content-Type", "text/plain"), ("Via", value)],
                                       body=b"x", call_id=secrets.token_hex(8)))
        assert answer.code in (200, 202), answer.raw
        via = answer.get("via")
        if "rport" in params:
            assert re.search(rf";rport={sender.port}\b", via) and via.count("rport") == 1
        # and where it is refused
        branch = "z9hG4bK" + secrets.token_hex(8)
        value = f"SIP/2.0/{sender.transport.upper()} {sender.local}:{sender.port}{params};branch={branch}"
        refused = sender.exchange(sender.build("OPTIONS", "sip:example.net", [("Via", value), ("CSeq", "x OPTIONS")]))
        assert refused.code == 400 and refused.get("via").count("rport") == via.count("rport")


# ---- contacts ----

@pytest.mark.parametrize("params, expires, q", [
    (";q=.5", 600, "0.5"), (";expires=", 600, None), (";q=", 600, None), (";q=0.", 600, "0"), (";q=0.12345", 600, "0.123"),
    (";q=1.0000", 600, "1"), (";expires=;q=.25;", 600, "0.25"), (";;expires=70", 70, None), (";x=;ob", 600, None),
    (";reg-id=;q=.1", 600, "0.1")])
def test_a_contact_is_read_liberally(sender, params, expires, q):
    answer = sender.register(expires=600, contacts=[f"<{sender.contact}>{params}"])
    assert answer.code == 200, answer.raw
    assert answer.contacts == {sender.contact: expires}
    found = re.search(r";q=([0-9.]+)", answer.get("contact"))
    assert (found.group(1) if found else None) == q


@pytest.mark.parametrize("uri", ["sip:alice@my_phone.example.com", "sip:alice@127.0.0.1:9;", "sip:alice@127.0.0.1:9;x=y;",
                                 "sip:alice@127.0.0.1:9;;x", "sip:alice@_x.example.com:5070;transport=tcp;",
                                 "sip:a_b@h_1_2;ob", "sip:alice@phone_;"])
def test_a_contact_of_an_unusual_uri_is_bound_and_removed(alice, uri):
    answer = alice.register(expires=600, contacts=[f"<{uri}>"])
    assert answer.code == 200, answer.raw
    assert answer.contacts == {uri: 600}
    same = uri.rstrip(";").replace(";;", ";")
    answer = alice.register(contacts=[f"<{same}>;expires=0"])
    assert answer.code == 200 and answer.contacts == {}


@pytest.mark.parametrize("params", [";q=2", ";q=-1", ";q=high", ";q=1.5", ";expires=4294967296"])
def test_a_contact_that_means_nothing_is_refused(sender, params):
    assert sender.register(expires=600, contacts=[f"<{sender.contact}>{params}"]).code == 400


# ---- the server's own names ----

@pytest.fixture(name="named", scope="module")
def fixture_named(systems):
    return systems("named", {"RESTSIP_DEMO": "no", "RESTSIP_AGENT_ALIASES": "sip.example.org, 192.0.2.77 [2001:db8::77]"})


@pytest.fixture(name="guest", params=["udp", "tcp"])
def fixture_guest(request, named):
    """A phone that knows the server by another name than its user's domain."""
    alice = new_account(named, "alice")
    made = alice.credential()
    with Phone(named.sip, alice.email.split("@")[0], made["password"], transport=request.param) as p:
        p.email = alice.email
        yield p


@pytest.mark.parametrize("host", ["{host}", "{host}:{port}", "sip.example.org", "SIP.Example.ORG:5070", "192.0.2.77",
                                  "192.0.2.77:5060", "[2001:db8:0::77]"])
def test_the_servers_address_stands_for_the_domain(guest, host):
    host = host.format(host=guest.server[0], port=guest.server[1])
    guest.domain = host
    answer = guest.register(contacts=[f"<sip:x@127.0.0.1:{guest.port};transport={guest.transport}>"])
    assert answer.code == 200, answer.raw
    assert 'realm="example.net"' in guest.challenge
    assert guest.message(guest.aor).code == 200
    request = guest.next_request()
    assert request.method == "MESSAGE" and f"<sip:{guest.email}>" in request.get("from")
    assert guest.publish(PIDF % guest.aor).code == 200
    subscribed = guest.subscribe(guest.aor, "reg")
    assert subscribed.answer.code == 200
    assert f'aor="sip:{guest.email}"' in guest.next_request().body.decode()
    assert guest.exchange(guest.build("OPTIONS", f"sip:{host}")).code == 200


@pytest.mark.parametrize("host", ["192.0.2.78", "example.org", "{host}:1", "127.0.0.250", "sip.example.org.example.com"])
def test_other_addresses_are_not_our_domain(guest, host):
    guest.domain = host.format(host=guest.server[0])
    assert guest.register().code in (403, 404)
    answer = guest.request("REGISTER", "sip:example.net", [("Contact", f"<sip:x@127.0.0.1:{guest.port}>")])
    assert answer.code == 403


def test_where_two_domains_are_hosted_no_address_is_one_of_them(systems):
    two = systems("two", {"RESTSIP_DEMO": "no", "RESTSIP_HTTP_DOMAINS": "example.net example.com",
                          "RESTSIP_AGENT_ALIASES": "sip.example.org"})
    alice = new_account(two, "alice")
    made = alice.credential()
    for host in (two.sip[0], f"{two.sip[0]}:{two.sip[1]}", "sip.example.org"):
        with Phone(two.sip, alice.email.split("@")[0], made["password"], domain=host) as p:
            assert p.request("REGISTER", "sip:example.net", [("Contact", f"<{p.contact}>")]).code == 403


# ---- how contacts end (RFC 3680, section 5.3) ----

def registration(notify):
    """State of the registration, and (uri, state, event) of each contact."""
    text = notify.body.decode()
    contacts = re.findall(r'<contact id="c\d+" state="(\w+)" event="(\w+)".*?<uri>([^<]*)</uri>', text)
    return re.search(r'<registration [^>]*state="(\w+)"', text).group(1), sorted((u, s, e) for s, e, u in contacts)


def ended_by(how, p, alice):
    """Ends the one contact of a phone; what subscribers are to be told of it."""
    if how == "unregister":
        assert p.register(expires=0).code == 200
    elif how == "star":
        assert p.register(expires=0, contacts=["*"]).code == 200
    elif how == "rest":
        assert alice.request("DELETE", alice.login).ok
    elif how == "expire":
        alice.system.query_owner("update app.login l set expires_at = now(), sweep_at = now() from app.account a "
                                 "where a.id = l.account_id and a.email = %s returning l.id", (alice.email,))
        return "expired"
    elif how == "close":
        p.close()
        return "deactivated"
    elif how == "credential":
        assert alice.request("DELETE", f"/user/me/credential/{p.n}", auth=alice.auth).ok
        return "rejected"
    return "unregistered"


@pytest.mark.parametrize("how", ["unregister", "star", "rest", "expire", "close", "credential"])
def test_how_the_last_contact_ended_is_told_once(account, phone, how):
    alice = account("alice")
    watcher, p = phone(alice), phone(alice, transport="tcp")
    p.n = max(row["id"] for row in alice.request("GET", "/user/me/credential").json())
    assert watcher.subscribe(alice_aor := p.aor, "reg").answer.code == 200
    assert registration(watcher.next_request()) == ("init", [])
    assert p.register().code == 200
    contact = p.contact
    assert registration(watcher.next_request()) == ("active", [(contact, "active", "registered")])
    event = ended_by(how, p, alice)
    assert registration(watcher.next_request()) == ("terminated", [(contact, "terminated", event)])
    other = phone(alice)
    assert other.register().code == 200
    assert registration(watcher.next_request()) == ("active", [(other.contact, "active", "registered")])
    assert alice_aor == watcher.aor


def test_one_of_two_contacts_that_ends_is_told_beside_the_other(account, phone):
    alice = account("alice")
    watcher, late = phone(alice), phone(alice)
    assert watcher.register(contacts=["<sip:a@127.0.0.1:9>", "<sip:b@127.0.0.1:9>"]).code == 200
    assert watcher.subscribe(watcher.aor, "reg").answer.code == 200
    assert registration(watcher.next_request())[0] == "active"
    assert watcher.register(contacts=["<sip:a@127.0.0.1:9>;expires=0"]).code == 200
    assert registration(watcher.next_request()) == ("active", [
        ("sip:a@127.0.0.1:9", "terminated", "unregistered"), ("sip:b@127.0.0.1:9", "active", "registered")])
    # who comes later is told how it is, not how it was
    assert late.subscribe(late.aor, "reg").answer.code == 200
    assert registration(late.next_request()) == ("active", [("sip:b@127.0.0.1:9", "active", "registered")])


# ---- addresses without brackets (RFC 5118, section 4.2), and what is refused alike over TCP ----

BARE = "2001:db8::10"


@pytest.mark.parametrize("where, value", [
    ("uri", f"sip:{BARE}"), ("uri", f"sip:alice@{BARE}"), ("From", f"<sip:alice@{BARE}>;tag=1"), ("To", f"sip:{BARE}"),
    ("Contact", f"<sip:alice@{BARE}>"), ("Contact", f"sip:alice@{BARE};expires=60"), ("To", f"<sip:alice@{BARE};x=y>"),
    ("Via", f"SIP/2.0/{{}} {BARE};branch={{}}"), ("uri", "sip:alice@[2001:db8::10"), ("uri", "sip:[2001:db8:::10]"),
    ("Contact", "<sip:alice@[::g]:5070>"), ("From", "<sips:alice@::1>;tag=1"), ("uri", f"sip:alice@{BARE}:5060;lr")])
@pytest.mark.parametrize("method", ["REGISTER", "SUBSCRIBE"])
def test_an_ipv6_address_needs_its_brackets(sender, method, where, value):
    uri, headers = ("sip:example.net", [(where, value)]) if where != "uri" else (value, [])
    if where == "Via":
        headers = [(where, value.format(sender.transport.upper(), "z9hG4bK" + secrets.token_hex(8)))]
    if method == "SUBSCRIBE":
        headers = [("Event", "presence"), *headers]
    raw = sender.build(method, uri, headers)
    assert sender.exchange(raw).code == 400


@pytest.mark.parametrize("where, value", [
    ("Contact", "<sip:alice@[2001:db8::10]:5070>"), ("Contact", "<sip:alice@[2001:db8::10:5070]>;expires=60"),
    ("Contact", "<sip:alice@[::ffff:192.0.2.10]>"), ("From", "<sip:alice@[2001:db8::1]>;tag=1"),
    ("To", "<sip:alice@[2001:db8::1]:5060>"), ("Via", "SIP/2.0/{} [2001:db8::9]:7;branch={};rport"),
    ("Via", "SIP/2.0/{} [2001:db8::9];received=2001:db8::9:255;branch={};rport"),
    ("Via", "SIP/2.0/{} [2001:db8::9];received=[2001:db8::9:255];branch={};rport"),
    ("To", "<sip:alice@[2001:db8:::192.0.2.1]>")])
def test_an_ipv6_address_in_brackets_is_taken(sender, where, value):
    if where == "Via":
        value = value.format(sender.transport.upper(), "z9hG4bK" + secrets.token_hex(8))
    assert sender.exchange(sender.build("OPTIONS", "sip:example.net", [(where, value)])).code == 200


@pytest.mark.parametrize("changes, code", [
    ([("CSeq: 1 ", "CSeq: x ")], 400), ([("Max-Forwards: 70", "Max-Forwards: 300")], 400), ([("From: ", "Frm: ")], 400),
    ([("Max-Forwards: 70", "Max-Forwards: 70\r\nBad Header: x")], 400),
    ([("Max-Forwards: 70", "Max-Forwards: 70\r\nno colon")], 400), ([("SIP/2.0\r\n", "SIP/3.0\r\n")], 505),
    ([("sip:example.net", "tel:+1")], 416), ([("sip:example.net", "sip:a b")], 400), ([("To: <", "To: \"<")], 400),
    ([("Max-Forwards: 70", "Max-Forwards: 70\r\nContact: <sip:a@b")], 400), ([("SIP/2.0/", "SIP/1.0/")], 400),
    ([("Max-Forwards: 70", "Max-Forwards: 70\r\nContent-Length: 0")], 400),
    ([("Max-Forwards: 70", "Max-Forwards: 70\r\nSubject: \x01")], 400), ([("OPTIONS sip", "OPTIONS  sip")], 400),
    ([("Max-Forwards: 70", "Max-Forwards: 70\r\nContent-Type: x")], 400), ([("1 OPTIONS", "1 OPTION")], 400)])
def test_a_bad_header_is_answered_over_tcp_as_over_udp(sender, changes, code):
    raw = replaced(sender.build("OPTIONS", "sip:example.net", cseq=1), *changes)
    sender.send(raw)
    answer = sender.responses.get(timeout=5)
    assert answer.code == code, answer.raw
    assert sender.exchange(sender.build("OPTIONS", "sip:example.net")).code == 200
