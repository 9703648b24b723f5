"""/user/{email}/messages: what anybody may leave and only the owner may read."""
import concurrent.futures
import os

import pytest

from answers import TIME, is_empty, is_json, is_problem

KIB = 1024
MIB = 1024 * KIB
LIMIT = 4 * MIB


def box(who):
    return f"/user/{who.email}/messages"


def leave(who, to, content, kind="text/plain", status=201, **headers):
    answer = who.request("POST", box(to), data=content, headers={"Content-Type": kind, **headers})
    return is_json(answer, status)


# ---- leaving one ----

def test_anybody_leaves_a_url(system, account):
    alice = account("alice")
    answer = system.request("POST", box(alice), json={"url": "rtsp://192.0.2.1/x", "length_s": 1.50})
    message = is_json(answer, 201)
    assert message["url"] == "rtsp://192.0.2.1/x" and message["type"] == "voice" and message["length_s"] == 1.5
    assert message["self"] == f"{box(alice)}/{message['id']}" == answer.headers["Location"]
    assert message["seen"] is False and "from" not in message and TIME.match(message["created_at"])
    assert is_json(alice.request("GET", box(alice))) == [message]
    assert is_json(alice.request("GET", message["self"])) == message


def test_of_who_is_signed_in_the_sender_is_known(account):
    alice, bob = account("alice"), account("bob")
    message = is_json(bob.request("POST", box(alice), json={"url": "rtsp://x", "from": "eve@example.net",
                                                            "type": "video"}), 201)
    assert message["from"] == bob.email and message["type"] == "video"


@pytest.mark.parametrize("kind, kept_as, type_", [
    ("text/plain", "text/plain", "text"),
    ("text/plain; charset=utf-8", "text/plain; charset=utf-8", "text"),
    ("audio/wav", "audio/wav", "voice"),
    ("audio/ogg; codecs=opus", "audio/ogg; codecs=opus", "voice"),
    ("video/mp4", "video/mp4", "video"),
])
def test_content_comes_back_as_it_was_left(account, kind, kept_as, type_):
    alice, bob = account("alice"), account("bob")
    content = os.urandom(1000) if type_ != "text" else "hé\0llo\r\n☃".encode()
    message = leave(bob, alice, content, kind)
    assert message["type"] == type_ and message["content_type"] == kept_as and message["size"] == len(content)
    assert message["url"] == message["self"]
    answer = alice.request("GET", message["url"])
    assert answer.status_code == 200 and answer.headers["Content-Type"] == kept_as
    assert answer.content == content and answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_text_as_json(account):
    alice = account("alice")
    message = is_json(alice.request("POST", box(alice), json={"text": "häll☃", "mood": "x"}), 201)
    assert message["type"] == "text" and message["mood"] == "x" and "text" not in message
    assert alice.request("GET", message["self"]).content == "häll☃".encode()


def test_the_name_in_the_singular_is_the_same(account):
    alice = account("alice")
    made = is_json(alice.request("POST", f"/user/{alice.email}/message", json={"url": "rtsp://..."}), 201)
    assert is_json(alice.request("GET", "/user/me/message")) == [made]
    assert is_json(alice.request("GET", f"/user/me/message/{made['id']}")) == made


@pytest.mark.parametrize("url", ["http://x", "HTTPS://x/y?z", "sip:a@example.net", "sips:a@x", "rtsp://x/y", "tel:+4930",
                                 "/user/alice@example.net/messages/1", "/"])
def test_urls_that_people_may_be_led_to(account, url):
    alice = account("alice")
    assert is_json(alice.request("POST", box(alice), json={"url": url}), 201)["url"] == url


@pytest.mark.parametrize("body, pointer", [
    ({}, "/url"),
    ({"url": 5}, "/url"),
    ({"url": "no url"}, "/url"),
    ({"url": "http:"}, "/url"),
    ({"url": "javascript:alert(1)"}, "/url"),
    ({"url": "JavaScript://x/%0aalert(1)"}, "/url"),
    ({"url": "data:text/html,x"}, "/url"),
    ({"url": "httpx://x"}, "/url"),
    ({"url": "//other.example/x"}, "/url"),
    ({"url": "/\\other.example/x"}, "/url"),
    ({"url": "http://x/\r\nX: y"}, "/url"),
    ({"url": "http://x/" + "a" * 2048}, "/url"),
    ({"url": "rtsp://x", "type": "smell"}, "/type"),
    ({"url": "rtsp://x", "text": "both"}, "/text"),
    ({"text": ""}, "/text"),
])
def test_a_wrong_member_is_named(system, account, body, pointer):
    is_problem(system.request("POST", box(account("alice")), json=body), 400, "invalid-member", pointer)


