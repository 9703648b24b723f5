"""?updates=diff: the first state and every difference since make what a GET shows."""
import random
import threading

import pytest
from follower import Follower
from json_patch import apply, follow
from stream_client import Stream


@pytest.fixture
def opened():
    """Opens streams and closes them at the end: opened(account, path)."""
    made = []

    def make(account, path, **how):
        stream = Stream(account.system, path, token=account.token(), **how)
        made.append(stream)
        assert stream.status == 200
        return stream

    yield make
    for stream in made:
        stream.close()


def done(answer, *statuses):
    assert answer.status_code in (statuses or (200, 201, 202, 204)), answer.text
    return answer.json() if answer.content else None


def register(account, contact, **more):
    return done(account.request("POST", account.login, json={"contact": contact, **more}))["self"]


class Login:
    """Contacts of alice, as bob sees them: they come, change and go."""
    def __init__(self, alice, bob):
        self.alice, self.watcher, self.path = alice, bob, alice.login
        register(alice, "sip:first@192.0.2.1", note="a/b~c \"quoted\" ü")

    def write(self):
        yield
        paths = [register(self.alice, f"sip:a{i}@192.0.2.1", nested={"list": [1, {"x": i}], "~/": None}) for i in range(4)]
        yield
        done(self.alice.request("DELETE", paths[1]))
        yield
        done(self.alice.request("PUT", paths[2], json={"contact": "sip:a2@192.0.2.1", "nested": {"list": [2.50, 1]}}))
        yield
        done(self.alice.request("PUT", self.alice.login, json=[{"contact": f"sip:r{i}@192.0.2.1"} for i in range(3)]))


class Contact(Login):
    """One contact of hers; what becomes of others is no difference."""
    def __init__(self, alice, bob):
        super().__init__(alice, bob)
        self.path = register(alice, "sip:one@192.0.2.1", a=1, b=[1, 2, 3])

    def write(self):
        yield
        register(self.alice, "sip:other@192.0.2.1")
        for i in range(3):
            yield
            done(self.alice.request("PUT", self.path, json={"contact": "sip:one@192.0.2.1", "b": [3, i], "c": {"d": i}}))


class Sent:
    """A message that bob sent: stored, then delivered to a stream of hers."""
    def __init__(self, alice, bob):
        self.alice, self.watcher = alice, bob
        sent = bob.request("SEND", alice.login, data="x", headers={"Content-Type": "text/plain"})
        self.path = done(sent)["url"]

    def write(self):
        yield
        stream = Stream(self.alice.system, self.alice.login, token=self.alice.token())
        stream.wait_message("x")
        yield lambda doc: doc["status"] == "delivered"
        stream.close()


class Call:
    """A call that bob is not in: he sees who is, but not how."""
    def __init__(self, alice, bob):
        self.alice, self.watcher = alice, bob
        self.path = done(alice.request("POST", "/call", json={"subject": "one", "list": [1, 2, 3]}))["url"]

    def write(self):
        yield
        done(self.alice.request("PATCH", self.path, json={"subject": "two", "list": [0, 1, 2, 3], "new": {"a": []}}))
        yield
        leg = done(self.alice.request("POST", self.path, json={"url": self.alice.login, "session": {"sdp": "v=0"}}))
        yield
        done(self.alice.request("PUT", leg["url"], json={"session": {"sdp": "v=0\r\n"}, "muted": True}))
        yield
        done(self.alice.request("PATCH", self.path, json={"list": None}))


class Participant(Call):
    """A leg of hers, as she sees it: with its session."""
    def __init__(self, alice, bob):
        super().__init__(alice, bob)
        self.call, self.watcher = self.path, alice
        joined = alice.request("POST", self.call, json={"url": alice.login, "session": {"sdp": "v=0", "keys": [1]}})
        self.path = done(joined)["url"]

    def write(self):
        yield
        done(self.alice.request("PUT", self.path, json={"session": {"sdp": "v=1", "keys": [1, 2]}, "hand": "up"}))
        yield
        done(self.alice.request("PATCH", self.call, json={"subject": "other"}))
        yield
        done(self.alice.request("PUT", self.path, json={"session": {"sdp": "v=1", "keys": [2]}}))


