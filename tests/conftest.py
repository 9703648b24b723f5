"""Fixtures for tests/e2e and tests/sip.

RESTSIP_TEST_STATE=DIR makes the session-wide system the one that is up in that state folder.
"""
import itertools
import os
import pathlib
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
# pylint: disable=wrong-import-position
from restsip_system import System, run_folder, until as wait_until

LONG = os.environ.get("RESTSIP_LONG") == "1"
NUMBERS = itertools.count(1)


def pytest_configure(config):
    config.addinivalue_line("markers", "long: only run by make test-long")


def pytest_collection_modifyitems(items):
    for item in items:
        if "long" in item.keywords and not LONG:
            item.add_marker(pytest.mark.skip(reason="make test-long"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    if outcome.get_result().failed:
        item.session.restsip_failed = True


@pytest.fixture(scope="session", name="folder")
def fixture_folder(request):
    """Where systems live; one that was made for this session goes with it, unless something failed."""
    mine = "RESTSIP_TEST_DIR" not in os.environ
    folder = run_folder()
    yield folder
    if mine and not getattr(request.session, "restsip_failed", False):
        shutil.rmtree(folder, ignore_errors=True)


def system_factory(folder):
    made = []

    def make(name, env=None):
        system = System(folder / f"{name}-{os.getpid()}-{next(NUMBERS)}", env)
        made.append(system)
        return system.up()

    yield make
    for system in reversed(made):
        system.down()


@pytest.fixture(scope="session")
def lasting_systems(folder):
    """As systems, for those that several files share."""
    yield from system_factory(folder)


@pytest.fixture(scope="module")
def systems(folder):
    """A factory of systems, all stopped at the end of the file: systems("name", {"RESTSIP_WORKERS": "4"})."""
    yield from system_factory(folder)


@pytest.fixture(scope="session")
def system(lasting_systems):  # pylint: disable=redefined-outer-name
    """The system that the tests share: leave it running and as it is."""
    if "RESTSIP_TEST_STATE" in os.environ:
        return System(os.environ["RESTSIP_TEST_STATE"]).attach()
    return lasting_systems("shared")


@pytest.fixture
def own_system(systems):  # pylint: disable=redefined-outer-name
    """A system of the test's own, to kill things in."""
    made = systems("own", {"RESTSIP_DEMO": "no"})
    yield made
    made.down()


def account_factory(of_system):
    def make(name="user", password=None, **profile):
        return of_system.account(f"{name}-{os.getpid()}-{next(NUMBERS)}@example.net", password, **profile)
    return make


@pytest.fixture
def account(system):  # pylint: disable=redefined-outer-name
    """Makes a fresh account on the shared system: account("alice"), account(name="bob", nick="b")."""
    return account_factory(system)


@pytest.fixture
def own_account(own_system):  # pylint: disable=redefined-outer-name
    """As account, on the test's own system."""
    return account_factory(own_system)


@pytest.fixture
def until():
    """until(fn, timeout_s=5): waits for a condition, never blindly."""
    return wait_until
