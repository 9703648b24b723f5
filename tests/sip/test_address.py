"""Nothing but one question is sent to an address that has not spoken."""
import contextlib
import datetime
import re
import secrets
import socket
import threading
import time

import pytest

HOST = "127.0.0.1"
WAIT_S = 4  # that an address has to answer
PAUSE_S = 10  # until it is asked a second time
SLACK_S = 15  # of a loaded machine
BODY = b"the attacker's own words " * 40
REASON = {"code": 480, "reason": "No answer from the contact"}


class At:
    """The host where nobody answers, another one in each test: what is asked of a host is limited too."""
    host = HOST


@pytest.fixture(autouse=True)
def fixture_at():
    At.host = "127." + ".".join(str(2 + secrets.randbelow(250)) for _ in range(3))


class Silent:
    """A UDP socket that keeps what comes and says nothing."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((At.host, 0))
        self.sock.setblocking(False)
        self.port = self.sock.getsockname()[1]

    def all(self):
        got = []
        with contextlib.suppress(BlockingIOError):
            while True:
                got.append(self.sock.recv(65536))
        return got

    def close(self):
        self.sock.close()


class Listener:
    """A TCP listener that keeps what comes over its connections; `says`: what it answers to the first bytes."""

    def __init__(self, says=b""):
        self.listener = socket.create_server((At.host, 0))
        self.port = self.listener.getsockname()[1]
        self.says = says
        self.data, self.conns = [], []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            self.conns.append(conn)
            threading.Thread(target=self._read, args=(conn,), daemon=True).start()

    def _read(self, conn):
        with contextlib.suppress(OSError):
            while data := conn.recv(65536):
                self.data.append(data)
                if self.says:
                    conn.sendall(self.says)

    def close(self):
        self.listener.close()
        for conn in self.conns:
            conn.close()


@pytest.fixture(name="opened")
def fixture_opened():
    """Opens something that is closed after the test."""
    with contextlib.ExitStack() as stack:
        yield lambda thing: stack.enter_context(contextlib.closing(thing))


def closed_port():
    """A port of TCP and UDP that nobody listens on."""
    with socket.create_server((At.host, 0)) as sock:
        return sock.getsockname()[1]


def contact_of(account, uri):
    answer = account.request("POST", account.login, json={"contact": uri})
    assert answer.status_code == 201, answer.text


def send(sender, to, body=BODY):
    """SENDs, and gives a function that reads what became of it."""
    answer = sender.request("SEND", to.login, data=body, headers={"Content-Type": "text/plain"})
    assert answer.status_code == 202, answer.text
    return lambda: sender.request("GET", answer.headers["Location"]).json()


def ended(status):
    return status()["status"] in ("stored", "failed", "delivered")


def took(sender, to, until):
    """Sends; how long the agent was at it, by the trace, and what was said: status and answer."""
    answer = sender.request("SEND", to.login, data=BODY, headers={"Content-Type": "text/plain"})
    assert answer.status_code == 202, answer.text
    url = answer.headers["Location"]
    until(lambda: ended(lambda: sender.request("GET", url).json()), WAIT_S + SLACK_S)
    (recipient,) = sender.request("GET", url + "/trace").json()["recipients"]
    (attempt,) = recipient["attempts"]
    began, end = (datetime.datetime.fromisoformat(attempt[at].replace("Z", "+00:00")) for at in ("began_at", "ended_at"))
    return (end - began).total_seconds(), recipient["status"], recipient.get("sip")


def came(p):
    """The methods of what a phone was sent; what is sent again, to a phone that answers late, is nothing new."""
    return list({m.branch: m.method for m in list(p.seen) if not m.is_response}.values())


def assert_little(got):
    assert got and all(m.startswith(b"OPTIONS ") for m in got), got
    assert len(got) <= 2
    assert sum(map(len, got)) < 1500


def test_who_has_many_contacts_at_one_address_makes_two_datagrams(account, until, opened):
    alice, bob = account("alice"), account("bob")
    victim = opened(Silent())
    for n in range(32):
        contact_of(alice, f"sip:x{n}@{At.host}:{victim.port}")
    status = send(bob, alice)
    until(lambda: ended(status), 20)
    got = victim.all()
    assert_little(got)
    assert len(got) == 2 and got[0] == got[1]
    assert status()["status"] == "stored"


def asked_again(sender, to, until):
    """Sends until somebody waits for an answer from there again."""
    seen = []

    def once():
        seen.append(took(sender, to, until))
        return seen[-1][0] > WAIT_S - 0.1
    until(once, PAUSE_S + 2 * WAIT_S + SLACK_S)
    return seen


def test_an_address_that_is_silent_twice_is_left_alone(account, until, opened):
    """After the first time for a moment, after the second for minutes."""
    alice, bob = account("alice"), account("bob")
    victim = opened(Silent())
    contact_of(alice, f"sip:x@{At.host}:{victim.port}")
    took_s, *said = took(bob, alice, until)
    assert took_s > WAIT_S - 0.1 and said == ["stored", REASON]
    assert len(victim.all()) == 2
    said = asked_again(bob, alice, until)
    assert len(said) > 1, "nobody waits in between"
    assert {s[1] for s in said} == {"stored"} and all(s[2] == REASON for s in said)
    assert len(victim.all()) == 2
    took_s, *said = took(bob, alice, until)
    assert took_s < WAIT_S - 0.5 and said == ["stored", REASON]
    assert not victim.all()


def test_who_has_contacts_at_many_ports_of_a_host_makes_few_datagrams(account, until, opened):
    """More than are asked at once: 32, and one more every 4 s."""
    alice, bob = account("alice"), account("bob")
    victims = [opened(Silent()) for _ in range(40)]
    for n, owner in enumerate((alice, bob)):
        for victim in victims[n * 20:n * 20 + 20]:
            contact_of(owner, f"sip:x@{At.host}:{victim.port}")
    statuses = [send(bob, alice), send(alice, bob)]
    until(lambda: all(ended(s) for s in statuses), 60)
    asked = [v for v in victims if v.all()]
    assert 32 <= len(asked) < 40
    assert [s()["status"] for s in statuses] == ["stored"] * 2


def test_who_answers_gets_it_whatever_the_answer_was(account, phone, until):
    for code in (200, 404, 503):
        alice, bob = account("alice"), account("bob")
        p = phone(alice, options=code)
        contact_of(alice, p.contact)
        status = send(bob, alice, b"hello")
        assert p.next_request().body == b"hello"
        until(lambda s=status: s()["status"] == "delivered")
        send(bob, alice, b"again")
        until(lambda p=p: b"again" in [m.body for m in list(p.seen)])
        assert came(p) == ["OPTIONS", "MESSAGE", "MESSAGE"], "it is asked once"


def test_who_registered_from_where_its_contact_is_is_not_asked(account, phone):
    alice, bob = account("alice"), account("bob")
    p = phone(alice)
    for _ in range(2):  # without rport: to the contact itself
        p.register(headers=[("Via", f"SIP/2.0/UDP {HOST}:{p.port};branch=z9hG4bK{secrets.token_hex(8)}")])
    send(bob, alice)
    assert p.next_request().body == BODY
    other = account("other")
    contact_of(other, p.contact.replace("alice", "other"))
    send(bob, other, b"by REST, to where a phone has spoken")
    assert p.next_request().body == b"by REST, to where a phone has spoken"
    assert not [m for m in p.seen if not m.is_response and m.method == "OPTIONS"]


def test_an_answer_in_anothers_name_proves_nothing(account, phone, until, opened):
    """A phone that has got a message writes another's address on its answer."""
    alice, bob, carol = account("alice"), account("bob"), account("carol")
    victim = opened(Silent())

    def forge(request):
        lines = ["SIP/2.0 200 OK"] + [f"{name.title()}: {value}" for name, value in request.headers
                                      if name in ("via", "from", "to", "call-id", "cseq")]
        victim.sock.sendto("\r\n".join(lines + ["Content-Length: 0", "", ""]).encode(), request.source)

    p = phone(alice, answer=forge)
    p.register()
    status = send(bob, alice)
    until(lambda: status()["status"] == "delivered", SLACK_S)
    contact_of(carol, f"sip:x@{At.host}:{victim.port}")
    status = send(bob, carol)
    until(lambda: ended(status), WAIT_S + SLACK_S)
    assert_little(victim.all())


