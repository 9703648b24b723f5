"""MESSAGE both ways (RFC 3428): between phones, and between SEND and phones."""
import re
import secrets
import threading
import zlib

import pytest

from phone import Phone, digest
from restsip_system import Account

BINARY = bytes(range(256)) * 4


def send(sender, recipient, body=b"hello", content_type="text/plain"):
    """SEND by REST; returns what tells of its status later."""
    answer = sender.request("SEND", recipient.login, data=body, headers={"Content-Type": content_type})
    assert answer.status_code == 202, answer.text
    where = answer.headers["Location"]
    return lambda: sender.request("GET", where).json()


def delivered(status, code=200):
    return status()["status"] == "delivered" and status()["recipients"][0]["sip"]["code"] == code


# ---- SEND to phones ----

def test_one_id_leads_through_every_log(systems, until):
    """nginx's id of a SEND: in the answer, each program's log, the trace and on the wire."""
    system = systems("ids", {"RESTSIP_LOG_LEVEL": "debug"})
    alice, bob = [Account(system, f"{name}@example.net", f"{name}-demo") for name in ("alice", "bob")]
    with Phone(system.sip, "alice", "alice-demo") as p:
        p.register()
        answer = bob.request("SEND", alice.login, data=b"hello", headers={"Content-Type": "text/plain"})
        assert answer.status_code == 202, answer.text
        request_id = answer.headers["X-Request-Id"]
        assert re.fullmatch("[0-9a-f]{32}", request_id)
        assert p.next_request().get("x-request-id") == request_id

    def lines(name):
        return [line for line in system.log(name).splitlines() if f"request_id={request_id}" in line]
    assert "method=SEND" in until(lambda: lines("access"))[0]
    workers = [name for name in system.names() if name.startswith("restsip-api")]
    line, = until(lambda: [line for name in workers for line in lines(name)])
    assert "method=SEND" in line and "status=202" in line
    assert "event=delivery" in until(lambda: lines("restsip-agent"))[0]
    row, = system.query("select request_id from inspect.send where request_id = %s", [request_id])
    assert row["request_id"] == request_id

    answer = alice.request("GET", alice.login + "?stream", stream=True)
    request_id = answer.headers["X-Request-Id"]
    assert "event=stream" in until(lambda: lines("restsip-stream"))[0]
    answer.close()
    system.down()



@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("body,content_type", [
    (b"hello", "text/plain"), ("Grüße, 世界\r\n".encode(), "text/plain;charset=utf-8"), (b"", "text/plain"),
    (BINARY, "application/octet-stream"), (b"x\r\n\r\nSIP/2.0 200 OK\r\n\r\n\0\0", "application/json")])
def test_a_send_arrives_byte_for_byte(account, phone, until, transport, body, content_type):
    alice, bob = account("alice"), account("bob")
    p = phone(alice, transport=transport)
    p.register()
    status = send(bob, alice, body, content_type)
    m = p.next_request()
    assert (m.method, m.uri, m.body) == ("MESSAGE", p.contact, body)
    assert m.get("content-type") == content_type
    assert m.get("content-length") == str(len(body))
    assert m.get("from").startswith(f"<sip:{bob.email}>;tag=")
    assert m.get("to") == f"<sip:{alice.email}>"
    assert m.get("cseq") == "1 MESSAGE"
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", m.get("date"))
    until(lambda: delivered(status))


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_send_may_be_64_kib(account, phone, until, transport):
    alice, bob = account("alice"), account("bob")
    p = phone(alice, transport=transport)
    p.register()
    body = secrets.token_bytes(65536 if transport == "tcp" else 60000)
    status = send(bob, alice, body, "application/octet-stream")
    assert p.next_request().body == body
    until(lambda: delivered(status))


