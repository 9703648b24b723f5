"""Lamps: a phone watches the calls of an account (SUBSCRIBE dialog, RFC 4235), or who is in a call (conference, RFC 4575)."""
import contextlib
import os
import random
import threading
import time
import xml.etree.ElementTree as ET

import pytest
from call_phone import Incoming, Outgoing, rings, sdp, up

from phone import new_account
from test_events import state, subscriptions

AGENT = "restsip-agent"
DIALOG, CONFERENCE = "application/dialog-info+xml", "application/conference-info+xml"
DIALOG_NS, CONFERENCE_NS = "{urn:ietf:params:xml:ns:dialog-info}", "{urn:ietf:params:xml:ns:conference-info}"
CALLS = 200 if os.environ.get("RESTSIP_LONG") == "1" else 10  # of all pairs together
PAIRS = 5
LIVE = {"trying", "early", "confirmed"}


class Lamp:
    """What a watcher's phone takes the phones of an account to be doing."""

    def __init__(self, watcher, aor, **more):
        self.aor = aor
        self.sub = watcher.subscribe(aor, "dialog", **more)
        assert self.sub.answer.code == 200, self.sub.answer
        self.version = -1
        self.dialogs = {}  # id: (direction, state), of the last document
        self.remotes = []  # (uri, display) of that
        self.named = []  # (Call-ID, local tag, remote tag)
        self.seen = []  # its states, one after the other
        self.at = []  # when they came

    def read(self, notify):
        self.at.append(notify.at)
        if not notify.body:
            return notify
        assert notify.get("content-type") == DIALOG and notify.get("event") == "dialog"
        root = ET.fromstring(notify.body)
        assert (root.get("entity"), root.get("state")) == (self.aor, "full")
        assert int(root.get("version")) > self.version, "versions only grow"
        self.version = int(root.get("version"))
        dialogs = root.findall(DIALOG_NS + "dialog")
        self.dialogs = {d.get("id"): (d.get("direction"), d.find(DIALOG_NS + "state").text) for d in dialogs}
        self.remotes = [(i.text, i.get("display")) for i in root.iterfind(f"*/{DIALOG_NS}remote/{DIALOG_NS}identity")]
        self.named = [tuple(d.get(n) for n in ("call-id", "local-tag", "remote-tag")) for d in dialogs if d.get("call-id")]
        self.seen.append(self.states)
        return notify

    @property
    def states(self):
        return sorted(word for _, word in self.dialogs.values())

    @property
    def live(self):
        return [word for word in self.states if word in LIVE]

    def await_states(self, *states, timeout_s=15):
        """Reads until they are these."""
        deadline = time.monotonic() + timeout_s
        while self.version < 0 or self.states != sorted(states):
            self.read(self.sub.next(max(deadline - time.monotonic(), 0.01)))

    def await_live(self, *states, timeout_s=15):
        """The same, whatever it still says of what has ended."""
        deadline = time.monotonic() + timeout_s
        while self.version < 0 or self.live != sorted(states):
            self.read(self.sub.next(max(deadline - time.monotonic(), 0.01)))


@pytest.fixture(name="pair")
def fixture_pair(phone, account):
    """Two registered phones, and their accounts."""
    alice, bob = account("alice"), account("bob")
    a, b = rings(phone(alice)), rings(phone(bob))
    assert a.register().code == b.register().code == 200
    return a, b, alice, bob


# ---- an account's calls ----

