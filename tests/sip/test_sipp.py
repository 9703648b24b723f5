"""The registration and authentication scenarios of Asterisk's test suite, run by sipp, and sipsak.

The scenarios are changed in what their server was another: users are of example.net and not of an address, each REGISTER
is challenged first, CSeq rises with each request as RFC 3261 has it, any local port will do, and nobody waits for
contacts to lapse (the next REGISTER says anew until when they stand).
"""
import os
import re
import secrets
import shutil
import subprocess

import pytest

from ports import free_ports
from restsip_system import Account, TOP

MATERIAL = TOP.parent / "shared/material/sipp-asterisk-testsuite/tests/channels/pjsip"
INBOUND = "registration/inbound"

APPLY = [
    "auth/uas/auth_security_events/sipp/register_pass.xml",
    "auth/uas/auth_security_events/sipp/register_fail.xml",
    f"{INBOUND}/nominal/config_options/maximum_expiration/sipp/register-noauth.xml",
    f"{INBOUND}/nominal/contact_acl/ipv4/sipp/register-noauth-permitted.xml",
    f"{INBOUND}/nominal/mixed/unauthed/sipp/mixed-noauth-contact-expiry-ipv4.xml",
    f"{INBOUND}/nominal/multiple_contacts/authed/sipp/register-auth-multi-contact-expiry-ipv4.xml",
    f"{INBOUND}/nominal/multiple_contacts/unauthed/sipp/register-noauth-multi-contact-expiry-ipv4.xml",
    f"{INBOUND}/nominal/single_contact/authed/sipp/register-auth.xml",
    f"{INBOUND}/nominal/single_contact/unauthed/sipp/register-noauth.xml",
    f"{INBOUND}/nominal/unregister/all_contacts/sipp/register-noauth-ipv4.xml",
    f"{INBOUND}/nominal/unregister/multiple_contacts/sipp/register-noauth-ipv4.xml",
    f"{INBOUND}/nominal/unregister/single_contact/sipp/register-noauth.xml",
    f"{INBOUND}/nominal/user_agent/sipp/alice-register.xml",
    f"{INBOUND}/off-nominal/no_contact_header/sipp/register-noauth-no-contact-header.xml",
    f"{INBOUND}/off-nominal/unregister/no_expires_header/sipp/register-noauth.xml",
    f"{INBOUND}/off-nominal/wrong_password/sipp/register-wrong-password.xml",
]

# A pattern of paths: why those do not apply.
DO_NOT_APPLY = {
    r"auth/uac/.*": "sipp is the server there: the tested side answers challenges, which this one never does",
    r"basic_calls/.*": "calls: test_sipp_calls.py",
    r"publish/.*": "sipp is the server there: the tested side publishes",
    r"registration/outbound/.*": "sipp is the registrar there: the tested side registers with it",
    r".*ipv6.*": "the tests' agent listens on IPv4; sipp's other scenario is the same over it",
    r".*/config_options/minimum_expiration/.*": "wants a too short interval granted longer; RFC 3261 10.3 has 423 for it",
    r".*/config_options/remove_existing/.*": "an option of Asterisk: one contact at most, the older one goes",
    r".*/config_options/remove_unavailable/.*": "an option of Asterisk: contacts that answered no OPTIONS go first",
    r".*/contact_acl/ipv4/.*denied.*": "denies loopback, where these tests are; agent.bind_deny has tests of its own",
    r".*/unauthed_drop_options/.*": "an option of Asterisk: what follows a semicolon in a user part is not looked at",
    r".*/nominal/path/sipp/registrar.xml": "sipp is the registrar there",
    r".*/nominal/path/sipp/ua1_invite_recv.xml": "a call",
    r".*/nominal/path/sipp/ua1_register.xml": "compares the blanks between two paths, and wants Supported in a 200",
    r".*/nominal/regcontext/.*": "an option of Asterisk's dialplan",
    r".*/off-nominal/max_contacts/.*": "wants 403 above one contact; here there are 32, and then 480",
}

needs_material = pytest.mark.skipif(not MATERIAL.is_dir(), reason="the scenarios are not here")
SEND = re.compile(r"<send.*?</send>", re.DOTALL)
USERS = ("alice", "bob")


def adapt(text):
    """A scenario for this server."""
    text = re.sub(r"(?m)^(\s*(?:From|To):.*?)@\[(?:local|remote)_ip\]:\[(?:local|remote)_port\]", r"\1@example.net", text)
    text = text.replace("506[1-2]", "[0-9]+")
    text = re.sub(r'(Contact: )"[^"]*" <', r"\1<", text)  # here a display name comes back; they look for what follows it
    text = re.sub(r"<pause[^>]*/>", '<pause milliseconds="0"/>', text)
    out, place, cseq = "", 0, 0

    def numbered(block):
        nonlocal cseq
        cseq += 1
        return re.sub(r"CSeq: \d+ ", f"CSeq: {cseq} ", block)

    for match in SEND.finditer(text):
        block, after = match.group(), text[match.end():]
        out += text[place:match.start()] + numbered(block)
        if "[authentication]" not in block and not re.match(r'\s*<recv response="401"', after):
            out += '\n<recv response="401" auth="true"/>\n'
            out += numbered(re.sub(r"(?m)^(\s*)(Call-ID:)", r"\1[authentication]\n\1\2", block))
        place = match.end()
    return out + text[place:]


