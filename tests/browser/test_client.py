"""restsip.js in pages of other people: what goes out, what comes back, and callbacks that fail."""
import json

from restsip_system import TOP
from test_page import send

OPEN = """const [email, password, done] = arguments;
    import('/restsip.js').then(async ({ Restsip }) => {
        window.api = new Restsip();
        await api.signIn(email, password);
        done(true);
    }).catch((e) => done(String(e)));"""


def client(browser, account):
    browser.get(account.system.url + "/docs")
    assert browser.execute_async_script(OPEN, account.email, account.password) is True


def test_bodies_go_out_as_what_they_are_and_binary_comes_back_as_a_blob(account, browser):
    alice = account("alice")
    client(browser, alice)
    told = browser.execute_async_script("""const done = arguments[0];
        const bytes = new Uint8Array([0, 255, 128, 1]);
        const form = new FormData();
        form.append('x', 'y');
        const bodies = [bytes, bytes.buffer, new Blob([bytes], { type: 'audio/ogg' }), form, { a: 1 }, 'text'];
        (async () => {
            const types = [];
            window.real = window.fetch;
            window.fetch = (url, init) => real(url, init).then((r) => {
                types.push(new Request(url.startsWith('http') ? url : location.origin + url, init).headers.get('Content-Type'));
                return r;
            });
            for (const body of bodies) await api.send('me', body);
            window.fetch = window.real;
            const made = await api.call('POST', '/user/me/messages', bodies[2]);
            const back = await api.call('GET', made.url);
            return [types, back instanceof Blob, back.type, [...new Uint8Array(await back.arrayBuffer())]];
        })().then(done, (e) => done(String(e)));""")
    assert isinstance(told, list), told
    types, is_blob, kind, content = told
    binary = "application/octet-stream"
    assert types[:3] == [binary, binary, "audio/ogg"] and types[3].startswith("multipart/form-data; boundary=")
    assert types[4:] == ["application/json", "text/plain; charset=utf-8"]
    assert (is_blob, kind, content) == (True, "audio/ogg", [0, 255, 128, 1])


def test_a_callback_that_throws_is_reported_and_the_stream_goes_on(account, browser, until):
    alice, bob = account("alice"), account("bob")
    client(browser, alice)
    browser.execute_script("""window.seen = []; window.failed = [];
        window.addEventListener('error', (e) => failed.push(e.message));
        window.stop = api.watch('/login/me', (e) => {
            seen.push(e.event);
            if (e.event === 'message') throw new Error('planted');
        });""")
    until(lambda: "state" in browser.execute_script("return seen"), 20, "the first state")
    send(bob, alice, "one")
    send(bob, alice, "two")
    until(lambda: browser.execute_script("return seen").count("message") == 2, 20, "both messages")
    until(lambda: len(browser.execute_script("return failed")) == 2, 20, "both errors")
    assert browser.execute_script("return seen").count("state") == 1


def test_the_state_of_the_connection_is_told(account, browser, until):
    alice = account("alice")
    client(browser, alice)

    def states():
        return browser.execute_script("return states")

    browser.execute_script("""window.states = []; window.cut = new AbortController(); window.real = window.fetch;
        window.fetch = (url, init) => real(url, { ...init, signal: cut.signal });
        window.stop = api.watch('/login/me', () => {}, { connection: (state) => { states.push(state); throw new Error('planted'); } });""")
    until(lambda: states() == ["open"], 20, "that it is open")
    browser.execute_script("window.fetch = real; cut.abort();")
    until(lambda: states() == ["open", "lost", "open"], 20, "that it was lost, and is open again")
    browser.execute_script("stop()")
    until(lambda: states() == ["open", "lost", "open", "closed"], 20, "that it is closed")
    browser.execute_script("states.length = 0; api.watch('/login/nobody@example.net', () => {}, { connection: (s) => states.push(s) })")
    until(lambda: states() == ["closed"], 20, "that it cannot be opened")
    # One that waits to come back is closed at once.
    browser.execute_script("""states.length = 0; window.fetch = () => Promise.reject(new TypeError('no network'));
        window.stop = api.watch('/login/me', () => {}, { connection: (s) => states.push(s) });""")
    until(lambda: states() == ["lost"], 20, "that it is lost")
    browser.execute_script("stop()")
    until(lambda: states() == ["lost", "closed"], 20, "that it is closed at once")


def test_the_description_is_a_page_with_a_line_for_each_operation(account, browser, until):
    api = json.loads((TOP / "web/openapi.json").read_text())
    operations = [op for item in api["paths"].values() for op in item.values() if "operationId" in op]
    browser.get(account("alice").system.url + "/docs")
    until(lambda: browser.execute_script("return document.querySelectorAll('details .method').length") == len(operations), 20)
    lines = browser.execute_script("return [...document.querySelectorAll('details > pre:first-of-type')].map((e) => e.textContent)")
    lines = [line for line in lines if line.startswith("curl ")]
    assert len(lines) == len(operations) and not [line for line in lines if "undefined" in line or "{" in line.split(" -d ")[0]]
    shown = browser.execute_script("return document.querySelector('main').textContent")
    assert "## " not in shown and "Own members" in shown and "call me back" in shown