@pytest.mark.parametrize("transport", ["udp", "tls"])
def test_a_lamp_follows_a_call(pair, account, phone, transport):
    a, b, _, _ = pair
    c = phone(account("carol"), transport=transport)
    lamps = Lamp(c, a.aor), Lamp(c, b.aor)
    assert "dialog" in lamps[0].sub.answer.get("allow-events") and "conference" in lamps[0].sub.answer.get("allow-events")
    for lamp in lamps:
        lamp.await_states()
        assert lamp.version == 0
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    for lamp in lamps:
        lamp.await_states("trying")
    inc.say(180, "Ringing")
    for lamp in lamps:
        lamp.await_states("early")
    inc.accept()
    out.confirm()
    for lamp in lamps:
        lamp.await_states("confirmed")
    assert [list(lamp.dialogs.values()) for lamp in lamps] == [[("initiator", "confirmed")], [("recipient", "confirmed")]]
    assert out.bye().code == 200
    for lamp in lamps:
        lamp.await_states("terminated")
        assert lamp.seen == [[], ["trying"], ["early"], ["confirmed"], ["terminated"]]
        assert not lamp.remotes and not lamp.named


def test_only_who_sees_the_call_sees_with_whom(pair, phone, account):
    a, b, alice, bob = pair
    assert alice.request("PATCH", "/user/me", json={"name": "<a href=\"&amp;\">'\x01]]>"}).status_code == 200
    carol = account("carol")
    stranger, own, partner = Lamp(phone(carol), b.aor), Lamp(phone(bob), b.aor), Lamp(phone(alice), b.aor)
    out, inc = up(a, b)
    for lamp in stranger, own, partner:
        lamp.await_states("confirmed")
    assert (stranger.remotes, stranger.named) == ([], [])
    assert alice.email.encode() not in next(m.body for m in reversed(stranger.sub.phone.seen) if m.body)
    for lamp in own, partner:
        assert lamp.remotes == [(a.aor, "<a href=\"&amp;\">']]>")]
    assert own.named == [(inc.call_id, inc.tag, inc.theirs.split("tag=")[1])]
    assert partner.named == []
    assert out.bye().code == 200
    stranger.await_states("terminated")


def two_are_called(pair, phone, account):
    """Alice calls bob, who has two phones: carol's lamp of his, her side, and theirs."""
    a, b, _, bob = pair
    b2 = rings(phone(bob))
    assert b2.register().code == 200
    lamp = Lamp(phone(account("carol")), b.aor)
    out = Outgoing(a, b.aor, sdp(1))
    return lamp, out, Incoming(b), Incoming(b2)


def test_two_phones_ring_and_one_answers(pair, phone, account):
    lamp, out, first, second = two_are_called(pair, phone, account)
    first.say(180)
    second.say(180)
    lamp.await_states("early", "early")
    first.accept()
    out.confirm()
    lamp.await_live("confirmed")
    second.next("CANCEL")
    second.say(487)
    assert out.bye().code == 200
    lamp.await_live()


def test_one_phone_refuses_and_the_other_rings_on(pair, phone, account):
    lamp, out, first, second = two_are_called(pair, phone, account)
    second.say(180)
    lamp.await_live("early", "trying")
    first.say(180)
    lamp.await_live("early", "early")
    first.say(486)
    lamp.await_live("early")
    second.say(486)
    assert out.final().code == 486
    lamp.await_live()


def test_who_comes_late_sees_what_there_is(pair, phone, account):
    a, b, _, _ = pair
    out, _ = up(a, b)
    lamp = Lamp(phone(account("carol")), b.aor)
    lamp.await_states("confirmed")
    assert lamp.version == 0
    assert out.bye().code == 200
    lamp.await_states("terminated")


def test_quick_changes_are_told_together(pair, phone, account):
    a, b, _, _ = pair
    lamp = Lamp(phone(account("carol")), b.aor)
    lamp.await_states()
    began = time.monotonic()
    for _ in range(5):
        out, _ = up(a, b)
        assert out.bye().code == 200
    out, _ = up(a, b)
    lamp.await_live("confirmed")
    assert len(lamp.at) <= time.monotonic() - began + 2, "one a second"
    assert out.bye().code == 200
    lamp.await_live()


