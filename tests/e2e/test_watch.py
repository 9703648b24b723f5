"""/watch: one stream on many resources."""
import json
import threading
from urllib.parse import quote

import pytest
from json_patch import apply
from restsip_system import SMALL, until as wait_until
from stream_client import Stream
from stream_steps import insist, private_call, problem, register, send


@pytest.fixture(scope="module", name="own_system")
def fixture_own_system(systems):
    """One for all tests of this file, which leave it running."""
    return systems("watch", {**SMALL, "RESTSIP_DEMO": "no"})


def watch(*paths, **more):
    query = "&".join(f"r={quote(path, safe='')}" for path in paths)
    return "/watch?" + query + "".join(f"&{k}={v}" for k, v in more.items())


@pytest.fixture
def opened():
    """Opens a watch and closes it at the end: opened(account, path, ...)."""
    made = []

    def make(account, *paths, sse=False, last=None, headers=None, **more):
        made.append(Stream(account.system, watch(*paths, **more), token=account.token(), sse=sse, last=last,
                           headers=headers))
        return made[-1]

    yield make
    for stream in made:
        stream.close()


def wait(stream, name, resource, timeout_s=5, match=lambda data: True):
    return stream.wait(lambda e: e.name == name and e.data.get("resource") == resource and match(e.data["data"]), timeout_s)


@pytest.mark.parametrize("sse", [False, True])
def test_states_then_changes_of_each(account, opened, sse):
    alice, bob = account("alice"), account("bob")
    call = bob.request("POST", "/call", json={"subject": "one"}).json()["url"]
    paths = [bob.login, call, f"/user/{alice.email}/messages", "/user/me", "/login", "/call"]
    stream = opened(alice, *paths, sse=sse)
    assert stream.status == 200
    for path in paths:
        state = wait(stream, "state", path)
        assert state.data["data"] == alice.request("GET", path).json() or path in ("/login", "/call")
    made = register(bob, "sip:b@192.0.2.1")
    change = wait(stream, "change", bob.login)
    got = alice.request("GET", bob.login)
    assert change.data["data"] == got.json() and f'"{change.data["id"]}"' == got.headers["ETag"]
    assert change.id.split(",")[0] == change.data["id"] and len(change.id.split(",")) == len(paths)
    wait(stream, "put", "/login", match=lambda data: data["id"] == bob.email)
    bob.request("PATCH", call, json={"subject": "two"})
    assert wait(stream, "change", call).data["data"]["subject"] == "two"
    wait(stream, "put", "/call", match=lambda data: data["subject"] == "two")
    bob.request("POST", paths[2], data="hi", headers={"Content-Type": "text/plain"})
    assert wait(stream, "change", paths[2]).data["data"][0]["from"] == bob.email
    bob.request("DELETE", made["self"])
    wait(stream, "remove", "/login", match=lambda data: data["id"] == bob.email)


@pytest.mark.parametrize("sse", [False, True])
def test_differences_of_each_make_what_a_get_shows(account, opened, until, sse):
    alice, bob = account("alice"), account("bob")
    call = bob.request("POST", "/call", json={"subject": "s", "list": [1, 2, 3]}).json()["url"]
    mailbox = f"/user/{alice.email}/messages"
    paths = [bob.login, call, "/user/me", mailbox]
    docs, names = {}, []

    def write(n):
        register(bob, f"sip:b{n}@192.0.2.1")
        for subject in ("one", "two"):
            bob.request("PATCH", call, json={"subject": f"{subject} {n}", "list": [n, 2, 3, {"x": subject}]})
        alice.request("PATCH", "/user/me", json={"nick": f"al {n}", "~a/b": {"n": n}})
        bob.request("POST", mailbox, data=f"mail {n}", headers={"Content-Type": "text/plain"})
        bob.request("POST", call, json={"url": bob.login, "session": {"n": n}})

    def take(stream):
        """Each event once, in its order."""
        while stream.events:
            event = stream.events.pop(0)
            path, data = event.data["resource"], event.data["data"]
            docs[path] = data if event.name == "state" else apply(docs[path], data)
            names.append(event.name)
        return docs == {path: alice.request("GET", path).json() for path in paths}

    stream = opened(alice, *paths, sse=sse, updates="diff")
    until(lambda: take(stream), 10)
    assert names == ["state"] * len(paths)
    for n in range(3):
        write(n)
    until(lambda: take(stream), 10)
    stream.close()
    write(3)
    again = opened(alice, *paths, sse=sse, updates="diff", last=stream.last_id)
    until(lambda: take(again), 10)
    write(4)
    until(lambda: take(again), 10)
    # That bob joins again changes nothing that alice is shown: she may have been told of it, or not yet.
    assert set(names[len(paths):]) == {"change"} and len(names) >= len(paths) + 5 * 5 + 1


