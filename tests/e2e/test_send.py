"""SEND and CANCEL, and what stands for them."""
import concurrent.futures
import socket

import pytest

from answers import TIME, is_json, is_problem, time_in
from restsip_system import until

TEXT = {"Content-Type": "text/plain"}


def send(who, to, body=b"hello", headers=None, query="", status=202):
    answer = who.request("SEND", to.login + query, data=body, headers={**TEXT, **(headers or {})})
    assert answer.status_code == status, (answer.status_code, answer.text)
    return answer.json()


def kept(system, to, made):
    """Type and bytes of a message as they stand in the database."""
    row, = system.query_owner("""select s.content_type, s.body, s.sender from app.send s
        join app.account a on a.id = s.account_id where a.email = %s and s.n = %s""", (to.email, made["id"]))
    return row


class Taker(socket.socket):
    """A UDP socket that says that somebody is there, and of messages nothing."""

    def recvfrom(self, size):
        while True:
            data, source = super().recvfrom(size)
            if not data.startswith(b"OPTIONS "):
                return data, source
            copied = [line for line in data.decode().split("\r\n")
                      if line.split(":")[0] in ("Via", "From", "To", "Call-ID", "CSeq")]
            self.sendto("\r\n".join(["SIP/2.0 200 OK", *copied, "Content-Length: 0", "", ""]).encode(), source)

    def recv(self, size):
        return self.recvfrom(size)[0]