def test_what_is_no_mail(system, account):
    alice = account("alice")

    def post(kind, body):
        return system.request("POST", box(alice), data=body, headers={"Content-Type": kind})

    body = is_problem(post("image/png", b"x"), 415)
    assert body["acceptable"] == ["application/json", "text/plain", "audio/*", "video/*"]
    is_problem(post("text/html", b"x"), 415)
    is_problem(post("audio/", b"x"), 415)
    is_problem(post("audio/wav", b""), 400, "invalid-body")
    is_problem(post("application/json", b"{"), 400, "invalid-body")
    is_problem(system.request("POST", "/user/nobody-at-all@example.net/messages", json={"url": "rtsp://x"}), 404,
               "user-not-found")
    is_problem(system.request("POST", "/user/me/messages", json={"url": "rtsp://x"}), 401)
    is_problem(system.request("POST", box(alice), json={"url": "rtsp://x"},
                              headers={"Authorization": "Bearer " + "x" * 43}), 401)


# ---- large ones ----

def test_the_largest_there_may_be(account):
    alice, bob = account("alice"), account("bob")
    content = os.urandom(LIMIT)
    message = leave(bob, alice, content, "video/mp4")
    assert alice.request("GET", message["self"]).content == content
    answer = bob.request("POST", box(alice), data=content + b"x", headers={"Content-Type": "video/mp4"})
    is_problem(answer, 413, "content-too-large")


def test_a_chunked_body_is_the_same(account):
    alice = account("alice")
    pieces = [os.urandom(100 * KIB) for _ in range(5)]
    message = leave(alice, alice, iter(pieces), "audio/wav")
    assert alice.request("GET", message["self"]).content == b"".join(pieces)


def test_a_stranger_leaves_no_more_than_64_kib(system, account):
    alice = account("alice")

    def post(n):
        return system.request("POST", box(alice), data=b"x" * n, headers={"Content-Type": "audio/wav"})

    is_json(post(64 * KIB), 201)
    is_problem(post(64 * KIB + 1), 413, "content-too-large")


def test_a_mailbox_is_full_at_64_mib(account):
    alice = account("alice")
    content = b"x" * LIMIT
    for _ in range(15):
        leave(alice, alice, content, "audio/wav")
    leave(alice, alice, content[:-64 * KIB], "audio/wav")  # what the messages say of themselves counts too
    answer = alice.request("POST", box(alice), data=content[:64 * KIB], headers={"Content-Type": "audio/wav"})
    is_problem(answer, 507, "mailbox-full")
    newest, *_ = is_json(alice.request("GET", box(alice) + "?limit=1"))
    is_empty(alice.request("DELETE", newest["self"]))
    leave(alice, alice, b"x", "audio/wav")


def test_many_large_ones_at_once_are_all_answered(account):
    alice = account("alice")
    content = os.urandom(3 * MIB)
    message = leave(alice, alice, content, "audio/wav")
    alice.token()

    def one(i):
        if i % 2:
            answer = alice.request("GET", message["self"], timeout=60)
            good = answer.status_code == 200 and answer.content == content
        else:
            answer = alice.request("POST", box(alice), data=content[:MIB], headers={"Content-Type": "audio/wav"},
                                   timeout=60)
            good = answer.status_code == 201
        return good or (is_problem(answer, 503, "busy") and False)

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        results = list(pool.map(one, range(32)))
    assert any(results)


# ---- parts ----

@pytest.mark.parametrize("size", [1000, 200 * KIB])
def test_ranges(account, size):
    alice = account("alice")
    content = os.urandom(size)
    message = leave(alice, alice, content, "audio/wav")

    def get(value, **headers):
        return alice.request("GET", message["self"], headers={"Range": value, **headers})

    last = size - 1
    for value, part, said in (
            ("bytes=0-99", content[:100], f"0-99/{size}"),
            ("bytes=10-", content[10:], f"10-{last}/{size}"),
            ("bytes=-10", content[-10:], f"{size - 10}-{last}/{size}"),
            (f"bytes=-{size + 5}", content, f"0-{last}/{size}"),
            (f"bytes=5-{size + 99}", content[5:], f"5-{last}/{size}"),
            (f"bytes={last}-{last}", content[-1:], f"{last}-{last}/{size}")):
        answer = get(value)
        assert answer.status_code == 206, value
        assert answer.content == part and answer.headers["Content-Range"] == f"bytes {said}"
        assert answer.headers["Content-Type"] == "audio/wav"
    for value in (f"bytes={size}-", "bytes=-0", "bytes=99999999-"):
        answer = get(value)
        is_problem(answer, 416)
        assert answer.headers["Content-Range"] == f"bytes */{size}"
    for value in ("bytes=0-1,5-6", "bytes=5-1", "bytes=", "bytes=x-", "lines=0-1", "bytes=1-2-3"):
        answer = get(value)
        assert answer.status_code == 200 and answer.content == content, value
    tag = get("bytes=0-0").headers["ETag"]
    assert get("bytes=0-1", **{"If-Range": tag}).status_code == 206
    assert get("bytes=0-1", **{"If-Range": '"1"'}).content == content
    assert get("bytes=300-301", **{"If-Range": '"1"'}).content == content


