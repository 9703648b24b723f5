"""What the database itself reads of strangers: session descriptions and commands. At random, whatever it is: an answer or a
refusal, never an error, and soon. RESTSIP_SEED=N begins with the same random numbers; 20,000 rounds in `make test-long`.
"""
import json
import os
import random
import time

import psycopg
import pytest

ROUNDS = 20000 if os.environ.get("RESTSIP_LONG") == "1" else 300
SEED = int(os.environ.get("RESTSIP_SEED", time.time_ns() % 1000000))
SOON_S = 5  # for as much as a body holds
SIZE = 48000
BASE = ("v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=audio 9 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\n"
        "a=sendonly\r\nm=video 0 UDP/TLS/RTP/SAVPF 96\r\na=fingerprint:x\r\n")
PIECES = ["\r\n", "\n", "m=", "m=audio 9 RTP/AVP 0\r\n", "a=inactive\r\n", "o=- 99999999999999999999 1 IN IP4 h\r\n", "\\1", "\\", "%s",
          "'", "\x01", "€", " ", "0", "o=", "c=IN IP6 ::", "v=0", "m=audio 9 RTP/AVP", "a=rtpmap:"]
LONG_ONES = {
    "media": BASE + "m=a 9 RTP/AVP 0\r\n" * 2800, "beginnings": "v=0\r\n" + "m=" * (SIZE // 2),
    "empty": "v=0\n" + "m=\n" * (SIZE // 3),
    "blanks": "v=0\n" + " " * SIZE + "m=", "origin": "v=0\no=" + "1 " * (SIZE // 2) + "\nm=audio 9 RTP/AVP 0\n",
    "formats": BASE + "a=rtpmap:0 x\r\n" * 3400, "lines": "v=0" + "\n" * SIZE, "returns": "v=0\r\n" + "\r" * SIZE,
    "word": "v=0\no=- 1 1 IN IP4 h\nm=" + "a" * SIZE + " 9 RTP/AVP 0\n"}
READERS = ["app.sdp_holds(%s)", "app.sdp_kind(%s)", "app.sdp_inactive(%s)", "app.sdp_session('offer', %s)", "app.sdp_media(%s)",
           "app.answer_session(%s, null, null)", "app.session_sdp(jsonb_build_object('sdp', %s::text))"]


@pytest.fixture(name="db")
def fixture_db():
    with psycopg.connect(os.environ["RESTSIP_TEST_PG"] + " options='-c role=restsip_owner'", autocommit=True) as db:
        db.execute(f"set statement_timeout = {1000 * SOON_S}")
        yield db


@pytest.fixture(name="rng")
def fixture_rng():
    print(f"RESTSIP_SEED={SEED}")
    return random.Random(SEED)


def ask(db, call, *args):
    try:
        return db.execute(f"select {call}", args).fetchone()[0]
    except psycopg.Error as error:
        assert error.sqlstate == "RS400", (call, args, error)
        return None


def mutate(rng):
    sdp = BASE
    for _ in range(rng.randrange(1, 8)):
        i, j = sorted((rng.randrange(len(sdp) + 1), rng.randrange(len(sdp) + 1)))
        what = rng.randrange(4)
        if what < 2:
            sdp = sdp[:i] + rng.choice(PIECES) + sdp[i:]
        elif what == 2 and j - i < 40:
            sdp = sdp[:i] + sdp[j:]
        else:
            sdp = sdp[:j] + sdp[i:]
    return sdp or "x"


def test_any_session_description_is_read_or_refused(db, rng):
    for _ in range(ROUNDS):
        sdp, other = mutate(rng), mutate(rng)
        for call in READERS:
            ask(db, call, sdp)
        assert ask(db, "app.sdp_next(%s, %s)", sdp, other) is not None
        assert ask(db, "app.sdp_inactive(%s)", sdp)  # whoever has no media says something


@pytest.mark.parametrize("name", LONG_ONES)
def test_a_long_one_is_read_soon(db, name):
    for call in READERS:
        ask(db, call, LONG_ONES[name])
    assert ask(db, "app.sdp_next(%s, %s)", LONG_ONES[name], BASE)
    assert ask(db, "app.sdp_next(%s, %s)", BASE, LONG_ONES[name])


def test_any_command_is_one_or_none(db, rng):
    commands = ["invite", "cancel", "reject", "dtmf", 1, None, [], {}]
    urls = ["/call/1", "/call/" + "9" * 18, "/call/" + "9" * 30, "/call/-1", 1, {}]
    reasons, digits = [None, 486, 1e300, "busy", [], -1, 603.5], ["1", "", "1" * 40, 5, None, "a#"]
    for _ in range(ROUNDS):
        body = json.dumps({"command": rng.choice(commands), "url": rng.choice(urls), "reason": rng.choice(reasons),
                           "digits": rng.choice(digits)})
        body = rng.choice([body, body, body[:rng.randrange(len(body))], '["command"]', '{"command":"\\u0000"}', '"command"'])
        ask(db, "app.call_command(1, 'application/json', %s)", body.encode())
        ask(db, "app.reject_code(%s)", json.dumps(rng.choice(reasons)))
