"""What pages of other sites may have a browser do: nothing, unless they are named. And what a browser makes of answers."""
import pathlib

import pytest
import requests

from answers import is_problem
from stream_client import Stream

WEB = pathlib.Path(__file__).resolve().parents[2] / "web"
EVIL = "https://evil.example"
LISTED = "https://app.example.org"
FORM = {"Content-Type": "text/plain"}
CROSS = [{"Sec-Fetch-Site": "cross-site", "Origin": EVIL}, {"Sec-Fetch-Site": "same-site", "Origin": EVIL},
         {"Sec-Fetch-Site": "cross-site"}, {"Origin": EVIL}, {"Origin": "null"},
         {"Origin": "http://127.0.0.1:1"}]
OWN = [{"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {}]
WRITES = [("POST", "/login/me", "sip:evil@192.0.2.1;x=y\r\n", {}),  # as a form sends it
          ("PUT", "/login/me", "sip:evil@192.0.2.1", {}),
          ("POST", "/login/me/messages", "x", {}),
          ("POST", "/login/me", "x", {"X-HTTP-Method-Override": "SEND"}),
          ("SEND", "/login/me", "x", {}),
          ("POST", "/call", '{"subject":"x"}', {}),
          ("POST", "/session", "", {}),
          ("POST", "/session/ticket", "", {}),
          ("PATCH", "/user/me", '{"name":"evil"}', {}),
          ("POST", "/user/me/credential", "", {}),
          ("DELETE", "/user/me", "", {})]


def ask(system, method, path, auth, body, *headers):
    merged = {k: v for h in headers for k, v in h.items()}
    return system.request(method, path, auth=auth, data=body, headers=merged)


@pytest.mark.parametrize("page", CROSS, ids=str)
def test_a_page_of_another_site_does_nothing(system, quick, page):
    made = "select a.*, (select count(*) from app.call c where c.owner_id = a.id) from app.account a where a.email = %s"
    before = system.query_owner(made, (quick.email,))
    for method, path, body, more in WRITES:
        is_problem(ask(system, method, path, quick.auth, body, FORM, page, more), 403, "cross-site")
    assert quick.request("GET", "/login/me").json() == []
    assert system.query_owner(made, (quick.email,)) == before
    assert ask(system, "GET", "/login/me", quick.auth, None, page).status_code == 200
    assert ask(system, "HEAD", "/login/me", quick.auth, None, page).status_code == 200
    assert ask(system, "OPTIONS", "/login/me", None, None, page).status_code == 204


@pytest.mark.parametrize("how", ["?stream", "?wait=5&since=1", "accept", "watch", "ticket"])
@pytest.mark.parametrize("page", CROSS, ids=str)
def test_a_page_of_another_site_opens_no_stream(system, quick, page, how):
    path = {"watch": "/watch?r=/login/me", "accept": "/login/me"}.get(how, f"/login/me{how}")
    auth = quick.auth
    if how == "ticket":
        path, auth = f"/login/me?stream&ticket={quick.request('POST', '/session/ticket').json()['ticket']}", None
    answer = ask(system, "GET", path, auth, None, {"Accept": "text/event-stream"} if how == "accept" else {}, page)
    is_problem(answer, 403, "cross-site")


@pytest.mark.parametrize("page", [*OWN, {"Origin": "own"}], ids=str)
def test_our_own_pages_and_programs_do(system, quick, page):
    page = {k: system.url if v == "own" else v for k, v in page.items()}
    for method, path, body, more in WRITES[:5]:
        assert ask(system, method, path, quick.auth, body, FORM, page, more).status_code < 300
    answer = ask(system, "GET", "/login/me?wait=1&since=1", quick.auth, None, page)
    assert answer.status_code == 200
    assert quick.request("DELETE", "/login/me").status_code == 204


def test_a_listed_origin_may(strict):
    page = {"Sec-Fetch-Site": "cross-site", "Origin": LISTED}
    for method, path, body, more in WRITES[:-1]:
        assert ask(strict, method, path, None, body, FORM, page, more).status_code in (401, 404)
    assert ask(strict, "GET", "/login/me?stream", None, None, page).status_code == 401
    page = {"Sec-Fetch-Site": "cross-site", "Origin": LISTED + ".evil.example"}
    is_problem(ask(strict, "POST", "/login/me", None, "", FORM, page), 403, "cross-site")


def test_any_origin_may_with_a_token_alone(own_system):
    own_system.down()
    made = own_system
    made.settings["RESTSIP_HTTP_CORS_ORIGINS"] = "*"
    made.up()
    alice = made.account("alice@example.net")
    page = {"Sec-Fetch-Site": "cross-site", "Origin": EVIL}
    assert alice.request("POST", "/login/me", headers=page, json={"contact": "sip:a@192.0.2.1"}).status_code == 201
    is_problem(ask(made, "POST", "/login/me", alice.auth, '{"contact":"sip:b@192.0.2.1"}', FORM, page), 403, "cross-site")
    is_problem(ask(made, "GET", "/login/me?stream", alice.auth, None, page), 403, "cross-site")
    stream = Stream(made, alice.login, token=alice.token(), headers=page)
    assert stream.status == 200
    stream.close()
    assert len(alice.request("GET", "/login/me").json()) == 1


@pytest.mark.parametrize("path", ["/login/me", "/login/me?stream"])
def test_only_people_and_programs_are_asked_for_a_password(system, path):
    def challenges(headers, at=path):
        answer = system.request("GET", at, headers=headers)
        assert answer.status_code == 401
        assert "Bearer" in answer.headers["WWW-Authenticate"]
        return "Basic" in answer.headers["WWW-Authenticate"]

    token = {"Authorization": "Bearer " + "x" * 43}
    assert challenges({})
    assert challenges({"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"})
    assert challenges({"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin", **token})
    assert not challenges({"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"})
    assert not challenges({"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "same-origin"})
    assert not challenges(token)
    assert not challenges({}, f"{path}{'&' if '?' in path else '?'}ticket=x")


# ---- what a browser makes of answers ----

@pytest.mark.parametrize("path", ["/", "/index.js", "/calls.js", "/index.css", "/restsip.js", "/docs", "/docs.js", "/openapi.json"])
def test_pages_run_no_script_but_ours(system, path):
    answer = requests.get(system.url + path, timeout=20)
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "microphone=(self)" in answer.headers["Permissions-Policy"]
    assert "javascript" in answer.headers["Content-Type"] or not path.endswith(".js")


@pytest.mark.parametrize("page", sorted(WEB.glob("*.html")), ids=lambda p: p.name)
def test_no_page_has_a_script_or_style_in_it(page):
    text = page.read_text()
    assert "<style" not in text and "style=" not in text and " on" not in text.split("<body")[0].replace(" one", "")
    assert text.count("<script") == text.count("<script type=\"module\" src=")


def test_answers_of_workers_run_nothing(system, quick):
    for answer in (quick.request("GET", "/login/me"), system.request("GET", "/nothing"), system.request("GET", "/login/me"),
                   system.request("POST", "/login/me", data=b"x" * 70_000)):
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("kind, shown", [
    ("text/plain", True), ("text/plain; charset=utf-8", True), ("audio/mpeg", True), ("video/webm", True),
    ("audio/x+xml", False), ("video/svg+xml", False), ("AUDIO/A+XML;b=c", False)])
def test_mail_is_no_page(system, quick, kind, shown):
    page = b"<html xmlns='http://www.w3.org/1999/xhtml'><script>fetch('/user/me',{method:'DELETE'})</script></html>"
    left = system.request("POST", f"/user/{quick.email}/messages", data=page, headers={"Content-Type": kind})
    assert left.status_code == 201, left.text
    answer = quick.request("GET", left.json()["url"], headers={"Accept": "*/*"})
    assert answer.status_code == 200 and answer.content == page
    assert answer.headers.get("Content-Disposition") == (None if shown else "attachment")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
