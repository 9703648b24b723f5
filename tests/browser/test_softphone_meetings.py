"""The softphone at /: meetings, as who makes one, is invited, comes, leaves, reloads, and what they are told."""
import datetime

import pytest

from restsip_system import until
from softphone import WAIT_S, sign_in

pytestmark = pytest.mark.timeout(300)
MEETINGS = "[aria-label=Meetings]"


@pytest.fixture
def host(account, page):
    """Who is signed in at the page, their pane at its meetings, and somebody else."""
    owner = account("meeting-owner")
    pane = sign_in(page, owner)
    pane.press("Meetings", "nav")
    guest = account("meeting-guest")
    yield owner, pane, guest
    for one in (owner, guest):
        for call in one.request("GET", "/call").json():
            if call["owner"] == one.email:
                one.request("DELETE", call["url"])


def join(person, url):
    return person.request("POST", url, json={"url": "/login/me"}).headers["Location"]


def made(owner, subject, after_s=None):
    starts = {} if after_s is None else {
        "starts_at": (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=after_s)).isoformat()}
    return owner.request("POST", "/call", json={"subject": subject, **starts}).json()["url"]


def test_what_is_being_written_stays_while_somebody_comes_and_goes(host, page):
    owner, pane, guest = host
    url = made(owner, "Lunch")
    pane.press("Join", MEETINGS)
    pane.await_text(".roster", "meeting-owner")
    pane.run("pane.querySelector('form[name=Invite] [name=email]').focus()")
    page.switch_to.active_element.send_keys("caro")
    place = join(guest, url)
    pane.await_text(".roster", "meeting-guest")
    guest.request("DELETE", place)
    until(lambda: not pane.says(".roster", "meeting-guest"), WAIT_S, "they have left")
    page.switch_to.active_element.send_keys("l")
    assert pane.run("return pane.querySelector('form[name=Invite] [name=email]').value") == "carol"
    pane.submit("Invite", email=owner.email)
    pane.await_text(".error", "is there already")
    pane.submit("Invite", email=guest.email)
    pane.await_text(f"{MEETINGS} .said", "meeting-guest")


def test_after_a_reload_one_is_in_it_still_and_reads_when_it_is_over(host, page):
    owner, pane, guest = host
    url = made(guest, "Standup")
    pane.press("Join", MEETINGS)
    pane.await_text(".roster", "meeting-owner")
    page.refresh()
    pane.await_text(".connection", "Connected")
    pane.press("Meetings", "nav")
    pane.await_text(MEETINGS, "Leave")
    pane.await_text(".roster", "meeting-owner")
    # Another page of the account leaves.
    owner.request("DELETE", owner.request("GET", url).json()["children"][0]["url"])
    pane.await_text(f"{MEETINGS} .said", "You are no longer in the meeting “Standup”.")
    pane.press("Join", MEETINGS)
    pane.await_text(".roster", "meeting-owner")
    pane.press("Contacts", "nav")
    guest.request("DELETE", url)
    pane.await_text("nav", "Meetings (1)")
    pane.press("Meetings", "nav")
    pane.await_text(f"{MEETINGS} .said", "The meeting “Standup” has ended.")
    until(lambda: not pane.says("nav", "Meetings ("), WAIT_S, "it has been read")


def test_a_meeting_whose_time_comes_rings_and_one_is_called_off(host, page):
    owner, pane, _ = host
    page.execute_script("window.rung = 0; window.AudioContext = class extends AudioContext { constructor() { super(); rung++; } };")
    made(owner, "Review", 8)
    pane.await_text(MEETINGS, "starts ")
    pane.await_text(f"{MEETINGS} .said", "The meeting “Review” begins now.")
    assert page.execute_script("return rung") == 1
    pane.press("Join", MEETINGS)
    pane.press("End", MEETINGS)
    until(lambda: not pane.says(f"{MEETINGS} .list", "Review"), WAIT_S, "it is over")
    pane.submit("Make a meeting", subject="Century", at="2099-01-01T10:00")
    pane.await_text(f"{MEETINGS} .list", "2099")
    pane.press("Cancel", MEETINGS)
    until(lambda: not pane.says(f"{MEETINGS} .list", "Century"), WAIT_S, "it is called off")


def test_a_meeting_that_would_make_no_sense_is_refused_in_words(host, page):
    _, pane, _ = host
    pane.submit("Make a meeting", subject="   ")
    pane.await_text(".error", "Say what the meeting is about.")
    pane.submit("Make a meeting", subject="Yesterday", at="1999-01-01T10:00")
    pane.await_text(".error", "That time has gone by.")
    assert pane.run("""const at = pane.querySelector('[name=at]'); at.value = '275000-12-31T10:00';
        return at.checkValidity()""") is False
    assert pane.says(MEETINGS, "Starts (empty: now)") and not pane.says(MEETINGS, "Yesterday")


def test_an_invitation_is_told_of_at_the_tab_and_names_a_call_alone(host, page):
    owner, pane, guest = host
    pane.press("Contacts", "nav")
    url = made(guest, "Talk")
    join(guest, url)
    assert guest.request("SEND", owner.login, json={"command": "invite", "meeting": "Talk", "url": url}).status_code < 300
    pane.await_text("nav", "Meetings (1)")
    pane.press("Meetings", "nav")
    pane.await_text(f"{MEETINGS} .said", "invites you to the meeting “Talk”.")
    for meeting in ({"meeting": "Trap"}, {}):
        sent = guest.request("SEND", owner.login, json={"command": "invite", "url": "//evil.example/x", **meeting})
        assert sent.status_code < 300
    pane.pick(guest.email)
    until(lambda: pane.text(".log").count("//evil.example/x") == 2, WAIT_S, "they are texts")
    assert not pane.says(".log", "“Trap”")
    assert pane.text(".what") == ""
