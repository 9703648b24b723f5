"""Who calls whom hears them: a tone is played at each end, and found at the other within 1 %. What a page and a plain phone say
to each other goes through rtpengine, nothing else does."""
import pytest

import ng
from calling import all_is_over, call, hear, hear_each_other, is_silent
from restsip_system import until

pytestmark = pytest.mark.timeout(400)  # of which the start of a system and of two browsers may take long
KINDS = [("page", "page"), ("page", "softphone"), ("softphone", "page"), ("page", "desk"), ("desk", "page")]


def relayed(system, number):
    """So many sessions are in rtpengine."""
    if system.ng:
        until(lambda: len(ng.sessions(system.ng)) == number, 60, lambda: ng.sessions(system.ng))


@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
@pytest.mark.parametrize("by", [0, 1], ids=["caller", "called"])
def test_tones_hold_and_hang_up(media_system, ends, kinds, by):
    """Hold and resume of one side, then of the other, and one of them hangs up."""
    if "desk" in kinds and not media_system.ng:
        pytest.skip("rtpengine-daemon is not installed")
    both = ends(media_system, *kinds)
    if kinds == ("page", "softphone"):  # what it speaks is known of a phone that has called
        call(both[1], both[0])
        both[0].hang_up()
        all_is_over(media_system, *both)
    call(*both)
    hear_each_other(*both)
    relayed(media_system, "desk" in kinds)
    for holder in (both[by], both[1 - by]):
        holder.hold()
        is_silent(holder)
        holder.resume()
        for one, other in (both, reversed(both)):
            if one.keeps_its_ear:
                hear(one, other)
    both[by].hang_up()
    all_is_over(media_system, *both)
    relayed(media_system, 0)


@pytest.fixture(name="relay")
def fixture_relay(media_system):
    return media_system.ng or pytest.skip("rtpengine-daemon is not installed")


def received(relay):
    """How many packets have come from each side of the only session."""
    session, = ng.sessions(relay)
    tags = ng.ask(relay, "query", **{"call-id": session})["tags"].values()
    return [sum(stream["stats"]["packets"] for media in tag["medias"] for stream in media["streams"]) for tag in tags]


@pytest.mark.parametrize("kinds", [("page", "linphone"), ("linphone", "page")], ids="-".join)
def test_linphone_speaks_and_is_spoken_to(media_system, relay, ends, kinds):
    both = ends(media_system, *kinds)
    page, linphone = (both[kinds.index(kind)] for kind in ("page", "linphone"))
    call(*both)
    linphone.speak()
    hear(page, linphone)
    until(lambda: min(received(relay)) > 50, 30, "packets both ways")
    both[1].hang_up()
    all_is_over(media_system, *both)
    relayed(media_system, 0)


@pytest.mark.parametrize("answers", ["page", "desk"])
@pytest.mark.parametrize("caller", ["page", "desk"])
def test_a_page_and_a_desk_phone_ring(media_system, relay, ends, caller, answers):
    """Both are of one account: the one that answers has the call, and what the relay had for the other has gone."""
    assert relay
    one, page, desk = ends(media_system, caller, ("page", "desk"))
    other, loser = (page, desk) if answers == "page" else (desk, page)
    one.dial(page.account)
    until(lambda: page.rings() and desk.rings(), 60, "both ring")
    relayed(media_system, 1)
    other.accept()
    until(lambda: one.is_up() and other.is_up(), 60, "both are in the call")
    hear_each_other(one, other)
    until(lambda: loser.is_free() and loser.has_stopped(), 60)
    relayed(media_system, caller != answers)
    other.hang_up()
    all_is_over(media_system, one, page, desk)
    relayed(media_system, 0)


def test_who_talks_hears_on_when_the_agent_is_killed(media_system, relay, ends):
    assert relay
    page, desk = ends(media_system, "page", "desk")
    call(page, desk)
    media_system.kill_and_wait("restsip-agent")
    hear_each_other(page, desk)
    media_system.await_ready()
    page.hang_up()
    all_is_over(media_system, page, desk)
    relayed(media_system, 0)


def test_rtpengine_is_killed(media_system, relay, ends):
    """Who does not hear the other any more is hung up, and the next call has a relay again."""
    assert relay
    both = ends(media_system, "page", "desk")
    call(*both)
    media_system.kill_and_wait("rtpengine")
    all_is_over(media_system, *both)
    both = ends(media_system, "desk", "page")
    call(*both)
    hear_each_other(*both)
    both[0].hang_up()
    all_is_over(media_system, *both)
    relayed(media_system, 0)
