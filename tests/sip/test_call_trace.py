"""GET /call/{id}/trace: what has passed between us and the phones of a call."""
import re
import xml.etree.ElementTree as ET

from answers import TIME, is_json, is_problem
from call_phone import Incoming, Outgoing, sdp

WAIT_S = 15
SVG = "{http://www.w3.org/2000/svg}"


def last_call(owner):
    row, = owner.system.query("select max(id) as id from inspect.call where owner = %s", [owner.email])
    return f"/call/{row['id']}"


def traced(owner, until, done):
    """The trace, once `done` says that all is in it."""
    url = last_call(owner)
    return until(lambda: next((t for t in [is_json(owner.request("GET", url + "/trace"))] if done(t)), None), WAIT_S)


def said(leg):
    """What passed, in a few words: who, and the method or code with what it is of."""
    return [("out " if m["out"] else "in ") + (
        f"{m['start'].split()[1]} {m['headers']['CSeq'].split()[1]}" if m["start"].startswith("SIP/2.0") else m["start"].split()[0])
        for m in leg["messages"]]


def all_told(trace):
    """Both sides have hung up, and that was told."""
    return len(trace["legs"]) == 2 and all(leg["state"] == "ended" and any(" BYE" in s for s in said(leg)) for leg in trace["legs"])


def test_it_shows_each_step_and_no_secret(pair, until):
    a, b, alice, bob = pair
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    inc.say(180, "Ringing")
    assert out.next().code == 180
    inc.accept()
    out.confirm()
    assert out.bye().code == 200
    inc.next("BYE")
    trace = traced(alice, until, all_told)
    assert trace["call"] == last_call(alice)
    caller, callee = trace["legs"]
    assert [caller["email"], callee["email"]] == [alice.email, bob.email]
    assert [caller["direction"], callee["direction"]] == ["in", "out"]
    assert caller["cause"] == callee["cause"] == "hangup" and caller["participant"] == trace["call"] + "/1"
    assert said(caller) == ["in INVITE", "out 100 INVITE", "out 180 INVITE", "out 200 INVITE", "in ACK", "in BYE", "out 200 BYE"]
    assert said(callee) == ["out INVITE", "in 180 INVITE", "in 200 INVITE", "out ACK", "out BYE", "in 200 BYE"]
    for leg in trace["legs"]:
        times = [m["at"] for m in leg["messages"]]
        assert times == sorted(times) and all(TIME.match(t) for t in times)
        assert all(m["peer"].startswith(("udp:127.", "tcp:127.", "UDP:127.", "TCP:127.")) for m in leg["messages"])
        assert {m["headers"].get("Content-Type") for m in leg["messages"]} == {None, "application/sdp"}
    text = alice.request("GET", trace["call"] + "/trace").text
    for secret in ("v=0", "tag=", "Authorization", "nonce", "response=", inc.call_id, out.call_id):
        assert secret not in text, secret


def test_a_call_that_failed_says_why(pair, until):
    a, b, alice, _ = pair
    out = Outgoing(a, b.aor, sdp(1))
    Incoming(b).say(486, "Busy Here")
    assert out.final().code == 486
    trace = traced(alice, until, lambda t: len(t["legs"]) == 2 and all("486" in str(said(leg)) for leg in t["legs"]))
    assert said(trace["legs"][0])[-2:] in (["out 486 INVITE", "in ACK"], ["out 100 INVITE", "out 486 INVITE"])
    assert trace["legs"][1]["code"] == 486 and "in 486 INVITE" in said(trace["legs"][1])


def test_for_people_and_for_eyes(pair, until):
    a, b, alice, _ = pair
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    inc.accept()
    out.confirm()
    out.bye()
    inc.next("BYE")
    url = traced(alice, until, all_told)["call"] + "/trace"
    answer = alice.request("GET", url, headers={"Accept": "text/plain"})
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert re.search(r"phone 1 --> restsip  INVITE sip:.*\n.*phone 1 <-- restsip  SIP/2.0 100 ", answer.text)
    answer = alice.request("GET", url, headers={"Accept": "image/svg+xml"})
    assert answer.headers["Content-Type"] == "image/svg+xml" and "default-src 'none'" in answer.headers["Content-Security-Policy"]
    picture = ET.fromstring(answer.content)
    assert picture.tag == SVG + "svg" and not list(picture.iter(SVG + "script"))
    words = [t.text for t in picture.iter(SVG + "text")]
    assert {"INVITE", "200 OK (INVITE)", "ACK", "BYE", "200 OK (BYE)", "restsip", alice.email} <= {*words}
    arrows = [p for p in picture.iter(SVG + "path") if p.get("class") == "arrow"]
    assert len(arrows) == sum(len(leg["messages"]) for leg in is_json(alice.request("GET", url))["legs"])


def test_only_the_owner_s(pair, account):
    a, b, alice, bob = pair
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    inc.accept()
    out.confirm()
    url = last_call(alice) + "/trace"
    assert alice.request("GET", url).status_code == 200
    is_problem(bob.request("GET", url), 403, "not-owner")
    is_problem(account("carol").request("GET", url), 404, "call-not-found")
    is_problem(alice.request("GET", url, headers={"Accept": "text/html"}), 406)
    assert out.bye().code == 200


def test_a_password_in_a_uri_is_not_kept(pair, until, system):
    a, b, alice, _ = pair
    user, host = b.aor.removeprefix("sip:").split("@")
    out = Outgoing(a, b.aor, sdp(1), uri=f"sip:{user}:hush@{host}")
    code = out.next().code
    if code < 300:
        out.cancel()
        out.final()
    rows = system.query_owner("select said from app.leg_trace where said like %s", ("%hush%",))
    assert not rows


def test_there_is_a_bound(pair, until):
    """Of one leg so much is kept, and what came first."""
    a, b, alice, _ = pair
    out = Outgoing(a, b.aor, sdp(1))
    inc = Incoming(b)
    inc.accept()
    out.confirm()
    for _ in range(60):
        assert out.request("OPTIONS").code == 200
    assert out.bye().code == 200
    trace = traced(alice, until, lambda t: any("BYE" in str(said(leg)) for leg in t["legs"]))
    kept = alice.system.query_owner("""select sum(octet_length(t.said))::int as bytes from app.leg_trace t
        join app.leg l on l.id = t.leg_id where l.call_id = %s group by l.id""", (trace["call"].removeprefix("/call/"),))
    assert all(row["bytes"] < 16384 + 1024 for row in kept) and "in OPTIONS" in said(trace["legs"][0])
