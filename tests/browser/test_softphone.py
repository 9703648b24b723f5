"""The softphone at /: two people in one page, what they write, how they call each other, and what else it does."""
import pytest
from selenium.webdriver.common.by import By

from call_phone import Incoming, rings
from phone import Phone
from restsip_system import until
from softphone import WAIT_S, Pane, heard, sign_in

SDP = ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"
       "a=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n")


@pytest.fixture
def pair(system, page):
    """Alice, and bob beside her, by one click."""
    page.get(system.url + "/")
    until(lambda: page.find_elements(By.ID, "try"), WAIT_S, "the button to try it")
    page.find_element(By.ID, "try").click()
    alice, bob = Pane(page, 0), Pane(page, 1)
    until(lambda: {alice.text(".me"), bob.text(".me")} == {"alice@example.net", "bob@example.net"}, WAIT_S, "both")
    if alice.text(".me") != "alice@example.net":
        alice, bob = bob, alice
    for one in (alice, bob):
        one.await_text(".connection", "Connected")
    alice.await_text(".log", "Hello, bob!")  # from here on the page turns to no view by itself
    yield alice, bob
    for one in (alice, bob):
        if one.says(".acts", "Hang up"):
            one.press("Hang up", ".acts")


def talk(page, caller, called, how="Answer"):
    caller.press("Call", ".talk header")
    called.await_text(".what", "is calling you")
    called.press(how, ".acts")
    for one in (caller, called):
        one.await_text(".what", "With ")
    until(lambda: [e > 0 for e in heard(page)] == [True, True], WAIT_S, "each hears the other")


def test_one_click_has_two_people_talk(pair):
    alice, bob = pair
    bob.await_text(".log .theirs", "Hello, bob!")
    alice.await_text(".log .mine", "Delivered")
    bob.write("hello <b>alice</b>")
    alice.await_text(".log .theirs", "hello <b>alice</b>")
    alice.await_text(".people [aria-current=true]", "Available")
    bob.fill(".own [name=note]", "back at 5")
    bob.fill(".own [name=state]", "meeting")
    alice.await_text(".people [aria-current=true]", "Meeting · back at 5")
    alice.await_text(".talk header", "Meeting · back at 5")


def test_a_call_with_all_that_one_does_in_it(page, pair):
    alice, bob = pair
    talk(page, alice, bob)
    alice.press("Mute", ".acts")
    alice.await_text(".acts [aria-pressed=true]", "Mute")
    alice.press("Mute", ".acts")
    alice.press("Hold", ".acts")
    bob.await_text(".what", "has put you on hold")
    alice.await_text(".what", "is on hold")
    alice.press("Hold", ".acts")
    for one in pair:
        one.await_text(".what", "With ")
    alice.press("Keypad", ".acts")
    alice.press("5", ".keys")
    bob.await_text(".log", "Pressed 5")
    alice.press("Hang up", ".acts")
    bob.await_text(".what", "Hung up, by alice")
    alice.await_text(".log .note", "Call, ")
    bob.press("Calls", "nav")
    bob.await_text("[aria-label='Past calls']", "Called by alice")


def test_what_becomes_of_a_call_is_said_in_words(pair):
    alice, bob = pair
    alice.press("Call", ".talk header")
    bob.press("Decline", ".acts")
    alice.await_text(".what", "Declined, by bob")
    alice.press("Close", ".acts")
    bob.press("Close", ".acts")
    alice.press("Call", ".talk header")
    bob.await_text(".what", "is calling you")
    alice.press("Hang up", ".acts")
    bob.await_text(".what", "Called off before anybody answered, by alice")
    bob.press("Calls", "nav")
    bob.await_text("[aria-label='Past calls'] .missed", "alice")
    alice.pick("carol@example.net")
    alice.press("Close", ".acts")
    alice.press("Call", ".talk header")
    alice.await_text(".bar", "Not reachable")


def test_a_reload_in_the_middle_finds_the_call_again(page, pair):
    alice, bob = pair
    talk(page, alice, bob)
    page.refresh()
    for one in (alice, bob):
        one.await_text(".what", "You are still in a call")
    alice.press("Go on", ".acts")
    alice.await_text(".what", "With bob")
    bob.press("Hang up", ".acts")
    alice.await_text(".what", "Hung up")


def test_a_voice_message_is_left_played_and_deleted(pair):
    alice, bob = pair
    alice.press("Leave a message", ".talk header")
    alice.press("Record", ".record")
    alice.await_text(".record", "Recording for bob@example.net; ")
    alice.press("Send", ".record")
    alice.await_text(".log .note", "You left a voice message.")
    bob.await_text("nav", "Voice mail (1)")
    bob.press("Voice mail", "nav")
    bob.press("Play", ".list")
    until(lambda: bob.run("return pane.querySelector('.opened')?.currentTime > 0"), WAIT_S, "it plays")
    until(lambda: not bob.says("nav", "Voice mail ("), WAIT_S, "it has been seen")
    bob.press("Delete", ".list")
    bob.await_text("[aria-label='Voice mail']", "No messages.")