class Profile:
    def __init__(self, alice, _bob):
        self.alice = self.watcher = alice
        self.path = f"/user/{alice.email}"

    def write(self):
        for patch in ({"nick": "al", "a/b": {"~": [1.0, 1e2]}}, {"a/b": {"~": [1.00]}}, {"nick": None, "n": 12345678901234567890}):
            yield
            done(self.alice.request("PATCH", self.path, json=patch))


class Mailbox:
    def __init__(self, alice, bob):
        self.alice = self.watcher = alice
        self.bob, self.path = bob, f"/user/{alice.email}/messages"

    def write(self):
        text = {"Content-Type": "text/plain"}
        yield
        urls = [done(self.bob.request("POST", self.path, data=f"mail {i}", headers=text))["url"] for i in range(4)]
        yield
        done(self.alice.request("PATCH", urls[1], json={"seen": True}))
        yield
        done(self.alice.request("DELETE", urls[2]))
        yield
        done(self.bob.request("POST", self.path, data="last", headers=text))


RESOURCES = [Login, Contact, Sent, Call, Participant, Profile, Mailbox]


def known(stream, diff, doc=None):
    """What its client has."""
    events = list(stream.events)
    if diff:
        return follow(events, doc)
    return next((e.data for e in reversed(events) if e.name in ("state", "change")), doc)


@pytest.mark.parametrize("diff", [False, True], ids=["full", "diff"])
@pytest.mark.parametrize("sse", [False, True], ids=["ndjson", "sse"])
@pytest.mark.parametrize("kind", RESOURCES, ids=lambda kind: kind.__name__.lower())
def test_the_first_state_and_all_changes_make_the_last_get(account, opened, until, kind, sse, diff):
    alice, bob = account("alice"), account("bob")
    thing = kind(alice, bob)
    stream = opened(thing.watcher, thing.path + ("?updates=diff" if diff else ""), sse=sse)
    first = stream.wait("state")

    def get():
        return done(thing.watcher.request("GET", thing.path))

    assert first.data == get()
    for condition in thing.write():
        if condition:
            until(lambda: condition(get()))  # pylint: disable=cell-var-from-loop
    until(lambda: known(stream, diff) == get())
    changes = [e for e in stream.events if e.name != "message"]
    assert [e.name for e in changes] == ["state"] + ["change"] * (len(changes) - 1) and len(changes) > 1
    versions = [int(e.id.split(".")[0]) for e in changes]
    assert versions == sorted(set(versions))
    if not diff:
        return
    assert all(isinstance(e.data, list) and e.data != [] for e in changes[1:]) or kind in (Contact, Participant)
    # A client that was away since any version gets there too, whether it has the rest told or the whole.
    doc = None
    for event in changes:
        doc = follow([event], doc)
        again = opened(thing.watcher, f"{thing.path}?updates=diff&since={event.id}", sse=sse)
        until(lambda s=again, d=doc: known(s, True, d) == get())
        if event.name == "change":
            assert [e.name for e in again.events] == ["change"] * (len(changes) - 1 - changes.index(event))
        again.close()


def test_the_last_event_is_gone(account, opened):
    alice, bob = account("alice"), account("bob")
    path = register(alice, "sip:a@192.0.2.1")
    stream = opened(bob, path + "?updates=diff")
    stream.wait("state")
    done(alice.request("DELETE", path))
    stream.wait("gone")
    stream.wait_end()


def test_one_contacts_change_is_a_small_patch(account, opened):
    alice = account("alice")
    paths = [register(alice, f"sip:a{i}@192.0.2.1", pad="x" * 500) for i in range(10)]
    stream = opened(alice, alice.login + "?updates=diff")
    stream.wait("state")
    done(alice.request("DELETE", paths[0]))
    assert stream.wait("change").data == [{"op": "remove", "path": "/0"}]
    done(alice.request("PUT", paths[5], json={"contact": "sip:a5@192.0.2.1", "pad": "x" * 500, "note": "n"}))
    change = stream.wait(lambda e: e.name == "change" and len(e.data) != 1 or "note" in str(e.data)).data
    assert {"op": "add", "path": "/4/note", "value": "n"} in change and len(str(change)) < 400


