"""The web client in a browser, EventSource with a ticket, and what survives a kill."""
import time

import pytest
from softphone import sign_in

LATER = (502, 503, 504)
WAIT_S = 40


def insist(fn):
    """Calls fn until it is answered with 2xx."""
    deadline = time.monotonic() + WAIT_S
    while True:
        answer = fn()
        if answer.status_code < 300:
            return answer
        assert answer.status_code in LATER and time.monotonic() < deadline, answer.text
        time.sleep(0.05)


def send(sender, to, text):
    insist(lambda: sender.request("SEND", to.login, data=text.encode(), headers={
        "Content-Type": "text/plain; charset=utf-8", "Idempotency-Key": text.encode().hex()}))


def test_event_source_with_a_ticket(system, account, browser, until):
    """The browser's own, without our library: named events, their data and their ids."""
    alice, bob = account("alice"), account("bob")
    ticket = alice.request("POST", "/session/ticket").json()["ticket"]
    browser.get(system.url + "/docs")
    browser.execute_script("""
        window.came = [];
        window.source = new EventSource(`/login/me?ticket=${arguments[0]}`);
        for (const name of ['state', 'change', 'message'])
            source.addEventListener(name, (e) => came.push([name, JSON.parse(e.data), e.lastEventId]));
        """, ticket)

    def came():
        return browser.execute_script("return window.came")

    until(came, WAIT_S)
    assert alice.request("POST", alice.login, json={"contact": "sip:a@192.0.2.1"}).status_code == 201
    send(bob, alice, "hello ü")
    until(lambda: len(came()) == 3, WAIT_S)
    assert came()[0][:2] == ["state", []]
    assert {name for name, _, _ in came()[1:]} == {"change", "message"}
    assert next(data for name, data, _ in came() if name == "message")["body"] == "hello ü"
    assert next(data for name, data, _ in came() if name == "change") == alice.request("GET", alice.login).json()
    assert all("." in last for _, _, last in came())
    browser.execute_script("source.close()")


@pytest.mark.parametrize("how", ["kill", "restart"])
def test_the_page_misses_nothing_over_a_restart(own_system, own_account, browser, until, how):
    alice, bob = own_account("alice"), own_account("bob")
    browser.set_window_size(1600, 900)
    pane = sign_in(browser, alice)
    pane.pick(bob.email)
    browser.execute_script("""window.shown = []; const status = document.querySelector('.connection');
        new MutationObserver(() => shown.push(status.textContent)).observe(status, { childList: true });""")
    sent = []
    for round_ in range(3):
        for i in range(6):
            if i == 2 and how == "kill":
                own_system.kill("restsip-stream")
            elif i == 2:
                own_system.kill_and_wait("restsip-stream", 15)
            sent.append(f"{round_}.{i}")
            send(bob, alice, sent[-1])
        until(lambda: pane.text(".log p").split("\n")[-1:] == sent[-1:], WAIT_S)
        insist(lambda: bob.request("PUT", bob.login, json=[{"contact": f"sip:r{round_}@192.0.2.1", "presence": {"note": f"note {round_}"}}]))
        pane.await_text(".talk header", f"note {round_}")
    assert pane.text(".log p").split("\n") == sent
    shown = browser.execute_script("return shown")
    assert shown[:2] == ["Connection lost; trying again…", "Connected again"]
    until(lambda: pane.text(".connection").startswith("Connected"), WAIT_S)


def test_a_session_that_ends_ends_the_page(account, browser, until):
    """Coming back is refused then: the page is told why and does not try for ever."""
    alice = account("alice")
    browser.get(alice.system.url + "/")
    browser.execute_script("""
        window.came = [];
        import('/restsip.js').then(async ({ Restsip }) => {
            window.api = new Restsip();
            await api.signIn(arguments[0], arguments[1]);
            (async () => { for await (const event of api.watch('/login/me')) came.push(event); })()
                .catch((error) => came.push({ event: 'refused', data: { reason: error.status } }));
        });
        """, alice.email, alice.password)
    until(lambda: browser.execute_script("return came.length"), WAIT_S)
    assert alice.system.request("DELETE", "/session", auth=alice.auth).status_code == 204
    until(lambda: browser.execute_script("return came.at(-1)").get("data") == {"reason": 401}, WAIT_S)
    ends = [e for e in browser.execute_script("return came") if e["event"] == "end"]
    assert ends[0]["data"]["reason"] == "session-ended"


def test_one_of_many_that_goes_stops_not_the_others(account, browser, until):
    alice = account("alice")
    calls = [alice.request("POST", "/call", json={"subject": "s"}).json()["url"] for _ in range(3)]
    browser.get(alice.system.url + "/docs")
    browser.execute_script("""
        window.came = [];
        const resources = arguments[2];
        import('/restsip.js').then(async ({ Restsip }) => {
            const api = new Restsip();
            await api.signIn(arguments[0], arguments[1]);
            (async () => { for await (const event of api.watch(resources)) came.push(event); })()
                .catch((error) => came.push({ event: 'refused', data: { reason: error.status } }));
        });
        """, alice.email, alice.password, calls)

    def came(name):
        return [e["data"].get("resource") for e in browser.execute_script("return came") if e["event"] == name]

    until(lambda: len(came("state")) == 3, WAIT_S)
    alice.request("DELETE", calls[0])
    until(lambda: came("gone") == calls[:1], WAIT_S)
    alice.request("PATCH", calls[1], json={"subject": "t"})
    until(lambda: came("change") == calls[:2], WAIT_S)  # the first: it has ended
    assert len(came("state")) == 3, "it has begun anew"
    alice.request("DELETE", calls[1])
    alice.request("DELETE", calls[2])
    until(lambda: came("end") == [None], WAIT_S)


def test_what_is_no_resource_is_not_asked_for_again(account, browser, until):
    """A request that is wrong stays wrong: who watches is told, once."""
    alice = account("alice")
    browser.get(alice.system.url + "/docs")
    browser.execute_script("""
        window.came = [];
        import('/restsip.js').then(async ({ Restsip }) => {
            const api = new Restsip();
            await api.signIn(arguments[0], arguments[1]);
            (async () => { for await (const event of api.watch('/watch?r=/watch')) came.push(event); })()
                .catch((error) => came.push({ event: 'refused', data: { reason: error.status } }));
        });
        """, alice.email, alice.password)
    until(lambda: browser.execute_script("return came.map((e) => e.data.reason)") == [406], WAIT_S)
