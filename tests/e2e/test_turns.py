"""Who waits for whom in a worker: slow statements, many writes on one thing, clients that have gone, passwords."""
import base64
import concurrent.futures
import contextlib
import http.client
import re
import socket
import threading
import time
import urllib.parse

import psycopg
import pytest

from answers import is_problem
from restsip_system import until

SLOW = 3.0  # s, of a read that takes too long
# Reads of one profile sleep; the workers' connections are ended, for their plans are of the function as it was.
SLOW_READ = f"""
alter function api.user_get(text, bytea, text) rename to user_get_at_once;
create function api.user_get(p_who text, p_proof bytea, p_email text)
returns table (email text, doc text, version bigint, mine bool)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
	if p_email like 'slow%%' then
		perform pg_sleep({SLOW});
	end if;
	return query select * from api.user_get_at_once(p_who, p_proof, p_email);
end $$;
grant execute on function api.user_get(text, bytea, text) to restsip_api;
"""


@pytest.fixture(scope="module")
def one(systems):
    """A system with one worker."""
    made = systems("turns", {"RESTSIP_WORKERS": "1", "RESTSIP_DEMO": "no"})
    with psycopg.connect(made.pg_owner, autocommit=True) as db:
        db.execute(SLOW_READ.replace("%%", "%"))
        db.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'restsip_api'")
    until(made.ready, 20)
    yield made
    made.down()


@pytest.fixture
def people(one):  # pylint: disable=redefined-outer-name
    """Accounts whose tokens the worker knows."""
    def make(name, n):
        made = [one.account(f"{name}{i}-{time.monotonic_ns()}@example.net") for i in range(n)]
        for person in made:
            assert person.request("GET", "/login/me").status_code == 200
        return made
    return make


def metric(system, name):
    found = re.search(rf"^{name}{{[^}}]*}} (\d+)$", system.request("GET", "/metrics").text, re.M)
    return int(found[1])


