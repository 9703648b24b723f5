"""What a page of another site, and one of another port, can have Chromium do for somebody whose password it keeps.

Headless Chromium has no window for a password: it stands in the URL once, and the browser adds it by itself from then on.
"""
import http.server
import threading

import pytest
from selenium.webdriver.common.by import By

WAIT_S = 40
SITES = ["evil.example", "127.0.0.1"]  # another site; another port of the same host
CONTACT = "sip:evil@192.0.2.1"


class Pages(http.server.BaseHTTPRequestHandler):
    """A site of somebody else's: any path is an empty page."""

    def do_GET(self):  # pylint: disable=invalid-name
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>theirs</title><body>")

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def theirs():
    """The port of that site."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def keep_password(browser, account):
    """The browser has the account's password and gives it by itself, as after its window for one."""
    url = account.system.url.replace("//", f"//{account.email.replace('@', '%40')}:{account.password}@")
    browser.get(url + "/login/me")
    assert browser.find_element(By.TAG_NAME, "body").text == "[]"
    browser.get(account.system.url + "/user/me")  # without it in the URL
    assert account.email in browser.find_element(By.TAG_NAME, "body").text


def has_done_nothing(account):
    assert account.request("GET", account.login).json() == []
    assert account.system.query_owner(
        "select count(*) as n from app.send s join app.account a on a.id = s.sender_id where a.email = %s",
        (account.email,)) == [{"n": 0}]


FORM = """
    const form = document.createElement('form');
    Object.assign(form, {method: 'POST', action: arguments[0], enctype: 'text/plain'});
    const field = document.createElement('input');
    field.name = arguments[1];
    field.value = arguments[2];
    form.append(field);
    document.body.append(form);
    form.submit();
    """


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("what", ["contact", "message"])
def test_a_form_of_another_site_does_nothing(system, account, browser, theirs, until, site, what):
    alice, bob = account("alice"), account("bob")
    keep_password(browser, alice)
    path = "/login/me" if what == "contact" else f"/login/{bob.email}/messages"
    browser.get(f"http://{site}:{theirs}/")
    browser.execute_script(FORM, system.url + path, f"{CONTACT};x" if what == "contact" else "hello", "y")
    until(lambda: browser.current_url == system.url + path, WAIT_S)
    text = until(lambda: browser.find_element(By.TAG_NAME, "body").text, WAIT_S)
    assert "/problems/cross-site" in text
    has_done_nothing(alice)


@pytest.mark.parametrize("what", ["contact", "message"])
def test_the_same_form_of_our_own_site_does_it(system, account, browser, until, what):
    """So the tests above would notice."""
    alice, bob = account("alice"), account("bob")
    keep_password(browser, alice)
    path = "/login/me" if what == "contact" else f"/login/{bob.email}/messages"
    browser.execute_script(FORM, system.url + path, f"{CONTACT};x" if what == "contact" else "hello", "y")
    if what == "contact":
        until(lambda: [c["contact"] for c in alice.request("GET", alice.login).json()] == [CONTACT + ";x=y"], WAIT_S)
    else:
        until(lambda: system.query_owner(
            "select count(*) as n from app.send s join app.account a on a.id = s.sender_id where a.email = %s",
            (alice.email,)) == [{"n": 1}], WAIT_S)


FETCHES = """
    const [url, contact, to, done] = arguments;
    const ask = (path, init) => fetch(url + path, { credentials: 'include', mode: 'no-cors', ...init })
        .then((r) => r.type, (e) => 'refused');
    Promise.all([
        ask('/login/me', { method: 'POST', body: contact }),
        ask(`/login/${to}/messages`, { method: 'POST', body: 'hello' }),
        ask('/login/me', { method: 'POST', body: contact, mode: 'cors' }),
        ask('/login/me', { method: 'PUT', body: contact, mode: 'cors' }),
        ask('/login/me', { method: 'POST', body: contact, mode: 'cors', headers: { 'X-HTTP-Method-Override': 'SEND' } }),
        ask('/user/me', { method: 'DELETE', mode: 'cors' }),
        ask('/login/me?stream'),
        ask('/login/me?wait=30&since=1'),
        new Promise((end) => {
            const source = new EventSource(url + '/login/me', { withCredentials: true });
            source.onopen = () => end('open');
            source.onerror = () => { source.close(); end('refused'); };
        }),
    ]).then(done, (e) => done(String(e)));
    """


