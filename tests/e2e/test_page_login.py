"""Logins of pages: each lives with the streams of its own session, whatever else its account has open."""
import copy

import pytest

from answers import is_json
from follower import Follower
from restsip_system import SMALL, until
from stream_client import Stream


@pytest.fixture(scope="module", name="pages")
def fixture_pages(systems):
    """A system of this file's own, where a program is killed."""
    return systems("pages", {**SMALL, "RESTSIP_DEMO": "no"})


def two_sessions(of_system, name):
    """One account, as two pages have it."""
    first = of_system.account(f"{name}@example.net")
    second = copy.copy(first)
    first._token, second._token = first.session(600), first.session(600)  # pylint: disable=protected-access
    return first, second


def appear(page, **how):
    """The number of a login that a page makes."""
    how = how or {"headers": page.headers}
    return is_json(page.system.request("POST", page.login, json={"lifetime": "stream"}, **how), 201)["id"]


def wear(page):
    """As if each of its logins had been kept some time ago."""
    page.system.query_owner("""update app.login l set expires_at = now() + interval '4 s', sweep_at = now() + interval '4 s'
        from app.account a where a.id = l.account_id and a.email = %s returning 1""", (page.email,))


def lasts(page):
    """The seconds that each of its logins has."""
    return {row["n"]: row["left_s"] for row in page.system.query("select n, left_s from inspect.login where email = %s order by n", (page.email,))}


def are(page, *numbers):
    """Once the janitor has been there: just these are, and each as long as if it were new."""
    left = lasts(page)
    return [*left] == [*numbers] and all(left_s > 20 for left_s in left.values())


def has_closed(page):
    """A session of its account that has logins has no stream any more."""
    return page.system.query_owner("""select 1 from app.watch w join inspect.login l on l.session = w.id
        where w.kind = 'bearer' and w.closed_at is not null and l.email = %s""", (page.email,))


def test_a_page_that_closes_goes_though_another_of_its_account_is_open(pages):
    desk, sofa = two_sessions(pages, "two")
    streams = [Stream(pages, page.login, token=page.token()) for page in (desk, sofa)]
    made = [appear(desk), appear(sofa)]
    wear(desk)
    until(lambda: are(desk, *made), 10)
    streams[0].close()
    until(lambda: has_closed(desk), 10)
    assert lasts(desk)[made[0]] > 20  # it has 30 s to come back
    wear(desk)
    until(lambda: are(desk, made[1]), 15)
    assert [c["id"] for c in is_json(sofa.request("GET", sofa.login))] == made[1:]
    streams[1].close()


def test_streams_of_a_session_keep_its_login_however_they_are_opened(pages):
    desk, sofa = two_sessions(pages, "ways")
    ticket = is_json(desk.request("POST", "/session/ticket"), 201)["ticket"]
    streams = [Stream(pages, f"{desk.login}?ticket={ticket}"), Stream(pages, f"/watch?r=/login/me&r=/user/{sofa.email}", token=sofa.token())]
    made = [appear(desk), appear(sofa), appear(desk, auth=desk.auth)]
    for _ in range(2):
        wear(desk)
        until(lambda: are(desk, *made), 10)
    streams[0].close()
    until(lambda: has_closed(desk), 10)
    wear(desk)
    until(lambda: are(desk, *made[1:]), 15)  # which was made by a password lives with any
    streams[1].close()


def test_a_stream_program_that_is_killed_ends_no_login_of_a_page_that_comes_back(pages):
    """Who does not come back has as long as ever."""
    desk, sofa = two_sessions(pages, "killed")
    follower, stream = Follower(desk), Stream(pages, sofa.login, token=sofa.token())
    until(follower.connected, 10)
    made = [appear(desk), appear(sofa)]
    wear(desk)
    until(lambda: are(desk, *made), 10)
    pages.kill_and_wait("restsip-stream")
    until(lambda: stream.ended and follower.connected(), 20)
    assert [*lasts(desk)] == made  # a moment to come back
    wear(desk)
    until(lambda: are(desk, made[0]), 15)
    follower.stop()
    assert follower.refused == []
    stream.close()
