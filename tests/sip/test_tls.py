"""SIP over TLS: its certificate, and that what belongs there never goes in clear."""
import os
import re
import secrets
import signal
import socket
import ssl
import subprocess
import threading

import pytest

from call_phone import sdp
from phone import Phone, new_account
from test_message import delivered, send
from tlssocket import TlsSocket


class SipsServer:
    """Somebody who is reached at a sips: contact: takes one connection after another and keeps the requests."""

    def __init__(self, certificate, plain=False):
        self.calls = 0  # connections that were taken
        self.later = b""  # what came on one after its first request
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        self.plain = plain
        self.first = b""  # bytes that came before any TLS, where plain
        self.requests = []
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            self.calls += 1
            try:
                if self.plain:
                    self.first += conn.recv(4096)
                else:
                    self._answer(self.context.wrap_socket(conn, server_side=True))
            except OSError:
                pass
            conn.close()

    def _answer(self, conn):
        data = b""
        while b"\r\n\r\n" not in data:
            more = conn.recv(4096)
            if not more:
                return
            data += more
        self.requests.append(data)
        head = data.split(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        keep = [line for line in head if line.split(":")[0].lower() in ("via", "from", "call-id", "cseq")]
        to = next(line for line in head if line.lower().startswith("to:"))
        conn.sendall("\r\n".join(["SIP/2.0 200 OK", *keep, to + ";tag=x", "Content-Length: 0", "", ""]).encode())
        self.later += conn.recv(4096)

    def close(self):
        self.listener.close()


class SipsPhone(SipsServer):
    """Answers all that comes, and names its address in its 2xx, where its name was asked for: as many a PBX does."""

    def _answer(self, conn):
        data = b""
        while more := conn.recv(4096):
            data += more
            while b"\r\n\r\n" in data:
                head, rest = data.split(b"\r\n\r\n", 1)
                lines = head.decode().split("\r\n")
                fields = dict(line.split(": ", 1) for line in lines[1:])
                if len(rest) < int(fields["Content-Length"]):
                    break
                data = rest[int(fields["Content-Length"]):]
                self.requests.append(lines[0].encode())
                body = sdp(2) if lines[0].startswith("INVITE") else ""
                vias = [line for line in lines if line.startswith("Via:")]
                same = [f"{name}: {fields[name]}" for name in ("From", "Call-ID", "CSeq")]
                if not lines[0].startswith("ACK"):
                    conn.sendall("\r\n".join([
                        "SIP/2.0 200 OK", *vias, *same, f"To: {fields['To'].split(';tag')[0]};tag=x",
                        f"Contact: <sips:x@127.0.0.1:{self.port}>", "Content-Type: application/sdp",
                        f"Content-Length: {len(body)}", "", body]).encode())


@pytest.fixture
def sips_server(system):
    made = []

    def make(certificate=None, kind=SipsServer, **more):
        made.append(kind(certificate or system.certificate, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


def hidden(email):
    return f"sips:{email.split('@')[0]}@127.0.0.1"


def test_a_phone_registers_and_talks(account, phone, logins, until):
    alice, bob = account("alice"), account("bob")
    a, b = phone(alice, transport="tls"), phone(bob, transport="tls")
    assert a.register(expires=600).contacts == {a.contact: 600}
    b.register()
    assert logins(alice)[a.contact]["flow"].startswith("tls:")
    assert b.message(f"sip:{alice.email}", "psst").code == 200
    assert a.next_request().body == b"psst"
    assert "SIP/2.0/TLS" in a.seen[-1].get("via")
    status = send(alice, bob, b"from the web")
    until(lambda: delivered(status))
    assert b.next_request().body == b"from the web"
    a.close()
    until(lambda: not logins(alice), 2)


def test_a_large_message_goes_through_both_ways(account, phone):
    alice, bob = account("alice"), account("bob")
    a, b = phone(alice, transport="tls"), phone(bob, transport="tls")
    a.register()
    b.register()
    body = secrets.token_hex(30000).encode()
    assert b.message(f"sip:{alice.email}", body).code == 200
    assert a.next_request().body == body


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_from_1_2_on_is_spoken(system, version):
    conn = TlsSocket(system.sips, system.certificate, minimum=version, maximum=version)
    assert conn.sock.version() == {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[version]
    conn.close()


@pytest.mark.parametrize("option", ["-tls1", "-tls1_1"])
def test_what_is_older_is_refused(system, option):
    done = subprocess.run(
        ["openssl", "s_client", "-connect", "{}:{}".format(*system.sips), option, "-cipher", "ALL:@SECLEVEL=0"],
        check=False, capture_output=True, timeout=20, stdin=subprocess.DEVNULL)
    assert done.returncode != 0
    assert b"alert protocol version" in done.stderr


def test_a_ping_gets_a_pong(system):
    conn = TlsSocket(system.sips, system.certificate)
    conn.sendall(b"\r\n\r\n")
    assert conn.recv(100) == b"\r\n"
    conn.close()


def test_nothing_comes_before_an_answer(system):
    """No session tickets: pjsip on GnuTLS stops at each, with the answer behind it unread. Jami never registered over TLS."""
    conn = TlsSocket(system.sips, system.certificate, minimum=ssl.TLSVersion.TLSv1_3)
    conn.sendall(b"\r\n\r\n")
    assert conn.recv(100) == b"\r\n"
    assert not conn.sock.session.has_ticket
    conn.close()


@pytest.mark.parametrize("noise", [b"REGISTER sip:example.net SIP/2.0\r\n\r\n", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
                                   b"\x80" * 4096])
def test_what_is_no_tls_harms_nobody(system, account, phone, noise):
    with socket.create_connection(system.sips, 5) as conn:
        conn.sendall(noise)
        conn.shutdown(socket.SHUT_WR)
        while conn.recv(4096):
            pass
    assert phone(account(), transport="tls").register().code == 200


def test_a_sips_contact_is_reached_over_tls(account, sips_server, until):
    alice, bob = account("alice"), account("bob")
    server = sips_server()
    contact = f"{hidden(alice.email)}:{server.port}"
    assert alice.request("POST", alice.login, json={"contact": contact, "expires": 600}).status_code == 201
    status = send(bob, alice, b"secret")
    until(lambda: delivered(status))
    question, request = server.requests
    assert question.startswith(f"OPTIONS sip:127.0.0.1:{server.port};transport=tls SIP/2.0\r\n".encode())
    assert request.startswith(f"MESSAGE {contact} SIP/2.0\r\nVia: SIP/2.0/TLS ".encode())


@pytest.mark.parametrize("more", ["", ";transport=udp", ";transport=tcp"])
def test_a_sips_contact_gets_nothing_in_clear(account, sips_server, until, deliveries, more):
    alice, bob = account("alice"), account("bob")
    server = sips_server(plain=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", server.port))
        udp.setblocking(False)
        contact = f"{hidden(alice.email)}:{server.port}{more}"
        assert alice.request("POST", alice.login, json={"contact": contact, "expires": 600}).status_code == 201
        send(bob, alice, b"secret")
        until(lambda: [d["state"] for d in deliveries(alice)] == ["stored"], 10)
        assert server.first[:2] == b"\x16\x03", "a TLS handshake and nothing else"
        with pytest.raises(BlockingIOError):
            udp.recv(1)


def test_a_sips_contact_registered_in_clear_is_no_way_in_clear(account, phone, sips_server, until):
    alice, bob = account("alice"), account("bob")
    server = sips_server()
    p = phone(alice)
    assert p.register(contacts=[f"<{hidden(alice.email)}:{server.port}>"]).code == 200
    status = send(bob, alice, b"secret")
    until(lambda: delivered(status))
    assert [r.split()[0] for r in server.requests] == [b"OPTIONS", b"MESSAGE"]
    assert p.requests.empty()


def signed(system, folder, san):
    """A certificate for that host, of the authority that the system trusts: its own."""
    def openssl(*args):
        subprocess.run(["openssl", *args], check=True, capture_output=True, timeout=20)
    crt, key, csr, more = (folder / f"peer.{kind}" for kind in ("crt", "key", "csr", "ext"))
    more.write_text(f"subjectAltName={san}\n")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=peer", "-keyout", key, "-out", csr)
    openssl("x509", "-req", "-in", csr, "-CA", system.certificate, "-CAkey", system.certificate.with_suffix(".key"),
            "-set_serial", "1", "-days", "2", "-extfile", more, "-out", crt)
    return crt


@pytest.mark.parametrize("contact, san", [
    ("sip:alice@127.0.0.1:{};transport=tls", "IP:127.0.0.2"), ("sips:alice@127.0.0.1:{}", "DNS:peer.example.net"),
    ("sips:alice@localhost:{}", "DNS:peer.example.net, IP:127.0.0.1"), ("sip:alice@127.0.0.1:{};transport=tls", None)])
def test_who_is_not_whom_the_contact_names_gets_nothing(account, sips_server, system, tmp_path, until, deliveries, contact, san):
    """He answers at the contact's address, with a certificate for another (or of his own making)."""
    alice, bob = account("alice"), account("bob")
    server = sips_server(signed(system, tmp_path, san) if san else made_up(tmp_path))
    assert alice.request("POST", alice.login, json={"contact": contact.format(server.port)}).status_code == 201
    send(bob, alice, b"secret")
    until(lambda: [d["state"] for d in deliveries(alice)] == ["stored"], 15)
    assert server.calls and not server.requests


@pytest.mark.parametrize("contact, san", [
    ("sip:alice@127.0.0.1:{};transport=tls", "IP:127.0.0.1"), ("sips:alice@localhost:{}", "DNS:localhost")])
def test_who_is_whom_the_contact_names_gets_it(account, sips_server, system, tmp_path, until, contact, san):
    alice, bob = account("alice"), account("bob")
    server = sips_server(signed(system, tmp_path, san))
    assert alice.request("POST", alice.login, json={"contact": contact.format(server.port)}).status_code == 201
    status = send(bob, alice, b"secret")
    until(lambda: delivered(status), 10)
    assert [r.split()[0] for r in server.requests] == [b"OPTIONS", b"MESSAGE"]


def test_a_phone_that_names_its_address_is_hung_up_as_it_was_called(account, sips_server, system, tmp_path, until):
    """Its certificate is for the name that was called, and for nothing else."""
    alice, bob = account("alice"), account("bob")
    server = sips_server(signed(system, tmp_path, "DNS:localhost"), SipsPhone)
    assert bob.request("POST", bob.login, json={"contact": f"sips:bob@localhost:{server.port}"}).status_code == 201
    made = alice.request("POST", "/call", json={"session": {"type": "offer", "sdp": sdp(1)}, "invite": [bob.login]})
    assert made.status_code == 201, made.text
    until(lambda: [r for r in server.requests if r.startswith(b"ACK")], 10)
    until(lambda: alice.request("GET", made.json()["url"]).json()["children"][1]["state"] == "joined", 10)
    assert alice.request("DELETE", made.json()["url"]).status_code in (200, 204)
    until(lambda: [r for r in server.requests if r.startswith(b"BYE")], 10)


def test_a_connection_for_one_host_carries_nothing_for_another(account, sips_server, system, tmp_path, until, deliveries):
    """Mallory is at the address that alice's contact names, with a certificate for a name of his own."""
    alice, bob, mallory = account("alice"), account("bob"), account("mallory")
    server = sips_server(signed(system, tmp_path, "DNS:localhost"))
    assert mallory.request("POST", mallory.login, json={"contact": f"sips:m@localhost:{server.port}"}).status_code == 201
    status = send(bob, mallory, b"for whom it is")
    until(lambda: delivered(status), 10)
    assert alice.request("POST", alice.login, json={"contact": f"sip:alice@127.0.0.1:{server.port};transport=tls"}).status_code == 201
    send(bob, alice, b"secret")
    until(lambda: [d["state"] for d in deliveries(alice)] == ["stored"], 15)
    assert len(server.requests) == 2 and not server.later


def test_who_has_come_from_a_contacts_address_gets_nothing_for_it(account, phone, until, deliveries):
    """To libre a connection from there is one to there; its other end has shown no certificate."""
    alice, bob, mallory = account("alice"), account("bob"), account("mallory")
    m = phone(mallory, transport="tls")
    m.register()
    contact = f"sip:alice@127.0.0.1:{m.port};transport=tls"
    assert alice.request("POST", alice.login, json={"contact": contact}).status_code == 201
    send(bob, alice, b"secret")
    until(lambda: [d["state"] for d in deliveries(alice)] == ["stored"], 15)
    assert send(bob, mallory, b"for whom it is")
    assert m.next_request().body == b"for whom it is"


# ---- the certificate ----

@pytest.fixture(scope="module", name="own_system")
def fixture_own_system(systems):
    """A system whose certificate is changed here."""
    return systems("tls", {"RESTSIP_DEMO": "no"})


def made_up(folder, name="made-up", days=30):
    """A certificate for this host that nobody but its key has signed."""
    crt = folder / f"{name}.crt"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", str(days), "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", crt.with_suffix(".key"), "-out", crt],
                   check=True, capture_output=True, timeout=20)
    return crt


def new_certificate(system, name, days=30):
    """A pair of its own, written beside the one in use; owned as that is."""
    crt = made_up(system.certificate.parent, name, days)
    key = crt.with_suffix(".key")
    made = os.stat(system.certificate)
    for path in (crt, key):
        os.chown(path, made.st_uid, made.st_gid)
    return crt, key


def shown(system):
    """The certificate that a new connection is shown."""
    conn = TlsSocket(system.sips)
    der = conn.certificate()
    conn.close()
    return ssl.DER_cert_to_PEM_cert(der)


def install(system, pair):
    for new, old in zip(pair, (system.certificate, system.certificate.with_suffix(".key"))):
        os.replace(new, old)


@pytest.mark.parametrize("hup", [True, False], ids=["hup", "noticed"])
def test_a_new_certificate_is_taken_up_and_nobody_dropped(own_system, until, hup):
    alice = new_account(own_system, "alice")
    with Phone(own_system.sips, alice.email.split("@")[0], "", transport="tls", ca=own_system.certificate) as p:
        credential = alice.credential()
        p.username, p.password = credential["username"], credential["password"]
        p.register()
        pid = own_system.pid("restsip-agent")
        pair = new_certificate(own_system, f"new-{hup}")
        text = pair[0].read_text()
        install(own_system, pair)
        if hup:
            os.kill(pid, signal.SIGHUP)
        until(lambda: shown(own_system) == text, 1.5 if hup else 10)
        assert p.message(f"sip:{alice.email}", "still here").code == 200
        assert p.next_request().body == b"still here"
        assert own_system.pid("restsip-agent") == pid


def test_a_certificate_that_does_not_fit_its_key_is_refused(own_system, until):
    before = shown(own_system)
    crt, _ = new_certificate(own_system, "half")
    os.replace(crt, own_system.certificate)
    log = own_system.log("restsip-agent").count("event=certificate_refused")
    os.kill(own_system.pid("restsip-agent"), signal.SIGHUP)
    until(lambda: own_system.log("restsip-agent").count("event=certificate_refused") > log)
    assert shown(own_system) == before
    install(own_system, new_certificate(own_system, "whole"))
    until(lambda: shown(own_system) != before, 10)


def test_when_it_ends_is_told(own_system, until):
    """In time, by /metrics and to psql; in the log from two weeks before."""
    def left_days():
        found = re.search(r'^restsip_certificate_seconds{name="[^"]+"} (-?\d+)$', own_system.request("GET", "/metrics").text, re.MULTILINE)
        return found and int(found[1]) // 86400
    install(own_system, new_certificate(own_system, "good", 100))
    until(lambda: left_days() == 99, 15)
    log = own_system.log("restsip-agent").count("event=certificate_ends")
    install(own_system, new_certificate(own_system, "soon", 10))
    until(lambda: left_days() == 9, 15)
    until(lambda: own_system.log("restsip-agent").count("event=certificate_ends") == log + 1, 10)
    assert own_system.query("select extract(day from certificate_ends - now())::int as days from inspect.agent") == [{"days": 9}]


@pytest.mark.parametrize("more,goes", [("", False), (";transport=tls", True)])
def test_what_was_subscribed_to_over_tls_is_not_told_in_clear(account, phone, until, system, more, goes):
    """The connection has gone, and the contact is somewhere else."""
    alice, bob = account("alice"), account("bob")
    b, clear = phone(bob, transport="tls"), phone(bob)
    tls = SipsServer(system.certificate, plain=True)
    where = f"sip:bob@127.0.0.1:{tls.port}{more}" if goes else clear.contact
    sub = b.subscribe(f"sip:{alice.email}", "presence", headers=[("Contact", f"<{where}>")])
    sub.next()
    b.close()
    assert alice.request("POST", alice.login, json={"contact": "sip:alice@127.0.0.1:16191"}).status_code == 201
    if goes:
        until(lambda: tls.first[:1] == b"\x16")
    until(lambda: [r for r in system.query("select code from inspect.subscription where watcher = %s", [bob.email])
                   if r["code"] not in (None, 200)], 10)  # it has been tried, and waits for bob's next connection
    assert not [m for m in clear.seen if not m.is_response]
    tls.close()


def test_what_was_sent_to_a_sips_uri_goes_over_tls_or_waits(account, phone, until, system):
    alice, bob = account("alice"), account("bob")
    clear, b = phone(alice), phone(bob, transport="tls")
    clear.register()
    assert b.message(f"sips:{alice.email}", "in secret").code == 202
    assert [r["state"] for r in system.query("select * from inspect.delivery where recipient = %s", [alice.email])] == [
        "stored"]
    assert clear.register().code == 200
    assert b.message(f"sip:{alice.email}", "in public").code == 200
    assert clear.next_request().body == b"in public"
    secret = phone(alice, transport="tls")
    secret.register()
    assert secret.next_request().body == b"in secret"
    assert b.message(f"sips:{alice.email}", "in secret again").code == 200
    assert secret.next_request().body == b"in secret again"
    assert clear.requests.empty()