def test_who_has_unregistered_is_asked_again(account, phone, until):
    alice, bob = account("alice"), account("bob")
    p = phone(alice)
    p.register()
    p.register(expires=0)
    contact_of(alice, p.contact)
    send(bob, alice, b"hello")
    assert p.next_request().body == b"hello"
    until(lambda: came(p) == ["OPTIONS", "MESSAGE"])


def test_a_phone_that_names_another_makes_it_no_more_than_a_question(account, phone, until, opened):
    """REGISTER without rport: what is for the phone goes to its contact."""
    alice, bob = account("alice"), account("bob")
    victim = opened(Silent())
    p = phone(alice)
    contacts = [f"<sip:x{n}@{At.host}:{victim.port}>" for n in range(32)]
    for _ in range(2):
        answer = p.register(contacts=contacts, headers=[
            ("Via", f"SIP/2.0/UDP {HOST}:{p.port};branch=z9hG4bK{secrets.token_hex(8)}")])
    assert answer.code == 200
    status = send(bob, alice)
    until(lambda: ended(status), 20)
    assert_little(victim.all())


@pytest.mark.parametrize("by", ["contact", "record-route"])
def test_a_subscription_that_names_another_makes_it_no_more_than_a_question(account, phone, until, opened, by):
    alice, bob = account("alice"), account("bob")
    victim = opened(Silent())
    b = phone(bob)
    more = {"contact": [("Contact", f"<sip:x@{At.host}:{victim.port}>")],
            "record-route": [("Record-Route", f"<sip:{At.host}:{victim.port};lr>")]}[by]
    for _ in range(2):
        via = ("Via", f"SIP/2.0/UDP {HOST}:{b.port};branch=z9hG4bK{secrets.token_hex(8)}")
        sub = b.subscribe(f"sip:{alice.email}", "presence", headers=[via, *more])
    assert sub.answer.code == 200
    until(lambda: not alice.system.query("select from inspect.subscription where watcher = %s", [bob.email]), 20)
    assert_little(victim.all())


