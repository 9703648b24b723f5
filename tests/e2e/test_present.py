"""Who is in a call is there: with a contact, with a page that has its stream open, or until leaving."""
import contextlib
import json
import pathlib
import subprocess
import sys

import pytest

from answers import is_empty, is_json, is_problem, time_in
from follower import Follower
from restsip_system import until
from stream_client import Stream

PAGES = 100
PAGES_PROGRAM = pathlib.Path(__file__).resolve().parents[1] / "lib/pages.py"


@pytest.fixture(scope="module", name="present")
def fixture_present(systems):
    """A system of this file's own, where other bounds can hold for a while."""
    return systems("present", {"RESTSIP_DEMO": "no"})


@contextlib.contextmanager
def bound(of_system, name, amount):
    of_system.query_owner("select inspect.set_bound(%s, %s)", (name, amount))
    yield
    of_system.query_owner("select inspect.set_bound(%s)", (name,))


def people(of_system, prefix, count=2):
    return [of_system.account(f"{prefix}-{n}@example.net") for n in range(count)]


def make_call(who, **members):
    return is_json(who.request("POST", "/call", json=members), 201)["url"]


def join(who, call, status=201, **members):
    return is_json(who.request("POST", call, json=members), status)


def inside(who, call):
    return {child["email"] for child in is_json(who.request("GET", call))["children"]}


# ---- with a stream ----

