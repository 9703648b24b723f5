"""How many accounts a source may make: at the bounds that a system has by itself."""
import concurrent.futures
import itertools

import pytest
import requests
from requests.adapters import HTTPAdapter

from answers import is_json, is_problem

NUMBERS = itertools.count(1)
MINUTE, DAY = 5, 50


class From(HTTPAdapter):
    """Requests from another address."""

    def __init__(self, address):
        self.address = address
        super().__init__()

    def init_poolmanager(self, *args, **kwargs):
        super().init_poolmanager(*args, source_address=(self.address, 0), **kwargs)


@pytest.fixture(scope="module")
def standard(systems):
    return systems("signup", {"RESTSIP_DEMO": "no", "RESTSIP_BOUNDS": "standard"})


def sign_up(system, address, email=None, **more):
    with requests.Session() as session:
        session.trust_env = False
        session.mount("http://", From(address))
        body = {"email": email or f"new{next(NUMBERS)}@example.net", "password": "12345678", **more}
        return session.post(system.url + "/user", json=body, timeout=30)


def slept(system, address, seconds):
    """As if what the source has done were so much longer ago."""
    system.query_owner("update app.signup set at = array(select t - make_interval(secs => %s) from unnest(at) t) where source = %s "
                       "returning 1", (seconds, address))


def count(system):
    return system.query_owner("select count(*) as n from app.account")[0]["n"]


def test_five_a_minute_and_others_too(standard):
    for _ in range(MINUTE):
        is_json(sign_up(standard, "127.0.0.2"), 201)
    before = count(standard)
    refused = sign_up(standard, "127.0.0.2")
    is_problem(refused, 429, "too-many-sign-ups")
    wait_s = int(refused.headers["Retry-After"])
    assert 1 <= wait_s <= 60
    assert count(standard) == before
    is_json(sign_up(standard, "127.0.0.3"), 201)
    slept(standard, "127.0.0.2", wait_s)
    is_json(sign_up(standard, "127.0.0.2"), 201)


def test_fifty_a_day(standard):
    for i in range(DAY):
        if i and i % MINUTE == 0:
            slept(standard, "127.0.0.4", 61)
        is_json(sign_up(standard, "127.0.0.4"), 201)
    slept(standard, "127.0.0.4", 61)
    refused = sign_up(standard, "127.0.0.4")
    is_problem(refused, 429, "too-many-sign-ups")
    wait_s = int(refused.headers["Retry-After"])
    assert 80000 < wait_s <= 86400
    is_json(sign_up(standard, "127.0.0.5"), 201)
    slept(standard, "127.0.0.4", wait_s)
    is_json(sign_up(standard, "127.0.0.4"), 201)


def test_at_once_they_count_as_well(standard):
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: sign_up(standard, "127.0.0.6"), range(20)))
    codes = [a.status_code for a in answers]
    # They count before their passwords are hashed, so that those beyond the bound cost no hash.
    assert codes.count(429) == 20 - MINUTE and set(codes) <= {201, 429, 503}
    assert standard.query_owner("select cardinality(at) as n from app.signup where source = '127.0.0.6'") == [{"n": MINUTE}]


def test_what_is_refused_does_not_count_and_is_not_hashed(standard):
    is_json(sign_up(standard, "127.0.0.7", "taken@example.net"), 201)
    for _ in range(3 * MINUTE):
        is_problem(sign_up(standard, "127.0.0.7", "taken@example.net"), 409, "account-exists", "/email")
        is_problem(sign_up(standard, "127.0.0.7", password="1234567"), 400, "invalid-member", "/password")
    for _ in range(MINUTE - 1):
        is_json(sign_up(standard, "127.0.0.7"), 201)
    is_problem(sign_up(standard, "127.0.0.7"), 429, "too-many-sign-ups")
