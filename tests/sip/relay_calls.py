"""What tests of calls by a media relay share: a relay that is fake, and who talks by it. What each says is seen by the port of its SDP."""
import pytest
from call_phone import SDP, Incoming, Outgoing, rings
from ng import AT, FINGERPRINT, FakeRelay
from phone import new_account

AGENT = "restsip-agent"


def sdp(n=1):
    """Where the agent may send to: a relay is told of nothing else."""
    return SDP.format(n=n).replace("192.0.2.1", "127.0.0.1")


def web(n=1, way="sendrecv"):
    return sdp(n).replace("RTP/AVP", "UDP/TLS/RTP/SAVPF").replace("sendrecv", way) + FINGERPRINT


def is_web(text):
    return "a=fingerprint:" in text and "SAVPF" in text


def is_plain(text):
    return "RTP/AVP" in text and "fingerprint" not in text


def of(n):
    return f"m=audio 4{n:04d} "


@pytest.fixture(scope="module", name="relay")
def fixture_relay():
    made = FakeRelay()
    yield made
    made.close()


@pytest.fixture(scope="module", name="own_system")
def fixture_own_system(systems, relay):
    return systems("relay", {"RESTSIP_DEMO": "no", "RESTSIP_MEDIA_RTPENGINE": relay.address})


@pytest.fixture(autouse=True)
def fixture_clean(relay, until):
    """Nothing is left at the relay when a test is over; it works again when the next begins."""
    relay.way = "ok"
    relay.said.clear()
    yield
    relay.way = "ok"
    until(lambda: not relay.sessions, 10)


@pytest.fixture(name="person")
def fixture_person(own_system, phone):
    """An account, with a phone of its own or without."""
    def make(name, with_phone=True):
        account = new_account(own_system, name)
        if with_phone:
            account.phone = rings(phone(account))
            assert account.phone.register().code == 200
        return account
    return make


def command(stream, name):
    return stream.wait(lambda e: e.name == "message" and e.data.get("json", {}).get("command") == name).data["json"]


def child(account, url, email):
    return next(c for c in account.request("GET", url).json()["children"] if c["email"] == email)


def how_it_ended(account, url, other, until):
    """Of the other's part in a call, once it is over."""
    return until(lambda: child(account, url, other.email).get("ended"), 40)["cause"]


def calls(account, whom, session):
    """A page calls: the call's URL, and the caller's own in it."""
    made = account.request("POST", "/call", json={"session": session, "invite": [whom.login]})
    assert made.status_code == 201, made.text
    url = made.json()["url"]
    return url, child(account, url, account.email)["url"]


@pytest.fixture(name="web_to_phone")
def fixture_web_to_phone(person, until):
    """A call that a page has made to a plain phone: (page's account, phone's, the phone's side, URL, the page's own)."""
    alice, bob = person("alice", False), person("bob")
    url, me = calls(alice, bob, {"type": "offer", "sdp": web(1)})
    inc = Incoming(bob.phone)
    said = inc.invite.body.decode()
    assert is_plain(said) and AT in said and of(1) in said
    inc.say(180)
    inc.accept(sdp(2))
    got = until(lambda: child(alice, url, bob.email).get("session"), 5)
    assert got["type"] == "answer" and is_web(got["sdp"]) and of(2) in got["sdp"]
    return alice, bob, inc, url, me


@pytest.fixture(name="phone_to_web")
def fixture_phone_to_web(person, page):
    """The same where the phone has called."""
    alice, bob = person("alice", False), person("bob")
    stream = page(alice)
    out = Outgoing(bob.phone, f"sip:{alice.email}", sdp(2))
    invite = command(stream, "invite")
    assert invite["session"]["type"] == "offer" and is_web(invite["session"]["sdp"]) and of(2) in invite["session"]["sdp"]
    assert out.next().code == 180
    joined = alice.request("POST", invite["url"], json={"session": {"type": "answer", "sdp": web(1)}})
    assert joined.status_code == 201, joined.text
    said = out.confirm().body.decode()
    assert is_plain(said) and AT in said and of(1) in said
    return alice, bob, out, invite["url"], joined.json()["url"]


@pytest.fixture(name="talk", params=["web_to_phone", "phone_to_web"])
def fixture_talk(request):
    return request.getfixturevalue(request.param)