class Many:
    """Threads that do the same again and again until the end of the block; what they got is in `got`."""

    def __init__(self, n, ask):
        self.stop, self.got = threading.Event(), []
        self.threads = [threading.Thread(target=self.run, args=(ask, i), daemon=True) for i in range(n)]

    def run(self, ask, number):
        while not self.stop.is_set():
            self.got.append(ask(number))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def timed(ask, n):
    """The answers, and how long the slowest but one in twenty took."""
    took, answers = [], []
    for _ in range(n):
        began = time.monotonic()
        answers.append(ask())
        took.append(time.monotonic() - began)
    return answers, sorted(took)[n * 19 // 20]


@contextlib.contextmanager
def locked(system, person):
    """While this lasts nobody can write to that person's login."""
    with psycopg.connect(system.pg_owner) as db:
        assert db.execute("""select r.version from app.resource r join app.account a on a.id = r.id
            where r.kind = 'login' and a.email = %s for update of r""", (person.email,)).fetchall()
        yield


def test_a_read_that_takes_too_long_is_503_and_holds_up_nobody(one, people):
    strangers, (alice,) = people("stranger", 4), people("alice", 1)
    slow = one.account(f"slow-{time.monotonic_ns()}@example.net")
    before = metric(one, "restsip_api_too_slow_total")
    with Many(16, lambda i: strangers[i % 4].request("GET", f"/user/{slow.email}")) as many:
        until(lambda: metric(one, "restsip_api_too_slow_total") > before, 20)
        answers, slowest = timed(lambda: alice.request("GET", "/login/me"), 40)
        served = [answer.status_code for answer in answers].count(200)
        assert served >= 38 and slowest < 0.9, (served, slowest)  # a slow one takes 1 s; as timed, but for one in twenty
        health, slowest = timed(lambda: one.request("GET", "/health/ready"), 10)
        assert {answer.status_code for answer in health} == {200} and slowest < 0.9, slowest
    names = {is_problem(answer, 503)["type"] for answer in many.got}
    assert "/problems/too-slow" in names and names <= {"/problems/too-slow", "/problems/busy"}
    assert all(answer.headers["Retry-After"] == "1" for answer in many.got)
    assert one.ready()


def test_writes_on_one_thing_leave_a_connection_to_others(one, people):
    """Many accounts write to one login, whose row is locked: four connections write, of which they have two."""
    senders, (victim, alice) = people("sender", 12), people("bob", 2)
    with locked(one, victim), Many(12, lambda i: senders[i].request("SEND", victim.login, data=b"x")) as many:
        until(lambda: metric(one, "restsip_api_statements_waiting") >= 6, 20)
        answers, slowest = timed(lambda: alice.request("PUT", "/login/me", json={"contact": "sip:a@192.0.2.1"}), 20)
        assert {answer.status_code for answer in answers} <= {200, 201}
        assert slowest < 2, slowest
        until(lambda: "/problems/too-slow" in {a.json()["type"] for a in many.got}, 20)
        many.stop.set()
    names = {answer.json().get("type") for answer in many.got if answer.status_code == 503}
    assert names == {"/problems/too-slow", "/problems/busy"}  # after 5 s; after 2 s in the queue
    assert {answer.status_code for answer in many.got} <= {202, 503}
    assert alice.request("SEND", victim.login, data=b"x").status_code == 202


def test_what_waits_for_a_client_that_has_gone_is_not_sent(one, people):
    sender, victim = people("gone", 2)
    url = urllib.parse.urlsplit(one.url)
    request = (f"SEND {victim.login} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {sender.token()}\r\n"
               "Content-Type: text/plain\r\nContent-Length: 4\r\n\r\ngone").encode()
    before = metric(one, "restsip_api_statements_forgotten_total")
    with locked(one, victim):
        clients = [socket.create_connection((url.hostname, url.port)) for _ in range(20)]
        for client in clients:
            client.sendall(request)
        # one or two are under way, and wait for the row; within 2 s the others have to go
        until(lambda: metric(one, "restsip_api_statements_waiting") >= 10, 5)
        for client in clients:
            client.close()
        until(lambda: metric(one, "restsip_api_statements_forgotten_total") >= before + 10, 5)
    until(lambda: metric(one, "restsip_api_requests") == 1, 10)  # this one: those that were sent hold nothing either
    sent = one.query_owner("""select count(*)::int as n from app.send s join app.account a on a.id = s.account_id
        where a.email = %s""", (victim.email,))
    assert sent[0]["n"] <= 4, sent
    assert sender.request("SEND", victim.login, data=b"x").status_code == 202


def test_one_accounts_writes_queue_behind_their_own(one, people):
    """Two of one account are under way: with three things locked it does not have all four connections."""
    (busy, alice), victims = people("busy", 2), people("victim", 3)
    with contextlib.ExitStack() as stack:
        for victim in victims:
            stack.enter_context(locked(one, victim))
        with Many(9, lambda i: busy.request("SEND", victims[i % 3].login, data=b"x")) as many:
            until(lambda: metric(one, "restsip_api_statements_waiting") >= 6, 20)
            answers, slowest = timed(lambda: alice.request("PUT", "/login/me", json={"contact": "sip:a@192.0.2.1"}), 20)
            assert {answer.status_code for answer in answers} <= {200, 201} and slowest < 2, slowest
            under_way = one.query_owner("""select count(*)::int as n from pg_stat_activity a
                where a.usename = 'restsip_api' and a.wait_event_type = 'Lock'""")
            assert under_way[0]["n"] <= 2
            many.stop.set()
            stack.close()


def test_large_mail_of_one_address_leaves_a_place_to_another(one, people):
    """Six accounts of one address leave 4 MiB each, again and again: they have their turns, and so has everybody else."""
    strangers, (alice,) = people("large", 6), people("small", 1)
    url = urllib.parse.urlsplit(one.url)

    def leave(person, size, source):
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60, source_address=(source, 0))
        connection.request("POST", f"/user/{person.email}/messages", b"x" * size,
                           {**person.headers, "Content-Type": "audio/wav"})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status
    with Many(6, lambda i: leave(strangers[i], 4 << 20, "127.9.1.1")) as many:
        until(lambda: len(many.got) > 2 and metric(one, "restsip_api_large_waiting"), 60)
        codes = [leave(alice, 1 << 20, "127.9.1.2") for _ in range(20)]
    assert codes == [201] * 20
    assert set(many.got) <= {201, 507}, many.got  # they waited; the mailbox of some is full by now
    assert many.got.count(201) > 5