def test_diff_and_full_and_messages_side_by_side(account, opened, until):
    alice, bob = account("alice"), account("bob")
    whole = opened(alice, alice.login)
    diff = [opened(alice, alice.login + "?updates=diff", sse=i % 2 == 0) for i in range(4)]
    other = opened(bob, alice.login + "?updates=diff")
    for stream in (whole, *diff, other):
        stream.wait("state")
    for i in range(5):
        register(alice, f"sip:a{i}@192.0.2.1")
        done(bob.request("SEND", alice.login, data=f"m{i}", headers={"Content-Type": "text/plain"}))
    now = done(alice.request("GET", alice.login))
    until(lambda: known(whole, False) == now)
    for stream in diff:
        stream.wait_message("m4")
        until(lambda s=stream: known(s, True) == now)
        assert stream.bodies() == [f"m{i}" for i in range(5)]
        assert len(stream.named("state")) == 1 and len(stream.named("change")) == 5
    until(lambda: known(other, True) == now)
    assert other.named("message") == []


def test_where_history_does_not_reach_there_is_a_state(account, opened, system, until):
    alice = account("alice")
    stream = opened(alice, alice.login + "?updates=diff")
    stream.wait("state")
    for i in range(3):
        register(alice, f"sip:a{i}@192.0.2.1")
    until(lambda: len(stream.named("change")) == 3)
    ids = [e.id for e in stream.events]
    stream.close()
    system.query_owner("delete from app.change where version = %s returning 1", (int(ids[2].split(".")[0]),))
    for i, last in enumerate([*ids[:3], "1.0", "999999999999.0"]):
        now = done(alice.request("GET", alice.login))
        again = opened(alice, alice.login + "?updates=diff", last=last)
        assert again.wait("state").data == now, last
        register(alice, f"sip:more{i}@192.0.2.1")
        again.wait("change")
        assert [e.name for e in again.events] == ["state", "change"]
        assert follow(again.events) == done(alice.request("GET", alice.login))
        again.close()


def test_a_long_poll_is_answered_with_a_patch(account):
    alice = account("alice")
    register(alice, "sip:a@192.0.2.1", pad="x" * 300)
    path = alice.login + "?updates=diff&wait=10"
    first = alice.request("GET", path)
    assert first.headers["Content-Type"] == "application/json" and len(first.json()) == 1
    answers = []

    def poll(tag):
        version = tag.headers["ETag"].strip('"')
        thread = threading.Thread(target=lambda: answers.append(alice.request("GET", f"{path}&since={version}")))
        thread.start()
        return thread

    doc, last = first.json(), first
    for i in range(4):
        waiting = poll(last)
        register(alice, f"sip:b{i}@192.0.2.1")
        waiting.join(15)
        last = answers[-1]
        assert last.status_code == 200
        patch = last.headers["Content-Type"] == "application/json-patch+json"
        assert patch or i == 0  # the first version is in no log
        doc = apply(doc, last.json()) if patch else last.json()
    assert doc == done(alice.request("GET", alice.login))
    version = last.headers["ETag"].strip('"')
    assert alice.request("GET", f"{alice.login}?updates=diff&wait=0&since={version}").status_code == 304
    late = alice.request("GET", f"{path}&since={answers[0].headers['ETag'].strip(chr(34))}")
    assert late.headers["Content-Type"] == "application/json-patch+json" and late.headers["ETag"] == last.headers["ETag"]
    assert apply(answers[0].json() if "patch" not in answers[0].headers["Content-Type"] else
                 apply(first.json(), answers[0].json()), late.json()) == doc