def test_changes_that_say_nothing_new_are_not_told(pair, phone, account, until):
    a, b, alice, _ = pair
    carol = account("carol")
    lamp = Lamp(phone(carol), b.aor)
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    inc.say(180, "Ringing")
    lamp.await_states("early")
    call, = [c for c in alice.request("GET", "/call").json() if not c["open"]]
    assert alice.request("PATCH", call["url"], json={"subject": "tea"}).status_code == 200
    until(lambda: not carol.system.query_owner("select 1 from app.lamp_news") and not subscriptions(carol)[0]["due"])
    assert b.register().code == 200
    until(lambda: not subscriptions(carol)[0]["due"])
    inc.accept()
    out.confirm()
    lamp.await_states("confirmed")
    assert lamp.seen[-2:] == [["early"], ["confirmed"]]
    assert out.bye().code == 200


# ---- the subscription ----

def test_refresh_and_unsubscribe(pair, phone, account):
    a, b, _, _ = pair
    carol = account("carol")
    lamp = Lamp(phone(carol), b.aor)
    lamp.await_states()
    out, _ = up(a, b)
    lamp.await_states("confirmed")
    assert lamp.sub.refresh().code == 200
    lamp.read(lamp.sub.next())
    assert lamp.states == ["confirmed"], "a refresh is told all there is"
    assert lamp.sub.refresh(expires=0).code == 200
    last = lamp.read(lamp.sub.next())
    assert state(last) == ("terminated", {"reason": "timeout"}) and lamp.states == ["confirmed"]
    assert out.bye().code == 200
    assert lamp.sub.refresh().code == 481
    assert not subscriptions(carol)


def test_one_that_lapses_ends(pair, phone, account, until):
    _, b, _, _ = pair
    carol = account("carol")
    lamp = Lamp(phone(carol), b.aor)
    lamp.await_states()
    until(lambda: subscriptions(carol)[0]["until"] is None)
    carol.system.query_owner("with u as (update app.subscription s set expires_at = now() from app.account a"
                             " where a.id = s.watcher_id and a.email = %s returning 1) select 1 from u", [carol.email])
    while state(notify := lamp.read(lamp.sub.next(10)))[0] != "terminated":
        pass
    assert state(notify) == ("terminated", {"reason": "timeout"})
    until(lambda: not subscriptions(carol))


def test_the_account_goes(pair, phone, account):
    _, b, _, bob = pair
    lamp = Lamp(phone(account("carol")), b.aor)
    lamp.await_states()
    assert bob.request("DELETE", "/user/me").status_code == 204
    while state(notify := lamp.read(lamp.sub.next(10)))[0] != "terminated":
        pass
    assert state(notify) == ("terminated", {"reason": "noresource"}) and not notify.body


def test_what_is_not_there_and_what_is_not_understood(pair, phone, account):
    _, b, _, _ = pair
    c = phone(account("carol"))
    assert c.subscribe("sip:nobody@example.net", "dialog").answer.code == 404
    assert c.subscribe(b.aor, "dialog", headers=[("Accept", "application/pidf+xml")]).answer.code == 406
    assert c.subscribe("sip:1@example.net", "conference", headers=[("Accept", DIALOG)]).answer.code == 406
    answer = c.subscribe(b.aor, "dialogue").answer
    assert (answer.code, answer.get("allow-events")) == (489, "conference, dialog, message-summary, presence, reg")
    assert c.publish(headers=[("Event", "dialog")]).code == 489


def test_a_killed_agent_goes_on_in_the_same_dialog(own_system, own_account, phone, until):
    alice, bob, carol = own_account("alice"), own_account("bob"), own_account("carol")
    a, b, c = rings(phone(alice)), rings(phone(bob)), phone(carol)
    assert a.register().code == b.register().code == 200
    lamp = Lamp(c, b.aor)
    out, _ = up(a, b)
    lamp.await_states("confirmed")
    until(lambda: subscriptions(carol)[0]["until"] is None)
    own_system.kill_and_wait(AGENT)
    until(lambda: lamp.sub.refresh(timeout_s=20).code == 200, 30)
    lamp.read(lamp.sub.next(20))
    assert lamp.states == ["confirmed"]
    assert out.bye(timeout_s=20).code == 200
    lamp.await_live(timeout_s=20)
    # what rings when it is killed is over, and so the lamp says
    assert a.register().code == 200
    out = Outgoing(a, b.aor, sdp(1))
    Incoming(b).say(180)
    lamp.await_live("early")
    own_system.kill_and_wait(AGENT)
    lamp.await_live(timeout_s=30)


