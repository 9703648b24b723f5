"""/user/{email}/calls: what calls an account has had."""
import threading

import pytest

from answers import TIME, is_json, is_problem

WAIT_S = 15


@pytest.fixture(name="people")
def fixture_people(account):
    """Alice, and bob, who has a page."""
    alice, bob = account("alice"), account("bob")
    has_page(bob)
    return alice, bob


def has_page(who):
    assert who.request("POST", who.login, json={"lifetime": "stream"}).status_code == 201


def past(who, **query):
    return is_json(who.request("GET", "/user/me/calls", params=query))


def ring(caller, callee):
    """The call's URL."""
    return is_json(caller.request("POST", "/call", json={"open": False, "invite": [callee.login]}), 201)["url"]


def end(who, call):
    assert who.request("DELETE", call).status_code == 204


def test_who_calls_and_who_is_called_have_one_each(people):
    alice, bob = people
    assert past(alice) == past(bob) == []
    call = ring(alice, bob)
    assert past(alice) == past(bob) == []
    is_json(bob.request("POST", call, json={}), 201)
    end(alice, call)
    (made,), (received,) = past(alice), past(bob)
    assert made["type"] == "made" and made["with"] == bob.email
    assert received["type"] == "received" and received["with"] == alice.email
    for item in (made, received):
        assert item["call"] == call and item["ended"] == {"by": alice.email, "cause": "hangup"}
        assert item["duration"] in (0, 1) and item["started_at"] <= item["joined_at"] <= item["ended_at"]
        assert all(TIME.match(item[name]) for name in ("started_at", "joined_at", "ended_at"))


@pytest.mark.parametrize("how, by, cause, kind", [
    ("cancel", 0, "cancelled", "missed"), ("reject", 1, "declined", "received"),
    ("unavailable", 1, "unreachable", "received"), ("busy", 1, "busy", "received")])
def test_how_it_ended(people, how, by, cause, kind):
    alice, bob = people
    call = ring(alice, bob)
    if how == "cancel":
        alice.request("SEND", bob.login, json={"command": "cancel", "url": call})
    else:
        bob.request("SEND", alice.login, json={"command": "reject", "url": call, **({"reason": how} if how != "reject" else {})})
    (made,), (got,) = past(alice), past(bob)
    assert made["ended"] == got["ended"] == {"by": people[by].email, "cause": cause}
    assert made["type"] == "made" and got["type"] == kind and "duration" not in got and "joined_at" not in got
    end(alice, call)
    assert past(alice) == [made] and past(bob) == [got]


def test_a_page_at_a_time(people):
    alice, bob = people
    calls = [ring(alice, bob) for _ in range(3)]
    for call in calls:
        end(alice, call)
    assert [item["call"] for item in past(bob)] == calls[::-1]
    answer = bob.request("GET", "/user/me/calls", params={"limit": 2})
    assert [item["call"] for item in is_json(answer)] == calls[:0:-1]
    following = answer.links["next"]["url"]
    answer = bob.request("GET", following)
    assert [item["call"] for item in is_json(answer)] == calls[:1] and "next" not in answer.links


def test_its_version_moves_with_each(people):
    alice, bob = people
    etag = bob.request("GET", "/user/me/calls").headers["ETag"]
    assert bob.request("GET", "/user/me/calls", headers={"If-None-Match": etag}).status_code == 304
    end(alice, ring(alice, bob))
    answer = bob.request("GET", "/user/me/calls", headers={"If-None-Match": etag})
    assert answer.status_code == 200 and answer.headers["ETag"] != etag


def test_it_is_the_owner_s_alone(people, system):
    alice, bob = people
    path = f"/user/{alice.email}/calls"
    is_problem(bob.request("GET", path), 403, "not-owner")
    is_problem(bob.request("GET", path, headers={"Accept": "text/event-stream"}), 403, "not-owner")
    is_problem(system.request("GET", path), 401)


@pytest.mark.parametrize("sse", [True, False])
def test_a_stream_shows_a_missed_call_at_once(people, opened, sse):
    alice, bob = people
    stream = opened(bob, "/user/me/calls", sse=sse)
    assert stream.wait("state", WAIT_S).data == []
    call = ring(alice, bob)
    end(alice, call)
    event = stream.wait("change", WAIT_S)
    assert event.data == past(bob) and event.data[0]["type"] == "missed" and event.data[0]["call"] == call
    assert f'"{event.id}"' == bob.request("GET", "/user/me/calls").headers["ETag"]
    stream.close()
    end(alice, ring(alice, bob))
    again = opened(bob, "/user/me/calls", sse=sse, last=event.id)
    assert again.wait("change", WAIT_S).data == past(bob) and len(past(bob)) == 2


def test_a_stream_tells_differences(people, opened):
    alice, bob = people
    stream = opened(bob, "/user/me/calls?updates=diff")
    stream.wait("state", WAIT_S)
    end(alice, ring(alice, bob))
    assert stream.wait("change", WAIT_S).data == [{"op": "add", "path": "/0", "value": past(bob)[0]}]


def test_a_long_poll_waits_for_one(people):
    alice, bob = people
    since = bob.request("GET", "/user/me/calls").headers["ETag"].strip('"')
    assert bob.request("GET", f"/user/me/calls?wait=0&since={since}").status_code == 304
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(bob.request("GET", f"/user/me/calls?wait=15&since={since}")))
    waiting.start()
    end(alice, ring(alice, bob))
    waiting.join(20)
    assert is_json(answers[0])[0]["type"] == "missed"


def test_it_is_one_of_a_watch(people, opened):
    alice, bob = people
    stream = opened(bob, "/watch?r=/user/me/calls&r=/login/me")
    stream.wait(lambda e: e.name == "state" and e.data["resource"] == "/user/me/calls", WAIT_S)
    end(alice, ring(alice, bob))
    event = stream.wait(lambda e: e.name == "change" and e.data["resource"] == "/user/me/calls", WAIT_S)
    assert event.data["data"] == past(bob)


def test_it_outlives_the_call_and_the_other_account(people, system):
    alice, bob = people
    end(alice, ring(alice, bob))
    item, = past(bob)
    assert alice.request("DELETE", "/user/me").status_code == 204
    assert bob.request("GET", item["call"]).status_code == 404
    assert past(bob) == [item] and item["with"] == alice.email
    assert system.query("select count(*) as n from inspect.past_call where email = %s", (alice.email,))[0]["n"] == 0


def test_who_is_called_ends_with_their_account(account, people):
    """What was under way is a past call of the other's."""
    alice, bob = people
    carol = account("carol")
    has_page(carol)
    call = is_json(alice.request("POST", "/call", json={"open": False, "invite": [bob.login, carol.login]}), 201)["url"]
    is_json(carol.request("POST", call, json={}), 201)
    assert carol.request("DELETE", "/user/me").status_code == 204
    item, = past(alice)
    assert item["with"] == carol.email and item["ended"] == {"by": carol.email, "cause": "hangup"}


def test_what_is_too_much_goes(people, system, until):
    alice, bob = people
    for _ in range(3):
        end(alice, ring(alice, bob))
    before = bob.request("GET", "/user/me/calls").headers["ETag"]
    newest = past(bob)
    system.query_owner("select inspect.set_bound('past_calls', 2)")
    try:
        end(alice, ring(alice, bob))
        until(lambda: len(past(bob)) == 2, WAIT_S)
        assert past(bob)[1] == newest[0]
        assert int(bob.request("GET", "/user/me/calls").headers["ETag"].strip('"')) > int(before.strip('"'))
    finally:
        system.query_owner("select inspect.set_bound('past_calls')")
