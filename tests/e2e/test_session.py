"""/session: who calls. Passwords, bearer tokens, tickets."""
import base64
import concurrent.futures
import datetime
import hashlib
import hmac
import http.client
import json
import statistics
import time

import pytest

from answers import TIME, is_empty, is_json, is_problem
from restsip_system import Account
from stream_client import Stream

pytestmark = pytest.mark.usefixtures("forgiven")


def test_a_password_gives_a_token_that_works(system, account):
    alice = account("alice")
    answer = system.request("POST", "/session", auth=alice.auth)
    body = is_json(answer, 201)
    assert len(body["token"]) >= 40 and body["expires"] == 86400 and TIME.match(body["expires_at"])
    assert answer.headers["Cache-Control"] == "no-store"
    headers = {"Authorization": f"Bearer {body['token']}"}
    assert system.request("GET", "/login/me", headers=headers).status_code == 200
    lower = {"Authorization": f"bearer {body['token']}"}
    assert system.request("GET", "/login/me", headers=lower).status_code == 200


def test_only_the_hash_of_a_token_is_kept(system, account):
    token = account("alice").token()
    rows = system.query_owner("select encode(token, 'escape') as t from app.session")
    assert all(token not in row["t"] for row in rows)


def test_a_session_lives_as_long_as_asked(system, account, until):
    alice = account("alice")
    for asked in (60, 30 * 24 * 3600):
        body = is_json(system.request("POST", "/session", auth=alice.auth, json={"expires": asked}), 201)
        assert body["expires"] == asked
        assert system.query_owner("select extract(epoch from expires_at - created_at)::int as s from app.session where token = %s",
                                  (hashlib.sha256(body["token"].encode()).digest(),)) == [{"s": asked}]
    headers = {"Authorization": f"Bearer {alice.session(1)}"}
    until(lambda: system.request("GET", "/login/me", headers=headers).status_code == 401)


@pytest.mark.parametrize("expires", [0, -1, 59, 60.5, "60", True, 30 * 24 * 3600 + 1, 10**30])
def test_a_lifetime_that_is_none_is_refused(system, quick, expires):
    answer = system.request("POST", "/session", auth=quick.auth, json={"expires": expires})
    is_problem(answer, 400, "invalid-member", "/expires")


def test_a_token_does_not_make_another(account):
    answer = account().request("POST", "/session")
    assert answer.status_code in (401, 403)
    is_problem(answer, answer.status_code)


def test_deleting_the_session_ends_that_token(system, account):
    alice = account("alice")
    other = system.request("POST", "/session", auth=alice.auth).json()["token"]
    is_empty(alice.request("DELETE", "/session"))
    is_problem(alice.request("GET", "/login/me"), 401)
    is_problem(alice.request("DELETE", "/session"), 401)
    headers = {"Authorization": f"Bearer {other}"}
    assert system.request("GET", "/login/me", headers=headers).status_code == 200
    is_empty(system.request("DELETE", "/session", auth=alice.auth))
    is_problem(system.request("GET", "/login/me", headers=headers), 401)


def seconds(text):
    return int(datetime.datetime.fromisoformat(text).timestamp())


def test_who_is_signed_in_and_until_when(system, account):
    alice = account("alice")
    made = is_json(system.request("POST", "/session", auth=alice.auth, json={"expires": 600}), 201)
    answer = system.request("GET", "/session", headers={"Authorization": f"Bearer {made['token']}"})
    body = is_json(answer)
    assert answer.headers["Cache-Control"] == "no-store" and "token" not in body
    assert (body["email"], body["expires_at"], body["ice_servers"]) == (alice.email, made["expires_at"], [])
    by_password = is_json(system.request("GET", "/session", auth=alice.auth))
    assert by_password["email"] == alice.email and "expires_at" not in by_password
    is_problem(system.request("GET", "/session"), 401)


def test_media_servers_come_with_a_credential_of_an_hour(strict):
    """user name expiry:account, HMAC-SHA1 of the secret that the server knows: as coturn's use-auth-secret has it."""
    servers, secret = (strict.settings[f"RESTSIP_MEDIA_{name}"] for name in ("ICE_SERVERS", "TURN_SECRET"))
    alice = Account(strict, "media@example.net", "")
    strict.query_owner("select email from api.user_create(%s, 'x', null)", (alice.email,))
    before = time.time()
    body = is_json(alice.request("GET", "/session"))
    expires = seconds(body["ice_expires_at"])
    assert before + 3500 < expires < time.time() + 3700
    stun, *turns = body["ice_servers"]
    assert stun == {"urls": "stun:192.0.2.1"}
    user = f"{expires}:{alice.email}"
    password = base64.b64encode(hmac.digest(secret.encode(), user.encode(), "sha1")).decode()
    assert turns == [{"urls": url, "username": user, "credential": password} for url in servers.split(", ")[1:]]
    logs = "".join(path.read_text(errors="replace") for path in strict.logs.glob("*.log"))
    assert secret not in logs and password not in logs