def test_health_is_answered_when_the_database_is_not(one):
    with psycopg.connect(one.pg_owner) as db:
        db.execute("lock table app.agent in access exclusive mode")
        began = time.monotonic()
        is_problem(one.request("GET", "/health/ready"), 503)
        assert time.monotonic() - began < 2.5  # 2 s, and what a busy machine takes
        assert one.request("GET", "/health/live").status_code == 200
    until(one.ready, 10)


def test_logins_pass_sign_ups(one):
    """Sign-ups come faster than they can be hashed; whoever logs in meanwhile is before them."""
    email = f"login-{time.monotonic_ns()}@example.net"
    assert one.request("POST", "/user", json={"email": email, "password": "right-password"}).status_code == 201
    url = urllib.parse.urlsplit(one.url)

    def sign_up(number):
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
        connection.request("POST", "/user", b'{"email":"n%d-%d@example.net","password":"some-password"}' %
                           (number, time.monotonic_ns()), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status
    with Many(40, sign_up) as many:
        until(lambda: metric(one, "restsip_api_hashes_waiting") >= 30, 30)
        codes = [one.request("POST", "/session", auth=(email, "right-password")).status_code for _ in range(8)]
        wrong = one.request("POST", "/session", auth=(email, "wrong-password")).status_code
    assert codes == [201] * 8 and wrong == 401
    assert set(many.got) <= {201, 503}


def test_who_is_known_signs_in_while_many_sources_guess(one):
    email = f"known-{time.monotonic_ns()}@example.net"
    one.account(email, "right-password", name="x")
    assert one.request("POST", "/session", auth=(email, "right-password")).status_code == 201
    known = "select from app.known_source k join app.account a on a.id = k.account_id where a.email = %s"
    until(lambda: one.query_owner(known, (email,)), 10)
    url = urllib.parse.urlsplit(one.url)

    def guess(number):
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30, source_address=(f"127.9.0.{number + 1}", 0))
        who = base64.b64encode(b"n%d-%d@example.net:some-password" % (number, time.monotonic_ns()))
        connection.request("POST", "/session", None, {"Authorization": "Basic " + who.decode()})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status
    with Many(100, guess) as many:
        until(lambda: metric(one, "restsip_api_hashes_waiting") >= 50, 30)
        # Each is hashed, for none is remembered.
        codes = [one.request("POST", "/session", auth=(email, f"wrong-password-{i}")).status_code for i in range(5)]
    assert codes == [401] * 5
    assert set(many.got) <= {401, 503}


def test_a_session_that_is_idle_in_a_transaction_is_ended(one):
    db = psycopg.connect(one.pg)
    db.execute("set idle_in_transaction_session_timeout = 0")
    db.commit()
    pid = db.execute("select pg_current_xact_id(), pg_backend_pid() as pid").fetchone()[1]

    def ended():
        one.query_owner("select app.end_idle_sessions('1 s') is null as done")
        return not one.query_owner("select from pg_stat_activity where pid = %s", (pid,))
    until(ended, 15)
    db.close()


def test_a_statement_that_holds_a_transaction_for_long_is_ended_whose_ever_it_is(one):
    db = psycopg.connect(one.pg.replace("restsip_inspect", "restsip_api"), autocommit=True)
    pid = db.info.backend_pid
    db.execute("set statement_timeout = 0")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        sleep = pool.submit(db.execute, "select pg_current_xact_id(), pg_sleep(60)")

        def ended():
            one.query_owner("select app.end_idle_sessions('1 s') is null as done")
            return not one.query_owner("select from pg_stat_activity where pid = %s", (pid,))
        until(ended, 15)
        assert isinstance(sleep.exception(), psycopg.Error)
    db.close()
