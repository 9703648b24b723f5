#!/usr/bin/python3
"""Pictures of every view of the page, light and dark, narrow and wide: pictures.py URL FOLDER, of a system that has the demo accounts."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "lib"))
# pylint: disable=wrong-import-position
from selenium.webdriver.common.by import By

from chromium import start_browser
from restsip_system import until
from softphone import MEDIA_FLAGS, WAIT_S, Pane

SIZES = {"narrow": (360, 740), "wide": (1440, 900)}


def looks(browser):
    """Each size and colour, and its name, while the page has it; what is wider than the window is told of."""
    for size, (width, height) in SIZES.items():
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})
        for colour in ("light", "dark"):
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": colour}]})
            yield f"{size}-{colour}"
        if browser.execute_script("return document.documentElement.scrollWidth > innerWidth"):
            print(f"wider than {width} px")


def views(browser, url):
    """Goes from view to view, and gives the name of each while it is there."""
    browser.get(url + "/")
    until(lambda: browser.find_elements(By.ID, "try"), WAIT_S, "the button to try it")
    yield "door"
    browser.find_element(By.ID, "try").click()
    alice, bob = Pane(browser, 0), Pane(browser, 1)
    until(lambda: alice.text(".me") and bob.text(".me"), WAIT_S, "both")
    if alice.text(".me").startswith("bob"):
        alice, bob = bob, alice
    bob.await_text(".log", "Hello, bob!")
    bob.write("Hello, alice. Shall we talk about Friday?")
    alice.await_text(".log", "Friday")
    alice.press("Video", ".talk header")
    bob.await_text(".what", "is calling you")
    yield "ringing"
    bob.press("Answer", ".acts")
    alice.await_text(".what", "With ")
    alice.press("Keypad", ".acts")
    yield "call"
    alice.press("Hang up", ".acts")
    yield "over"
    alice.press("Leave a message", ".talk header")
    alice.press("Record", ".record")
    alice.await_text(".record", "Recording for bob@example.net; ")
    alice.press("Send", ".record")
    bob.await_text("nav", "Voice mail (")
    alice.press("Meetings", "nav")
    alice.submit("Make a meeting", subject="Lunch on Friday")
    alice.press("Join", "[aria-label=Meetings]")
    alice.await_text(".roster", "alice")
    bob.run("pane.hidden = true; document.body.classList.remove('two')")
    yield "meeting"
    for name, text in (("contacts", "Contacts"), ("past", "Calls"), ("phones", "Phones")):
        alice.press(text, "nav")
        yield name
    alice.pick("bob@example.net")
    yield "chat"
    alice.press("What just happened", ".top")
    alice.run("pane.querySelector('.told details').open = true")
    yield "drawer"
    bob.run("pane.hidden = false")
    alice.run("pane.hidden = true")
    bob.press("Voice mail", "nav")
    bob.press("Play", ".list")
    yield "mail"
    browser.get(url + "/docs")
    until(lambda: browser.find_elements(By.CSS_SELECTOR, "details"), WAIT_S, "the docs")
    yield "docs"
    browser.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
    yield "docs-open"


def main(url, folder):
    folder.mkdir(parents=True, exist_ok=True)
    browser = start_browser(folder, *MEDIA_FLAGS)
    for name in views(browser, url):
        print(name)
        for look in looks(browser):
            browser.save_screenshot(str(folder / f"{name}-{look}.png"))
    browser.quit()


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"), pathlib.Path(sys.argv[2]))
