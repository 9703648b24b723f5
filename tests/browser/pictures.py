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


def picture(browser, folder, name):
    """One of each size and colour; what is wider than the window is told of."""
    for size, (width, height) in SIZES.items():
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})
        for colour in ("light", "dark"):
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": colour}]})
            browser.save_screenshot(str(folder / f"{name}-{size}-{colour}.png"))
        if browser.execute_script("return document.documentElement.scrollWidth > innerWidth"):
            print(f"{name} is wider than {width} px")


def main(url, folder):
    folder.mkdir(parents=True, exist_ok=True)
    browser = start_browser(folder, *MEDIA_FLAGS)
    browser.get(url + "/")
    until(lambda: browser.find_elements(By.ID, "try"), WAIT_S, "the button to try it")
    picture(browser, folder, "door")
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
    picture(browser, folder, "ringing")
    bob.press("Answer", ".acts")
    alice.await_text(".what", "With ")
    alice.press("Keypad", ".acts")
    picture(browser, folder, "call")
    alice.press("Hang up", ".acts")
    picture(browser, folder, "over")
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
    picture(browser, folder, "meeting")
    for name, text in (("contacts", "Contacts"), ("past", "Calls"), ("phones", "Phones")):
        alice.press(text, "nav")
        picture(browser, folder, name)
    alice.pick("bob@example.net")
    picture(browser, folder, "chat")
    alice.press("What just happened", ".top")
    alice.run("pane.querySelector('.told details').open = true")
    picture(browser, folder, "drawer")
    bob.run("pane.hidden = false")
    alice.run("pane.hidden = true")
    bob.press("Voice mail", "nav")
    bob.press("Play", ".list")
    picture(browser, folder, "mail")
    browser.get(url + "/docs")
    until(lambda: browser.find_elements(By.CSS_SELECTOR, "details"), WAIT_S, "the docs")
    picture(browser, folder, "docs")
    browser.quit()


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"), pathlib.Path(sys.argv[2]))