def test_one_difference_says_what_changed_alone(account, opened):
    alice = account("alice")
    stream = opened(alice, alice.login, "/user/me", updates="diff")
    wait(stream, "state", alice.login)
    wait(stream, "state", "/user/me")
    alice.request("PATCH", "/user/me", json={"nick": "al"})
    assert wait(stream, "change", "/user/me").data["data"] == [{"op": "add", "path": "/nick", "value": "al"}]


def test_any_accept_will_do(account, opened):
    alice = account("alice")
    stream = opened(alice, alice.login, headers={"Accept": "*/*"})
    assert stream.status == 200 and stream.headers["Content-Type"] == "application/x-ndjson"


def test_messages_come_with_one_s_own_login_once(account, opened, until):
    alice, bob = account("alice"), account("bob")
    contact = register(alice, "sip:a@192.0.2.1")
    stream = opened(alice, bob.login, "/login/me", alice.login, contact["self"])
    for path in (bob.login, "/login/me", alice.login, contact["self"]):
        wait(stream, "state", path)
    for i in range(5):
        send(bob, alice, f"m{i}")
    message = wait(stream, "message", "/login/me", match=lambda data: data["body"] == "m4")
    assert [e.data["data"]["body"] for e in stream.named("message")] == [f"m{i}" for i in range(5)]
    assert message.id.split(",")[1] == message.data["id"] and "." in message.data["id"]
    until(lambda: alice.system.query("""select count(*) = 5 as done from inspect.delivery
        where recipient = %s and kind = 'stream' and state = 'delivered'""", (alice.email,))[0]["done"])


@pytest.mark.parametrize("turn", [1, -1])
def test_a_resume_has_each_in_between(account, opened, until, turn):
    alice, bob = account("alice"), account("bob")
    paths = ["/login/me", bob.login, "/login"][::turn]
    stream = opened(alice, *paths)
    for path in paths:
        wait(stream, "state", path)
    send(bob, alice, "one")
    last = wait(stream, "message", "/login/me").id
    stream.close()
    register(bob, "sip:b@192.0.2.1")
    send(bob, alice, "two")
    for how in ({"last": last}, {"since": last}):
        again = opened(alice, *paths, **how)
        wait(again, "change", bob.login)
        wait(again, "message", "/login/me")
        wait(again, "put", "/login", match=lambda data: data["id"] == bob.email)
        until(lambda s=again: len(s.events) >= 3)
        assert [e.data["data"]["body"] for e in again.named("message")] == ["two"]
        assert len([e for e in again.events if e.data["resource"] != "/login"]) == 2 and not again.named("state")
    # The first event of all is enough to resume, too: what was not shown yet comes as a state.
    first = stream.events[0].id
    assert "." in first.split(",")[paths.index("/login/me")]
    again = opened(alice, *paths, last=first)
    wait(again, "message", "/login/me", match=lambda data: data["body"] == "two")
    assert opened(alice, *paths, last="1,2").wait("state")


def test_what_ends_leaves_the_others(account, opened):
    alice, bob = account("alice"), account("bob")
    call, other = private_call(bob, alice), private_call(bob, alice)
    stream = opened(alice, call, bob.login, other)
    for path in (call, bob.login, other):
        wait(stream, "state", path)
    bob.request("DELETE", call)
    gone = wait(stream, "gone", call)
    assert gone.id.startswith("-,") and gone.data["data"] is None
    bob.request("PATCH", other, json={"invited": []})
    end = wait(stream, "end", other)
    assert end.data["data"] == {"reason": "access-ended"} and end.id.endswith(",-")
    register(bob, "sip:b@192.0.2.1")
    last = wait(stream, "change", bob.login).id
    assert last.startswith("-,") and last.endswith(",-") and not stream.ended
    stream.close()
    again = opened(alice, call, bob.login, other, last=last)
    assert again.status == 200
    register(bob, "sip:c@192.0.2.1")
    wait(again, "change", bob.login)
    assert bob.request("DELETE", "/user/me").status_code == 204
    wait(again, "gone", bob.login)
    assert again.wait("end").data == {"reason": "gone"}
    again.wait_end()


