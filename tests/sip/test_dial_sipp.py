"""REST has two phones talk that sipp plays, word for word: one's own, which is asked to change over, and the other's, which offers."""
import pytest
from ports import free_ports

from test_sipp_calls import Sipp

ANSWER = """<send{more}><![CDATA[

  SIP/2.0 {code}
  [last_Via:]
  [last_From:]
  {to}
  [last_Call-ID:]
  [last_CSeq:]
  Contact: <sip:[local_ip]:[local_port]>
  {body}
]]></send>
"""
SDP = """Content-Type: application/sdp
  Content-Length: [len]

  v=0
  o=- {n} {version} IN IP4 127.0.0.1
  s=-
  c=IN IP4 127.0.0.1
  t=0 0
  m=audio 4000{n} RTP/AVP 0
"""
EMPTY = "Content-Length: 0\n"
RINGS = """<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="phone"><recv request="INVITE"><action><ereg regexp="{has}" search_in="msg" check_it="true" assign_to="1"/>
<ereg regexp="sip:[-0-9a-zA-Z.:;=@]+" search_in="hdr" header="Contact:" check_it="true" assign_to="2"/>
<ereg regexp=".*" search_in="hdr" header="From:" assign_to="3"/><ereg regexp=".*" search_in="hdr" header="To:" assign_to="4"/></action>
</recv>
"""
TAGGED = "To: [$4];tag=t[call_number]"


def answer(code, body=EMPTY, to="[last_To:]", more=""):
    return ANSWER.format(code=code, body=body, to=to, more=more)


OWN = (RINGS.format(has="a=inactive") + answer("180 Ringing", to=TAGGED) + answer("200 OK", SDP.format(n=1, version=1), TAGGED)
       + '<recv request="ACK"/><recv request="INVITE"><action>'
       '<ereg regexp="m=audio 40002" search_in="msg" check_it="true" assign_to="5"/></action></recv>'
       + answer("200 OK", SDP.format(n=1, version=2)) + '<recv request="ACK"/><recv request="BYE"/>' + answer("200 OK")
       + '<Reference variables="1,2,3,5"/></scenario>')
OTHERS = (RINGS.format(has="Content-Length: *0") + answer("180 Ringing", to=TAGGED)
          + answer("200 OK", SDP.format(n=2, version=1), TAGGED)
          + '<recv request="ACK"><action><ereg regexp="m=audio 40001" search_in="msg" check_it="true" assign_to="5"/></action></recv>'
          """<send><![CDATA[

  BYE [$2] SIP/2.0
  Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
  Max-Forwards: 70
  From: [$4];tag=t[call_number]
  To: [$3]
  [last_Call-ID:]
  CSeq: 1 BYE
  Content-Length: 0

]]></send><recv response="200"/><Reference variables="1,5"/></scenario>""")


@pytest.fixture(name="plays")
def fixture_plays(phone, tmp_path, system):
    """A registered phone of an account that runs a scenario."""
    def make(owner, text):
        one = phone(owner, bind=free_ports())
        assert one.register().code == 200
        port = one.port
        one.close()
        return Sipp(tmp_path / owner.email.split("-")[0], system, text, port)
    return make


def test_two_of_them_are_dialled(plays, account, system, until):
    alice, bob = account("alice"), account("bob")
    sides = [plays(alice, OWN), plays(bob, OTHERS)]
    made = alice.request("POST", "/call", json={"open": False, "invite": ["/login/me", bob.login]})
    assert made.status_code == 201, made.text
    for side in sides:
        side.wait()
    ended = until(lambda: next(c for c in [alice.request("GET", made.json()["url"]).json()] if c["state"] == "ended"), 10)
    assert ended["ended"] == {"by": bob.email, "cause": "hangup"}
    until(lambda: not system.query("select l.id from inspect.leg l join inspect.call c on c.id = l.call where c.owner = %s "
                                   "and l.state <> 'ended'", [alice.email]), 10)
