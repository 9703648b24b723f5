"""Steps of calls that have media."""
from restsip_system import until

WAIT_S = 60


def is_tone(heard, hertz):
    """Within 1 %."""
    return abs(heard - hertz) < hertz / 100


def call(caller, called):
    caller.dial(called.account)
    until(called.rings, WAIT_S, f"a ring at {called.account.email}")
    called.accept()
    until(lambda: caller.is_up() and called.is_up(), WAIT_S, "both are in the call")


def hear(one, other):
    until(lambda: is_tone(one.hears(), other.hz), WAIT_S, f"{other.hz} Hz at {one.account.email}")


def hear_each_other(one, other):
    hear(one, other)
    hear(other, one)


def is_silent(end):
    until(lambda: not end.hears(), WAIT_S, f"silence at {end.account.email}")


def all_is_over(system, *ends):
    """All have hung up, and no leg of theirs is left."""
    until(lambda: all(end.is_free() for end in ends), WAIT_S, "all are free")
    emails = [end.account.email for end in ends]
    until(lambda: not system.query("select 1 from inspect.leg l join inspect.call c on c.id = l.call "
                                   "where c.owner = any(%s) and l.state <> 'ended'", [emails]), WAIT_S, "no leg is left")
