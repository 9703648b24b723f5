"""restsip.js in pages of other people: what goes out, what comes back, and what is tried again."""
import json
import re
import subprocess

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
            const made = await api.request('POST', '/user/me/messages', bodies[2]);
            const back = await api.request('GET', made.url);
            return [types, back instanceof Blob, back.type, [...new Uint8Array(await back.arrayBuffer())]];
        })().then(done, (e) => done(String(e)));""")
    assert isinstance(told, list), told
    types, is_blob, kind, content = told
    binary = "application/octet-stream"
    assert types[:3] == [binary, binary, "audio/ogg"] and types[3].startswith("multipart/form-data; boundary=")
    assert types[4:] == ["application/json", "text/plain; charset=utf-8"]
    assert (is_blob, kind, content) == (True, "audio/ogg", [0, 255, 128, 1])


def test_a_loop_that_is_left_lets_go_of_its_stream(account, browser, until):
    alice, bob = account("alice"), account("bob")
    client(browser, alice)
    browser.execute_script("""window.seen = []; const real = window.fetch;
        window.fetch = (url, init) => { window.stream = init.signal; return real(url, init); };
        (async () => { for await (const { body } of api.messages()) { seen.push(body); if (seen.length === 2) break; } seen.push('left'); })();""")
    send(bob, alice, "one")
    send(bob, alice, "two")
    until(lambda: browser.execute_script("return seen") == ["one", "two", "left"], 20, "both messages")
    assert browser.execute_script("return stream.aborted")


def test_the_state_of_the_connection_is_told(account, browser, until):
    alice = account("alice")
    client(browser, alice)

    def states():
        return browser.execute_script("return states")

    browser.execute_script("""window.states = []; window.cut = new AbortController(); window.real = window.fetch;
        window.watch = (path) => { window.stop = new AbortController();
            (async () => { for await (const _ of api.watch(path, { signal: stop.signal, connection: (s) => states.push(s) })); states.push('ended'); })()
                .catch((e) => states.push(e.status)); };
        window.fetch = (url, init) => { init.signal.addEventListener('abort', () => cut.abort()); return real(url, { ...init, signal: cut.signal }); };
        watch('/login/me');""")
    until(lambda: states() == ["open"], 20, "that it is open")
    browser.execute_script("window.fetch = real; cut.abort();")
    until(lambda: states() == ["open", "lost", "open"], 20, "that it was lost, and is open again")
    browser.execute_script("stop.abort()")
    until(lambda: states() == ["open", "lost", "open", "ended"], 20, "that it has ended")
    browser.execute_script("states.length = 0; watch('/login/nobody@example.net')")
    until(lambda: states() == [404], 20, "that it is refused")
    # One that waits to come back ends at once.
    browser.execute_script("states.length = 0; window.fetch = () => Promise.reject(new TypeError('no network')); watch('/login/me')")
    until(lambda: states() == ["lost"], 20, "that it is lost")
    browser.execute_script("stop.abort()")
    until(lambda: states() == ["lost", "ended"], 20, "that it has ended at once")


def test_a_stream_that_has_died_without_a_word_is_opened_anew(account, browser, until):
    """No heartbeat comes any more, or no answer at all: 40 s here are 400 ms. What a slow reader does meanwhile is no silence."""
    client(browser, account("alice"))
    browser.execute_script("""window.states = []; window.asked = []; window.real = window.fetch; const wait = window.setTimeout;
        window.setTimeout = (f, ms, ...more) => wait(f, ms / 100, ...more);
        window.fetch = (url, { headers, signal }) => {
            asked.push(headers['Last-Event-ID']);
            const dead = new Promise((_, fail) => signal.addEventListener('abort', () => fail(signal.reason)));
            if (asked.length === 2) return dead;
            if (asked.length > 2) { window.setTimeout = wait; return real(url, { headers, signal }); }
            const body = new ReadableStream({ start(to) { to.enqueue(new TextEncoder().encode('{"event":"state","id":"7.1","data":{}}\\n'));
                dead.catch((e) => to.error(e)); } });
            return Promise.resolve(new Response(body));
        };
        (async () => { for await (const e of api.watch('/user/me', { since: '7.0', connection: (s) => states.push(s) })) window.last = e; })();""")
    until(lambda: browser.execute_script("return states") == ["open", "lost", "lost", "open"], 20, "that it is open again")
    assert browser.execute_script("return asked") == ["7.0", "7.1", "7.1"]
    until(lambda: browser.execute_script("return last.data.id"), 20, "the state, from the server")


def test_a_request_that_is_made_again_is_done_once(account, browser):
    """The answer to the first is lost on its way: the second has the same key."""
    alice, bob = account("alice"), account("bob")
    client(browser, alice)
    sent = browser.execute_async_script("""const [to, done] = arguments; window.real = window.fetch; let lost = 0;
        window.fetch = async (url, init) => { const answer = await real(url, init); if (lost++ === 0) throw new TypeError('lost'); return answer; };
        api.send(to, 'once').then((sent) => done([sent.id, lost]), (e) => done(String(e)));""", bob.email)
    assert sent[1] == 2
    assert alice.system.query_owner("select count(*) as n from app.send s join app.account a on a.id = s.account_id where a.email = %s",
                                    (bob.email,)) == [{"n": 1}]


def test_the_token_is_found_by_a_reload_and_forgotten_by_signing_out(account, browser):
    alice = account("alice")
    client(browser, alice)
    again = "const done = arguments[0]; import('/restsip.js').then(async ({ Restsip }) => { const api = new Restsip(); %s }).catch((e) => done(String(e)));"
    browser.refresh()
    assert browser.execute_async_script(again % "done((await api.resume()).email)") == alice.email
    assert browser.execute_async_script(again % "await api.signOut(); done(sessionStorage.length)") == 0
    assert browser.execute_async_script(again % "done(await api.resume())") is None


def test_a_refusal_of_a_calls_stream_is_not_its_end(account, browser):
    """Only that it is no more, and that one is signed out."""
    client(browser, account("alice"))
    states = browser.execute_async_script("""const [statuses, done] = arguments; const real = window.fetch;
        import('/restsip.js').then(async ({ Call }) => {
            const found = {};
            const asked = new Set();
            window.fetch = async (url) => {
                const status = Number(url.split('/').pop());
                asked.add(status);
                return new Response('{}', { status, headers: { 'Content-Type': 'application/problem+json' } });
            };
            await Promise.all(statuses.map(async (status) => {
                const call = new Call(api, 'bob@example.net').follow({ url: `/call/${status}` }, 'up');
                await new Promise((over) => setTimeout(over, 2000));
                found[status] = asked.has(status) && [call.state, call.ended?.cause];
                call.close();
            }));
            window.fetch = real;
            return found;
        }).then(done, (e) => done(String(e)));""", [400, 401, 403, 404, 410, 429, 503])
    stays = ["up", None]
    assert states == {"400": stays, "401": ["ended", "signed-out"], "403": stays, "404": ["ended", "hangup"], "410": ["ended", "hangup"],
                      "429": stays, "503": stays}


def test_each_cause_has_words():
    """Of those that the description knows; the page has two of its own."""
    def causes(node):
        if isinstance(node, dict):
            found = set(node.get("cause", {}).get("enum", [])) if isinstance(node.get("cause"), dict) else set()
            return found.union(*map(causes, node.values()))
        return set().union(*map(causes, node)) if isinstance(node, list) else set()

    table = re.search(r"const CAUSES = \{\n(.*?)\n\};", (TOP / "web/dom.js").read_text(), re.S).group(1)
    words = set(re.findall(r"^\t'?([a-z-]+)'?: ", table, re.M))
    described = causes(json.loads((TOP / "web/openapi.json").read_text()))
    assert len(described) > 10 and words == described | {"elsewhere", "signed-out"}


def test_it_is_typed_and_small():
    """TypeScript looks at it as strictly as it can; without its comments it is less than 12 KB."""
    done = subprocess.run(["tsc", "--noEmit", "--allowJs", "--checkJs", "--strict", "--target", "es2022", "--module", "es2022",
                           "--lib", "es2022,dom,dom.iterable", TOP / "web/restsip.js"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
    source = (TOP / "web/restsip.js").read_text()
    bare = re.sub(r"\s*//.*", "", re.sub(r"\s*/\*\*.*?\*/", "", source, flags=re.S))
    assert len(bare) < 12 * 1024
    page = [p for p in (TOP / "web").iterdir() if p.suffix in (".js", ".css", ".html", ".svg") and not p.name.startswith("docs")]
    assert all(len(p.read_text().splitlines()) < 300 for p in page if p.name != "restsip.js")


def test_the_description_is_a_page_with_a_line_for_each_operation(account, browser, until):
    api = json.loads((TOP / "web/openapi.json").read_text())
    operations = [op for item in api["paths"].values() for op in item.values() if "operationId" in op]
    browser.get(account("alice").system.url + "/docs")
    until(lambda: browser.execute_script("return document.querySelectorAll('details .method').length") == len(operations), 20)
    lines = browser.execute_script("return [...document.querySelectorAll('details > pre:first-of-type')].map((e) => e.textContent)")
    lines = [line for line in lines if line.startswith("curl ")]
    assert len(lines) == len(operations) and not [line for line in lines if "undefined" in line or "{" in line.split(" -d ")[0]]
    scripts = browser.execute_script("return [...document.querySelectorAll('details > pre:nth-of-type(2)')].map((e) => e.textContent)")
    scripts = [line for line in scripts if line.startswith("await api.request(")]
    assert len(scripts) == len(operations) and not [line for line in scripts if "undefined" in line]
    shown = browser.execute_script("return document.querySelector('main').textContent")
    assert "## " not in shown and "Own members" in shown and "call me back" in shown
