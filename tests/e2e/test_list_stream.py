"""The lists /login and /call as streams and long polls."""
import json
import signal
import sys
import threading

import psycopg
import pytest
from restsip_system import SMALL
from stream_client import Stream

sys.set_int_max_str_digits(0)  # numbers of a call may be long


@pytest.fixture(scope="module", name="own_system")
def fixture_own_system(systems):
    """One for all tests of this file, which leave it running."""
    return systems("list", {**SMALL, "RESTSIP_DEMO": "no"})


@pytest.fixture
def opened():
    """Opens streams and closes them at the end: opened(account, path)."""
    made = []

    def make(account, path, **how):
        made.append(Stream(account.system, path, token=account.token(), **how))
        return made[-1]

    yield make
    for stream in made:
        stream.close()


def register(account, contact="sip:a@192.0.2.1"):
    answer = account.request("POST", account.login, json={"contact": contact})
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


def known(stream, *items):
    """What a client of a list knows of some items, by id."""
    state = {}
    for event in list(stream.events):
        if event.name == "state":
            state = {item["id"]: item for item in event.data}
        elif event.name == "put":
            state[event.data["id"]] = event.data
        elif event.name == "remove":
            state.pop(event.data["id"], None)
    return {k: v for k, v in state.items() if k in items}


def of(stream, *items):
    """Events of some items: the system is shared."""
    return [(e.name, e.data["id"]) for e in list(stream.events) if e.name != "state" and e.data["id"] in items]


def all_of(account, path):
    items, more = [], ""
    while True:
        page = account.request("GET", f"{path}?limit=1000{more}").json()
        items += page
        if len(page) < 1000:
            return {item["id"]: item for item in items}
        more = "&after=" + page[-1]["id"]


@pytest.mark.parametrize("sse", [False, True])
def test_who_logs_in_and_out(account, opened, until, sse):
    alice, bob = account("alice"), account("bob")
    register(bob)
    stream = opened(bob, "/login?limit=1000", sse=sse)
    assert stream.status == 200
    state = stream.wait("state")
    assert state.data == alice.request("GET", "/login?limit=1000").json() and state.id.isdigit()
    first = register(alice)
    put = stream.wait(lambda e: e.name == "put" and e.data["id"] == alice.email, 2)
    assert put.data == all_of(bob, "/login")[alice.email]
    register(alice, "sip:b@192.0.2.1")
    stream.wait(lambda e: e.name == "put" and e.data["id"] == alice.email and e.data["contacts"] == 2, 2)
    register(alice, "sip:b@192.0.2.1")  # a refresh, which the list does not show
    alice.request("DELETE", first["self"])
    until(lambda: known(stream, alice.email)[alice.email]["contacts"] == 1)
    alice.request("DELETE", alice.login)
    gone = stream.wait(lambda e: e.name == "remove" and e.data["id"] == alice.email, 2)
    assert gone.data == {"id": alice.email, "url": alice.login}
    assert of(stream, alice.email) == [("put", alice.email)] * 3 + [("remove", alice.email)]
    assert known(stream, alice.email, bob.email) == {bob.email: all_of(bob, "/login")[bob.email]}


def test_a_deleted_account_leaves_the_list(account, opened):
    alice, bob = account("alice"), account("bob")
    register(alice)
    stream = opened(bob, "/login?limit=1000")
    stream.wait("state")
    assert alice.request("DELETE", "/user/me").status_code == 204
    stream.wait(lambda e: e.name == "remove" and e.data["id"] == alice.email, 2)


def test_what_lapses_leaves_the_list(account, opened):
    alice, bob = account("alice"), account("bob")
    stream = opened(bob, "/login?stream", headers={"Accept": "*/*"})
    stream.wait("state")
    alice.request("POST", alice.login, json={"contact": "sip:a@192.0.2.1", "expires": 1})
    stream.wait(lambda e: e.name == "put" and e.data["id"] == alice.email, 2)
    stream.wait(lambda e: e.name == "remove" and e.data["id"] == alice.email, 10)


def test_the_first_page_can_be_any(account, opened):
    alice = account("alice")
    register(alice)
    stream = opened(alice, f"/login?limit=1&after={alice.email[:-1]}")
    assert [item["id"] for item in stream.wait("state").data] == [alice.email]
    for query in ("limit=0", "limit=1001", "limit=x", "since=x", "since=1.2", "since=1.2.3.4", "wait=x"):
        assert opened(alice, f"/login?{query}").status == 400


