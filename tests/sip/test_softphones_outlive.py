"""Phones that others wrote refresh, and outlive what is killed: the agent, and the database."""
import contextlib
import itertools

import pytest

from baresip import Baresip
from linphone import Linphone
from phone import Phone, new_account
from test_message import send
from twinkle import Twinkle

pytestmark = pytest.mark.long
EXPIRES_S = 60  # the least that is granted
KINDS = [(kind, transport) for kind in ("baresip", "linphone") for transport in ("udp", "tcp", "tls")] + [
    ("twinkle", "udp"), ("twinkle", "tcp")]


@pytest.fixture(scope="module", name="own_system")
def fixture_own_system(systems):
    return systems("softphones", {"RESTSIP_DEMO": "no"})


@pytest.fixture(name="phones")
def fixture_phones(own_system, tmp_path, until):
    """{name: (account, phone)} of each kind, all registered."""
    made = {}
    peer = new_account(own_system, "peer")

    def start(kind, transport):
        account, folder = new_account(own_system, kind), tmp_path / f"{kind}-{transport}"
        server = own_system.sips if transport == "tls" else own_system.sip
        if kind == "twinkle":
            return account, Twinkle(folder, account, transport, expires=EXPIRES_S)
        if kind == "linphone":
            return account, Linphone(folder, server, account, account.credential(), peer, transport, expires=EXPIRES_S)
        return account, Baresip(folder, server, account, account.credential(), peer, until, transport, expires=EXPIRES_S)
    with contextlib.ExitStack() as ends:
        for kind, transport in KINDS:
            _, one = made[f"{kind} {transport}"] = start(kind, transport)
            ends.callback(one.close)
        for _, one in made.values():
            until(one.is_registered, 30)
        yield made, peer


def texts(one):
    return [body.decode() if isinstance(body, bytes) else body for _, body in one.received()]


def test_they_refresh_and_outlive_what_is_killed(own_system, phones, until):
    made, peer = phones
    bob = new_account(own_system, "bob")
    numbers = itertools.count(1)
    credential = peer.credential()
    p = Phone(own_system.sip, peer.email.split("@")[0], credential["password"])
    p.username = credential["username"]

    def cseqs():
        return {r["email"]: r["cseq"] for r in own_system.query(
            "select email, max(cseq) as cseq from inspect.login where source = 'sip' group by email")}

    def all_talk(timeout_s):
        until(lambda: p.register().code == 200, 60)
        text = f"number {next(numbers)}"
        status = {name: send(bob, account, text.encode(), "text/plain") for name, (account, _) in made.items()}
        for name, (_, one) in made.items():
            until(lambda one=one: text in texts(one), timeout_s, what=f"{text} to {name}")
            until(lambda name=name: status[name]()["status"] == "delivered", 10, what=f"{text} delivered to {name}")
            said = f"{text} from {name}"
            if isinstance(one, Baresip):
                one.message(said)
            else:
                one.message(peer, said)
            until(lambda said=said: said in [m.body.decode() for m in list(p.seen) if not m.is_response], 20,
                  what=said)

    def all_have_refreshed():
        now = cseqs()
        rest = [name for name, (account, _) in made.items() if now.get(account.email, 0) <= before[account.email]]
        assert not rest, rest
        return True

    all_talk(20)
    before = cseqs()
    until(all_have_refreshed, 75)
    own_system.kill_and_wait("restsip-agent")
    own_system.await_ready(30)
    all_talk(75)
    own_system.kill_and_wait("postgres")
    own_system.await_ready(60)
    all_talk(75)
    p.close()
