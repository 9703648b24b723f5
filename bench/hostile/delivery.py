"""Delivery without a turn: messages to contacts that never answer, and many that are due at one time."""
import asyncio
import datetime
import time

from phone import Phone
from stranger import is_turn
from world import MIB, STRANGERS, email

NAME = "delivery"
CONTACTS, AT_ONCE, LATER_PER_S, SCHEDULED = 32, 500, 5, 3400
REGISTER_TIMEOUT_S = 3.0
# The rows of messages that wait: 600 a minute and 100 that are scheduled, with 32 deliveries each.
ALLOWED = STRANGERS * 8 * MIB


async def silent_contacts(s):
    """By phones, that is with a right digest from there, or by REST."""
    phone = await Phone.open(s.name, s.place.sip, s.source, answers=False)
    s.closers.append(phone.close)
    uris = [phone.contact(f"c{n}") for n in range(CONTACTS)]
    if s.n % 2 == 0:
        s.count[f"REGISTER {await phone.register(REGISTER_TIMEOUT_S, uris)}"] += 1
    else:
        await s.ask("contacts", "POST", "/login/me", [{"contact": uri} for uri in uris])


async def attack(s):
    me = f"/login/{email(s.name)}"
    await silent_contacts(s)
    if is_turn(s, 0, 3):
        def send(_):
            return s.ask("SEND", "SEND", me, b"x" * 100, media="text/plain")
        await s.repeat(8, send, AT_ONCE)
        await s.repeat(4, send, per_s=LATER_PER_S)
        return
    # All for one moment, halfway to the end.
    due_in = max(1.0, (s.until - time.monotonic()) / 2)
    due = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=due_in)
    path = f"{me}?send_at={due.strftime('%Y-%m-%dT%H:%M:%SZ')}"
    ends = time.monotonic() + due_in - 1

    async def schedule(_):
        if time.monotonic() < ends:
            await s.ask("scheduled", "SEND", path, b"x" * 100, media="text/plain")

    await s.repeat(8, schedule, SCHEDULED)
    await asyncio.sleep(max(0, s.until - time.monotonic()))
