"""The softphone at / and a phone: baresip with DTLS and ICE, as a page speaks. Each calls the other, and somebody is handed on."""
import itertools

import pytest

from calling import is_tone
from conftest import PAGE_HZ
from restsip_system import until
from softphone import WAIT_S, complaints, heard, hook, sign_in

pytestmark = pytest.mark.timeout(300)
NUMBERS = itertools.count(1)
# A browser takes a tone that lasts for noise.
AS_IT_IS = """const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = (media) => real({ ...media,
        audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } });"""


@pytest.fixture
def pages(browsers):
    """pages(n): a browser whose microphone plays a tone; nothing in it may go wrong unsaid."""
    used = {}

    def one(n):
        driver = browsers(n)
        complaints(driver)  # of others
        used[driver] = hook(driver, AS_IT_IS)
        driver.set_window_size(1200, 900)
        return driver

    yield one
    said = [line for driver in used for line in complaints(driver)]
    for driver, unhook in used.items():
        driver.execute_script("sessionStorage.clear()")
        driver.get("about:blank")
        unhook()
    assert said == []


@pytest.fixture
def person(media_system, pages):
    """person(n): who is signed in at that browser's page, and the pane."""
    def make(n):
        account = media_system.account(f"person-{next(NUMBERS)}@example.net")
        return account, sign_in(pages(n), account)
    return make


def known(account, pane, phone):
    """What a phone speaks is known once it has called."""
    phone.dial(account)
    pane.press("Decline", ".acts")
    until(phone.is_free, WAIT_S, "it is over for the phone")
    pane.press("Close", ".acts")
    pane.pick(phone.account.email)


def hear_each_other(pane, phone):
    until(lambda: [energy > 0 for energy in heard(pane.browser)] == [True], WAIT_S, "the page hears the phone")
    until(lambda: is_tone(phone.hears(), PAGE_HZ[0]), WAIT_S, "the phone hears the page's tone")


def test_a_page_and_a_phone_call_each_other(media_system, person, ends):
    """Called off, refused, answered and hung up, from either side."""
    phone, = ends(media_system, "softphone")
    account, pane = person(0)
    name = phone.account.email.split("@")[0]
    known(account, pane, phone)
    # The page calls; the phone hangs up, and is then busy.
    pane.press("Call", ".talk header")
    until(phone.rings, WAIT_S, "the phone rings")
    phone.accept()
    pane.await_text(".what", f"With {name}")
    hear_each_other(pane, phone)
    phone.hang_up()
    pane.await_text(".what", f"Hung up, by {name}")
    pane.press("Call", ".talk header")
    until(phone.rings, WAIT_S, "the phone rings")
    phone.hang_up()
    pane.await_text(".what", "Busy: ")
    pane.press("Call", ".talk header")
    until(phone.rings, WAIT_S, "the phone rings")
    pane.press("Hang up", ".acts")
    until(phone.is_free, WAIT_S, "it rings no longer")
    # The phone calls; it calls off, and then the page hangs up.
    pane.press("Close", ".acts")
    phone.dial(account)
    pane.await_text(".what", "is calling you")
    phone.hang_up()
    pane.await_text(".what", f"Called off before anybody answered, by {name}")
    phone.dial(account)
    pane.press("Answer", ".acts")
    pane.await_text(".what", f"With {name}")
    hear_each_other(pane, phone)
    pane.press("Hang up", ".acts")
    until(phone.is_free, WAIT_S, "it is over for the phone")
    pane.press("Calls", "nav")
    for text in (f"↗ Called {name}", f"↙ Called by {name}", f"! Missed {name}"):
        pane.await_text("[aria-label='Past calls']", text)


@pytest.mark.long
def test_a_page_hands_a_phone_on_to_another_page(media_system, person, ends):
    """Who has done it is told so; the phone talks with the third."""
    phone, = ends(media_system, "softphone")
    (account, asks), (third_account, third) = person(0), person(1)
    name = phone.account.email.split("@")[0]
    known(account, asks, phone)
    asks.press("Call", ".talk header")
    until(phone.rings, WAIT_S, "the phone rings")
    phone.accept()
    asks.await_text(".what", f"With {name}")
    hear_each_other(asks, phone)
    asks.press("Transfer", ".acts")
    asks.submit("Transfer", to=third_account.email)
    third.press("Answer", ".acts")
    third.await_text(".what", f"With {name}")
    asks.await_text(".what", "Handed on to somebody else")
    third.press("Hang up", ".acts")
    until(phone.is_free, WAIT_S, "it is over for the phone")