def test_what_no_datagram_holds_is_refused_at_once(account, phone, until, deliveries):
    """What is stored already waits for another contact, however often the phone registers."""
    alice, bob = account("alice"), account("bob")
    send(bob, alice, secrets.token_bytes(65500), "application/octet-stream")
    p = phone(alice)
    p.register()
    answer = bob.request("SEND", alice.login, data=secrets.token_bytes(65500))
    assert (answer.status_code, answer.json()["type"]) == (413, "/problems/content-too-large")
    answer = phone(bob, transport="tcp").message(p.aor, secrets.token_bytes(65500), "application/octet-stream")
    assert answer.code == 413
    p.register()
    assert [(d["state"], d["attempt"]) for d in deliveries(alice)] == [("stored", None)]
    over_tcp = phone(alice, transport="tcp")
    over_tcp.register()
    assert len(over_tcp.next_request(10).body) == 65500
    until(lambda: deliveries(alice)[0]["state"] == "delivered")


def test_it_goes_back_to_where_the_register_came_from(account, phone, until):
    """As behind a NAT: nobody is at the contact's address."""
    alice, bob = account("alice"), account("bob")
    p = phone(alice)
    answer = p.register(contacts=["<sip:alice@192.0.2.1:5060>"])
    assert list(answer.contacts) == ["sip:alice@192.0.2.1:5060"]
    status = send(bob, alice)
    assert p.next_request().uri == "sip:alice@192.0.2.1:5060"
    until(lambda: delivered(status))


def test_a_phone_that_does_not_ask_for_rport_gets_it_at_its_contact(account, phone):
    alice, bob = account("alice"), account("bob")
    p, other = phone(alice), phone(alice)
    for _ in range(2):
        via = ("Via", f"SIP/2.0/UDP 127.0.0.1:{p.port};branch=z9hG4bK{secrets.token_hex(8)}")
        p.register(contacts=[f"<{other.contact}>"], headers=[via])
    send(bob, alice)
    assert other.next_request().method == "MESSAGE"


def test_without_a_contact_it_is_stored_and_arrives_at_the_next_register(account, phone, until):
    alice, bob = account("alice"), account("bob")
    texts = [f"message {i}".encode() for i in range(5)]
    statuses = [send(bob, alice, text) for text in texts]
    assert [s()["status"] for s in statuses] == ["stored"] * 5
    p = phone(alice)
    p.register()
    assert sorted(p.next_request().body for _ in texts) == texts
    for status in statuses:
        until(lambda s=status: delivered(s))


@pytest.mark.parametrize("code,reason,state", [
    (202, "Accepted", "accepted"), (404, "Gone Fishing", "failed"), (488, "Not Here", "failed"),
    (603, "Decline", "failed"), (302, "Moved", "failed"), (401, "Unauthorized", "failed"), (501, "Never", "failed"),
    (480, "Not now", "stored"), (503, "Busy", "stored")])
def test_what_the_phone_says_becomes_the_status(account, phone, until, code, reason, state):
    alice, bob = account("alice"), account("bob")
    p = phone(alice, answer=(code, reason))
    p.register()
    status = send(bob, alice)
    until(lambda: status()["status"] == state)
    (recipient,) = status()["recipients"]
    assert recipient["sip"] == {"code": code, "reason": reason}
    assert len(p.seen) - 2 == 1, "once only, and no challenge is answered"


@pytest.mark.parametrize("codes", [(480, 415), (415, 480)])
def test_a_contact_that_is_away_is_waited_for_though_another_refuses(account, phone, until, codes):
    """In whichever order they say so."""
    alice, bob = account("alice"), account("bob")
    one, two = phone(alice, answer=None), phone(alice, answer=None)
    for p in (one, two):
        p.register()
    status = send(bob, alice, b"for who is away")
    for p, code in zip((one, two), codes):
        p.reply(p.next_request(), code)
        until(lambda c=code: c in [r.get("sip", {}).get("code") for r in status()["recipients"]])
    assert sorted(r["status"] for r in status()["recipients"]) == ["failed", "stored"]
    three = phone(alice)
    three.register()
    assert three.next_request().body == b"for who is away"
    until(lambda: status()["status"] == "delivered")


def test_every_contact_gets_it(account, phone, until, deliveries):
    alice, bob = account("alice"), account("bob")
    phones = [phone(alice), phone(alice, transport="tcp"), phone(alice, answer=486)]
    for p in phones:
        p.register()
    status = send(bob, alice, b"to all")
    assert [p.next_request().body for p in phones] == [b"to all"] * 3
    until(lambda: all(r["status"] in ("delivered", "failed") for r in status()["recipients"]))
    assert status()["status"] == "delivered"
    assert sorted(d["code"] for d in deliveries(alice)) == [200, 200, 486]


