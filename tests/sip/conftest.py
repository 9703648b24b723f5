"""Phones for accounts of the tests."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
# pylint: disable=wrong-import-position
from baresip import Baresip
from call_phone import rings
from linphone import Linphone
from phone import Phone
from stream_client import Stream


@pytest.fixture
def phone():
    """Makes a phone of an account, with a credential of its own: phone(alice, transport="tcp", answer=486)."""
    made = []

    def make(account, algorithm=None, **more):
        credential = account.credential(**({"algorithm": algorithm} if algorithm else {}))
        user, domain = account.email.split("@")
        if more.get("transport") == "tls":
            more = {"server": account.system.sips, "ca": account.system.certificate, **more}
        server = more.pop("server", account.system.sip)
        new = Phone(server, user, credential["password"], domain, **more)
        new.username = credential["username"]
        made.append(new)
        return new

    yield make
    for one in made:
        one.close()


@pytest.fixture(params=["udp", "tcp"])
def pair(request, phone, account):  # pylint: disable=redefined-outer-name
    """Alice's phone, bob's phone, registered, and their accounts."""
    alice, bob = account("alice"), account("bob")
    made = [rings(phone(owner, transport=request.param)) for owner in (alice, bob)]
    for one in made:
        assert one.register().code == 200
    return made[0], made[1], alice, bob


@pytest.fixture
def page():
    """Opens a page of an account: its stream, which has begun."""
    made = []

    def make(account):
        stream = Stream(account.system, account.login, token=account.token())
        made.append(stream)
        stream.wait("state")
        return stream

    yield make
    for stream in made:
        stream.close()


@pytest.fixture
def logins():
    """What the database shows of an account's contacts: {contact: row}."""
    def read(account):
        rows = account.system.query("select * from inspect.login where email = %s", [account.email])
        return {row["contact"]: row for row in rows}
    return read


@pytest.fixture
def deliveries():
    """What became of the messages to an account, oldest first."""
    def read(account):
        return account.system.query(
            "select * from inspect.delivery where recipient = %s order by n, changed_at", [account.email])
    return read


@pytest.fixture
def softphone(tmp_path, until):
    """Starts baresip for an account and waits until it has registered."""
    made = []

    def make(account, peer, transport="udp", **more):
        server = account.system.sips if transport == "tls" else account.system.sip
        one = Baresip(tmp_path / f"baresip-{len(made)}", server, account, account.credential(), peer, until, transport,
                      **more)
        made.append(one)
        until(one.is_registered, 10)
        return one

    yield make
    for one in made:
        one.close()


@pytest.fixture
def linphone(tmp_path, until):
    """Starts linphone-daemon for an account and waits until it has registered."""
    made = []

    def make(account, peer, transport="udp"):
        server = account.system.sips if transport == "tls" else account.system.sip
        one = Linphone(tmp_path / f"linphone-{len(made)}", server, account, account.credential(), peer, transport)
        made.append(one)
        until(one.is_registered, 30)
        return one

    yield make
    for one in made:
        one.close()