def test_a_ticket_is_for_a_minute(account):
    answer = account().request("POST", "/session/ticket")
    body = is_json(answer, 201)
    assert body["ticket"] and body["expires"] == 60 and TIME.match(body["expires_at"])
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_oldest_of_too_many_sessions_goes_with_its_streams(system, account):
    alice = account("alice")
    stream = Stream(system, alice.login, token=alice.token())
    stream.wait("state")
    system.query_owner("""insert into app.session (token, account_id, expires_at) select sha256(convert_to(a.email || n, 'UTF8')),
        a.id, now() + interval '1 day' from app.account a, generate_series(1, 99) n where a.email = %s returning 1""", (alice.email,))
    assert alice.request("GET", "/login/me").status_code == 200
    latest = is_json(system.request("POST", "/session", auth=alice.auth), 201)["token"]
    is_problem(alice.request("GET", "/login/me"), 401)
    assert stream.wait("end", 10).data == {"reason": "session-ended"}
    stream.wait_end()
    assert system.request("GET", "/login/me", headers={"Authorization": f"Bearer {latest}"}).status_code == 200


def test_an_account_has_twenty_tickets(system, account):
    alice, bob = account("alice"), account("bob")
    made = [is_json(alice.request("POST", "/session/ticket"), 201) for _ in range(20)]
    refused = alice.request("POST", "/session/ticket")
    is_problem(refused, 409, "too-many-tickets")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert bob.request("POST", "/session/ticket").status_code == 201
    stream = Stream(system, f"/login/me?stream&ticket={made[0]['ticket']}")
    assert stream.status == 200
    stream.close()
    assert alice.request("POST", "/session/ticket").status_code == 201, "one is used"


def test_a_ticket_needs_credentials(system):
    is_problem(system.request("POST", "/session/ticket"), 401)


def basic(text):
    return "Basic " + base64.b64encode(text).decode()


@pytest.mark.parametrize("value", [
    "", "Basic", "Basic ", "Basic !", "Basic ====", "Basic YQ", basic(b""), basic(b"nocolon"), basic(b":"),
    basic(b":x"), basic(b"alice@example.net:\0x"), basic(b"\xff@example.net:x"), basic(b"nobody:x"),
    basic(b"me:x"), basic(b"a@example.net:" + b"x" * 3000), "Bearer", "Bearer ", "Bearer a b", "Bearer " + "x" * 600,
    "Bearer x,y", "Bearer \x7f", "Digest username=\"a\"", "Nonsense", "Bearer " + "A" * 43,
])
def test_credentials_that_are_none_are_refused(system, value):
    answer = system.request("GET", "/login/me", headers={"Authorization": value})
    assert answer.status_code in (400, 401)
    is_problem(answer, answer.status_code)


def test_wrong_and_unknown_say_the_same_and_cost_the_same(system, account):
    alice = account("alice")

    def ask(auth):
        started = time.monotonic()
        answer = system.request("GET", "/login/me", auth=auth)
        took = time.monotonic() - started
        body = is_problem(answer, 401, "unauthorized")
        del body["request_id"]
        return body, took
    nobody = alice.email.replace("@", "-nobody@")
    took, bodies = {alice.email: [], nobody: []}, []
    for i in range(9):  # in turn: the machine may be busy with something else meanwhile
        for email, times in took.items():
            body, seconds = ask((email, f"wrong {i}"))
            times.append(seconds)
            bodies.append(body)
    a, b = (statistics.median(times) for times in took.values())
    assert all(body == bodies[0] for body in bodies)
    assert max(a, b) < 3 * min(a, b), took


def test_too_many_passwords_at_once_are_sent_away_and_others_go_on(system, account):
    alice = account("alice")
    alice.token()
    with concurrent.futures.ThreadPoolExecutor(30) as pool:
        guesses = [pool.submit(system.request, "GET", "/login/me", auth=(alice.email, f"guess {i}"))
                   for i in range(40)]
        reads = [pool.submit(alice.request, "GET", "/login/me") for _ in range(20)]
        for answer in (guess.result() for guess in guesses):
            assert answer.status_code in (401, 429, 503)
            is_problem(answer, answer.status_code)
        assert all(read.result().status_code == 200 for read in reads)


def ask_from(system, source, path, auth):
    """A GET from an address of one's choice: (status, slug, Retry-After)."""
    host, port = system.url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20, source_address=(source, 0))
    try:
        token = base64.b64encode(":".join(auth).encode()).decode()
        connection.request("GET", path, headers={"Authorization": f"Basic {token}"})
        answer = connection.getresponse()
        body = answer.read()
        slug = json.loads(body)["type"].rpartition("/")[2] if answer.status >= 400 else None
        return answer.status, slug, int(answer.headers["Retry-After"] or 0)
    finally:
        connection.close()


