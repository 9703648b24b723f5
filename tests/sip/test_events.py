"""SUBSCRIBE and NOTIFY (RFC 6665): presence, reg and message-summary follow what REST and other phones do."""
import secrets
import time
import xml.etree.ElementTree as ET

import pytest

from phone import Phone

PIDF, REGINFO, SUMMARY = "application/pidf+xml", "application/reginfo+xml", "application/simple-message-summary"
PIDF_NS, REGINFO_NS = "{urn:ietf:params:xml:ns:pidf}", "{urn:ietf:params:xml:ns:reginfo}"


def bound(account, contact, **more):
    """A contact by REST; returns its path."""
    answer = account.request("POST", account.login, json={"contact": contact, **more})
    assert answer.status_code in (200, 201), answer.text
    return answer.json()["self"]


def as_rest(account, content_type):
    """The document as a GET of the login gives it."""
    return account.request("GET", account.login, headers={"Accept": content_type}).content.rstrip(b"\n")


def state(notify):
    """What Subscription-State says: (state, {parameter: value})."""
    first, *params = notify.get("subscription-state").split(";")
    return first, dict(p.split("=", 1) for p in params)


def summary(notify):
    return dict(line.split(": ", 1) for line in notify.body.decode().split("\r\n") if line)


def subscriptions(account):
    return account.system.query("select * from inspect.subscription where watcher = %s", [account.email])


def lost(account):
    """Which of its connections are known to be gone while what came over them is still subscribed to."""
    return [row["lost"] for row in account.system.query_owner(
        "select s.lost from app.subscription s join app.account a on a.id = s.watcher_id where a.email = %s"
        " and s.lost is not null", [account.email])]


# ---- what comes ----

@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_presence_follows_rest(account, phone, transport):
    alice, bob = account("alice"), account("bob")
    b = phone(bob, transport=transport)
    sub = b.subscribe(f"sip:{alice.email}", "presence")
    assert sub.answer.code == 200
    assert sub.answer.get("expires") == "600"
    assert sub.target.startswith("sip:127.0.0.1:")
    first = sub.next()
    assert first.body == as_rest(alice, PIDF)
    assert [e.text for e in ET.fromstring(first.body).iter(PIDF_NS + "basic")] == ["closed"]
    assert first.get("content-type") == PIDF
    assert first.get("event") == "presence"
    name, params = state(first)
    assert name == "active" and 590 <= int(params["expires"]) <= 600
    assert first.uri == b.contact
    assert first.get("to") == f"<{b.aor}>;tag={sub.tag}"
    assert first.get("from") == f"<sip:{alice.email}>;tag={sub.to_tag}"
    assert first.get("contact") == f"<{sub.target}>"

    where = bound(alice, "sip:alice@192.0.2.1")
    second = sub.next()
    assert second.body == as_rest(alice, PIDF)
    assert [e.text for e in ET.fromstring(second.body).iter(PIDF_NS + "basic")] == ["open"]
    alice.request("PUT", where, json={"presence": {"basic": "closed", "note": "at lunch"}})
    third = sub.next()
    assert b"at lunch" in third.body and third.body == as_rest(alice, PIDF)
    alice.request("DELETE", where)
    fourth = sub.next()
    assert [e.text for e in ET.fromstring(fourth.body).iter(PIDF_NS + "basic")] == ["closed"]
    cseqs = [int(m.get("cseq").split()[0]) for m in (first, second, third, fourth)]
    assert cseqs == [1, 2, 3, 4]
    assert len({(m.get("call-id"), m.get("to"), m.get("from")) for m in (first, second, third, fourth)}) == 1


