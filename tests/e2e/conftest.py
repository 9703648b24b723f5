"""What several end-to-end tests share."""
import itertools
import os

import pytest

from restsip_system import Account
from stream_client import Stream

NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def strict(lasting_systems):
    """A system where nobody may sign up, pages of one origin may call, and media have STUN and TURN."""
    return lasting_systems("strict", {"RESTSIP_HTTP_SIGNUP": "closed", "RESTSIP_DEMO": "no",
                              "RESTSIP_HTTP_CORS_ORIGINS": "https://app.example.org, https://b.example.org:8443",
                              "RESTSIP_MEDIA_TURN_SECRET": "north-star-that-is-not-told", "RESTSIP_MEDIA_ICE_SERVERS":
                              "stun:192.0.2.1, turn:turn.example.net:3478?transport=udp, turns:[2001:db8::1]"})


@pytest.fixture(scope="module")
def pair(system):
    """Two accounts for all tests of a file that leave no trace: making one costs two password hashes."""
    def make(name):
        email = f"{name}-{os.getpid()}-{next(NUMBERS)}@example.net"
        answer = system.request("POST", "/user", json={"email": email, "password": name})
        assert answer.status_code == 201, answer.text
        return Account(system, email, name)
    return make("quick-alice"), make("quick-bob")


@pytest.fixture
def quick(pair):  # pylint: disable=redefined-outer-name
    """The first of the pair, without any contact."""
    assert pair[0].request("DELETE", "/login/me").status_code == 204
    return pair[0]


@pytest.fixture
def quick_bob(pair):  # pylint: disable=redefined-outer-name
    """The other one."""
    return pair[1]


@pytest.fixture
def forgiven(system):
    """Wrong passwords, which all come from one address here, count for this test alone."""
    system.query_owner("delete from app.throttle returning key")
    yield
    system.query_owner("delete from app.throttle returning key")


@pytest.fixture
def opened():
    """Opens streams and closes them at the end: opened(account, path)."""
    made = []

    def make(account, path=None, **how):
        stream = Stream(account.system, path or account.login, token=account.token(), **how)
        made.append(stream)
        return stream

    yield make
    for stream in made:
        stream.close()


def pytest_configure(config):
    config.addinivalue_line("markers", "last: looks back at the whole run")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: "last" in item.keywords)
