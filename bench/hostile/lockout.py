"""Others are to be locked out: wrong digests that seem to come from honest phones, wrong passwords for honest people."""
import asyncio

from phone import DOMAIN, Phone, authorization
from world import PHONE_AT, PHONES, STRANGERS, WITH, email

NAME = "lock-out"
FIRST, PER_S = 12, 50
# Of each stranger: together more than an account stands, but fewer than one source may make.
GUESSED, GUESSES, GUESSES_PER_S = email(f"guessed{WITH}"), 12, 1
GUESSED_BEFORE = 36, 8  # by so many others, so many each
TIMEOUT_S = 2.0
ALLOWED = 0


async def spoof(s):
    """Datagrams from the honest phones' addresses, with a nonce that was told to this stranger."""
    asker = await Phone.open(s.name, s.place.sip, s.source)
    s.closers.append(asker.close)
    forgers = []
    for n in range(s.n, PHONES, STRANGERS):
        phone = await Phone.open(f"phone{n}", s.place.sip, PHONE_AT.format(n + 1), answers=False)
        s.closers.append(phone.close)
        raw, branch = asker.build("REGISTER", f"sip:{DOMAIN}", phone.aor)
        head = await asker.exchange(raw.replace(f"<{asker.aor}>".encode(), f"<{phone.aor}>".encode()), branch,
                                    asyncio.get_running_loop().time() + TIMEOUT_S)
        nonce = head.split('nonce="')[1].split('"')[0] if head and 'nonce="' in head else "0" * 64
        forgers.append((phone, nonce))

    async def forge(i):
        phone, nonce = forgers[i // FIRST % len(forgers)]
        wrong = authorization(phone.user, nonce, i + 1, "REGISTER", f"sip:{DOMAIN}", secret="0" * 32)
        raw, _ = phone.build("REGISTER", f"sip:{DOMAIN}", phone.aor, more=wrong + f"Contact: <{phone.contact()}>\r\n")
        phone.send(raw)
        s.count["wrong digest"] += 1

    await s.repeat(1, forge, per_s=PER_S)


def prepare(world):
    """Most of the guesses that an account may stand were made a moment ago: each takes a while to be hashed."""
    world.system.query_owner(
        "select count(api.password_failed(%s, format('127.21.0.%%s', s))::text) from generate_series(1, %s) s, "
        "generate_series(1, %s)", (GUESSED, *GUESSED_BEFORE))


async def guess(s):
    await s.repeat(1, lambda _: s.ask("wrong password", "GET", "/user/me", auth=(GUESSED, "wrong"), token=""), GUESSES,
                   per_s=GUESSES_PER_S)


async def attack(s):
    await asyncio.gather(spoof(s), guess(s))