def test_a_connection_carries_nothing_but_the_question(account, until, opened):
    alice, bob = account("alice"), account("bob")
    victim = opened(Listener())
    for n in range(32):
        contact_of(alice, f"sip:x{n}@{At.host}:{victim.port};transport=tcp")
    status = send(bob, alice)
    until(lambda: ended(status), 20)
    assert_little(victim.data)
    assert len(victim.conns) == 1
    victim.conns[0].settimeout(SLACK_S)
    assert victim.conns[0].recv(1) == b"", "and it is closed"


@pytest.fixture(name="ports")
def fixture_ports(opened):
    """What a port may be like, as contacts: closed, open and silent, open and of something else; not allowed."""
    http = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
    sip = b"SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP x;branch=z9hG4bKprobe0123456789abcdef\r\nContent-Length: 0\r\n\r\n"
    return {
        "tcp closed": f"sip:x@{At.host}:{closed_port()};transport=tcp",
        "tcp silent": f"sip:x@{At.host}:{opened(Listener()).port};transport=tcp",
        "tcp http": f"sip:x@{At.host}:{opened(Listener(http)).port};transport=tcp",
        "tcp guessing": f"sip:x@{At.host}:{opened(Listener(sip)).port};transport=tcp",
        "tls closed": f"sips:x@{At.host}:{closed_port()}",
        "tls silent": f"sips:x@{At.host}:{opened(Listener()).port}",
        "tls refusing": f"sips:x@{At.host}:{opened(Listener(http)).port}",
        "udp closed": f"sip:x@{At.host}:{closed_port()}",
        "udp silent": f"sip:x@{At.host}:{opened(Silent()).port}",
        "not allowed": "sip:x@192.0.2.1",
        "not allowed tcp": "sip:x@192.0.2.1:25;transport=tcp",
        "no such name": "sip:x@nowhere.invalid",
    }


def test_ports_cannot_be_told_apart(account, until, ports):
    """By code, words or time: the first time, soon after, the second time, and when the address is suspended."""
    bob = account("bob")
    accounts = {name: account("user") for name in ports}
    for name, uri in ports.items():
        contact_of(accounts[name], uri)

    def all_at_once(ask):
        seen = {}
        threads = [threading.Thread(target=lambda n=name: seen.update({n: ask(bob, accounts[n], until)}))
                   for name in ports]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
        assert len(seen) == len(ports)
        return seen

    for waits, ask in ((True, took), (False, took), (True, lambda *a: asked_again(*a)[-1]), (False, took)):
        seen = all_at_once(ask)
        assert all(said == REASON and state == "stored" for _, state, said in seen.values()), seen
        for name, (took_s, _, _) in seen.items():
            if waits or name == "no such name":  # which is no address that could be left alone
                assert WAIT_S - 0.1 < took_s < WAIT_S + SLACK_S, (name, seen)
            else:
                assert took_s < WAIT_S - 0.5, (name, seen)


def test_a_long_message_finds_the_way_without_tcp(account, phone, until):
    """TCP is tried for it, and where that is refused the phone is sent it over UDP, without a wait."""
    alice, bob = account("alice"), account("bob")
    p = phone(alice)
    contact_of(alice, p.contact)
    body = secrets.token_hex(3000).encode()
    began = time.monotonic()
    send(bob, alice, body)
    assert p.next_request().body == body
    assert time.monotonic() - began < WAIT_S - 0.5


def test_one_who_is_silent_holds_up_nobody(account, phone, until, opened):
    alice, bob, carol = account("alice"), account("bob"), account("carol")
    victim = opened(Silent())
    for n in range(32):
        contact_of(alice, f"sip:x{n}@{At.host}:{victim.port}")
    p = phone(carol)
    p.register()
    send(bob, alice)
    until(lambda: victim.all())
    began = time.monotonic()
    send(bob, carol, b"meanwhile")
    assert p.next_request().body == b"meanwhile"
    assert time.monotonic() - began < WAIT_S - 0.5


def test_a_stray_answer_proves_nothing(system, account, until, opened):
    """Only who has read the question can answer it."""
    alice, bob = account("alice"), account("bob")
    victim = opened(Silent())
    contact_of(alice, f"sip:x@{At.host}:{victim.port}")
    status = send(bob, alice)
    got = []
    until(lambda: got.extend(victim.all()) or got)
    via = re.search(rb"Via: ([^\r]*)branch=[^;\r]*", got[0]).group(1).decode()
    for branch in ("z9hG4bKprobe0123456789abcdef", "z9hG4bKprobe", "z9hG4bK1"):
        victim.sock.sendto("\r\n".join([
            "SIP/2.0 200 OK", f"Via: {via}branch={branch}", "From: <sip:a@x>;tag=1", "To: <sip:b@x>;tag=2",
            "Call-ID: 1", "CSeq: 1 OPTIONS", "Content-Length: 0", "", ""]).encode(), system.sip)
    until(lambda: ended(status), 20)
    assert_little(got + victim.all())
