"""Sign-ups as fast as nginx lets them in: each has a password to be hashed."""
import secrets

from world import MIB, STRANGERS, email

NAME = "hashing"
PER_S, CONNECTIONS = 200, 24
ALLOWED = STRANGERS * MIB // 8  # five accounts a minute each


async def attack(s):
    def sign_up(_):
        return s.ask("sign-up", "POST", "/user", {"email": email("s-" + secrets.token_hex(8)), "password": "long-enough"},
                     token="")

    await s.repeat(CONNECTIONS, sign_up, per_s=PER_S)
