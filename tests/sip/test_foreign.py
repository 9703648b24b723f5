"""What is of another domain is refused, with one reason in every method."""
import socket

import pytest


def test_the_hosts_name_stands_for_the_domain(account, phone):
    one = phone(account("alice"))
    one.domain = socket.gethostname()
    assert one.register().code == 200
    assert 'realm="example.net"' in one.challenge


METHODS = ["INVITE", "MESSAGE", "OPTIONS", "PUBLISH", "SUBSCRIBE"]


@pytest.mark.parametrize("foreign", ["sip:x@example.com", "sip:x@sip.example.net", "sip:x@192.0.2.99", "sip:x@[2001:db8::99]"])
def test_a_foreign_request_uri_is_refused(account, phone, foreign):
    one = phone(account("alice"))
    said = {m: one.request(m, foreign, [("Event", "presence"), ("Contact", f"<{one.contact}>")]) for m in METHODS}
    assert {m: (a.code, a.reason) for m, a in said.items()} == {m: (404, "Not Our Domain") for m in METHODS}
    answer = one.request("REGISTER", foreign)
    assert (answer.code, answer.reason) == (403, "Not Our Domain")


@pytest.mark.parametrize("foreign", ["sip:x@example.com", "sip:x@192.0.2.99", "sip:x@[2001:db8::99]", "sip:example.com"])
def test_a_foreign_sender_is_refused(account, phone, foreign):
    one = phone(account("alice"))
    methods = [*(m for m in METHODS if m != "OPTIONS"), "REGISTER"]
    headers = [("Event", "presence"), ("Contact", f"<{one.contact}>")]
    said = {m: one.request(m, one.aor, headers, sender=foreign) for m in methods}
    assert {m: (a.code, a.reason) for m, a in said.items()} == {m: (403, "From Another Domain") for m in methods}


def test_who_registers_another_domain_is_refused(account, phone):
    one = phone(account("alice"))
    assert one.register(to=f"sip:{one.user}@example.com").code == 403


def test_whether_anybody_is_there_may_be_asked_by_all(account, phone):
    """Trunks and monitors ask from their own domain."""
    one = phone(account("alice"))
    assert one.request("OPTIONS", "sip:example.net", sender="sip:ping@example.com").code == 200