def test_a_refresh_of_a_login_changes_no_presence(account, phone, until):
    alice, bob = account("alice"), account("bob")
    a, b = phone(alice), phone(bob)
    a.register()
    sub = b.subscribe(f"sip:{alice.email}", "presence")
    sub.next()
    for _ in range(3):
        assert a.register().code == 200
    until(lambda: not subscriptions(bob)[0]["due"])
    bound(alice, "sip:alice@192.0.2.1")
    assert sub.next().get("cseq") == "2 NOTIFY"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_reg_follows_both_doors_and_counts(account, phone, transport):
    alice, bob = account("alice"), account("bob")
    a, b = phone(alice), phone(bob, transport=transport)
    sub = b.subscribe(f"sip:{alice.email}", "reg")

    def contacts(notify):
        root = ET.fromstring(notify.body)
        assert notify.get("content-type") == REGINFO
        assert (root.get("state"), root.find(REGINFO_NS + "registration").get("aor")) == ("full", f"sip:{alice.email}")
        return int(root.get("version")), [e.find(REGINFO_NS + "uri").text for e in root.iter(REGINFO_NS + "contact")
                                          if e.get("state") == "active"]

    assert contacts(sub.next()) == (0, [])
    a.register()
    assert contacts(sub.next()) == (1, [a.contact])
    bound(alice, "sip:alice@192.0.2.7")
    assert contacts(sub.next()) == (2, [a.contact, "sip:alice@192.0.2.7"])
    a.register(expires=0)
    assert contacts(sub.next()) == (3, ["sip:alice@192.0.2.7"])


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_the_mailbox_lights_the_lamp(account, phone, transport):
    alice, bob = account("alice"), account("bob")
    a = phone(alice, transport=transport)
    sub = a.subscribe(a.aor, "message-summary", headers=[("Accept", SUMMARY)])
    first = sub.next()
    assert first.get("content-type") == SUMMARY
    assert summary(first) == {"Messages-Waiting": "no", "Message-Account": a.aor, "Voice-Message": "0/0 (0/0)"}
    made = bob.request("POST", f"/user/{alice.email}/messages", json={"type": "voice", "url": "https://example.org/1"})
    assert made.status_code == 201, made.text
    where = made.headers["Location"]
    second = summary(sub.next())
    assert (second["Messages-Waiting"], second["Voice-Message"]) == ("yes", "1/0 (0/0)")
    assert alice.request("PATCH", where, json={"seen": True}).status_code == 200
    third = summary(sub.next())
    assert (third["Messages-Waiting"], third["Voice-Message"]) == ("no", "0/1 (0/0)")
    assert alice.request("DELETE", where).status_code == 204
    assert summary(sub.next())["Voice-Message"] == "0/0 (0/0)"
    bob.request("POST", f"/user/{alice.email}/messages", json={"type": "video", "url": "https://example.org/2"})
    last = summary(sub.next())
    assert (last["Messages-Waiting"], last["Video-Message"]) == ("yes", "1/0 (0/0)")


def test_options_and_489_say_which_events(account, phone):
    p = phone(account())
    for answer in (p.exchange(p.build("OPTIONS", "sip:example.net")),
                   p.request("SUBSCRIBE", p.aor, [("Event", "refer"), ("Contact", f"<{p.contact}>")])):
        assert {e.strip() for e in answer.get("allow-events").split(",")} == {"conference", "dialog", "message-summary", "presence", "reg"}
    assert "SUBSCRIBE" in p.exchange(p.build("OPTIONS", "sip:example.net")).get("allow")


# ---- refusals ----

@pytest.mark.parametrize("event,headers,code", [
    ("dialogue", [], 489), ("presence.winfo", [], 489), ("presence;id=(x)", [], 400), ("presence x", [], 400),
    ("presence;id=a,b", [], 400), ("presence;id=a b", [], 400),
    (None, [], 489), ("presence", [("Accept", "application/xpidf+xml, text/*")], 406),
    ("presence", [("Accept", "")], 406), ("reg", [("Accept", PIDF)], 406),
    ("presence", [("Expires", "59")], 423), ("presence", [("Contact", None)], 400),
    ("presence", [("Contact", "<sip:x@192.0.2.1>, <sip:x@192.0.2.2>")], 400),
    ("presence", [("Contact", "<mailto:x@example.net>")], 400), ("presence", [("Contact", "*")], 400),
    ("presence", [("Contact", "<sip:x@224.0.0.1>")], 403), ("presence", [("Require", "eventlist")], 420)])