def test_a_resume_has_what_happened_meanwhile_and_no_more(account, opened, until):
    alice, bob, carol = account("alice"), account("bob"), account("carol")
    stream = opened(bob, "/login?limit=1000")
    stream.wait("state")
    register(alice)
    last = stream.wait(lambda e: e.name == "put" and e.data["id"] == alice.email, 2).id
    stream.close()
    register(carol)
    alice.request("DELETE", alice.login)
    names = {alice.email, carol.email}
    for how in ({"last": last}, {"path": f"/login?since={last}"}):
        again = opened(bob, **{"path": "/login", **how})
        until(lambda s=again: len(of(s, *names)) == 2)
        register(bob, f"sip:{id(again)}@192.0.2.1")
        again.wait(lambda e: e.data["id"] == bob.email, 2)
        assert of(again, *names) == [("put", carol.email), ("remove", alice.email)] and not again.named("state")
    assert opened(bob, "/login?limit=1000", last="9" * 18).wait("state")


def test_a_resume_in_the_midst_of_what_came_together(system, account, opened, until):
    """Transactions that a third one holds back come in one window; each event of it can be resumed from."""
    people = [account(f"p{n}") for n in range(4)]
    names = [p.email for p in people]
    stream = opened(people[0], "/login?limit=1000")
    stream.wait("state")
    with psycopg.connect(system.pg_owner) as held:
        held.execute("select pg_current_xact_id()")
        for person in people:
            register(person)
        assert of(stream, *names) == []
        held.rollback()
    until(lambda: len(of(stream, *names)) == 4)
    events = [e for e in stream.events if e.name == "put" and e.data["id"] in names]
    assert [e.data["id"] for e in events] == names
    for i, event in enumerate(events):
        again = opened(people[0], "/login", last=event.id)
        register(people[0], f"sip:{i}@192.0.2.2")
        until(lambda s=again, n=i: [name for _, name in of(s, *names[1:])] == names[max(n, 0) + 1:]
              and (names[0] in known(s, names[0])))
        again.close()
        until(lambda n=i: known(stream, names[0])[names[0]]["contacts"] == n + 2)


def test_the_long_poll(account):
    alice, bob = account("alice"), account("bob")
    now = bob.request("GET", "/login?wait=5&limit=1000")
    assert now.status_code == 200 and {i["id"] for i in now.json()} == set(all_of(bob, "/login"))
    place = now.headers["ETag"].strip('"')
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(
        bob.request("GET", f"/login?wait=10&limit=1000&since={place}")))
    waiting.start()
    register(alice)
    waiting.join(8)
    assert answers[0].status_code == 200 and alice.email in {i["id"] for i in answers[0].json()}
    place = answers[0].headers["ETag"].strip('"')
    again = bob.request("GET", f"/login?wait=0&limit=1000&since={place}")
    assert again.status_code == 304 and again.headers["ETag"].strip('"') == place


def test_each_sees_the_calls_that_it_may_see(account, opened, until):
    alice, bob, carol = account("alice"), account("bob"), account("carol")
    streams = [opened(who, "/call") for who in (alice, bob, carol)]
    for stream in streams:
        stream.wait("state")

    def seen_by(*expected):
        until(lambda: tuple(call["id"] in known(s, call["id"]) for s in streams) == expected)
        for who, stream in zip((alice, bob, carol), streams):
            until(lambda w=who, s=stream: known(s, call["id"]).get(call["id"]) == all_of(w, "/call").get(call["id"]))

    call = alice.request("POST", "/call", json={"subject": "s", "open": False, "invited": [bob.email]}).json()
    seen_by(True, True, False)
    alice.request("PATCH", call["url"], json={"invited": [carol.email]})
    seen_by(True, False, True)
    carol.request("POST", call["url"], json={"url": carol.login, "session": "x"})
    alice.request("PATCH", call["url"], json={"invited": []})
    until(lambda: known(streams[2], call["id"])[call["id"]]["participants"] == 1)
    seen_by(True, False, True)
    alice.request("PATCH", call["url"], json={"open": True})
    seen_by(True, True, True)
    alice.request("PATCH", call["url"], json={"open": False})
    seen_by(True, False, True)
    alice.request("DELETE", call["url"] + "/1")
    seen_by(True, False, False)
    alice.request("DELETE", call["url"])
    until(lambda: not known(streams[0], call["id"]))
    assert of(streams[1], call["id"]) == [("put", call["id"]), ("remove", call["id"])] * 2


def test_it_needs_credentials_and_ends_with_them(system, account):
    alice = account("alice")
    assert Stream(system, "/login").status == 401
    stream = Stream(system, "/call", token=alice.token(), sse=True)
    stream.wait("state")
    alice.request("DELETE", "/session")
    assert stream.wait("end", 1).data == {"reason": "session-ended"}