def test_a_device_gets_it_once_over_whichever_flow_works(account, phone, until, deliveries):
    """RFC 5626, section 7."""
    alice, bob = account("alice"), account("bob")
    one, two, other = phone(alice), phone(alice, transport="tcp"), phone(alice)
    for n, p in enumerate((one, two), 1):
        assert p.register(contacts=[f'<{p.contact};ob>;reg-id={n};+sip.instance="<urn:uuid:1>"'],
                          headers=[("Supported", "path, outbound")]).code == 200
    other.register()
    status = send(bob, alice, b"over the latest")
    assert two.next_request().body == other.next_request().body == b"over the latest"
    until(lambda: [r["status"] for r in status()["recipients"]] == ["delivered"] * 2)
    assert one.requests.empty()

    two.answer = None
    status = send(bob, alice, b"over the other")
    first = two.next_request()
    two.close()
    second = one.next_request()
    assert [second.get(h) for h in ("call-id", "cseq", "from")] == [first.get(h) for h in ("call-id", "cseq", "from")]
    until(lambda: [r["status"] for r in status()["recipients"]] == ["delivered"] * 2)
    assert len([m for m in other.seen if not m.is_response]) == 2, "another device has its own"


def test_a_path_becomes_a_route(account, phone):
    alice, bob = account("alice"), account("bob")
    p, edge = phone(alice), phone(alice)
    path = f"<sip:127.0.0.1:{edge.port};lr>, <sip:inner.example.net;lr>"
    for _ in range(2):
        via = ("Via", f"SIP/2.0/UDP 127.0.0.1:{p.port};branch=z9hG4bK{secrets.token_hex(8)}")
        p.register(contacts=[f"<{p.contact}>"], headers=[via, ("Path", path)])
    send(bob, alice)
    m = edge.next_request()
    assert m.uri == p.contact
    assert m.get("route") == path


def test_a_contact_by_rest_is_sent_to(account, phone, until):
    alice, bob = account("alice"), account("bob")
    p = phone(alice)
    answer = alice.request("POST", alice.login, json={"contact": p.contact})
    assert answer.status_code == 201, answer.text
    status = send(bob, alice)
    assert p.next_request().body == b"hello"
    until(lambda: delivered(status))


def test_only_allowed_addresses_are_sent_to(account, until):
    alice, bob = account("alice"), account("bob")
    answer = alice.request("POST", alice.login, json={"contact": "sip:alice@192.0.2.1:5060"})
    assert answer.status_code == 201, answer.text
    status = send(bob, alice)
    until(lambda: status()["status"] == "stored", 10)
    assert status()["recipients"][0]["sip"] == {"code": 480, "reason": "No answer from the contact"}


def test_a_connection_that_closes_is_told_at_once(account, phone, until, deliveries):
    alice, bob = account("alice"), account("bob")
    p = phone(alice, transport="tcp", answer=None)
    p.register()
    status = send(bob, alice)
    p.next_request()
    p.close()
    until(lambda: status()["status"] == "stored", 3)
    assert deliveries(alice)[0]["code"] == 430
    again = phone(alice)
    again.register()
    assert again.next_request().body == b"hello"
    until(lambda: delivered(status))


# ---- MESSAGE from phones ----

@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_message_reaches_another_phone(account, phone, system, transport):
    alice, bob = account("alice"), account("bob")
    a, b = phone(alice, transport=transport), phone(bob)
    a.register()
    b.register()
    assert b.message(f"sip:{alice.email}", BINARY, "application/octet-stream").code == 200
    m = a.next_request()
    assert (m.body, m.get("content-type")) == (BINARY, "application/octet-stream")
    assert m.get("from").startswith(f"<sip:{bob.email}>;tag=")
    (row,) = system.query("select * from inspect.send where recipient = %s", [alice.email])
    assert (row["sender"], row["status"], row["size"]) == (bob.email, "delivered", len(BINARY))