def test_a_long_poll_of_a_version_in_no_log_waits(account):
    alice = account("alice")
    version = alice.request("GET", alice.login).headers["ETag"].strip('"')
    path = alice.login + f"?updates=diff&since={version}"
    assert alice.request("GET", path + "&wait=0").status_code == 304
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(alice.request("GET", path + "&wait=15")))
    waiting.start()
    register(alice, "sip:a@192.0.2.1")
    waiting.join(20)
    assert answers[0].status_code == 200 and answers[0].json() == done(alice.request("GET", alice.login))


def test_who_comes_back_at_any_moment_has_it_all(account, until):
    """Writers run, and two clients of differences are cut off at random points again and again."""
    alice, bob = account("alice"), account("bob")
    register(alice, "sip:kept@192.0.2.1", note="x")
    followers = [Follower(alice, alice.login + "?updates=diff", sse=sse) for sse in (False, True)]
    for follower in followers:
        until(follower.connected, 10)
    dice = random.Random(4)
    for i in range(60):
        if dice.random() < 0.5:
            register(alice, f"sip:a{dice.randrange(8)}@192.0.2.1", round=i)
        elif dice.random() < 0.5:
            contacts = done(alice.request("GET", alice.login))
            done(alice.request("DELETE", f"{alice.login}/{dice.choice(contacts)['id']}"), 204, 404)
        else:
            done(alice.request("PUT", alice.login, json=[{"contact": f"sip:r{dice.randrange(4)}@192.0.2.1", "k": [i]}]))
        done(bob.request("SEND", alice.login, data=f"{i}", headers={"Content-Type": "text/plain"}))
        dice.choice(followers).cut()
    now = done(alice.request("GET", alice.login))
    for follower in followers:
        until(lambda f=follower: f.bodies()[-1:] == ["59"] and follow(f.events()) == now, 20)
        follower.stop()
        assert follower.refused == [] and follower.bodies() == [str(i) for i in range(60)]
        # Each version but those of a state was told once, in order.
        versions = [int(e.id.split(".")[0]) for e in follower.events() if e.name == "change"]
        assert versions == sorted(set(versions))


def test_who_was_let_in_meanwhile_begins_with_a_state(account, opened, until):
    """What bob had of the call was without sessions; differences of what he sees now would not fit it."""
    alice, bob = account("alice"), account("bob")
    call = done(alice.request("POST", "/call", json={"subject": "s"}))["url"]
    done(alice.request("POST", call, json={"url": alice.login, "session": {"sdp": "secret"}}))
    stream = opened(bob, call + "?updates=diff")
    stream.wait("state")
    done(alice.request("PATCH", call, json={"subject": "t"}))
    last = stream.wait("change").id
    stream.close()
    done(bob.request("POST", call, json={"url": bob.login, "session": {"sdp": "v=0"}}))
    done(alice.request("PATCH", call, json={"subject": "u"}))
    now = done(bob.request("GET", call))
    again = opened(bob, call + f"?updates=diff&since={last}")
    assert again.wait("state").data == now and "secret" in str(now)
    done(alice.request("PATCH", call, json={"subject": "v"}))
    until(lambda: follow(again.events) == done(bob.request("GET", call)))
    late = bob.request("GET", call + f"?updates=diff&wait=5&since={last}")
    assert late.headers["Content-Type"] == "application/json" and late.json() == done(bob.request("GET", call))


def test_who_is_let_in_while_watching_is_shown_the_whole(account, opened, until):
    alice, bob = account("alice"), account("bob")
    call = done(alice.request("POST", "/call", json={"subject": "s"}))["url"]
    done(alice.request("POST", call, json={"url": alice.login, "session": {"sdp": "secret"}}))
    stream = opened(bob, call + "?updates=diff")
    stream.wait("state")
    leg = done(bob.request("POST", call, json={"url": bob.login, "session": {"sdp": "v=0"}}))["url"]
    until(lambda: follow(stream.events) == done(bob.request("GET", call)))
    assert "secret" in str(follow(stream.events))
    done(bob.request("DELETE", leg))
    until(lambda: follow(stream.events) == done(bob.request("GET", call)))
    done(alice.request("PATCH", call, json={"subject": "t"}))
    until(lambda: follow(stream.events) == done(bob.request("GET", call)))