@pytest.mark.parametrize("how", ["deleted", "not invited"])
@pytest.mark.parametrize("first", [True, False])
def test_what_went_meanwhile_is_told_to_who_comes_back(account, opened, how, first):
    """Between two streams or two polls, as it would have been told to one that was open."""
    alice, bob = account("alice"), account("bob")
    call = private_call(bob, alice)
    contact = register(bob, "sip:b@192.0.2.1")["self"]
    sent = send(alice, bob, "x")["url"]
    paths = [call, bob.login, contact, sent] if first else [bob.login, contact, sent, call]
    stream = opened(alice, *paths)
    for path in paths:  # in whatever order they come
        wait(stream, "state", path)
    last = stream.events[-1].id
    stream.close()
    if how == "deleted":
        bob.request("DELETE", call)
    else:
        bob.request("PATCH", call, json={"invited": []})
    bob.request("DELETE", contact)
    ticket = alice.request("POST", "/session/ticket").json()["ticket"]
    again = Stream(alice.system, watch(*paths, ticket=ticket, since=last))
    assert again.status == 200
    for path in (call, contact):
        again.wait(lambda e, path=path: e.name == "gone" and e.data == {"resource": path, "data": None})
    assert wait(again, "change", bob.login).data["data"] == []
    again.close()
    told = []
    for gone in (event for event in again.events if event.name == "gone"):
        told.append(gone.data["resource"])
        assert [place == "-" for place in gone.id.split(",")] == [path in told for path in paths]
    first_id = next(event.id for event in again.events if event.name == "gone")
    cut = opened(alice, *paths, last=first_id)  # who has heard of one is told of the other
    assert cut.wait("gone").data["resource"] == told[1]
    cut.close()
    status, items, place = poll(alice, *paths, wait=5, since=last)
    assert status == 200 and {path for path in items if items[path].get("gone")} == {call, contact}
    assert items[bob.login]["data"] == [] and [p == "-" for p in place.split(",")] == [p in (call, contact) for p in paths]
    only = opened(alice, call, last=last.split(",")[paths.index(call)])
    assert only.wait("gone").data == {"resource": call, "data": None}
    assert only.wait("end").data == {"reason": "gone"}
    only.wait_end()
    problem(Stream(alice.system, watch(*paths, ticket=ticket, since=last)), 401, "unauthorized")


def test_a_refused_one_refuses_all(account, opened, system):
    alice, bob = account("alice"), account("bob")
    call = private_call(bob)
    for paths, status, name, place in (
            ([alice.login, call], 404, "call-not-found", 1),
            ([f"/user/{bob.email}/messages", alice.login], 403, "not-owner", 0),
            ([alice.login, "/login/nobody@example.net"], 404, "user-not-found", 1),
            ([alice.login, "/login/no-address"], 404, "user-not-found", 1),
            ([alice.login, alice.login, alice.login + "/999"], 404, "message-not-found", 2),
            (["/nothing"], 404, "not-found", 0),
            ([alice.login, "login"], 400, "invalid-parameter", 1),
            ([alice.login, "/watch"], 406, "not-acceptable", 1),
            ([f"/user/{alice.email}/credential"], 406, "not-acceptable", 0)):
        refused = opened(alice, *paths)
        problem(refused, status, name)
        assert json.loads(refused.body)["errors"][0]["pointer"] == f"/r/{place}"
    for more in ({"since": "x"}, {"since": "1,2"}, {"wait": "x"}, {"wait": "1", "since": "-"}, {"updates": "x"}):
        problem(opened(alice, alice.login, **more), 400, "invalid-parameter")
    problem(opened(alice), 400, "invalid-parameter")
    problem(opened(alice, *["/login"] * 101), 400, "invalid-parameter")
    problem(Stream(system, watch(alice.login)), 401, "unauthorized")
    assert alice.request("HEAD", watch(alice.login, bob.login)).status_code == 200


def test_a_sent_message_by_its_number(account, opened):
    alice, bob = account("alice"), account("bob")
    sent = send(bob, alice, "x")
    stream = opened(bob, "/login", sent["url"])
    assert wait(stream, "state", sent["url"]).data["data"]["status"] == "stored"


def test_a_hundred_at_once(account, opened):
    alice, bob = account("alice"), account("bob")
    calls = [bob.request("POST", "/call", json={"subject": str(n)}).json()["url"] for n in range(100)]
    stream = opened(alice, *calls)
    for n, path in enumerate(calls):
        assert wait(stream, "state", path).data["data"]["subject"] == str(n)
    bob.request("DELETE", calls[70])
    wait(stream, "gone", calls[70])