def test_an_open_stream_makes_it_200(account, phone, system):
    alice, bob = account("alice"), account("bob")
    with system.request("GET", alice.login + "?stream", headers=alice.headers, stream=True) as stream:
        lines = stream.iter_lines()
        next(lines)
        assert phone(bob).message(f"sip:{alice.email}", "to the web").code == 200
        assert b"to the web" in next(line for line in lines if b'"message"' in line)


def test_a_sender_need_not_register(account, phone):
    alice, bob = account("alice"), account("bob")
    a = phone(alice)
    a.register()
    assert phone(bob).message(f"sip:{alice.email}").code == 200
    assert a.next_request().body == b"hello"


def test_to_nobody_there_it_is_202_and_stored(account, phone, system):
    alice, bob = account("alice"), account("bob")
    assert phone(bob).message(f"sip:{alice.email}", "later").code == 202
    (row,) = system.query("select * from inspect.send where recipient = %s", [alice.email])
    assert row["status"] == "stored"
    a = phone(alice)
    a.register()
    assert a.next_request().body == b"later"


def test_what_the_recipient_says_reaches_the_sender(account, phone):
    alice, bob = account("alice"), account("bob")
    a = phone(alice, answer=(486, "Busy Here"))
    a.register()
    assert phone(bob).message(f"sip:{alice.email}").code == 486


def test_a_challenge_of_the_recipient_is_not_passed_on(account, phone):
    alice, bob = account("alice"), account("bob")
    a = phone(alice, answer=401)
    a.register()
    assert phone(bob).message(f"sip:{alice.email}").code == 480


def test_a_slow_recipient_gives_202_within_four_seconds(account, phone, until, system):
    alice, bob = account("alice"), account("bob")
    a = phone(alice, answer=None)
    a.register()
    b = phone(bob)
    b.register(contacts=[])
    assert b.message(f"sip:{alice.email}", timeout_s=8).code == 202
    a.reply(a.next_request(), 200)
    until(lambda: system.query("select status from inspect.send where recipient = %s", [alice.email])[0]["status"]
          == "delivered")


def test_a_large_message_by_tcp(account, phone):
    alice, bob = account("alice"), account("bob")
    a, b = phone(alice, transport="tcp"), phone(bob, transport="tcp")
    a.register()
    b.register()
    body = secrets.token_bytes(65536)
    assert b.message(f"sip:{alice.email}", body, "application/octet-stream").code == 200
    assert a.next_request().body == body
    assert b.message(f"sip:{alice.email}", body + b"x", "application/octet-stream").code == 413


def test_an_unknown_user_is_404(account, phone):
    assert phone(account()).message(f"sip:nobody-{secrets.token_hex(4)}@example.net").code == 404


def test_nothing_is_relayed(account, phone):
    assert phone(account()).message("sip:somebody@example.org").code == 404


def test_from_must_be_the_user(account, phone, system):
    alice, bob, carol = account("alice"), account("bob"), account("carol")
    assert phone(bob).message(f"sip:{alice.email}", sender=f"sip:{carol.email}").code == 403
    assert not system.query("select * from inspect.send where recipient = %s", [alice.email])


def test_without_credentials_nothing_happens(account, phone, system):
    alice, bob = account("alice"), account("bob")
    assert phone(bob).message(f"sip:{alice.email}", auth=False).code == 401
    assert not system.query("select * from inspect.send where recipient = %s", [alice.email])


@pytest.mark.parametrize("content_type,headers,code", [
    (None, [], 415), ("text/plain", [("Content-Encoding", "gzip")], 415),
    ("text/plain", [("Content-Encoding", "deflate")], 400),
    ("text/" + "x" * 300, [], 400)])
def test_a_body_must_say_what_it_is(account, phone, content_type, headers, code):
    alice, bob = account("alice"), account("bob")
    answer = phone(bob).message(f"sip:{alice.email}", "hello", content_type, headers)
    assert answer.code == code


def test_a_folded_content_type_is_one_line(account, phone):
    alice, bob = account("alice"), account("bob")
    a = phone(alice)
    a.register()
    assert phone(bob).message(f"sip:{alice.email}", content_type="text/plain;\r\n charset=utf-8").code == 200
    assert a.next_request().get("content-type") == "text/plain; charset=utf-8"


