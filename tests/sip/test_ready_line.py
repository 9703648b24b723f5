"""What a new credential shows works when it is pasted into a phone, as it is."""
import shutil

import pytest

from answers import is_json
from baresip import Baresip
from linphone import Linphone


def made(account):
    return is_json(account.system.request("POST", "/user/me/credential", auth=account.auth), 201)


def test_in_baresip(account, tmp_path, until, logins):
    alice = account("alice")
    one = Baresip(tmp_path / "baresip", None, alice, None, alice, until, line=made(alice)["baresip"])
    try:
        row, = until(lambda: logins(alice).values(), 20)
        assert row["user_agent"].startswith("baresip")
    finally:
        one.close()


@pytest.mark.skipif(not shutil.which("linphone-daemon"), reason="there is no linphone-daemon")
def test_in_linphone(account, tmp_path, until, logins):
    alice = account("alice")
    one = Linphone(tmp_path / "linphone", None, alice, None, alice, pasted=made(alice)["linphone"])
    try:
        until(lambda: logins(alice), 30)
    finally:
        one.close()


def test_it_says_where_to_register(account):
    """By address: a domain may have no DNS yet, and then its name leads nowhere."""
    alice = account("alice")
    one = made(alice)
    server = f"sip:{alice.system.sip_host}:{alice.system.sip_port}"
    assert one["linphone"]["proxy"] == server
    assert one["baresip"].endswith(f';outbound="{server}"')