def test_refusals(account, phone, event, headers, code):
    alice, bob = account("alice"), account("bob")
    b = phone(bob)
    sub = b.subscribe(f"sip:{alice.email}", event, headers=headers)
    assert sub.answer.code == code
    if code == 423:
        assert sub.answer.get("min-expires") == "60"
    assert not subscriptions(bob)


@pytest.mark.parametrize("accept", ["*/*", "application/*;q=0.3", "text/plain, application/pidf+xml;q=0.5", PIDF.upper()])
def test_accept(account, phone, accept):
    sub = phone(account("bob")).subscribe(f"sip:{account('alice').email}", "presence", headers=[("Accept", accept)])
    assert sub.answer.code == 200


def test_who_may_subscribe_is_who_may_get(account, phone):
    alice, bob = account("alice"), account("bob")
    b = phone(bob)
    assert b.subscribe(f"sip:{alice.email}", "message-summary").answer.code == 403
    assert b.subscribe("sip:nobody-at-all@example.net", "presence").answer.code == 404
    assert b.subscribe("sip:alice@example.org", "presence").answer.code == 404
    assert b.subscribe(f"sip:{alice.email}", "presence", auth=False).answer.code == 401
    assert b.subscribe(f"sip:{alice.email}", "presence", sender=f"sip:{alice.email}").answer.code in (401, 403)
    assert not subscriptions(bob)


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_a_contact_that_is_the_agent_itself(account, phone, until, transport):
    """As Jami has it: the phone is told over the flow that it came over, and the agent sends nothing to itself."""
    alice, bob = account("alice"), account("bob")
    host, port = alice.system.sips if transport == "tls" else alice.system.sip
    own, b = f"<sip:x@{host}:{port};transport={transport}>", phone(bob, transport=transport)
    sub = b.subscribe(f"sip:{alice.email}", "presence", headers=[("Contact", own)])
    assert sub.answer.code == 200 and sub.next().uri == own[1:-1]
    b.close()
    if transport != "udp":
        bound(alice, "sip:alice@192.0.2.1")
        until(lambda: [s["code"] for s in subscriptions(bob)] != [200], 10)


def test_a_contact_that_is_the_agent_itself_without_a_flow(account, phone):
    alice, bob = account("alice"), account("bob")
    b, own = phone(bob), f"<sip:x@{alice.system.sip_host}:{alice.system.sip_port}>"
    b.register()  # for a nonce
    via = ("Via", f"SIP/2.0/UDP 127.0.0.1:{b.port};branch=z9hG4bK{secrets.token_hex(8)}")
    assert b.subscribe(f"sip:{alice.email}", "presence", headers=[("Contact", own), via]).answer.code == 403


def test_an_unknown_dialog(account, phone):
    alice, bob, carol = account("alice"), account("bob"), account("carol")
    b, c = phone(bob), phone(carol)
    sub = b.subscribe(f"sip:{alice.email}", "presence;id=7")
    assert sub.next().get("event") == "presence;id=7"
    assert c.subscribe(f"sip:{alice.email}", 'presence;x=";id=9"').next().get("event") == "presence", "no id of quotes"
    assert sub.refresh(headers=[("Event", "presence;id=8")]).code == 481
    assert sub.refresh(headers=[("Event", "presence")]).code == 481
    assert sub.refresh(headers=[("Event", "reg;id=7")]).code == 481
    assert sub.refresh(headers=[("To", f"<sip:{alice.email}>;tag=0000000000000001")]).code == 481
    sub.phone = c  # another user who knows the dialog
    assert sub.refresh().code == 481
    sub.phone = b
    assert sub.refresh(cseq=1).code == 500
    b.cseq = 100
    assert sub.refresh().code == 200


