"""Hostile bodies: the JSON test suite, naughty strings, fuzz lists. Nothing may be a 5xx, what is taken comes back."""
import decimal
import json
import pathlib
import urllib.parse

import pytest

from answers import is_problem

MATERIAL = pathlib.Path(__file__).resolve().parents[3] / "shared/material"
SUITE = MATERIAL / "json-testsuite"
HEADERS = {"Content-Type": "application/json"}

# Numbers of 100,000 digits, as they are written out.
WRITTEN_OUT = {"i_number_real_neg_overflow.json", "i_number_real_pos_overflow.json"}
# Good JSON that a contract of ours refuses: a name twice, a NUL.
REFUSED = {"y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json",
           "y_object_escaped_null_in_key.json", "y_string_null_escape.json"}

needs_suite = pytest.mark.skipif(not SUITE.exists(), reason=f"there is no {SUITE}")
needs_material = pytest.mark.skipif(not MATERIAL.exists(), reason=f"there is no {MATERIAL}")


def cases(folder="test_parsing"):
    return sorted((SUITE / folder).glob("*.json")) if SUITE.exists() else []


def values(text):
    """JSON with its numbers as they stand; a name twice counts as an error."""
    def pairs(items):
        assert len(dict(items)) == len(items)
        return dict(items)
    return json.loads(text, parse_float=decimal.Decimal, parse_int=decimal.Decimal, object_pairs_hook=pairs)


@pytest.fixture(scope="module")
def alice(system):
    from restsip_system import Account  # pylint: disable=import-outside-toplevel
    import os  # pylint: disable=import-outside-toplevel
    email = f"hostile-{os.getpid()}@example.net"
    answer = system.request("POST", "/user", json={"email": email, "password": "hostile json"})
    assert answer.status_code == 201, answer.text
    return Account(system, email, "hostile json")


def comes_back(alice, text):
    """The body was taken: the member v of the profile has its value."""
    got = values(alice.request("GET", "/user/me").text)
    assert got["v"] == values(text)["v"]


@needs_suite
@pytest.mark.parametrize("path", cases(), ids=lambda p: p.name)
def test_parsing(alice, path):
    bare = path.read_bytes()
    wrapped = b'{"v":' + bare + b"}"
    answer = alice.request("PUT", "/user/me", data=wrapped, headers=HEADERS)
    kind = "n" if path.name in REFUSED else path.name[0]
    if len(wrapped) > 65536 or path.name in WRITTEN_OUT:
        assert answer.status_code == 413
    elif kind == "y":
        assert answer.status_code == 200, answer.text
        comes_back(alice, wrapped.decode())
    elif kind == "n":
        is_problem(answer, 400, "invalid-body")
    else:
        assert answer.status_code in (200, 400), answer.text
        if answer.status_code == 200:
            comes_back(alice, wrapped.decode())
    # as it is, which may be no object, to every kind of endpoint
    for method, where in (("PUT", "/user/me"), ("POST", "/login/me"), ("PUT", "/login/me"), ("POST", "/user"),
                          ("POST", "/user/me/credential")):
        answer = alice.request(method, where, data=bare, headers=HEADERS)
        assert answer.status_code < 500, (method, where, answer.text)
        if path.name[0] == "n" and len(bare) <= 65536 and bare:
            assert answer.status_code == 400, (method, where, answer.text)


@needs_suite
@pytest.mark.parametrize("path", cases("test_transform"), ids=lambda p: p.name)
def test_transform(alice, path):
    wrapped = b'{"v":' + path.read_bytes() + b"}"
    answer = alice.request("PUT", "/user/me", data=wrapped, headers=HEADERS)
    assert answer.status_code in (200, 400), answer.text
    if answer.status_code == 200:
        comes_back(alice, wrapped.decode())


def naughty():
    path = MATERIAL / "blns/blns-even.json"
    return json.loads(path.read_text()) if path.exists() else []


@needs_material
def test_naughty_strings_come_back(alice):
    strings = [s for s in naughty() if "\0" not in s]
    assert strings
    for i in range(0, len(strings), 20):
        some = strings[i:i + 20]
        answer = alice.request("PUT", "/user/me", json={"v": some, "names": {s: 1 for s in some}})
        assert answer.status_code == 200, answer.text
        got = alice.request("GET", "/user/me").json()
        assert got["v"] == some and set(got["names"]) == set(some)


@needs_material
def test_naughty_strings_are_no_5xx_anywhere(alice, system):
    for s in naughty():
        segment = urllib.parse.quote(s, safe="")[:2000] or "%20"
        for method, path in (("GET", f"/login/{segment}"), ("GET", f"/user/{segment}/messages/{segment}"),
                             ("GET", f"/login/me/{segment}"), ("GET", f"/login?after={segment}&limit={segment}")):
            assert alice.request(method, path).status_code < 500, (method, s)
        for body in ({"contact": s}, s, [s], {"contact": "sip:" + s + "@h"}):
            assert alice.request("POST", "/login/me", json=body).status_code < 500, s
        answer = system.request("POST", "/user", json={"email": s})
        assert answer.status_code in (400, 403), (s, answer.text)
        try:
            header = s.encode("latin-1").decode("latin-1").strip()
        except UnicodeEncodeError:
            continue
        if header.isprintable():
            for name in ("Accept", "If-Match", "If-None-Match", "Idempotency-Key", "Content-Type"):
                answer = alice.request("POST", "/login/me", data=b"{}", headers={**HEADERS, name: header})
                assert answer.status_code < 500, (name, s)


def fuzz_lines(each):
    """Some lines of every list, as bytes."""
    for path in sorted((MATERIAL / "fuzzdb/attack").rglob("*")):
        if path.is_file():
            lines = path.read_bytes().splitlines()
            yield from lines[::max(1, len(lines) // each)][:each]


@needs_material
def test_fuzz_lists_are_no_5xx_and_a_body_is_kept(alice, system):
    lines = list(fuzz_lines(15))
    assert lines
    for line in lines:
        segment = urllib.parse.quote_from_bytes(line, safe="")[:1500] or "%20"
        for path in (f"/login/{segment}", f"/user/{segment}", f"/login/me/{segment}", f"/login/me?{segment}={segment}"):
            assert alice.request("GET", path).status_code < 500, line
        answer = alice.request("PUT", "/user/me", data=line, headers=HEADERS)
        assert answer.status_code < 500, line
        text = json.dumps({"v": line.decode("latin-1")}).encode()
        answer = alice.request("PUT", "/user/me", data=text, headers=HEADERS)
        assert answer.status_code == 200 if b"\\u0000" not in text else 400, line
    for line in lines[::10]:
        made = alice.request("SEND", "/login/me", data=line, headers={"Content-Type": "application/octet-stream"})
        assert made.status_code == 202, made.text
        row, = system.query_owner("""select s.body from app.send s join app.account a on a.id = s.account_id
            where a.email = %s and s.n = %s""", (alice.email, made.json()["id"]))
        assert bytes(row["body"]) == line