def test_a_hundred_large_ones_let_others_through(own_system, own_account, opened):
    """They are read a few at a time: another stream's read is not behind all of them."""
    own_system.query_owner("select inspect.set_bound('login_members', 32768)")
    alice, bob = own_account("alice"), own_account("bob")
    for n in range(10):
        register(alice, f"sip:a{n}@192.0.2.1", pad="x" * 30_000)
    many = opened(bob, *[alice.login] * 100)
    many.wait("state", 10)
    opened(bob, "/user/me").wait("state", 10)
    came = len(many.named("state"))
    wait_until(lambda: len(many.named("state")) == 100, 30)
    assert came < 90


@pytest.mark.parametrize("how", ["logout", "account"])
def test_it_ends_with_the_session(system, account, how):
    alice = account("alice")
    ticket = alice.request("POST", "/session/ticket").json()["ticket"]
    streams = [Stream(system, watch("/login", "/user/me", "/call"), token=alice.token(), sse=True),
               Stream(system, watch("/login", "/login/me", "/call", ticket=ticket))]
    for stream in streams:
        assert stream.status == 200
        wait(stream, "state", "/call")
    assert alice.request("DELETE", "/session" if how == "logout" else "/user/me").status_code == 204
    for stream in streams:
        assert stream.wait(lambda e: e.name == "end" and "resource" not in e.data, 2).data == {"reason": "session-ended"}
        stream.wait_end()


def test_it_outlives_the_database(own_system, own_account):
    alice, bob = own_account("alice"), own_account("bob")
    ticket = alice.request("POST", "/session/ticket").json()["ticket"]
    paths = ["/login/me", bob.login, "/call"]
    stream = Stream(own_system, watch(*paths, ticket=ticket))
    for path in paths:
        wait(stream, "state", path)
    own_system.kill_and_wait("postgres")
    own_system.await_ready()
    insist(lambda: bob.request("POST", bob.login, json={"contact": "sip:b@192.0.2.1"}))
    insist(lambda: bob.request("SEND", alice.login, data="after", headers={"Content-Type": "text/plain"}))
    stream.wait(lambda e: e.name in ("change", "state") and e.data["resource"] == bob.login and e.data["data"], 10)
    wait(stream, "message", "/login/me", 10)
    call = insist(lambda: bob.request("POST", "/call", json={"subject": "s"})).json()["id"]
    stream.wait(lambda e: e.data["resource"] == "/call" and call in str(e.data["data"]), 10)
    assert not stream.ended
    stream.close()


def poll(account, *paths, **more):
    """A long poll: its status, what it says of each resource, and its id."""
    answer = account.request("GET", watch(*paths, **more))
    items = {item["resource"]: item for item in answer.json()} if answer.status_code == 200 else None
    assert items is None or len(items) == len(answer.json())
    return answer.status_code, items, answer.headers.get("ETag", "").strip('"')


class Poll:
    """One that waits, on a thread of its own."""

    def __init__(self, account, *paths, **more):
        self.answer = None
        self._thread = threading.Thread(target=lambda: setattr(self, "answer", poll(account, *paths, **more)), daemon=True)
        self._thread.start()

    def get(self):
        self._thread.join(12)
        return self.answer


def waits_for(account, path):
    """Until a stream process knows that somebody looks at it."""
    wait_until(lambda: account.system.query_owner("""select 1 from app.watch w
        where w.kind = 'call' and w.id = %s and w.closed_at is null""", (int(path.split("/")[-1]),)))


def test_the_long_poll_of_many(account):
    alice, bob = account("alice"), account("bob")
    call = bob.request("POST", "/call", json={"subject": "one"}).json()["url"]
    sent = send(bob, alice, "x")
    paths = [bob.login, call, "/user/me", f"/user/{alice.email}/messages", "/call?limit=1000", sent["url"]]
    status, items, place = poll(alice, *paths, wait=5)
    assert status == 200 and list(items) == paths and place == ",".join(items[path]["id"] for path in paths)
    for path in paths:
        assert items[path]["data"] == alice.request("GET", path).json()
    assert poll(alice, *paths, wait=0, since=place) == (304, None, place)
    again = alice.request("GET", watch(*paths, wait=0), headers={"If-None-Match": f'"{place}"'})
    assert again.status_code == 304 and again.headers["ETag"] == f'"{place}"'
    waiting = Poll(alice, *paths, wait=10, since=place)
    register(bob, "sip:b@192.0.2.1")
    status, items, place = waiting.get()
    assert status == 200 and list(items) == [bob.login]
    assert items[bob.login]["data"] == alice.request("GET", bob.login).json()
    # What it is about is whatever has moved since, at once.
    alice.request("PATCH", "/user/me", json={"nick": "al"})
    bob.request("PATCH", call, json={"subject": "two"})
    status, items, later = poll(alice, *paths, wait=10, since=place)
    assert status == 200 and set(items) == {"/user/me", call, "/call?limit=1000"}
    assert items[call]["data"]["subject"] == "two" and items["/user/me"]["data"]["nick"] == "al"
    assert poll(alice, *paths, wait=0, since=later)[0] == 304
    # A stream goes on from there, and a poll from where a stream was.
    with_stream = Stream(alice.system, watch(*paths), token=alice.token(), last=place)
    change = wait(with_stream, "change", "/user/me")
    wait(with_stream, "change", call)
    assert not [e for e in with_stream.named("state") if e.data["resource"] != "/call?limit=1000"]
    with_stream.close()
    assert poll(alice, *paths, wait=0, since=change.id)[0] in (200, 304)