def test_more_than_the_most(account, phone):
    sub = phone(account("bob")).subscribe(f"sip:{account('alice').email}", "presence", expires=1000000)
    assert sub.answer.get("expires") == "7200"


# ---- the dialog ----

def test_a_fetch(account, phone, until):
    alice, bob = account("alice"), account("bob")
    bound(alice, "sip:alice@192.0.2.1")
    sub = phone(bob).subscribe(f"sip:{alice.email}", "presence", expires=0)
    assert (sub.answer.code, sub.answer.get("expires")) == (200, "0")
    notify = sub.next()
    assert state(notify) == ("terminated", {"reason": "timeout"})
    assert notify.body == as_rest(alice, PIDF)
    until(lambda: not subscriptions(bob))


def test_a_refresh_and_the_end(account, phone, until):
    alice, bob = account("alice"), account("bob")
    sub = phone(bob).subscribe(f"sip:{alice.email}", "presence", expires=60)
    sub.next()
    answer = sub.refresh(expires=700)
    assert (answer.code, answer.get("expires")) == (200, "700")
    again = sub.next()
    assert again.get("cseq") == "2 NOTIFY" and int(state(again)[1]["expires"]) > 690
    assert sub.refresh(expires=0).code == 200
    assert state(sub.next()) == ("terminated", {"reason": "timeout"})
    until(lambda: not subscriptions(bob))
    assert sub.refresh().code == 481


def test_it_lapses(account, phone, until):
    alice, bob = account("alice"), account("bob")
    sub = phone(bob).subscribe(f"sip:{alice.email}", "presence")
    sub.next()
    alice.system.query_owner(
        "update app.subscription s set expires_at = now() from app.account a where a.id = s.watcher_id"
        " and a.email = %s returning s.id", [bob.email])
    assert state(sub.next()) == ("terminated", {"reason": "timeout"})
    until(lambda: not subscriptions(bob))


def test_a_deleted_account(account, phone, until):
    alice, bob = account("alice"), account("bob")
    sub = phone(bob).subscribe(f"sip:{alice.email}", "presence")
    sub.next()
    assert alice.request("DELETE", f"/user/{alice.email}").status_code == 204
    last = sub.next()
    assert state(last) == ("terminated", {"reason": "noresource"})
    assert last.body == b"" and last.get("content-type") is None
    until(lambda: not subscriptions(bob))


def test_a_deleted_credential(account, phone, until):
    """Who has its phone sees nothing more of anybody."""
    alice, bob = account("alice"), account("bob")
    sub = phone(bob).subscribe(f"sip:{alice.email}", "presence")
    sub.next()
    made, = bob.request("GET", f"/user/{bob.email}/credential").json()
    assert bob.request("DELETE", made["url"]).status_code == 204
    last = sub.next()
    assert state(last) == ("terminated", {"reason": "rejected"})
    assert last.body == b"" and last.get("content-type") is None
    until(lambda: not subscriptions(bob))


@pytest.mark.parametrize("code", [481, 404, 500, 302, 401])
def test_a_phone_that_refuses_hears_no_more(account, phone, until, code):
    alice, bob = account("alice"), account("bob")
    b = phone(bob)
    sub = b.subscribe(f"sip:{alice.email}", "presence")
    sub.next()
    b.answer = code
    bound(alice, "sip:alice@192.0.2.1")
    sub.next()
    until(lambda: not subscriptions(bob))
    assert sub.refresh().code == 481


