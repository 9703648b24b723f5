"""What our refreshes of a session say, and what becomes of what a phone says to them (RFC 4028 section 7.4): whoever is at the other
end, a page or a phone, of this agent or another."""
import queue
import time

import pytest
from call_phone import Incoming, Outgoing, rings, sdp

from phone import new_account
from test_page_calls import children
from test_page_sessions import origin
from test_session_timer import accept
from test_transfer import changes_over, next_of, refer, request, say, telling, told, url_of

S = 6
WAIT_S = 15
OURS = ("Session-Expires", f"{S};refresher=uac")
LONG = sdp(1) + "".join(f"a=candidate:{n} 1 UDP {n} 192.0.2.1 {n} typ host\r\n" for n in range(1000, 1300))


@pytest.fixture(scope="module", name="two")
def fixture_two(systems):
    """Two agents, and sessions that are good for a few seconds."""
    return systems("refresh-told", {"RESTSIP_AGENTS": "2", "RESTSIP_DEMO": "no", "RESTSIP_AGENT_SESSION_EXPIRES_S": str(S),
                                    "RESTSIP_AGENT_SESSION_MIN_S": "3"})


@pytest.fixture(name="people")
def fixture_people(two, phone):
    """Phones of as many accounts, each at that agent: people(0, 0, 1)."""
    def make(*agents, **more):
        made = []
        for name, agent in zip(("alice", "bob", "carol"), agents):
            owner = new_account(two, name)
            one = telling(rings(phone(owner, server=two.sip_all[agent], **more)))
            one.owner = owner
            assert one.register().code == 200
            made.append(one)
        return made
    return make


def invited(side, is_meant=lambda body: True, answer=None):
    """The next re-INVITE of a side with such a body; others, which are refreshes, are answered."""
    deadline = time.monotonic() + WAIT_S
    while True:
        invite = side.phone.requests.get(timeout=max(deadline - time.monotonic(), 0.01))
        if (invite.method, invite.get("call-id")) != ("INVITE", side.call_id):
            continue
        if is_meant(invite.body.decode()):
            return invite
        side.invite = invite
        accept(side, OURS, body=answer)


def test_what_was_refused_is_not_said_again(people):
    """By who is kept, of an SDP that is read for each refresh."""
    a, b, c = people(0, 0, 0, transport="tcp")
    out = Outgoing(a, b.aor, LONG)
    inc = Incoming(b)
    accept(inc, OURS)
    out.confirm()
    assert refer(out, f"<{c.aor}>").code == 202
    new = Incoming(c)
    new.say(200, "OK", sdp(3))
    offered = invited(inc, lambda body: "m=audio 40003" in body, sdp(2))
    say(inc, 488, "Not Acceptable Here", "", offered)
    new.next("BYE", WAIT_S)
    assert told(a)[-1] == "SIP/2.0 488 Not Acceptable Here"
    for _ in range(2):
        inc.invite = invited(inc)
        assert "m=audio 40001" in inc.invite.body.decode() and "typ host" in inc.invite.body.decode()
        accept(inc, OURS)
    assert out.bye().code == 200
    request(inc, "BYE")


def test_a_page_hears_what_a_phone_says_to_a_refresh(people, until):
    a, b = people(0, 0)
    alice, bob = a.owner, b.owner
    made = alice.request("POST", "/call", json={"session": {"type": "offer", "sdp": sdp(1)}, "open": False, "invite": [bob.login]})
    assert made.status_code == 201, made.text
    url = made.json()["url"]
    inc = Incoming(b)
    accept(inc, OURS)
    inc.invite = invited(inc)
    accept(inc, OURS, body=sdp(8))
    until(lambda: children(alice, url)[bob.email]["session"] == {"type": "offer", "sdp": sdp(8)}, WAIT_S)
    me = children(alice, url)[alice.email]["url"]
    assert alice.request("PUT", me, json={"session": {"type": "answer", "sdp": sdp(9)}}).status_code == 200
    for _ in range(2):  # it is not asked about again
        inc.invite = invited(inc)
        accept(inc, OURS, body=sdp(8))
    found = children(alice, url)
    assert found[bob.email]["session"] == {"type": "offer", "sdp": sdp(8)}
    assert found[alice.email]["session"] == {"type": "answer", "sdp": sdp(9)}
    assert alice.request("DELETE", url).status_code == 204
    request(inc, "BYE")


@pytest.mark.parametrize("taken", [True, False])
def test_a_phone_of_another_agent_hears_it(people, until, taken):
    a, b = people(0, 1)
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    accept(inc, OURS)
    out.confirm()
    url = url_of(a.owner)
    inc.invite = invited(inc)
    accept(inc, OURS, body=sdp(8))
    asked = request(out, "INVITE")
    assert asked.body.decode() == sdp(8)
    say(out, *((200, "OK", sdp(1)) if taken else (488, "No", "")), asked)
    if taken:
        request(out, "ACK")
    session = {"type": "offer", "sdp": sdp(8)} if taken else {"type": "answer", "sdp": sdp(2)}
    until(lambda: "pending" not in children(a.owner, url)[b.owner.email]
          and children(a.owner, url)[b.owner.email]["session"] == session, WAIT_S)
    inc.invite = invited(inc)
    accept(inc, OURS, body=sdp(8) if taken else sdp(2))
    with pytest.raises(queue.Empty):
        while True:
            assert a.requests.get(timeout=1).method != "INVITE"
    assert out.bye().code == 200
    request(inc, "BYE")


def test_who_was_joined_hears_it(people):
    """By a transfer, in a dialog that was of others."""
    a, b, c = people(0, 0, 0)
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    accept(inc)
    out.confirm()
    assert refer(out, f"<{c.aor}>").code == 202
    new = Incoming(c)
    send = c.send
    c.send = lambda raw, to=None: send(raw.replace("Content-Type", f"{OURS[0]}: {OURS[1]}\r\nContent-Type", 1), to)
    new.say(200, "OK", sdp(3))
    c.send = send
    offered = changes_over(inc, new, sdp(4))
    request(out, "BYE")
    new.invite = invited(new)
    accept(new, OURS, body=sdp(8))
    asked = request(inc, "INVITE")
    assert asked.body.decode() == next_of(offered, sdp(8), 1) and origin(asked.body.decode()) != origin(sdp(8))
    say(inc, 200, "OK", sdp(4), asked)
    request(inc, "ACK")
    assert inc.bye().code == 200
    request(new, "BYE")