@pytest.fixture
def silent():
    """The SIP URI of a UDP port where whoever listens never answers a message."""
    with Taker(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.bind(("127.0.0.1", 0))
        phone.settimeout(10)
        yield phone, f"sip:silent@127.0.0.1:{phone.getsockname()[1]}"


# ---- sending ----

def test_a_message_for_nobody_yet_is_stored(account):
    alice, bob = account("alice"), account("bob")
    answer = bob.request("SEND", alice.login, data=b"hello", headers=TEXT)
    body = is_json(answer, 202)
    assert body["url"] == answer.headers["Location"] == f"{alice.login}/{body['id']}"
    assert body["status"] == "stored" and body["from"] == bob.email and body["to"] == alice.email
    assert body["content_type"] == "text/plain" and body["size"] == 5 and TIME.match(body["created_at"])
    assert [r["status"] for r in body["recipients"]] == ["stored"]
    got = bob.request("GET", body["url"])
    assert is_json(got) == body and got.headers["ETag"] == answer.headers["ETag"]


@pytest.mark.parametrize("body", [
    b"", b"x", bytes(range(256)), b"\0", b"\r\n\r\n", '{"command":"invite","url":"/call/123","id":567}'.encode(),
    "ä☃😀".encode(), b"\xff\xfe broken", b"{" * 1000, b"x" * 65536,
], ids=lambda body: f"{len(body)}-bytes")
def test_a_body_is_kept_byte_for_byte(system, quick, quick_bob, body):
    alice, bob = quick, quick_bob
    made = send(bob, alice, body, {"Content-Type": "application/x-any; a=\"b c\""})
    row = kept(system, alice, made)
    assert bytes(row["body"]) == body
    assert row["content_type"] == 'application/x-any; a="b c"' and row["sender"] == bob.email
    assert made["size"] == len(body)


def test_a_body_that_is_too_large_is_refused(quick, quick_bob):
    alice, bob = quick, quick_bob
    answer = bob.request("SEND", alice.login, data=b"x" * 65537, headers=TEXT)
    is_problem(answer, 413, "content-too-large")
    answer = bob.request("SEND", alice.login, data=b"x" * 200000, headers=TEXT)
    assert answer.status_code == 413 and answer.headers["Content-Type"] == "application/problem+json"


def test_a_body_in_chunks_arrives_whole(system, quick, quick_bob):
    alice, bob = quick, quick_bob
    made = send(bob, alice, iter([b"a" * 5000, b"b" * 5000, b"c"]))
    assert bytes(kept(system, alice, made)["body"]) == b"a" * 5000 + b"b" * 5000 + b"c"


def test_without_a_type_it_is_bytes(system, quick, quick_bob):
    alice, bob = quick, quick_bob
    made = bob.request("SEND", alice.login, data=b"x", headers={"Content-Type": None}).json()
    assert kept(system, alice, made)["content_type"] == "application/octet-stream"


@pytest.mark.parametrize("kind", ["text", "text/", "te xt/plain", "text/plain; ä", "x" * 300 + "/y"])
def test_a_type_that_is_none_is_refused(quick, quick_bob, kind):
    alice, bob = quick, quick_bob
    is_problem(bob.request("SEND", alice.login, data=b"x", headers={"Content-Type": kind.encode()}), 400)


def test_a_body_cannot_change_the_sender(system, quick, quick_bob):
    alice, bob = quick, quick_bob
    made = send(bob, alice, b'{"from":"eve@example.net"}', {"From": "eve@example.net"})
    assert made["from"] == bob.email == kept(system, alice, made)["sender"]


def test_sending_to_oneself(account):
    alice = account("alice")
    answer = alice.request("SEND", "/login/me", data=b"note", headers=TEXT)
    assert is_json(answer, 202)["url"].startswith(alice.login)


def test_every_contact_is_a_recipient(account, silent):
    alice, bob = account("alice"), account("bob")
    _, uri = silent
    other = uri.replace("silent", "other")
    made = is_json(alice.request("POST", alice.login, json=[uri, other]), 201)
    recipients = send(bob, alice)["recipients"]
    assert sorted(r["contact"] for r in recipients) == sorted([uri, other])
    assert all(r["status"] in ("queued", "sending") for r in recipients)
    one = bob.request("SEND", made[1]["self"], data=b"x", headers=TEXT)
    assert [r["contact"] for r in is_json(one, 202)["recipients"]] == [other]


def test_a_contact_gets_the_message_over_sip(account, silent):
    alice, bob = account("alice"), account("bob")
    phone, uri = silent
    alice.request("POST", alice.login, json={"contact": uri})
    send(bob, alice, b"over sip")
    packet = phone.recv(65535)
    head, _, body = packet.partition(b"\r\n\r\n")
    assert head.startswith(b"MESSAGE " + uri.encode() + b" SIP/2.0\r\n")
    assert bob.email.encode() in head and body == b"over sip"


def test_the_outcome_is_shown_to_the_sender(account, silent, until):
    alice, bob = account("alice"), account("bob")
    phone, uri = silent
    alice.request("POST", alice.login, json={"contact": uri})
    made = send(bob, alice)
    packet, source = phone.recvfrom(65535)
    lines = packet.decode().split("\r\n")
    copied = [line for line in lines if line.split(":")[0] in ("Via", "From", "To", "Call-ID", "CSeq")]
    phone.sendto("\r\n".join(["SIP/2.0 486 Busy Here", *copied, "Content-Length: 0", "", ""]).encode(), source)
    item = until(lambda: (i := bob.request("GET", made["url"]).json())["status"] == "failed" and i)
    assert item["recipients"][0]["sip"] == {"code": 486, "reason": "Busy Here"}


def test_offline_no_wants_somebody_there(quick, quick_bob):
    alice, bob = quick, quick_bob
    answer = bob.request("SEND", alice.login + "?offline=no", data=b"x", headers=TEXT)
    is_problem(answer, 409, "not-reachable")
    send(bob, alice, query="?offline=yes")
    is_problem(bob.request("SEND", alice.login + "?offline=maybe", data=b"x", headers=TEXT), 400,
               "invalid-parameter")


def test_who_may_send_and_to_whom(system, quick, quick_bob):
    alice, bob = quick, quick_bob
    is_problem(system.request("SEND", alice.login, data=b"x", headers=TEXT), 401)
    is_problem(bob.request("SEND", "/login/nobody@example.net", data=b"x", headers=TEXT), 404, "user-not-found")
    is_problem(bob.request("SEND", "/login/nobody", data=b"x", headers=TEXT), 404, "user-not-found")
    is_problem(bob.request("SEND", alice.login + "/999", data=b"x", headers=TEXT), 404, "contact-not-found")


def test_a_message_is_its_senders_and_recipients(account):
    alice, bob, carol = account("alice"), account("bob"), account("carol")
    made = send(bob, alice)
    assert bob.request("GET", made["url"]).status_code == 200
    is_problem(carol.request("GET", made["url"]), 404)
    for method in ("PUT", "DELETE"):
        is_problem(alice.request(method, made["url"], json={} if method == "PUT" else None), 404)


def test_numbers_name_a_contact_or_a_message_never_both(quick, quick_bob):
    alice, bob = quick, quick_bob
    numbers = []
    for _ in range(3):
        numbers.append(send(bob, alice)["id"])
        numbers.append(alice.request("POST", alice.login, json={"contact": f"sip:{len(numbers)}@192.0.2.1"}).json()["id"])
    assert len(set(numbers)) == 6


# ---- later ----

def test_a_message_can_be_sent_later(account, silent, until):
    alice, bob = account("alice"), account("bob")
    phone, uri = silent
    alice.request("POST", alice.login, json={"contact": uri})
    made = send(bob, alice, b"later", query=f"?send_at={time_in(1)}")
    assert made["status"] == "queued" and TIME.match(made["send_at"])
    assert phone.recv(65535).endswith(b"\r\n\r\nlater")


def test_what_is_to_be_sent_later_can_be_taken_back(quick, quick_bob):
    alice, bob = quick, quick_bob
    made = send(bob, alice, query=f"?send_at={time_in(3600)}")
    assert is_json(bob.request("CANCEL", made["url"]))["status"] == "cancelled"


@pytest.mark.parametrize("when", ["", "tomorrow", "now", "2026-13-01T00:00:00Z", "2026-01-01", "infinity",
                                  "2026-01-01T00:00:00", "999999-01-01T00:00:00Z", "2026-02-30T00:00:00Z"])
def test_a_time_that_is_none_is_refused(quick, quick_bob, when):
    alice, bob = quick, quick_bob
    is_problem(bob.request("SEND", f"{alice.login}?send_at={when}", data=b"x", headers=TEXT), 400)


# ---- taking back ----

def test_a_stored_message_can_be_taken_back(quick, quick_bob):
    alice, bob = quick, quick_bob
    made = send(bob, alice)
    for _ in range(2):
        body = is_json(bob.request("CANCEL", made["url"]))
        assert body["id"] == made["id"] and body["status"] == "cancelled"
        assert [r["status"] for r in body["recipients"]] == ["cancelled"]


def test_what_is_on_its_way_cannot_be_taken_back(account, silent):
    alice, bob = account("alice"), account("bob")
    phone, uri = silent
    alice.request("POST", alice.login, json={"contact": uri})
    made = send(bob, alice)
    phone.recv(65535)
    for _ in range(2):
        body = is_problem(bob.request("CANCEL", made["url"]), 409)
        assert [r["status"] for r in body["recipients"]] == ["sending"]
        assert body["recipients"][0]["contact"] == uri


def test_only_the_sender_takes_back(system, account):
    alice, bob, carol = account("alice"), account("bob"), account("carol")
    made = send(bob, alice)
    for who in (alice, carol):
        is_problem(who.request("CANCEL", made["url"]), 404, "message-not-found")
    is_problem(system.request("CANCEL", made["url"]), 401)
    is_problem(bob.request("CANCEL", alice.login + "/999"), 404, "message-not-found")
    contact = alice.request("POST", alice.login, json={"contact": "sip:a@192.0.2.1"}).json()
    is_problem(alice.request("CANCEL", contact["self"]), 404, "message-not-found")
    is_problem(bob.request("CANCEL", alice.login), 405)


def test_cancel_and_claim_race_without_a_message_lost_or_sent_twice(account, silent):
    alice, bob = account("alice"), account("bob")
    phone, uri = silent
    alice.request("POST", alice.login, json={"contact": uri})
    cancelled, sent = [], []
    for i in range(30):
        made = send(bob, alice, f"race {i}".encode())
        code = bob.request("CANCEL", made["url"]).status_code
        assert code in (200, 409)
        (cancelled if code == 200 else sent).append(f"race {i}".encode())
    arrived = set()
    phone.settimeout(3)
    while not set(sent) <= arrived:
        arrived.add(phone.recv(65535).partition(b"\r\n\r\n")[2])
    assert not arrived & set(cancelled)


# ---- what stands for SEND and CANCEL ----

@pytest.mark.parametrize("word", ["messages", "message"])
def test_a_post_stands_for_send_and_a_delete_for_cancel(system, quick, quick_bob, word):
    alice, bob = quick, quick_bob
    made = is_json(bob.request("POST", f"{alice.login}/{word}", data=b"x", headers=TEXT), 202)
    assert bytes(kept(system, alice, made)["body"]) == b"x"
    assert is_json(bob.request("DELETE", f"{alice.login}/{word}/{made['id']}"))["status"] == "cancelled"
    is_problem(alice.request("DELETE", f"{alice.login}/{word}/{made['id']}"), 404, "message-not-found")


def test_a_header_overrides_post(quick, quick_bob):
    alice, bob = quick, quick_bob
    headers = {**TEXT, "X-HTTP-Method-Override": "SEND"}
    made = is_json(bob.request("POST", alice.login, data=b"x", headers=headers), 202)
    cancel = {"X-HTTP-Method-Override": "CANCEL"}
    assert is_json(bob.request("POST", made["url"], headers=cancel))["status"] == "cancelled"
    is_problem(bob.request("POST", alice.login, data=b"x", headers={"X-HTTP-Method-Override": "NONSENSE"}), 405)
    # only of a POST: a GET is always safe
    assert bob.request("GET", alice.login, headers={"X-HTTP-Method-Override": "DELETE"}).status_code == 200


def test_what_overrides_is_authorised_as_what_it_stands_for(quick, quick_bob):
    alice, bob = quick, quick_bob
    alice.request("POST", alice.login, json={"contact": "sip:a@192.0.2.1"})
    is_problem(bob.request("POST", alice.login, headers={"X-HTTP-Method-Override": "DELETE"}), 403)


# ---- the same request again ----

def test_an_idempotency_key_sends_once(system, account):
    alice, bob = account("alice"), account("bob")
    key = {"Idempotency-Key": "send-1"}
    first, again = send(bob, alice, b"x", key), send(bob, alice, b"x", key)
    assert first["id"] == again["id"]
    answer = bob.request("SEND", alice.login, data=b"y", headers={**TEXT, **key})
    is_problem(answer, 422, "idempotency-key-reused")
    rows = system.query_owner("""select count(*) as n from app.send s join app.account a on a.id = s.account_id
        where a.email = %s""", (alice.email,))
    assert rows == [{"n": 1}]


def test_many_at_once_with_one_key_send_once(system, account):
    alice, bob = account("alice"), account("bob")
    bob.token()

    def one(_):
        headers = {**TEXT, "Idempotency-Key": "burst"}
        return bob.request("SEND", alice.login, data=b"x", headers=headers)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(16)))
    assert {a.status_code for a in answers} <= {202, 409}
    assert len({a.json()["id"] for a in answers if a.status_code == 202}) == 1
    rows = system.query_owner("""select count(*) as n from app.send s join app.account a on a.id = s.account_id
        where a.email = %s""", (alice.email,))
    assert rows == [{"n": 1}]


# ---- why ----

def test_a_trace_says_what_was_tried(account):
    alice, bob, carol = account("alice"), account("bob"), account("carol")
    sent = is_json(bob.request("SEND", alice.login, data="hi"), 202)
    trace = is_json(bob.request("GET", sent["url"] + "/trace"))
    assert trace["id"] == sent["id"] and [r["attempts"] for r in trace["recipients"]] == [[]]
    is_problem(carol.request("GET", sent["url"] + "/trace"), 404, "message-not-found")
    # port 9 of this machine: nobody takes it, and ICMP or the timer says so
    alice.request("POST", alice.login, json={"contact": "sip:alice@127.0.0.1:9"})
    tried = until(lambda: is_json(bob.request("GET", sent["url"] + "/trace"))["recipients"][0]["attempts"])
    assert tried[0]["attempt"] == 1 and tried[0]["contact"] == "sip:alice@127.0.0.1:9" and tried[0]["agent"]
