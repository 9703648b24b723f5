"""The calls of README.md, run as they stand there, with a phone at the other end."""
import re
import subprocess
import tempfile

import pytest
from call_phone import Incoming, Outgoing, rings, sdp
from restsip_system import TOP

BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(name="people")
def fixture_people(phone, account):
    """Who has curl, who has a phone, and that phone."""
    dave, alice = account("dave"), account("alice")
    a = rings(phone(alice))
    assert a.register().code == 200
    return dave, alice, a


def start(dave, alice, number):
    """Runs one of the blocks of "Calls with curl"."""
    text = (TOP / "README.md").read_text().split("\n## Calls with curl\n")[1].split("\n## ")[0]
    script = BLOCK.findall(text)[number].replace("alice@example.net", alice.email)
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
