"""Documents without an end: numbers that are small until they are written out, members that are patched in one by one, open
calls that everybody's list shows, and GETs of all that."""
import asyncio

from stranger import is_turn
from world import MIB, STRANGERS, email

NAME = "documents"
JOINS, PATCHES, CALLS, MEMBER = 998, 131, 100, 64 * 1024 - 64
NUMBER = b'{"x":1e131071}'
READERS, READS_PER_S = 2, 25
# A profile of 64 KiB and 100 calls with 16 KiB of members each, and what is logged of one of them that is watched.
ALLOWED = STRANGERS * 4 * MIB


async def make_call(s):
    return (await s.ask("call", "POST", "/call", b'{"subject":"x"}')).json().get("url", "/call/1")


async def attack(s):
    if is_turn(s, 0, 1):  # a call whose participants are numbers
        url = await make_call(s)
        body = f'{{"url":"/login/{email(s.name)}","x":1e131071}}'.encode()
        await asyncio.gather(
            s.repeat(4, lambda _: s.ask("join", "POST", url, body), JOINS),
            s.repeat(READERS, lambda _: s.ask("GET of that call", "GET", url), per_s=READS_PER_S))
    elif is_turn(s, 2, 3):  # one document that grows by what is merged into it
        url = await make_call(s) if s.n == 2 else "/user/me"
        await asyncio.gather(
            s.repeat(2, lambda i: s.ask("patch", "PATCH", url, f'{{"m{i}":"{"x" * MEMBER}"}}'.encode()), PATCHES),
            s.repeat(READERS, lambda i: s.ask("GET of the list", "GET", "/call") if i % 2 else
                     s.ask("GET of what was patched", "GET", url), per_s=READS_PER_S))
    else:  # calls that everybody sees
        await asyncio.gather(
            s.repeat(2, lambda _: s.ask("open call", "POST", "/call", NUMBER), CALLS),
            s.repeat(READERS, lambda _: s.ask("GET of the list", "GET", "/call"), per_s=READS_PER_S))