def test_a_phone_that_says_later_is_asked_later(account, phone, until):
    alice, bob = account("alice"), account("bob")
    b = phone(bob)
    sub = b.subscribe(f"sip:{alice.email}", "presence")
    sub.next()
    b.answer = (503, "Busy", [("Retry-After", "1 (soon)")])
    bound(alice, "sip:alice@192.0.2.1")
    refused = sub.next()
    b.answer = 200
    again = sub.next(10)
    assert again.body == refused.body
    assert again.at - refused.at >= 0.9
    assert (refused.get("cseq"), again.get("cseq")) == ("2 NOTIFY", "3 NOTIFY")
    until(lambda: subscriptions(bob)[0]["code"] == 200)


def test_one_at_a_time_and_then_the_latest(account, phone, until):
    alice, bob = account("alice"), account("bob")
    b = phone(bob)
    sub = b.subscribe(f"sip:{alice.email}", "presence")
    sub.next()
    until(lambda: subscriptions(bob)[0]["until"] is None)
    b.answer = None
    where = bound(alice, "sip:alice@192.0.2.1")
    pending = sub.next()
    for i in range(5):
        alice.request("PUT", where, json={"presence": {"basic": "open", "note": f"note {i}"}})
    assert {m.get("cseq") for m in b.seen if not m.is_response} == {"1 NOTIFY", "2 NOTIFY"}
    b.answer = 200
    b.reply(pending, 200)
    last = sub.next()
    assert last.get("cseq") == "3 NOTIFY" and b"note 4" in last.body


def test_without_rport_it_goes_to_the_contact(account, phone):
    alice, bob = account("alice"), account("bob")
    b, other = phone(bob), phone(bob)
    b.register()  # for a nonce
    via = ("Via", f"SIP/2.0/UDP 127.0.0.1:{b.port};branch=z9hG4bK{secrets.token_hex(8)}")
    sub = b.subscribe(f"sip:{alice.email}", "presence", headers=[("Contact", f"<{other.contact}>"), via])
    assert sub.answer.code == 200
    assert other.next_request().method == "NOTIFY"


def test_only_allowed_addresses_are_sent_to(account, phone, until):
    alice, bob = account("alice"), account("bob")
    b = phone(bob)
    b.register()
    via = ("Via", f"SIP/2.0/UDP 127.0.0.1:{b.port};branch=z9hG4bK{secrets.token_hex(8)}")
    sub = b.subscribe(f"sip:{alice.email}", "presence", headers=[("Contact", "<sip:bob@192.0.2.1>"), via])
    assert sub.answer.code == 200
    until(lambda: not subscriptions(bob), 20)


def test_a_record_route_becomes_the_route(account, phone):
    alice, bob = account("alice"), account("bob")
    b, edge = phone(bob), phone(bob)
    b.register()
    route = f"<sip:127.0.0.1:{edge.port};lr>, <sip:inner.example.net;lr>"
    via = ("Via", f"SIP/2.0/UDP 127.0.0.1:{b.port};branch=z9hG4bK{secrets.token_hex(8)}")
    sub = b.subscribe(f"sip:{alice.email}", "presence", headers=[("Record-Route", route), via])
    assert sub.answer.code == 200
    assert ", ".join(sub.answer.all("record-route")).replace(" ", "") == route.replace(" ", "")
    notify = edge.next_request()
    assert (notify.method, notify.uri) == ("NOTIFY", b.contact)
    assert notify.get("route") == route


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_connection_that_is_gone(account, phone, until, transport):
    """Its subscription goes on over the next one that the phone registers over, from whatever port."""
    alice, bob = account("alice"), account("bob")
    b = phone(bob, transport=transport)
    b.register()
    sub = b.subscribe(f"sip:{alice.email}", "presence", headers=[("Contact", f"<sip:bob@127.0.0.1:9;transport={transport}>")])
    first = sub.next()
    b.close()
    bound(alice, "sip:alice@192.0.2.1")
    until(lambda: lost(bob), 10)
    with Phone(b.server, b.user, b.password, transport=transport, ca=alice.system.certificate) as again:
        again.username = b.username
        assert again.register().code == 200
        second = again.next_request(10)
        assert (second.method, second.get("call-id")) == ("NOTIFY", first.get("call-id"))
        assert second.get("to") == first.get("to") and b"192.0.2.1" in second.body
        bound(alice, "sip:alice@192.0.2.2")
        assert b"192.0.2.2" in again.next_request(10).body
        assert not lost(bob)