@pytest.fixture(scope="module", name="asterisk")
def fixture_asterisk(systems):
    """A system with the intervals and the users that the scenarios count on."""
    system = systems("sipp", {"RESTSIP_DEMO": "no", "RESTSIP_AGENT_MIN_EXPIRES_S": "5",
                              "RESTSIP_AGENT_DEFAULT_EXPIRES_S": "30", "RESTSIP_AGENT_MAX_EXPIRES_S": "60"})
    users = {}
    for name in USERS:
        password = secrets.token_hex(8)
        made = system.request("POST", "/user", json={"email": f"{name}@example.net", "password": password})
        assert made.status_code == 201, made.text
        users[name] = Account(system, f"{name}@example.net", password)
    system.users = {name: (user, user.credential()) for name, user in users.items()}
    return system


@needs_material
def test_the_lists_are_complete():
    there = {str(p.relative_to(MATERIAL)) for part in ("auth", "registration", "publish", "basic_calls")
             for p in (MATERIAL / part).rglob("*.xml")}
    assert set(APPLY) <= there
    left = {path for path in there - set(APPLY) if not any(re.fullmatch(p, path) for p in DO_NOT_APPLY)}
    assert not left
    assert not [path for path in APPLY if any(re.fullmatch(p, path) for p in DO_NOT_APPLY)]


@needs_material
@pytest.mark.parametrize("transport", ["u1", "t1"])
@pytest.mark.parametrize("path", APPLY)
def test_scenario(asterisk, tmp_path, path, transport):
    text = (MATERIAL / path).read_text(encoding="latin-1")
    if transport == "t1":
        text = text.replace(' retrans="500"', "")
    (tmp_path / "scenario.xml").write_text(adapt(text), encoding="latin-1")
    user, credential = asterisk.users["alice"]
    user.request("DELETE", user.login)
    password = "wrong" if "fail" in path or "wrong" in path else credential["password"]
    done = subprocess.run(
        ["sipp", f"{asterisk.sip_host}:{asterisk.sip_port}", "-sf", "scenario.xml", "-s", "alice", "-au",
         credential["username"], "-ap", password, "-m", "1", "-i", "127.0.0.1", "-p", str(free_ports()), "-t",
         transport, "-nostdin", "-timeout", "30s", "-timeout_error", "-trace_err", "-trace_msg", "-message_file",
         "messages"],
        cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
        env={**os.environ, "TERM": "dumb"}, check=False)
    messages = tmp_path / "messages"
    assert done.returncode == 0, done.stdout[-2000:].decode() + (messages.read_text() if messages.exists() else "")


# ---- sipsak ----

def sipsak(*arguments):
    return subprocess.run(["sipsak", "-vv", "-H", "127.0.0.1", *arguments], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False, text=True,
                          errors="replace")


pytestmark = pytest.mark.skipif(not shutil.which("sipsak") or not shutil.which("sipp"), reason="no sipp or no sipsak")


def test_sipsak_registers(account, logins):
    alice = account("alice")
    credential, (user, _) = alice.credential(), alice.email.split("@")
    done = sipsak("-U", "-C", f"sip:{user}@127.0.0.1:5999", "-u", credential["username"], "-a", credential["password"],
                  "-p", f"{alice.system.sip_host}:{alice.system.sip_port}", "-s", f"sip:{alice.email}", "-x", "600")
    assert list(logins(alice)) == [f"sip:{user}@127.0.0.1:5999"], done.stdout


def test_sipsak_sends_a_message(account, phone, tmp_path):
    """From a file: Debian's sipsak 0.9.8.1 crashes by itself with -M and a sender of another domain."""
    alice, bob = account("alice"), account("bob")
    p = phone(bob)
    p.register()
    credential = alice.credential()
    (tmp_path / "message").write_bytes(p.build(
        "MESSAGE", f"sip:{bob.email}", [("Content-Type", "text/plain")], "hello from sipsak", sender=f"sip:{alice.email}",
        to=f"sip:{bob.email}", call_id=secrets.token_hex(8), tag=secrets.token_hex(4)))
    done = sipsak("-i", "-f", str(tmp_path / "message"), "-u", credential["username"], "-a", credential["password"],
                  "-p", f"{bob.system.sip_host}:{bob.system.sip_port}", "-s", f"sip:{bob.email}")
    assert done.returncode == 0, done.stdout
    m = p.next_request()
    assert m.body == b"hello from sipsak"
    assert m.get("from").startswith(f"<sip:{alice.email}>")


def test_sipsak_asks_for_options(account):
    system = account().system
    done = sipsak("-s", f"sip:{system.sip_host}:{system.sip_port}")
    assert done.returncode == 0, done.stdout
    assert "200 OK" in done.stdout
