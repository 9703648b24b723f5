"""HTTP as clients in the field send it: headers that are malformed in usual ways, codings that are not decoded, charsets,
byte order marks. Each test is a kind, with the reported case first."""
import gzip

import pytest

from answers import is_problem

JSON, MARK = "application/json", b"\xef\xbb\xbf"


@pytest.fixture(name="alice", scope="module")
def fixture_alice(pair):
    return pair[0]


@pytest.mark.parametrize("accept", [
    "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", "*", "*/*;q=.2", "application/json;q=0.9999", "*/*;q=1.",
    "text/html;q=high, */*", "*/*;q=0.12345678901234567890", ";q=1, application/json", "*/* ; q = , application/json"])
def test_a_malformed_member_of_accept_spoils_nothing(alice, accept):
    answer = alice.request("GET", alice.login, headers={"Accept": accept})
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith(JSON), answer.text


@pytest.mark.parametrize("accept", ["application/json, text/event-stream", "application/json, text/event-stream;q=0.5",
                                    "application/json, text/event-stream;q=0", "*/*, text/event-stream;q=0.1",
                                    "text/event-stream;q=.5, application/json;q=.5", "*, text/event-stream;q=.9"])
def test_a_stream_only_where_it_is_preferred(alice, accept):
    answer = alice.request("GET", alice.login, headers={"Accept": accept}, stream=True)
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith(JSON)
    answer.close()


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "GZip", "zstd", "gzip, identity", "x-unheard-of"])
@pytest.mark.parametrize("method, path, media", [
    ("SEND", "{login}", "text/plain"), ("POST", "/user/me/messages", "text/plain"), ("POST", "/user/me/messages", JSON),
    ("POST", "/call", JSON), ("POST", "{login}", JSON), ("POST", "{login}", "text/uri-list"), ("PATCH", "/user/me", JSON)])
def test_a_coded_body_is_refused_and_leaves_no_trace(alice, method, path, media, coding):
    before = [alice.request("GET", at).json() for at in ("/user/me/messages", alice.login, "/call")]
    answer = alice.request(method, path.format(login=alice.login), data=gzip.compress(b'{"subject":"x"}'),
                           headers={"Content-Encoding": coding, "Content-Type": media})
    is_problem(answer, 415, "unsupported-media-type")
    assert answer.headers["Accept-Encoding"] == "identity"
    assert [alice.request("GET", at).json() for at in ("/user/me/messages", alice.login, "/call")] == before


@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
def test_no_coding_is_none(alice, coding):
    answer = alice.request("POST", "/call", json={"subject": "x"}, headers={"Content-Encoding": coding})
    assert answer.status_code == 201


@pytest.mark.parametrize("method, path", [("POST", "/call"), ("PATCH", "/user/me"), ("POST", "{login}"),
                                          ("POST", "/user/me/messages"), ("PUT", "/user/me")])
@pytest.mark.parametrize("media", ["application/json; charset=iso-8859-1", "application/json;charset=\"utf-16\"",
                                   "application/x-www-form-urlencoded; charset=latin1", "application/xml", "application/js",
                                   "application/json-patch+json", "application/vnd.api+json"])
def test_what_is_not_json_in_utf8_is_refused_by_each_resource(alice, method, path, media):
    answer = alice.request(method, path.format(login=alice.login), data=b"{}", headers={"Content-Type": media})
    is_problem(answer, 415, "unsupported-media-type")


@pytest.mark.parametrize("method, path, right", [("PATCH", "/user/me", True), ("POST", "/call", False),
                                                 ("POST", "{login}", False), ("PUT", "/user/me", False)])
def test_a_merge_patch_is_for_patch(alice, method, path, right):
    answer = alice.request(method, path.format(login=alice.login), data=b"{}",
                           headers={"Content-Type": "application/merge-patch+json"})
    assert answer.status_code == 200 if right else is_problem(answer, 415, "unsupported-media-type")


@pytest.mark.parametrize("media", ["application/json; charset=UTF-8", "Application/JSON;charset=\"utf-8\"", None,
                                   "application/json; charset=us-ascii; x=y", "application/x-www-form-urlencoded"])
def test_json_in_utf8_is_taken(alice, media):
    headers = {"Content-Type": media} if media else {}
    assert alice.request("POST", "/call", data=b'{"subject":"x"}', headers=headers).status_code == 201


@pytest.mark.parametrize("media, body", [
    (JSON, b'{"contact":"sip:mark1@192.0.2.1"}'), ("text/plain", b"sip:mark2@192.0.2.1"),
    ("text/uri-list", b"# phones\r\nsip:mark3@192.0.2.1\r\n"), (JSON, b'[{"contact":"sip:mark4@192.0.2.1"}]')])
def test_a_byte_order_mark_is_taken_from_a_list_of_contacts(alice, media, body):
    answer = alice.request("POST", alice.login, data=MARK + body, headers={"Content-Type": media})
    assert answer.status_code == 201, answer.text


def test_a_byte_order_mark_is_taken_from_json(alice):
    made = alice.request("POST", "/call", data=MARK + b'{"subject":"marked"}', headers={"Content-Type": JSON})
    assert made.status_code == 201 and made.json()["subject"] == "marked"
    patched = alice.request("PATCH", "/user/me", data=MARK + b'{"n":1}', headers={"Content-Type": "application/merge-patch+json"})
    assert patched.status_code == 200 and patched.json()["n"] == 1
    for bad in (MARK + MARK + b"{}", MARK[:2] + b"{}", b"{" + MARK + b"}", MARK):
        answer = alice.request("POST", "/call", data=bad, headers={"Content-Type": JSON})
        assert answer.status_code in (201, 400) and (bad == MARK or is_problem(answer, 400))