def test_the_long_poll_of_many_by_differences(account):
    alice, bob = account("alice"), account("bob")
    call = bob.request("POST", "/call", json={"subject": "one", "list": [1, 2]}).json()["url"]
    paths = [call, "/user/me", bob.login]
    _, items, place = poll(alice, *paths, wait=0, updates="diff")
    docs = {path: item["data"] for path, item in items.items()}
    patches = 0
    for n in range(4):
        waiting = Poll(alice, *paths, wait=10, since=place, updates="diff")
        bob.request("PATCH", call, json={"subject": str(n), "list": [n, 1, 2]})
        alice.request("PATCH", "/user/me", json={"nick": n})
        _, items, place = waiting.get()
        for path, item in items.items():
            patches += "patch" in item
            docs[path] = apply(docs[path], item["patch"]) if "patch" in item else item["data"]
    status, items, place = poll(alice, *paths, wait=0, since=place, updates="diff")
    for path, item in (items or {}).items():
        docs[path] = apply(docs[path], item["patch"]) if "patch" in item else item["data"]
    assert docs == {path: alice.request("GET", path).json() for path in paths} and patches >= 3


def test_what_goes_is_told_to_a_long_poll_of_many(account):
    alice, bob = account("alice"), account("bob")
    call, other = private_call(bob, alice), private_call(bob, alice)
    paths = [call, bob.login, other]
    _, _, place = poll(alice, *paths, wait=0)
    waiting = Poll(alice, *paths, wait=10, since=place)
    waits_for(bob, other)
    bob.request("DELETE", call)
    status, items, place = waiting.get()
    assert status == 200 and items[call]["data"]["state"] == "ended", items
    status, items, place = poll(alice, *paths, wait=10, since=place)
    assert status == 200 and items == {call: {"resource": call, "gone": True}} and place.startswith("-,")
    waiting = Poll(alice, *paths, wait=10, since=place)
    waits_for(bob, other)
    bob.request("PATCH", other, json={"invited": []})
    status, items, place = waiting.get()
    assert status == 200 and items == {other: {"resource": other, "gone": True}} and place.endswith(",-")
    register(bob, "sip:b@192.0.2.1")
    assert list(poll(alice, *paths, wait=10, since=place)[1]) == [bob.login]


def test_a_long_poll_of_many_ends_with_its_session(system, account):
    alice, bob = account("alice"), account("bob")
    headers = {"Authorization": f"Bearer {alice.session(3)}"}
    first = system.request("GET", watch(bob.login, "/call", wait=0), headers=headers)
    place = first.headers["ETag"].strip('"')
    answer = system.request("GET", watch(bob.login, wait=15, since=place.split(",", maxsplit=1)[0]), headers=headers)
    assert answer.status_code == 401 and "ETag" not in answer.headers
    assert system.request("GET", watch(bob.login, wait=15)).status_code == 401


def test_a_long_poll_of_many_by_ticket(account, system):
    alice, bob = account("alice"), account("bob")
    sent = send(alice, bob, "x")
    ticket = alice.request("POST", "/session/ticket").json()["ticket"]
    path = watch(sent["url"], "/user/me", wait=5, ticket=ticket)
    assert [item["resource"] for item in system.request("GET", path).json()] == [sent["url"], "/user/me"]
    assert system.request("GET", path).status_code == 401


def test_a_refused_one_refuses_a_long_poll_of_many(account):
    alice, bob = account("alice"), account("bob")
    answer = alice.request("GET", watch("/user/me", private_call(bob), wait=5))
    assert answer.status_code == 404 and answer.json()["errors"][0]["pointer"] == "/r/1"