def test_it_outlives_the_database_and_restsip_stream(own_system, own_account, until):
    alice, bob = own_account("alice"), own_account("bob")
    stream = Stream(own_system, "/login", token=bob.token())
    stream.wait("state")
    own_system.kill_and_wait("postgres")
    own_system.await_ready()
    until(lambda: alice.request("POST", alice.login, json={"contact": "sip:a@192.0.2.1"}).status_code < 300, 10)
    until(lambda: alice.email in known(stream, alice.email), 10)
    place = stream.last_id
    own_system.kill_and_wait("restsip-stream")
    alice.request("DELETE", alice.login)
    stream.wait_end()
    until(lambda: Stream(own_system, "/login", token=bob.token()).status == 200, 10)
    again = Stream(own_system, "/login", token=bob.token(), last=place)
    again.wait(lambda e: e.name == "remove" and e.data["id"] == alice.email, 5)
    assert not again.named("state")  # the history outlived the process
    again.close()


def test_a_place_from_just_before_a_crash_skips_nothing(own_system, own_account, until):
    """A crash takes back the numbers of transactions that nobody waited for: a place must not be ahead of them."""
    def burn(n):
        with psycopg.connect(own_system.pg_owner, autocommit=True) as db:
            db.execute("set synchronous_commit = off")
            db.execute(f"do 'begin for i in 1..{n} loop perform pg_current_xact_id(); commit; end loop; end'")

    alice, bob = own_account("alice"), own_account("bob")
    held = Stream(own_system, "/login", token=bob.token())
    held.wait("state")
    burn(3000)
    place = bob.request("GET", "/login?wait=0").headers["ETag"].strip('"')
    own_system.kill("postgres", signal.SIGQUIT)
    until(lambda: alice.request("POST", alice.login, json={"contact": "sip:a@192.0.2.1"}).status_code < 300, 20)
    until(lambda: alice.email in known(held, alice.email), 10)
    burn(6000)
    late = Stream(own_system, "/login", token=bob.token(), last=place)
    late.wait(lambda e: alice.email in str(e.data))
    for stream in (held, late):
        stream.close()


# ---- more than an event holds ----

def big_calls(account, n):
    """Private calls with members of 16 KiB each; their ids, and where the list begins with them."""
    owner = account("owner")
    made = [owner.request("POST", "/call", json={"open": False, "x": "y" * 16000}).json() for _ in range(n)]
    return owner, [call["id"] for call in made], str(int(made[0]["id"]) - 1)


def listed(stream):
    return [call["id"] for event in list(stream.events)
            for call in (event.data if event.name == "state" else [event.data])]


@pytest.mark.parametrize("sse", [False, True])
def test_what_does_not_fit_into_the_first_event_follows(account, opened, until, sse):
    owner, ids, after = big_calls(account, 80)
    stream = opened(owner, f"/call?limit=75&after={after}", sse=sse)
    until(lambda: len(listed(stream)) >= 75, 20)
    first = stream.events[0]
    events = list(stream.events)[:76 - len(first.data)]
    assert first.name == "state" and 50 < len(first.data) < 75
    assert len(json.dumps(first.data)) <= 1024 * 1024 + 10000
    mine = [i for i in listed(stream) if i in ids]
    assert mine[:75] == ids[:75], "what has changed since is told as well"
    # Who comes back before all of it is there begins anew: only the last one says where it stands.
    assert not any(e.id for e in events[:-1]) and events[-1].id
    subject = owner.request("PATCH", f"/call/{ids[-1]}", json={"subject": "news"})
    assert subject.status_code == 200
    stream.wait(lambda e: e.name == "put" and e.data["id"] == ids[-1] and e.data.get("subject") == "news", 5)
    again = opened(owner, "/call", sse=sse, last=events[-1].id)
    again.wait(lambda e: e.name == "put" and e.data["id"] == ids[-1], 5)
    assert not again.named("state")


def test_large_items_in_a_watch(account, opened, until):
    owner, ids, after = big_calls(account, 70)
    stream = opened(owner, f"/watch?r=/call?limit=1000%26after={after}&r=/login/me")
    if stream.status != 200:  # a list within a watch has no page of its own
        stream = opened(owner, "/watch?r=/call&r=/login/me")
    until(lambda: stream.last_id and not stream.last_id.startswith(","), 20)
    assert not stream.ended


def test_numbers_that_are_large_only_when_written_end_nobodys_stream(account, opened):
    """A hundred calls of 41 bytes did."""
    alice, eve = account("alice"), account("eve")
    stream = opened(alice, "/call?limit=1000")
    stream.wait("state")
    for digits in (131071, 60000, 17000):
        answer = eve.request("POST", "/call", data='{"x":1e%d}' % digits, headers={"Content-Type": "application/json"})
        assert answer.status_code == 413
    call = eve.request("POST", "/call", data='{"x":1e16000}', headers={"Content-Type": "application/json"})
    assert call.status_code == 201
    stream.wait(lambda e: e.name == "put" and e.data["id"] == call.json()["id"], 5)
    assert eve.request("GET", "/call?limit=1000").status_code == 200
