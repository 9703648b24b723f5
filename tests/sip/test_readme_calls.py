"""The calls of README.md, run as they stand there, with a phone at the other end."""
import json
import re
import subprocess
import tempfile

import pytest
from call_phone import Incoming, Outgoing, rings, sdp
from restsip_system import TOP

from test_transfer import changes_over, request

BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = 5  # to call, to answer, to dial, to hand on, past calls


@pytest.fixture(name="people")
def fixture_people(phone, account):
    """Who has curl, who has a phone, and that phone."""
    dave, alice = account("dave"), account("alice")
    a = rings(phone(alice))
    assert a.register().code == 200
    return dave, alice, a


def start(dave, alice, *numbers, bob=None):
    """Runs blocks of "Calls with curl"."""
    text = (TOP / "README.md").read_text().split("\n## Calls with curl\n")[1].split("\n## ")[0]
    blocks = BLOCK.findall(text)
    assert len(blocks) == BLOCKS
    script = "".join(blocks[n] for n in numbers).replace("alice@example.net", alice.email)
    if bob:
        script = script.replace("bob@example.net", bob.email)
    env = {"PATH": "/usr/bin:/bin", "TOKEN": dave.token(), "RESTSIP_URL": dave.system.url}
    out = tempfile.TemporaryFile("w+")  # what waits in the background has it open for a while
    return out, subprocess.Popen(["bash", "-e", "-o", "pipefail", "-c", script + 'echo; echo "state=$STATE"'], env=env,
                                 stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)


def said(started):
    file, shell = started
    shell.wait(timeout=30)
    file.seek(0)
    out = file.read()
    assert shell.returncode == 0 and "/problems/" not in out, out
    return out


def test_curl_calls_a_phone(people):
    dave, alice, a = people
    shell = start(dave, alice, 0)
    inc = Incoming(a, 20)
    assert dave.email in inc.invite.get("from") and "a=inactive" in inc.invite.body.decode()
    inc.say(180, "Ringing")
    inc.accept()
    inc.next("BYE", 20)
    assert "state=joined" in said(shell)


def test_curl_answers_a_phone(people, until):
    dave, alice, a = people
    shell = start(dave, alice, 1)
    until(lambda: dave.system.query_owner("select from app.watch w join app.account c on c.id = w.id where w.kind = 'login' "
                                          "and w.owner and c.email = %s", [dave.email]), 20)
    out = Outgoing(a, f"sip:{dave.email}", sdp(1))
    answer = out.confirm(out.final(20))
    assert "a=inactive" in answer.body.decode()
    assert a.requests.get(timeout=20).method == "BYE"
    assert '"state":"joined"' in said(shell)


def test_curl_has_two_phones_talk(people, account, phone, until):
    """Its own and another's; hands that on; and reads what calls it has had."""
    dave, alice, a = people
    bob = account("bob")
    d, b = rings(phone(dave)), rings(phone(bob))
    assert d.register().code == b.register().code == 200
    shell = start(dave, alice, 2, 3, bob=bob)
    first = Incoming(d, 20)
    first.accept(sdp(1))
    second = Incoming(a, 20)
    second.say(200, "OK", sdp(3))
    changes_over(first, second, sdp(4))
    third = Incoming(b, 20)
    assert alice.email in third.invite.get("from")
    third.say(200, "OK", sdp(5))
    changes_over(second, third, sdp(6))
    request(first, "BYE")
    out = said(shell)
    assert "state=joined" in out and '"status":"delivered"' in out
    assert second.bye().code == 200
    request(third, "BYE")
    until(lambda: dave.request("GET", "/user/me/calls").json(), 20)
    past = json.loads(said(start(dave, alice, 4)).split("\nstate=")[0])
    assert [(c["type"], c["with"]) for c in past] == [("made", alice.email)]
