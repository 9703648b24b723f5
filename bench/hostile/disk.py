"""Disk without an end: a watched mailbox that changes, sends for somebody who is away, mail from nobody, sessions, calls that
end. What a change costs must not depend on what there is beside it, and what is kept has an end."""
import asyncio

from stranger import is_turn
from world import AWAY, MIB, PASSWORD, email

NAME = "disk"
MESSAGES, MEMBER, SENDS, POSTS, SESSIONS = 100, 64 * 1024 - 200, 3000, 2000, 2000
CHANGES_PER_S, MANY_CONNECTIONS, SESSIONS_PER_S, CALLS_PER_S = 100, 24, 20, 50
# Two mailboxes with what is logged of them, two senders' stored messages, a quarter of two honest mailboxes, and ended calls.
ALLOWED = 2 * (64 + 1) * MIB + 2 * 2 * MIB + 2 * 16 * MIB + 16 * MIB


async def mailbox(s):
    """Many large messages, somebody who watches them, and changes of 14 bytes."""
    body = b'{"url":"rtsp://192.0.2.1/x","m":"' + b"x" * MEMBER + b'"}'
    there = 0

    async def fill(_):
        nonlocal there
        await s.ask("mail", "POST", f"/user/{email(s.name)}/messages", body)
        there += 1

    async def change(i):
        await s.ask("small patch", "PATCH", f"/user/me/messages/{1 + i % there}", (b'{"seen":false}', b'{"seen":true }')[i % 2])

    await fill(0)
    s.background(s.web.swallow("/user/me/messages"))
    await asyncio.gather(s.repeat(2, fill, MESSAGES),
                         s.repeat(MANY_CONNECTIONS if s.n == 1 else 1, change, per_s=CHANGES_PER_S))


async def attack(s):
    if is_turn(s, 0, 1):
        await mailbox(s)
    elif is_turn(s, 2, 3):
        away = f"/login/{email(AWAY)}"
        await s.repeat(4, lambda _: s.ask("64 KiB to who is away", "SEND", away, b"x" * 65536, media="text/plain"), SENDS)
    elif is_turn(s, 4, 5):
        box = f"/user/{email(f'user{s.n - 4}')}/messages"
        await s.repeat(4, lambda _: s.ask("mail of nobody", "POST", box, b"x" * 65000, media="text/plain", token=""), POSTS)
    elif is_turn(s, 6, 6):
        await s.repeat(2, lambda _: s.ask("session", "POST", "/session", auth=(email(s.name), PASSWORD), token=""), SESSIONS,
                       per_s=SESSIONS_PER_S)
    else:
        async def call(_):
            made = await s.ask("call", "POST", "/call", b'{"m":"' + b"x" * 16000 + b'"}')
            url = made.json().get("url", "/call/1")
            part = await s.ask("join", "POST", url, f'{{"url":"/login/{email(s.name)}","m":"{"x" * 4000}"}}'.encode())
            await s.ask("leave", "DELETE", f"{url}/{part.json().get('id', 1)}")
            await s.ask("end", "DELETE", url)

        await s.repeat(2, call, per_s=CALLS_PER_S / 4)