def test_a_connection_that_is_gone_is_not_another_phones(account, phone, until):
    alice, bob = account("alice"), account("bob")
    b, other = phone(bob, transport="tls"), phone(bob, transport="tls")
    sub = b.subscribe(f"sip:{alice.email}", "presence")
    sub.next()
    b.close()
    bound(alice, "sip:alice@192.0.2.1")
    until(lambda: lost(bob), 10)
    assert other.register().code == 200
    bound(alice, "sip:alice@192.0.2.2")
    # told to the other would have come before this
    assert other.subscribe(f"sip:{bob.email}", "message-summary").answer.code == 200
    assert other.next_request(10).get("event") == "message-summary"
    assert lost(bob)


def test_another_connection_takes_over(account, phone):
    alice, bob = account("alice"), account("bob")
    b, again = phone(bob, transport="tcp"), phone(bob, transport="tcp")
    sub = b.subscribe(f"sip:{alice.email}", "presence")
    sub.next()
    b.close()
    again.cseq = 50
    sub.phone, sub.read = again, 0
    assert sub.refresh(sender=b.aor).code == 200
    assert sub.next().get("cseq") == "2 NOTIFY"
    bound(alice, "sip:alice@192.0.2.1")
    assert sub.next().uri == again.contact


# ---- how many, how often ----

@pytest.fixture(name="few")
def fixture_few(system):
    """Changes a bound for the time of a test: few("subscriptions", 2)."""
    changed = []

    def change(name, amount):
        changed.append(name)
        system.query_owner("select inspect.set_bound(%s, %s)", [name, amount])
    yield change
    for name in changed:
        system.query_owner("select inspect.set_bound(%s)", [name])


def test_a_user_has_so_many_subscriptions(account, phone, few):
    alice, bob, carol = account("alice"), account("bob"), account("carol")
    few("subscriptions", 2)
    b = phone(bob)
    for _ in range(3):  # each in the place of the one before
        assert b.subscribe(f"sip:{alice.email}", "presence").answer.code == 200
    assert b.subscribe(f"sip:{alice.email}", "reg").answer.code == 200
    assert b.subscribe(f"sip:{bob.email}", "reg").answer.code == 403
    assert len(subscriptions(bob)) == 2
    assert b.subscribe(f"sip:{alice.email}", "reg").answer.code == 200
    assert phone(bob).subscribe(f"sip:{alice.email}", "reg").answer.code == 403, "another phone has its own"
    assert phone(carol).subscribe(f"sip:{alice.email}", "presence").answer.code == 200, "and others theirs"


def test_a_burst_of_changes_is_a_notify_a_second(account, phone, until):
    alice, bob = account("alice"), account("bob")
    times = {}

    def take(message):
        times.setdefault(message.get("cseq"), time.monotonic())
        return 200
    sub = phone(bob, answer=take).subscribe(f"sip:{alice.email}", "reg")
    sub.next()
    changes, began = 0, time.monotonic()
    while time.monotonic() - began < 2.5:
        changes += 1
        bound(alice, f"sip:alice{changes % 20}@192.0.2.1")
    bound(alice, "sip:last@192.0.2.1")
    sub.await_body(b"sip:last@192.0.2.1", 10)
    until(lambda: not subscriptions(bob)[0]["due"])
    when = sorted(times.values())
    assert 3 <= len(when) < changes
    # One that comes late is soon followed by the next: what counts is how many there are in all the time.
    assert len(when) - 1 <= when[-1] - when[0] + 1, [b - a for a, b in zip(when, when[1:])]