def test_pages_that_are_killed_leave_and_each_is_seen_to(present):
    owner, *others = people(present, "page", PAGES + 1)
    call = make_call(owner)
    watcher = Stream(present, call, token=owner.token())
    with bound(present, "call_stream", 3):
        with subprocess.Popen([sys.executable, PAGES_PROGRAM, present.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True) as pages:
            try:
                print(json.dumps([[who.token(), call] for who in others]), file=pages.stdin, flush=True)
                assert pages.stdout.readline() == "there\n"
                assert inside(owner, call) == {who.email for who in others}
            finally:
                pages.kill()
        until(lambda: not inside(owner, call), 20)
    last = watcher.wait(lambda e: e.name == "change" and not e.data["children"] and len(watcher.events) > PAGES, 10)
    seen = [len(e.data["children"]) for e in watcher.events[:watcher.events.index(last) + 1]]
    assert {*range(PAGES)} <= {*seen[seen.index(PAGES):]}
    watcher.close()


def test_a_stream_program_that_is_killed_makes_nobody_leave_who_comes_back(present):
    owner, *others = people(present, "back", 4)
    ghost = people(present, "ghost", 1)[0]
    call = make_call(owner)
    followers = [Follower(who, path=f"/watch?r={call}" if n else call) for n, who in enumerate(others)]
    page = Stream(present, call, token=ghost.token())
    with bound(present, "call_stream", 8):
        until(lambda: all(f.connected() for f in followers), 10)
        for who in (*others, ghost):
            assert join(who, call, lifetime="stream")["lifetime"] == "stream"
        present.kill_and_wait("restsip-stream")
        until(lambda: ghost.email not in inside(owner, call), 30)
        assert inside(owner, call) == {who.email for who in others}
    page.close()
    for follower in followers:
        follower.stop()
        assert follower.refused == []


def test_who_was_never_there_by_a_stream_leaves_too_and_other_streams_keep_nobody(present):
    alice, bob = people(present, "never")
    call, other = make_call(alice), make_call(alice)
    elsewhere = [Stream(present, path, token=bob.token()) for path in (other, bob.login)]
    with bound(present, "call_stream", 1):
        join(bob, call, lifetime="stream")
        join(alice, call)
        until(lambda: inside(alice, call) == {alice.email}, 10)
    for stream in elsewhere:
        stream.close()


def test_a_page_that_has_been_there_longer_than_its_time_stays(present):
    alice, bob = people(present, "longer")
    call = make_call(alice)
    page = Stream(present, f"{call}/1", token=alice.token())
    assert page.status == 404  # a participant that is not there yet is no stream
    join(alice, call, lifetime="stream")
    join(bob, call, lifetime="stream")
    page = Stream(present, f"{call}/1", token=alice.token())
    with bound(present, "call_stream", 1):
        until(lambda: inside(alice, call) == {alice.email}, 10)
        page.close()
        until(lambda: not inside(alice, call), 10)


# ---- with a contact ----

def test_who_names_a_contact_leaves_with_it(present):
    alice, bob = people(present, "contact")
    call = make_call(alice)
    contact = is_json(alice.request("POST", alice.login, json={"contact": "sip:alice@192.0.2.1"}), 201)["self"]
    for who in ({"url": contact}, {"url": contact.replace("@", "%40")}):
        child = join(alice, call, 201 if "@" in who["url"] else 200, **who)
        assert child["login"] == contact and "lifetime" not in child
    join(bob, call)
    is_empty(alice.request("DELETE", contact))
    until(lambda: inside(bob, call) == {bob.email}, 10)
    problem = is_problem(alice.request("POST", call, json={"url": contact}), 400, "invalid-member", "/url")
    assert alice.login in problem["detail"]
    assert inside(bob, call) == {bob.email}


def test_who_names_none_needs_no_login_and_stays(present):
    alice, bob = people(present, "stays")
    call = make_call(alice)
    for who, how in ((alice, {"url": alice.login}), (bob, {"email": bob.email})):
        child = join(who, call, **how)
        assert child["login"] == who.login and "lifetime" not in child
    ghost = people(present, "stays-ghost", 1)[0]
    with bound(present, "call_stream", 1):
        join(ghost, call, lifetime="stream")
        until(lambda: inside(alice, call) == {alice.email, bob.email}, 10)


def test_the_later_join_says_what_one_stays_with(present):
    alice, bob = people(present, "later")
    call = make_call(alice)
    contact = is_json(bob.request("POST", bob.login, json={"contact": "sip:bob@192.0.2.1"}), 201)["self"]
    for member in (alice, bob):
        join(member, call, lifetime="stream")
    assert join(bob, call, 200, url=contact)["login"] == contact
    assert "lifetime" not in join(bob, call, 200, url=contact)
    with bound(present, "call_stream", 1):
        until(lambda: inside(bob, call) == {bob.email}, 10)
    assert join(bob, call, 200)["login"] == bob.login
    is_empty(bob.request("DELETE", contact))
    join(alice, call, lifetime="stream")
    with bound(present, "call_stream", 1):
        until(lambda: inside(bob, call) == {bob.email}, 10)


@pytest.mark.parametrize("body, pointer", [
    ({"lifetime": "forever"}, "/lifetime"),
    ({"lifetime": 30}, "/lifetime"),
    ({"url": "{login}/1", "lifetime": "stream"}, "/lifetime"),
    ({"url": "{login}/0"}, "/url"),
    ({"url": "{login}/x"}, "/url"),
    ({"url": "{login}/99999999999999999999"}, "/url"),
    ({"url": "{login}/1/2"}, "/url"),
    ({"url": "{login}/7"}, "/url"),
])
def test_what_cannot_be_stayed_with(account, body, pointer):
    alice = account("alice")
    body = {name: value.replace("{login}", alice.login) if isinstance(value, str) else value for name, value in body.items()}
    is_problem(alice.request("POST", make_call(alice), json=body), 400, "invalid-member", pointer)


# ---- calls that nobody is in ----

def test_a_call_ends_once_nobody_has_been_in_it_for_long(present):
    alice, bob = people(present, "empty")
    left, never, kept, later = [make_call(alice, subject=name) for name in ("left", "never", "kept", "later")]
    is_json(alice.request("PATCH", later, json={"starts_at": time_in(3600)}))
    join(bob, kept)
    is_empty(bob.request("DELETE", join(bob, left)["url"]))
    watcher = Stream(present, left, token=alice.token())
    watcher.wait("state")
    with bound(present, "call_empty", 1):
        watcher.wait("gone", 10)
        until(lambda: alice.request("GET", never).status_code == 404, 10)
    is_json(alice.request("GET", kept))
    is_json(alice.request("GET", later))
    watcher.close()


def test_calls_are_listed_by_state(account):
    alice = account("alice")
    active = [make_call(alice, open=n == 0) for n in range(3)]
    later = make_call(alice, open=False, starts_at=time_in(3600))

    def listed(query):
        return [c["url"] for c in is_json(alice.request("GET", f"/call?{query}"))]

    assert listed("state=scheduled&limit=1000")[-1] == later
    assert not {*active} & {*listed("state=scheduled&limit=1000")}
    found, path = [], "/call?state=active&limit=1"
    while path:
        answer = alice.request("GET", path)
        found += is_json(answer)
        path = answer.headers.get("Link", "").partition(">")[0][1:]
        assert not path or "state=active" in path
    assert [*active] == [c["url"] for c in found if c["owner"] == alice.email]
    assert all(c["state"] == "active" for c in found)
    problem = is_problem(alice.request("GET", "/call?state=ended"), 400, "invalid-parameter")
    assert "active or scheduled" in problem["detail"] and "ended" in problem["detail"]
    is_problem(alice.request("GET", "/call?state=active&stream"), 400, "invalid-parameter")
