"""The softphone at / while what is behind it is killed; and by TLS, as it is deployed."""
import pathlib
import sys

import pytest
from selenium.webdriver.common.by import By

from chromium import start_browser
from restsip_system import until
from softphone import MEDIA_FLAGS, WAIT_S, Pane, complaints, heard, hook, sign_in

sys.path.insert(1, str(pathlib.Path(__file__).parents[1] / "e2e"))
# pylint: disable=wrong-import-position
from test_tls import Site

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def open_page(tmp_path):
    """open_page(): a browser, in which nothing may go wrong unsaid."""
    made = []

    def one():
        folder = tmp_path / f"browser-{len(made)}"
        folder.mkdir()
        made.append(start_browser(folder, *MEDIA_FLAGS, "--ignore-certificate-errors"))
        made[-1].set_window_size(1600, 900)
        hook(made[-1])
        return made[-1]

    yield one
    said = [line for driver in made for line in complaints(driver)]
    for driver in made:
        driver.quit()
    assert said == []


@pytest.mark.long
def test_kills_are_not_noticed_but_for_a_moment(systems, open_page):
    """Alice talks with bob while one program after the other dies: what they write, hold and hang up comes through."""
    system = systems("kills")
    page = open_page()
    page.get(system.url + "/")
    until(lambda: page.find_elements(By.ID, "try"), WAIT_S, "the button to try it")
    page.find_element(By.ID, "try").click()
    alice, bob = Pane(page, 0), Pane(page, 1)
    for name, pane in (("alice", alice), ("bob", bob)):
        until(lambda pane=pane, name=name: pane.text(".me") == f"{name}@example.net", WAIT_S, name)
        pane.await_text(".connection", "Connected")
    alice.press("Call", ".talk header")
    bob.press("Answer", ".acts")
    for one in (alice, bob):
        one.await_text(".what", "With ")
    for program in [name for name in system.names() if name.startswith("restsip-")]:
        before = sum(heard(page))
        system.kill_and_wait(program)
        alice.write(f"{program} was killed")
        bob.await_text(".log .theirs", f"{program} was killed")
        alice.press("Hold", ".acts")
        bob.await_text(".what", "has put you on hold")
        alice.press("Hold", ".acts")
        for one in (alice, bob):
            one.await_text(".what", "With ")
            one.await_text(".connection", "Connected")
        until(lambda before=before: sum(heard(page)) > before, WAIT_S, "they hear each other")
    alice.press("Hang up", ".acts")
    bob.await_text(".what", "Hung up, by alice")


def test_two_pages_call_each_other_by_tls(systems, open_page, tmp_path):
    """By HTTP/2, from the files that are installed."""
    system = systems("page-tls", {"RESTSIP_DEMO": "no"})
    site = Site(system, tmp_path / "site")
    try:
        accounts = [system.account(f"{name}@example.net") for name in ("ann", "ben")]
        panes = []
        for account in accounts:
            panes.append(sign_in(open_page(), account, f"https://127.0.0.1:{site.port}"))
        ann, ben = panes
        ann.pick("ben@example.net")
        ann.write("by TLS")
        ann.await_text(".log .mine", "Delivered")
        ann.press("Call", ".talk header")
        ben.press("Answer", ".acts")
        for one in panes:
            one.await_text(".what", "With ")
            until(lambda one=one: [energy > 0 for energy in heard(one.browser)] == [True], WAIT_S, "the other is heard")
        assert ann.browser.execute_script("return performance.getEntriesByType('navigation')[0].nextHopProtocol") == "h2"
        ben.press("Hang up", ".acts")
        ann.await_text(".what", "Hung up, by ben")
    finally:
        site.stop()