# ---- many ----

def how_a_call_goes(rng, a, b):
    """One call, to its end."""
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b, 20)
    way = rng.choice(["busy", "declined", "cancelled", "caller", "callee", "callee"])
    if rng.random() < 0.7:
        inc.say(180, "Ringing")
    if way in ("busy", "declined"):
        inc.say({"busy": 486, "declined": 603}[way])
        assert out.final(20).code in (486, 603)
    elif way == "cancelled":
        inc.say(183, "Ringing")
        while out.next(20).code < 180:
            pass
        out.cancel()
        inc.next("CANCEL", 20)
        inc.say(487)
        assert out.final(20).code == 487
    else:
        inc.accept()
        out.confirm(timeout_s=20)
        one, other = (out, b) if way == "caller" else (inc, a)
        assert one.bye(timeout_s=20).code == 200
        while other.requests.get(timeout=20).method != "BYE":
            pass


@contextlib.contextmanager
def many_invites(system):
    """On a quick machine a pair has more calls a second than an account may make."""
    system.query_owner("select inspect.set_bound('invites', 1000)")
    yield
    system.query_owner("select inspect.set_bound('invites', null)")


def lamps_follow(system, phone, servers, until):
    """Pairs call each other while one phone watches all of them; at the end each lamp says what is."""
    accounts = [new_account(system, "lamp") for _ in range(2 * PAIRS)]
    phones = [rings(phone(owner, server=servers[i % 2])) for i, owner in enumerate(accounts)]
    for one in phones:
        assert one.register().code == 200
    watcher = phone(new_account(system, "watcher"), server=servers[0])
    lamps = [Lamp(watcher, one.aor) for one in phones]
    failures = []

    def run(k):
        rng = random.Random(k)
        try:
            for _ in range(CALLS // PAIRS):
                pair = phones[2 * k:2 * k + 2]
                rng.shuffle(pair)
                how_a_call_goes(rng, *pair)
        except Exception as error:  # pylint: disable=broad-except
            failures.append(error)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(PAIRS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    # Of the last calls some talk, some ring, and some have ended.
    last = []
    for k in range(PAIRS):
        a, b = phones[2 * k:2 * k + 2]
        out = Outgoing(a, b.aor, sdp(1))
        inc = Incoming(b, 20)
        if k % 3:
            inc.say(180)
            assert out.next(20).code == 180
        if k % 3 == 1:
            inc.accept()
            out.confirm(timeout_s=20)
        last.append((out, inc))
    expected = [(), ("confirmed",), ("early",)]
    for k, (out, inc) in enumerate(last):
        if k % 3 == 0:
            inc.say(486)
            assert out.final(20).code == 486
    for i, lamp in enumerate(lamps):
        lamp.await_live(*expected[i // 2 % 3], timeout_s=30)
    until(lambda: not system.query("select 1 from inspect.subscription where event = 'dialog' and (due or until is not null)"), 30)
    for i, lamp in enumerate(lamps):
        while any(m.method == "NOTIFY" and m.get("call-id") == lamp.sub.call_id for m in watcher.seen[lamp.sub.read:]):
            try:
                lamp.read(lamp.sub.next(0.1))
            except AssertionError:  # a retransmission
                break
        assert lamp.live == sorted(expected[i // 2 % 3]), (i, lamp.seen[-5:])
    for k, (out, inc) in enumerate(last):
        if k % 3 == 1:
            assert out.bye(timeout_s=20).code == 200
        elif k % 3 == 2:
            inc.say(486)
            assert out.final(20).code == 486
    for lamp in lamps:
        lamp.await_live(timeout_s=30)


@pytest.mark.timeout(900)
def test_lamps_follow_many_calls(system, phone, until):
    with many_invites(system):
        lamps_follow(system, phone, [system.sip, system.sip], until)


@pytest.fixture(scope="module", name="two")
def fixture_two(systems):
    return systems("lamps", {"RESTSIP_AGENTS": "2", "RESTSIP_DEMO": "no"})


@pytest.mark.timeout(900)
def test_lamps_follow_calls_between_two_agents(two, phone, until):
    with many_invites(two):
        lamps_follow(two, phone, two.sip_all, until)


def test_a_watcher_at_one_agent_sees_calls_at_the_other(two, phone):
    alice, bob, carol = (new_account(two, name) for name in ("alice", "bob", "carol"))
    a, b = (rings(phone(owner, server=two.sip_all[1])) for owner in (alice, bob))
    assert a.register().code == b.register().code == 200
    lamp = Lamp(phone(carol, server=two.sip_all[0]), b.aor)
    lamp.await_states()
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    inc.say(180)
    lamp.await_states("early")
    inc.accept()
    out.confirm()
    lamp.await_states("confirmed")
    assert out.bye().code == 200
    lamp.await_states("terminated")


# ---- who is in a call ----

def roster(notify):
    """The version, and the users of a conference document."""
    assert notify.get("content-type") == CONFERENCE and notify.get("event") == "conference"
    root = ET.fromstring(notify.body)
    assert root.get("state") == "full"
    return int(root.get("version")), sorted(u.get("entity") for u in root.iter(CONFERENCE_NS + "user"))


def test_the_roster_of_a_call(account, phone):
    alice, bob, carol = account("alice"), account("bob"), account("carol")
    call = alice.request("POST", "/call", json={"subject": "<&>", "open": False, "invited": [bob.email]}).json()
    uri = f"sip:{call['id']}@example.net"
    assert phone(carol).subscribe(uri, "conference").answer.code == 404, "who does not see it"
    sub = phone(bob).subscribe(uri, "conference")
    assert sub.answer.code == 200
    first = sub.next()
    assert roster(first) == (0, []) and b"&lt;&amp;&gt;" in first.body
    assert ET.fromstring(first.body).get("entity") == uri
    alice.request("POST", call["url"], json={})
    assert roster(sub.next()) == (1, [f"sip:{alice.email}"])
    joined = bob.request("POST", call["url"], json={}).json()
    assert roster(sub.next()) == (2, sorted([f"sip:{alice.email}", f"sip:{bob.email}"]))
    bob.request("DELETE", joined["url"])
    assert roster(sub.next()) == (3, [f"sip:{alice.email}"])
    alice.request("PATCH", call["url"], json={"invited": []})
    last = sub.next()
    assert state(last) == ("terminated", {"reason": "noresource"}) and not last.body, "who does not see it any more"
    assert phone(bob).subscribe(uri, "conference").answer.code == 404


def test_the_roster_of_a_phones_call(pair, phone):
    a, b, alice, bob = pair
    out, _ = up(a, b)
    call, = [c for c in alice.request("GET", "/call").json() if not c["open"]]
    subs = [phone(owner).subscribe(f"sip:{call['id']}@example.net", "conference") for owner in (alice, bob)]
    for sub in subs:
        assert roster(sub.next()) == (0, sorted([f"sip:{alice.email}", f"sip:{bob.email}"]))
    assert out.bye().code == 200
    for sub in subs:
        assert state(sub.next(10)) == ("terminated", {"reason": "noresource"})
    assert phone(alice).subscribe(f"sip:{call['id']}@example.net", "conference").answer.code == 404
