"""The pages of README's "A page of your own", as they stand there."""
import json
import re

import pytest
import requests

from chromium import start_browser
from restsip_system import TOP, until
from softphone import MEDIA_FLAGS, WAIT_S

PAGES = re.findall(r"```js\n(.*?)```", (TOP / "README.md").read_text(), re.S)


@pytest.fixture
def page(tmp_path):
    driver = start_browser(tmp_path, *MEDIA_FLAGS)
    yield driver
    driver.quit()


def run(page, system, source):
    """As a module of our own origin; script is all that the driver can bring in."""
    page.get(system.url + "/docs")
    source = source.replace("import { Restsip } from '/restsip.js';", "const { Restsip } = await import('/restsip.js');")
    page.execute_script("""window.said = []; window.failed = []; window.made = [];
        console.log = (...words) => said.push(words.filter(Boolean).join(' '));
        window.RTCPeerConnection = class extends RTCPeerConnection { constructor(...args) { super(...args); made.push(this); } };
        (async () => { %s })().catch((error) => failed.push(String(error)));""" % source)


def demo(system, name):
    """A demo account's requests."""
    def ask(method, path, **more):
        return requests.request(method, system.url + path, auth=(f"{name}@example.net", f"{name}-demo"), timeout=20, **more)
    return ask


def test_a_chat_in_ten_lines(system, page):
    assert len(PAGES[0].strip().splitlines()) <= 11
    run(page, system, PAGES[0])
    until(lambda: page.find_elements("css selector", "body > input"), WAIT_S, "the field")
    demo(system, "bob")("POST", "/login/alice@example.net/messages", data=b"hello", headers={"Content-Type": "text/plain"})
    until(lambda: "bob@example.net: hello" in page.find_element("css selector", "body > pre").text, WAIT_S, "what bob has written")
    page.find_element("css selector", "body > input").send_keys("hello, bob\n")
    until(lambda: "me: hello, bob (" in page.find_element("css selector", "body > pre").text, WAIT_S, "what alice has written")
    assert page.execute_script("return failed") == []


def test_call_in_ten_lines(system, page):
    """Bob is a page of ours that listens, and answers."""
    assert len(PAGES[1].strip().splitlines()) <= 11
    bob = demo(system, "bob")
    told = bob("GET", "/login/me?stream", stream=True)
    lines = told.iter_lines()
    next(line for line in lines if b'"state"' in line)
    run(page, system, PAGES[1])
    call = None
    for line in lines:
        event = json.loads(line) if line.strip() else {}
        if event.get("event") == "message" and event["data"].get("json", {}).get("command") == "invite":
            call = event["data"]["json"]
            break
    until(lambda: page.find_elements("css selector", "body > audio"), WAIT_S, "it rings")
    assert call["session"]["type"] == "offer" and "m=audio" in call["session"]["sdp"]
    bob("POST", "/login/alice@example.net/messages", json={"command": "reject", "url": call["url"], "reason": "busy"})
    until(lambda: "ended busy" in page.execute_script("return said"), WAIT_S, "that he is busy")
    assert page.execute_script("return failed") == []
    told.close()