def guess(system, source, auth, times, path="/login/me"):
    """Wrong passwords, until nobody listens; the last answer."""
    for i in range(times):
        answer = ask_from(system, source, path, (auth[0], f"guess {i}"))
        assert answer[0] in (401, 429, 503), answer
        if answer[0] == 429:
            break
    return answer


@pytest.mark.parametrize("path", ["/login/me", "/login/me?stream"])
def test_fifty_guesses_from_one_source_are_enough(system, account, path):
    """A try counts before its password is hashed. Whoever comes from elsewhere, or is somebody else, is served."""
    alice, bob = account("alice"), account("bob")
    source = f"127.0.1.{1 + ('stream' in path)}"
    for i in range(50):
        assert ask_from(system, source, path, (alice.email, f"guess {i}"))[0] == 401
    status, slug, retry_s = ask_from(system, source, path, (alice.email, "guess"))
    assert (status, slug) == (429, "too-many-guesses")
    assert 200 < retry_s <= 300, "five minutes from the first"
    assert ask_from(system, source, path, alice.auth)[0] == 429, "the right one is not told either"
    assert ask_from(system, "127.0.1.9", "/login/me", alice.auth)[0] == 200
    assert ask_from(system, source, "/login/me", bob.auth)[0] == 200
    assert alice.request("GET", "/login/me").status_code == 200


def test_who_has_signed_in_from_a_source_is_let_in_there(system, account, until):
    alice = account("alice")
    assert ask_from(system, "127.0.1.20", "/login/me", alice.auth)[0] == 200
    until(lambda: system.query_owner("""select from app.known_source k join app.account a on a.id = k.account_id
        where a.email = %s and k.source = '127.0.1.20'""", [alice.email]))
    assert guess(system, "127.0.1.20", alice.auth, 60)[0] == 401
    assert ask_from(system, "127.0.1.20", "/login/me", alice.auth)[0] == 200


def test_guesses_from_everywhere_shut_nobody_out(system, account, until):
    """After 300 of them: who is known goes on; who is new has a try a minute of his own."""
    alice, bob = account("alice"), account("bob")
    assert ask_from(system, "127.0.1.30", "/login/me", alice.auth)[0] == 200
    until(lambda: system.query_owner("""select from app.known_source k join app.account a on a.id = k.account_id
        where a.email = %s and k.source = '127.0.1.30'""", [alice.email]))
    system.query_owner("""insert into app.throttle (key, failures, since) values ('ha:' || %s, 300, now())
        on conflict (key) do update set failures = 300, since = now() returning key""", [alice.email])
    assert ask_from(system, "127.0.1.31", "/login/me", (alice.email, "a guess"))[0] == 401
    status, slug, retry_s = ask_from(system, "127.0.1.31", "/login/me", alice.auth)
    assert (status, slug) == (429, "too-many-guesses") and 0 < retry_s <= 60
    assert ask_from(system, "127.0.1.30", "/login/me", alice.auth)[0] == 200, "known"
    assert ask_from(system, "127.0.1.32", "/login/me", alice.auth)[0] == 200, "new"
    until(lambda: ask_from(system, "127.0.1.32", "/login/me?_=again", alice.auth)[0] == 200)
    assert ask_from(system, "127.0.1.31", "/login/me", bob.auth)[0] == 200


def test_a_hundred_guesses_in_one_instant_are_a_hundred(system, account):
    alice = account("alice")
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda i: ask_from(system, "127.0.1.40", "/login/me", (alice.email, f"guess {i}"))[0],
                                range(100)))
    assert set(answers) <= {401, 429, 503}
    assert answers.count(401) <= 50, answers


def test_basic_is_remembered_for_the_right_password_only(system, account):
    alice = account("alice")
    for _ in range(3):
        assert system.request("GET", "/login/me", auth=alice.auth).status_code == 200
        is_problem(system.request("GET", "/login/me", auth=(alice.email, alice.password + "x")), 401)


def test_the_email_of_basic_may_have_its_domain_in_capitals(system, account):
    alice = account("alice")
    local, domain = alice.email.split("@")
    assert system.request("GET", "/login/me", auth=(f"{local}@{domain.upper()}", alice.password)).status_code == 200


def test_no_secret_is_in_a_log(system, account):
    alice = account("alice", password="a-password-to-look-for")
    system.request("GET", "/login/me", auth=alice.auth)
    system.request("GET", "/login/me", auth=(alice.email, "a-wrong-one-to-look-for"))
    alice.request("GET", "/login/me?ticket=a-ticket-to-look-for")
    secrets = [alice.password, "a-wrong-one-to-look-for", alice.token(), "a-ticket-to-look-for",
               base64.b64encode(f"{alice.email}:{alice.password}".encode()).decode()]
    for path in system.logs.glob("*"):
        text = path.read_text(errors="replace")
        assert not [s for s in secrets if s in text], path
