"""What an operator reads of SIP in the agent's log at info, and which sockets the agent has."""
import pathlib

import pytest

TOLD = 20  # lines a second of accounts


def lines_of(system, phone, until):
    """What the log has of a phone, once it has something."""
    log = system.logs / "restsip-agent.log"

    def found():
        return [line for line in log.read_text().splitlines() if "event=request " in line and f" source=127.0.0.1:{phone.port} " in line]
    return until(found, 5, "a line of the log")


def test_a_request_that_changes_something_is_a_line(system, account, phone, until):
    alice = account("alice")
    p = phone(alice)
    assert p.register().code == 200
    line, = lines_of(system, p, until)  # and none for the challenge
    assert f" method=REGISTER code=200 from={alice.email}" in line.replace('"', "")
    assert " level=info " in line


def test_a_request_that_is_refused_is_a_line_that_says_why(system, account, phone, until):
    alice, bob = account("alice"), account("bob")
    p = phone(alice)
    assert p.message(f"sip:nobody-{bob.email}").code == 404
    line, = lines_of(system, p, until)
    assert " method=MESSAGE code=404 why=" in line


@pytest.mark.parametrize("known", [True, False])
def test_many_requests_are_not_many_lines(system, account, phone, known):
    """More than there is place for in a second are told as a number."""
    p = phone(account("alice"))
    log = system.logs / "restsip-agent.log"
    before = log.stat().st_size
    count = 3 * TOLD
    if known:
        assert all(p.register(contacts=[p.contact]).code == 200 for _ in range(count))
    else:
        for _ in range(count):
            assert p.request("NOTIFY", p.aor, auth=False).code == 481
    written = log.read_bytes()[before:].decode()
    told = [line[:19] for line in written.splitlines() if "event=request " in line]
    assert 0 < len(told) <= (len(set(told)) + 1) * (TOLD if known else 2)


def test_no_socket_of_the_agent_is_open_to_everywhere(system):
    """`listen` says where it is: its DNS socket is nowhere else."""
    inodes = set()
    pid = system.pid("restsip-agent")
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            inodes.add(fd.readlink().name)
        except OSError:
            continue
    wide = []
    for table in ("udp", "udp6"):
        with open(f"/proc/{pid}/net/{table}", encoding="ascii") as f:
            for row in f.read().splitlines()[1:]:
                field = row.split()
                if f"socket:[{field[9]}]" in inodes and not int(field[1].split(":")[0], 16):
                    wide.append(field[1])
    assert not wide
