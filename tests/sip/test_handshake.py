"""Connections that say nothing, or never enough: they end, and others are served meanwhile."""
import resource
import socket
import threading
import time

import pytest

from phone import Phone, new_account
from restsip_system import until
from test_flood import GROWTH_MAX_KB, SANITIZED, rss_kb

PART = b"\x16\x03\x01\x01"  # of the header of a TLS record
NO_TLS = b"\x80\x00\x00\x00\x00"


def connect(server, source, data=b""):
    sock = socket.socket()
    sock.settimeout(10)
    sock.bind((source, 0))
    sock.connect(server)
    if data:
        sock.sendall(data)
    sock.setblocking(False)
    return sock


def is_open(sock):
    try:
        return sock.recv(65536) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def close_all(socks):
    for sock in socks:
        sock.close()


def phone_of(system, transport, local="127.0.0.1"):
    account = new_account(system, "alice")
    made = account.credential()
    p = Phone(system.sips if transport == "tls" else system.sip, account.email.split("@")[0], made["password"],
              transport=transport, ca=system.certificate, local=local)
    p.username = made["username"]
    return p


@pytest.fixture(scope="module")
def shaken(systems):
    return systems("shaken", {"RESTSIP_DEMO": "no", "RESTSIP_LIMITS_SOURCE_HANDSHAKES": "20",
                              "RESTSIP_LIMITS_HANDSHAKES": "50", "RESTSIP_LIMITS_HANDSHAKE_S": "4"})


@pytest.mark.parametrize("data", [b"", PART], ids=["nothing", "a part"])
def test_a_handshake_that_takes_too_long_is_ended(shaken, data):
    sock = connect(shaken.sips, "127.0.2.1", data)
    started = time.monotonic()
    until(lambda: not is_open(sock), 15)
    assert time.monotonic() - started > 3
    sock.close()


def test_what_is_no_handshake_is_ended_at_once(shaken):
    sock = connect(shaken.sips, "127.0.2.2", NO_TLS)
    started = time.monotonic()
    until(lambda: not is_open(sock), 10)
    assert time.monotonic() - started < 4
    sock.close()


def test_a_source_has_so_many_handshakes(shaken):
    """At its bound all are there, one more is closed, and others are served; so is one where a phone has been."""
    with phone_of(shaken, "tls", "127.0.2.4") as known:
        assert known.register().code == 200
    for source in ("127.0.2.3", "127.0.2.4"):
        socks = [connect(shaken.sips, source, PART) for _ in range(20)]
        try:
            time.sleep(0.3)
            assert all(map(is_open, socks))
            if source == "127.0.2.3":
                socks.append(connect(shaken.sips, source, PART))
                until(lambda one=socks[-1]: not is_open(one), 3)
                assert all(map(is_open, socks[:20]))
            with phone_of(shaken, "tls", source if source == "127.0.2.4" else "127.0.2.5") as p:
                assert p.register().code == 200
        finally:
            close_all(socks)
        time.sleep(0.2)


def test_who_has_most_makes_room_where_there_are_too_many(shaken):
    socks = [connect(shaken.sips, f"127.0.2.{10 + n % 5}", PART) for n in range(60)]
    try:
        until(lambda: sum(map(is_open, socks)) == 50, 4)
        with phone_of(shaken, "tls", "127.0.2.20") as p:
            assert p.register().code == 200
        assert sum(map(is_open, socks)) == 49
    finally:
        close_all(socks)


@pytest.mark.skipif(SANITIZED, reason="AddressSanitizer keeps what was freed")
def test_8000_handshakes_that_never_end_are_no_burden(systems):
    """From many addresses; a phone registers over TLS all the while."""
    count = min(8000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 1000)
    before_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before_limit[1], before_limit[1]))
    system = systems("many", {"RESTSIP_DEMO": "no"})
    socks, done, failed = [], threading.Event(), []

    def attack():
        for n in range(count):
            try:
                socks.append(connect(system.sips, f"127.0.3.{1 + n % 40}", PART))
            except OSError as e:
                failed.append(e)
        done.set()

    with phone_of(system, "tls") as p:
        assert p.register().code == 200
        before = peak = rss_kb(system)
        phones = [phone_of(system, "tls", f"127.0.2.{30 + n}") for n in range(3)]  # made before select() has too many
        for one in phones:
            one.close()
        thread = threading.Thread(target=attack, daemon=True)
        thread.start()
        try:
            while not done.wait(0.2):
                assert p.register(timeout_s=20).code == 200
                peak = max(peak, rss_kb(system))
            fresh = connect(system.sips, "127.0.2.40")  # a newcomer is taken in
            assert is_open(fresh)
            fresh.close()
            until(lambda: sum(map(is_open, socks)) == 0, 40)
        finally:
            thread.join(60)
            close_all(socks)
            resource.setrlimit(resource.RLIMIT_NOFILE, before_limit)
    print(f"{count} handshakes, {len(failed)} refused, {before} KB, at most {peak} KB")
    assert peak - before <= GROWTH_MAX_KB


def test_strangers_who_say_nothing_make_room_for_others(systems):
    """All connections are taken by them, from several addresses: the oldest ends for whoever comes."""
    system = systems("taken", {"RESTSIP_DEMO": "no", "RESTSIP_AGENT_CONNECTIONS": "60",
                               "RESTSIP_AGENT_SOURCE_CONNECTIONS": "30"})
    with phone_of(system, "tcp", "127.0.2.50") as first:
        assert first.register().code == 200
        socks = [connect(system.sip, f"127.0.2.{60 + n % 3}", b"\r\n\r\n") for n in range(59)]
        try:
            until(lambda: sum(map(is_open, socks)) == 59, 5)
            with phone_of(system, "tcp", "127.0.2.51") as second:
                assert second.register().code == 200
                assert first.register().code == 200, "who has proved who he is stays"
            until(lambda: not any(map(is_open, socks)), 60, "nobody stays for ever without a word")
            assert first.register().code == 200
        finally:
            close_all(socks)
