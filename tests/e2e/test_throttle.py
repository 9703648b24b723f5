"""Guessing passwords is slow, and slows down nobody else."""
import requests

from restsip_system import until


def test_ten_wrong_passwords_are_enough(system, account):
    alice, bob = account(), account()
    me = system.url + "/login/me"
    for n in range(10):
        answer = requests.get(me, auth=(alice.email, f"wrong-{n}"))
        assert answer.status_code == 401
    answer, = until(lambda: [a for a in [requests.get(me, auth=(alice.email, "wrong-again"))]
                             if a.status_code == 429])
    assert answer.json()["type"] == "/problems/too-many-guesses"
    assert int(answer.headers["Retry-After"]) > 0
    assert requests.get(me, auth=bob.auth).status_code == 200