@pytest.mark.parametrize("site", SITES)
def test_fetches_of_another_site_do_nothing(system, account, browser, theirs, site):
    alice, bob = account("alice"), account("bob")
    keep_password(browser, alice)
    browser.get(f"http://{site}:{theirs}/")
    came = browser.execute_async_script(FETCHES, system.url, CONTACT, bob.email)
    assert isinstance(came, list) and set(came) <= {"opaque", "refused"}, came
    assert came[0] == came[1] == "opaque", "these are sent without asking first"
    assert came[-1] == "refused"
    has_done_nothing(alice)
    assert system.request("GET", "/user/me", auth=alice.auth).status_code == 200
    assert system.query_owner("select w.kind from app.watch w join app.account a on a.id = w.id where a.email = %s",
                              (alice.email,)) == []


def test_a_wrong_token_settles_without_a_prompt(system, account, browser):
    """A prompt would hold fetch() up until somebody answers it, that is for ever here."""
    alice = account("alice")
    browser.get(system.url + "/docs")
    statuses = browser.execute_async_script("""
        const done = arguments[0];
        const ask = (path, init) => fetch(path, init).then((r) => [r.status, r.headers.get('WWW-Authenticate')]);
        const token = { headers: { Authorization: 'Bearer ' + 'x'.repeat(43) } };
        Promise.all([
            ask('/login/me', token), ask('/login/me'), ask('/login/me?stream', token), ask('/login/me?stream'),
            ask('/login/me', { ...token, method: 'POST', body: 'sip:a@192.0.2.1' }), ask('/user/me', { ...token, method: 'DELETE' }),
            ask('/session', { method: 'POST' }), ask('/login/me?stream&ticket=x'),
            ask('/session', { method: 'POST', headers: { Authorization: 'Basic ' + btoa('a@example.net:wrong') } }),
        ]).then(done, (e) => done(String(e)));
        """)
    assert [s for s, _ in statuses] == [401] * 9
    assert all(how.startswith("Bearer") and "Basic" not in how for _, how in statuses)
    assert alice.request("GET", alice.login).json() == []


def test_scripts_in_a_page_of_ours_do_not_run(system, browser):
    browser.get(system.url + "/")
    browser.execute_script("""
        window.ran = [];
        const script = document.createElement('script');
        script.textContent = 'window.ran.push("inline")';
        document.body.append(script);
        const image = document.createElement('div');
        image.innerHTML = '<button onclick="window.ran.push(1)">x</button>';
        document.body.append(image);
        image.firstChild.click();
        """)
    assert browser.execute_script("return window.ran") == []
    assert browser.execute_script("return getComputedStyle(document.querySelector('#door')).display") == "flex"


def test_nobody_shows_our_page_in_a_frame(system, browser, theirs):
    browser.get(f"http://127.0.0.1:{theirs}/")
    done = browser.execute_async_script("""
        const [url, done] = arguments;
        const frame = document.createElement('iframe');
        frame.onload = () => done('loaded');
        frame.src = url;
        document.body.append(frame);
        """, system.url + "/")
    assert done == "loaded"
    browser.switch_to.frame(0)
    assert "Sign in" not in browser.find_element(By.TAG_NAME, "body").text


def test_mail_that_is_a_page_does_not_run(system, account, browser):
    """Anybody may leave it, and its owner opens it where they are signed in."""
    alice = account("alice")
    page = (b"<html xmlns='http://www.w3.org/1999/xhtml'><body>hello<script>"
            b"fetch('/login/me', {method: 'POST', body: '{\"contact\":\"sip:evil@192.0.2.1\"}'})</script></body></html>")
    url = system.request("POST", f"/user/{alice.email}/messages", data=page, headers={"Content-Type": "audio/x+xml"}).json()["url"]
    keep_password(browser, alice)
    try:
        browser.get(system.url + url)
    except Exception:  # pylint: disable=broad-except
        pass  # it is a download
    browser.get(system.url + "/docs")
    has_done_nothing(alice)