def test_a_phone_gets_a_password_of_its_own(account, page):
    dave = account("dave")
    pane = sign_in(page, dave)
    pane.press("Phones", "nav")
    pane.submit("Connect a phone", label="desk", password="wrong-password")
    pane.await_text(".error", "")
    until(lambda: pane.text(".error"), WAIT_S, "that it was wrong")
    pane.submit("Connect a phone", label="desk", password=dave.password)
    pane.await_text("pre", "Password")
    pane.await_text("[aria-label=Phones] .list", "desk")
    pane.press("I have it", "[aria-label=Phones]")
    until(lambda: not pane.says("[aria-label=Phones]", "shown once"), WAIT_S)
    pane.press("Remove", "[aria-label=Phones]")
    until(lambda: dave.request("GET", "/user/me/credential").json() == [], WAIT_S, "it is gone")


def test_a_meeting_is_made_invited_to_and_joined(pair):
    alice, bob = pair
    alice.press("Meetings", "nav")
    alice.submit("Make a meeting", subject="Lunch on Friday")
    alice.press("Join", "[aria-label=Meetings]")
    alice.await_text(".roster", "alice")
    alice.submit("Invite", email="bob@example.net")
    bob.await_text(".log .note", "Invites you to the meeting “Lunch on Friday”.")
    bob.press("Join", ".log")
    alice.await_text(".roster", "bob")
    bob.press("Leave", "[aria-label=Meetings]")
    until(lambda: not alice.says(".roster", "bob"), WAIT_S, "bob has gone")
    alice.press("End", "[aria-label=Meetings]")
    alice.await_text("[aria-label=Meetings]", "No meetings.")


def test_what_just_happened_is_shown_as_one_would_do_it(pair):
    alice, _ = pair
    alice.write("by curl")
    until(lambda: alice.run("return pane.querySelector('.log').lastChild.innerText.includes('Delivered')"), WAIT_S, "its outcome")
    alice.press("What just happened", ".top")
    alice.run("for (const one of pane.querySelectorAll('.told details')) one.open = true;")
    told = alice.text(".told")
    assert "curl -X POST" in told and "-d 'by curl'" in told
    assert "select * from inspect.send where recipient = 'bob@example.net'" in told
    assert "alice-demo" not in told
    alice.press("why", ".log")
    alice.await_text(".drawer > pre", "attempts")


def test_signing_out_forgets_and_a_reload_does_not(page, account):
    erin = account("erin")
    pane = sign_in(page, erin)
    until(lambda: pane.says("aside", "Nobody else yet") != bool(pane.text(".people")), WAIT_S, "people, or a word on how to add some")
    page.refresh()
    pane.await_text(".connection", "Connected")
    pane.press("Sign out", ".top")
    until(lambda: page.find_element(By.ID, "door").is_displayed(), WAIT_S, "the door")
    assert page.execute_script("return Object.keys(sessionStorage)") == []
    assert erin.request("GET", erin.login).json() == [], "others still see her"
    page.refresh()
    until(lambda: page.find_element(By.ID, "door").is_displayed(), WAIT_S, "the door")


def test_a_microphone_that_is_refused_is_told_of_and_one_can_listen(page, pair):
    alice, bob = pair
    page.execute_script("navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotAllowedError'))")
    alice.press("Call", ".talk header")
    alice.await_text(".what", "The microphone was refused")
    alice.press("Only listen", ".acts")
    bob.await_text(".what", "is calling you")
    bob.press("Decline", ".acts")
    alice.await_text(".what", "Declined")


def test_the_page_is_small_and_all_of_it_from_here(page, system):
    page.get(system.url + "/")
    until(lambda: page.find_elements(By.ID, "try"), WAIT_S, "the page")
    loaded = page.execute_script("""return [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
        .map((e) => [e.name, e.encodedBodySize])""")
    assert all(name.startswith(system.url) for name, _ in loaded) and len(loaded) > 12
    assert 5_000 < sum(size for _, size in loaded) < 60 * 1024


def test_a_call_that_could_not_be_is_not_told_of_as_missed(account, page):
    """The phone has refused what it was offered: whoever was called has heard nothing, and reads why."""
    caller, called = account("frank"), account("grace")
    credential = called.credential()
    phone = rings(Phone(called.system.sip, called.email.split("@")[0], credential["password"], "example.net"))
    phone.username = credential["username"]
    assert phone.register().code == 200
    assert caller.request("POST", "/call", json={"open": False, "session": {"type": "offer", "sdp": SDP}, "invite": [called.login]}).status_code == 201
    invited = Incoming(phone, WAIT_S)
    invited.say(488, "Not Acceptable Here")
    invited.next("ACK", WAIT_S)
    phone.close()
    pane = sign_in(page, called)
    pane.press("Calls", "nav")
    pane.await_text("[aria-label='Past calls'] .missed", "! Could not be rung by frank")
    assert pane.says(".missed", "The two sides have no sound or picture format in common")
