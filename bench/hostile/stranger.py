"""What every stranger has: an account, an address of its own, a pace, and an end."""
import asyncio
import collections
import contextlib
import os
import pathlib
import signal
import time

from web import Browser
from world import STRANGER_AT, STRANGERS

REQUESTS_MAX = 200000  # of one stranger in a round, whatever it is told
ALL_CONNECTIONS = 32  # that one stranger's requests use at once
GRACE_S = 5.0
LEAST = 19  # the niceness of who comes last
GROUPS = pathlib.Path("/sys/fs/cgroup")
IDLE = (GROUPS / "cpu" if (GROUPS / "cpu").exists() else GROUPS) / "restsip-strangers"  # version 1, or 2; only root may


class Stranger:
    """Number n of eight. share: how much of its pace each kind has, when there are several at once."""

    def __init__(self, place, name, token, n, until, share):
        self.place, self.name, self.n, self.until, self.share = place, name, n, until, share
        self.source = STRANGER_AT.format(n + 1)
        self.web = Browser(place.http, self.source, token, most=ALL_CONNECTIONS, timeout_s=30.0)
        self.count = collections.Counter()  # what was done, by what came of it
        self.requests, self.closers = 0, []

    @property
    def over(self):
        return time.monotonic() >= self.until or self.requests >= REQUESTS_MAX

    async def ask(self, what, method, path, body=b"", **more):
        """One request, counted as what."""
        self.requests += 1
        answer = await self.web.fetch(method, path, body, **more)
        self.count[f"{what} {answer.code or 'unanswered'}"] += 1
        return answer

    async def repeat(self, connections, work, most=REQUESTS_MAX, per_s=None):
        """Calls work(i) from so many connections at once, one after the other in each, until the end or `most` are done;
        per_s: no faster than that."""
        done, started = 0, time.monotonic()

        async def one():
            nonlocal done
            while not self.over and done < most:
                done += 1
                if per_s:
                    await asyncio.sleep(started + done / (per_s * self.share) - time.monotonic())
                if not self.over:
                    await work(done - 1)

        await asyncio.gather(*(one() for _ in range(connections)))

    def background(self, work):
        """Something that is held until the end."""
        task = asyncio.get_running_loop().create_task(work)
        self.closers.append(task.cancel)

    def close(self):
        for close in self.closers:
            close()
        self.web.close()


def is_turn(stranger, first, last):
    """Each of the eight has a part of a kind."""
    return first <= stranger.n % STRANGERS <= last


def yield_processors():
    """Strangers work on machines of their own: here they get what the system and the honest leave of the processors."""
    os.setsid()  # Linux shares processors among sessions first
    os.nice(LEAST)
    with contextlib.suppress(OSError):  # where it does not, niceness is enough
        pathlib.Path("/proc/self/autogroup").write_text(str(LEAST), encoding="ascii")
    with contextlib.suppress(OSError):  # nobody else waits for one of them to have had its time
        IDLE.mkdir(exist_ok=True)
        (IDLE / "cpu.idle").write_text("1", encoding="ascii")
        (IDLE / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")


def forget_processors():
    """What yield_processors() has made, once no stranger is left."""
    with contextlib.suppress(OSError):
        IDLE.rmdir()


def attack(place, name, token, n, until, share, kinds, pipe):
    """A process: one stranger, all of these kinds at once. What it did goes into the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield_processors()
    stranger = Stranger(place, name, token, n, until, share)

    async def run():
        left = max(0.0, until - time.monotonic()) + GRACE_S
        tasks = [asyncio.create_task(kind.attack(stranger)) for kind in kinds]
        _, late = await asyncio.wait(tasks, timeout=left)
        for task in late:
            task.cancel()
        for task in tasks:
            if task not in late and task.exception():
                stranger.count[f"broke: {task.exception()!r}"] += 1
        stranger.close()

    asyncio.run(run())
    pipe.send(stranger.count)