def test_an_empty_message_passes(account, phone):
    alice, bob = account("alice"), account("bob")
    a = phone(alice)
    a.register()
    assert phone(bob).message(f"sip:{alice.email}", b"", None).code == 200
    assert a.next_request().body == b""


def test_a_retransmission_is_one_message(account, phone, system):
    alice, bob = account("alice"), account("bob")
    a, b = phone(alice), phone(bob)
    a.register()
    b.challenge = b.message(f"sip:{alice.email}", auth=False).get("www-authenticate")
    uri = f"sip:{alice.email}"
    raw = b.build("MESSAGE", uri, [("Content-Type", "text/plain"), ("Authorization", digest(
        b.challenge, "MESSAGE", uri, b.username, b.password))], b"once")
    for _ in range(5):
        b.send(raw)
    first = b.responses.get(timeout=5)
    assert first.code == 200
    assert b.exchange(raw).raw == first.raw
    assert a.next_request().body == b"once"
    assert a.requests.empty()
    assert len(system.query("select * from inspect.send where recipient = %s", [alice.email])) == 1


def test_an_equal_message_in_another_transaction_is_one_message(account, phone, system):
    """What a restarted agent, or another one, sees of a retransmission."""
    alice, bob = account("alice"), account("bob")
    b = phone(bob)
    same = {"call_id": secrets.token_hex(8), "tag": secrets.token_hex(4)}
    b.challenge = b.message(f"sip:{alice.email}", auth=False).get("www-authenticate")
    first = b.message(f"sip:{alice.email}", cseq=7, headers=[("To", f"<sip:{alice.email}>;tag=1")], **same)
    second = b.message(f"sip:{alice.email}", cseq=7, headers=[("To", f"<sip:{alice.email}>;tag=1")], **same)
    assert (first.code, second.code) == (202, 202)
    assert len(system.query("select * from inspect.send where recipient = %s", [alice.email])) == 1


def test_equal_messages_to_two_are_two(account, phone):
    """What a phone sends on to several under one Call-ID and CSeq."""
    alice, carol, bob = account("alice"), account("carol"), account("bob")
    a, c, b = phone(alice), phone(carol), phone(bob)
    assert a.register().code == c.register().code == 200
    b.challenge = b.message(f"sip:{alice.email}", auth=False).get("www-authenticate")
    same = {"call_id": secrets.token_hex(8), "tag": secrets.token_hex(4), "cseq": 7}
    for p, other in ((a, alice), (c, carol)):
        to = ("To", f"<sip:{other.email}>;tag=1")
        assert b.message(f"sip:{other.email}", "to both", headers=[to], **same).code == 200
        assert p.next_request().body == b"to both"


def test_a_hundred_messages_all_arrive(account, phone):
    alice, bob = account("alice"), account("bob")
    a = phone(alice)
    a.register()
    phones = [phone(bob) for _ in range(10)]
    codes = []

    def talk(p, i):
        codes.extend(p.message(f"sip:{alice.email}", f"{i}-{k}").code for k in range(10))

    threads = [threading.Thread(target=talk, args=(p, i)) for i, p in enumerate(phones)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert codes == [200] * 100
    bodies = sorted(m.body.decode() for m in a.next_requests(100))
    assert bodies == sorted(f"{i}-{k}" for i in range(10) for k in range(10))


def test_a_deflated_body_is_inflated(account, phone):
    """As linphone sends what it has to say of a message."""
    alice, bob = account("alice"), account("bob")
    a, b = phone(alice), phone(bob)
    a.register()
    body = b"<note>" + b"x" * 60000 + b"</note>"
    headers = [("Content-Encoding", "deflate")]
    assert b.message(f"sip:{alice.email}", zlib.compress(body), "application/vnd.receipt+xml", headers).code == 200
    m = a.next_request()
    assert (m.body, m.get("content-type"), m.get("content-encoding")) == (body, "application/vnd.receipt+xml", None)
    bomb = zlib.compress(b"\0" * 65537)
    assert b.message(f"sip:{alice.email}", bomb, "application/vnd.receipt+xml", headers).code == 413