def test_head_is_get_without_the_content(account):
    alice = account("alice")
    message = leave(alice, alice, b"x" * 1000, "audio/wav")
    get, head = alice.request("GET", message["self"]), alice.request("HEAD", message["self"])
    assert head.status_code == 200 and head.content == b""
    for name in ("Content-Length", "Content-Type", "ETag", "Accept-Ranges"):
        assert head.headers[name] == get.headers[name]
    head = alice.request("HEAD", message["self"], headers={"Range": "bytes=0-9"})
    assert head.status_code == 206 and head.headers["Content-Length"] == "10"


def test_the_description_or_the_content(account):
    alice = account("alice")
    message = leave(alice, alice, b"hello", "audio/ogg; codecs=opus")

    def get(accept):
        return alice.request("GET", message["self"], headers={"Accept": accept})

    assert is_json(get("application/json")) == message
    for accept in ("*/*", "audio/*", "audio/ogg", "application/json;q=0.5, audio/*"):
        assert get(accept).content == b"hello", accept
        assert "Accept" in get(accept).headers["Vary"]
    assert is_problem(get("video/*"), 406)["acceptable"] == ["audio/ogg", "application/json"]


# ---- who may ----

def test_a_mailbox_is_its_owner_s(system, account):
    alice, bob = account("alice"), account("bob")
    message = leave(bob, alice, b"hello")
    for method, path, body in (("GET", box(alice), None), ("GET", message["self"], None),
                               ("PATCH", message["self"], {}), ("DELETE", message["self"], None)):
        is_problem(system.request(method, path, json=body), 401)
        is_problem(bob.request(method, path, json=body), 403, "not-owner")
    for method in ("GET", "PATCH", "DELETE"):
        answer = alice.request(method, box(alice) + "/999", json={} if method == "PATCH" else None)
        is_problem(answer, 404, "message-not-found")


def test_methods_that_are_none_here(account):
    alice = account("alice")
    answer = alice.request("PUT", box(alice))
    is_problem(answer, 405)
    assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))


# ---- reading ----

def test_seen_and_further_members(account):
    alice = account("alice")
    message = is_json(alice.request("POST", box(alice), json={"url": "rtsp://x", "a": 1, "b": 2}), 201)
    changed = is_json(alice.request("PATCH", message["self"], json={"seen": True, "a": None, "c": 3}))
    assert changed == {**{k: v for k, v in message.items() if k != "a"}, "seen": True, "c": 3}
    assert is_json(alice.request("PATCH", message["self"], json={}))["seen"] is True
    assert is_json(alice.request("PATCH", message["self"], json={"seen": False, "id": 9, "url": "x"}))["seen"] is False
    is_problem(alice.request("PATCH", message["self"], json={"seen": "yes"}), 400, "invalid-member", "/seen")
    is_problem(alice.request("PATCH", message["self"], data="x", headers={"Content-Type": "text/plain"}), 415)


def test_pages_are_newest_first(account):
    alice = account("alice")
    assert is_json(alice.request("GET", box(alice))) == []
    made = [leave(alice, alice, f"{i}")["id"] for i in range(5)]
    seen, path = [], box(alice) + "?limit=2"
    while path:
        answer = alice.request("GET", path)
        seen += [m["id"] for m in is_json(answer)]
        path = answer.links["next"]["url"] if "next" in answer.links else None
    assert seen == made[::-1]
    assert "next" not in alice.request("GET", box(alice) + "?limit=5").links
    is_problem(alice.request("GET", box(alice) + "?limit=-1"), 400, "invalid-parameter")
    is_problem(alice.request("GET", box(alice) + "?after=x"), 400, "invalid-parameter")


def test_versions(account):
    alice = account("alice")
    message = leave(alice, alice, b"one")
    old = alice.request("GET", box(alice)).headers["ETag"]
    for path in (box(alice), message["self"]):
        is_empty(alice.request("GET", path, headers={"If-None-Match": old}), 304)
    leave(alice, alice, b"two")
    assert len(is_json(alice.request("GET", box(alice), headers={"If-None-Match": old}))) == 2
    stale = {"If-Match": old}
    is_problem(alice.request("PATCH", message["self"], json={"seen": True}, headers=stale), 412, "precondition-failed")
    is_problem(alice.request("DELETE", message["self"], headers=stale), 412, "precondition-failed")
    fresh = {"If-Match": alice.request("GET", box(alice)).headers["ETag"]}
    is_empty(alice.request("DELETE", message["self"], headers=fresh))


def test_an_idempotency_key_leaves_one_message(system, account):
    alice, bob = account("alice"), account("bob")
    key = f"k-{alice.email}"
    first = leave(bob, alice, b"hello", **{"Idempotency-Key": key})
    assert leave(bob, alice, b"hello", **{"Idempotency-Key": key}) == first
    answer = bob.request("POST", box(alice), data=b"hullo", headers={"Content-Type": "text/plain",
                                                                     "Idempotency-Key": key})
    is_problem(answer, 422, "idempotency-key-reused")
    anonymous = [system.request("POST", box(alice), json={"url": "rtsp://x"}, headers={"Idempotency-Key": key})
                 for _ in range(2)]
    assert is_json(anonymous[0], 201) == is_json(anonymous[1], 201)
    assert len(is_json(alice.request("GET", box(alice)))) == 2
