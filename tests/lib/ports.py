"""Ports for programs that bind them by themselves, a moment after they were chosen."""
import random
import socket

# Below those that Linux gives by itself: no connection of another test takes one in between. The systems of a run have
# theirs at 8080, 5060 and above, by tests/run.
FIRST, LAST = 20000, 32000


def free_ports(count=1):
    """The first of so many in a row that nobody has now, neither TCP nor UDP."""
    while True:
        first = random.randrange(FIRST, LAST - count)
        held = []
        try:
            for port in range(first, first + count):
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    held.append(socket.socket(socket.AF_INET, kind))
                    held[-1].bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
        finally:
            for s in held:
                s.close()
