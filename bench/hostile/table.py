"""What is printed: the honest's requests in each phase, what the strangers did, what it cost, and whether that is within the
goals. Nothing here ends the run: a goal that is missed is said."""
import collections

from honest import Notes, quantile_ms
from world import MIB

RATIO_MAX, P99_MS, RSS_MB, DISK_BYTES = 5, 50, 64, 32 * MIB
TIMED = (("http", "HTTP"), ("sign-in", "sign-in"), ("delivery", "delivery"), ("register", "REGISTER"))
GROUPS = (("HTTP", ("http", "sign-in")), ("SIP", ("register", "message")), ("delivery", ("delivery",)), ("streams", ("stream",)))
PHASES = ("without", "elsewhere", "with")
SHOWN = 12  # of what there may be many of


class Result:
    """All rounds of a kind."""

    def __init__(self, name, allowed, each_victim):
        self.name, self.allowed, self.each_victim = name, allowed, each_victim
        self.notes = {phase: Notes() for phase in PHASES}
        self.grown, self.disk, self.log = {}, 0, 0
        self.did = collections.Counter()

    def add_memory(self, grown):
        """The most of all rounds; None: the program has died."""
        for name, amount in grown.items():
            before = self.grown.get(name, 0.0)
            self.grown[name] = None if amount is None or before is None else max(before, amount)


def head():
    return (f"{'kind':11} {'strangers':9}" + "".join(f" {name:>13}" for name, _ in GROUPS)
            + "".join(f" {name:>17}" for _, name in TIMED)
            + f"\n{'':21}" + f" {'ask/ref/un':>13}" * len(GROUPS) + f" {'p50/p99/max ms':>17}" * len(TIMED))


def _counts(notes, kinds):
    return "/".join(str(sum(which[kind] for kind in kinds)) for which in (notes.asked, notes.refused, notes.unanswered))


def _times(took):
    shown = (quantile_ms(took, share) for share in (0.5, 0.99, 1))
    return "/".join(f"{ms:.1f}" if ms < 10 else f"{ms:.0f}" for ms in shown)


def row(name, phase, notes):
    return (f"{name:11} {phase:9}" + "".join(f" {_counts(notes, kinds):>13}" for _, kinds in GROUPS)
            + "".join(f" {_times(notes.took[kind]):>17}" for kind, _ in TIMED))


def _most(counter, text):
    return ", ".join(text(key, number) for key, number in counter.most_common(SHOWN))


def _times_of(after, before):
    return f"{after / before:.1f}" if before else "?"


def _victim(result):
    """(datagrams, bytes, addresses, what the strangers sent), where somebody counted."""
    return [result.did[f"victim: {what}"] for what in ("datagrams", "bytes", "addresses", "bytes of the strangers")]


def verdict(result):
    """[(holds, goal as measured)]"""
    said = []
    loud = result.notes["with"]
    refused, unanswered = sum(loud.refused.values()), sum(loud.unanswered.values())
    said.append((not refused and not unanswered, f"honest requests refused: {refused}, unanswered: {unanswered}"))
    for kind, name in TIMED:
        before, aside, after = (quantile_ms(result.notes[phase].took[kind], 0.99) for phase in PHASES)
        goal = max(RATIO_MAX * before, P99_MS)
        said.append((after <= goal, f"{name} p99 {after:.0f} ms, {_times_of(after, before)} times that without, "
                                    f"{_times_of(after, aside)} times that elsewhere; at most {goal:.0f} ms"))
    for name, grown in result.grown.items():
        said.append((grown is not None and grown <= RSS_MB,
                     f"{name} " + ("has died" if grown is None else f"grew by {grown:.1f} MB; at most {RSS_MB} MB")))
    said.append((result.disk <= result.allowed + DISK_BYTES,
                 f"the database grew by {result.disk / MIB:.1f} MB more than by the honest, and wrote {result.log / MIB:.0f} MB "
                 f"of log; at most {(result.allowed + DISK_BYTES) / MIB:.0f} MB"))
    datagrams, count, addresses, sent = _victim(result)
    if addresses:
        goal = result.each_victim * addresses
        said.append((datagrams <= goal, f"{addresses} victims got {datagrams} datagrams, {count} bytes, for {sent} bytes of the "
                                        f"strangers; at most {goal} datagrams"))
    return said


def show(result):
    """The rows of a kind and its verdict."""
    for phase in PHASES:
        print(row(result.name if phase == "without" else "", phase, result.notes[phase]))
    did = collections.Counter({key: n for key, n in result.did.items() if not key.startswith("victim: ")})
    print("    strangers: " + _most(did, lambda key, n: f"{key}: {n}"))
    for phase in PHASES:
        if result.notes[phase].why:
            print(f"    the honest, {phase}: " + _most(result.notes[phase].why, lambda key, n:
                                                       f"{key[0]} {key[1] or 'unanswered'}: {n}"))
    for holds, goal in verdict(result):
        print(f"    {'ok' if holds else 'NO':3} {goal}")
    print(flush=True)


def summary(results):
    """A line a kind, of all that was shown."""
    print(f"{'kind':11} {'asked':>6} {'refused':>7} {'unansw.':>7}" + "".join(f" {name + ' p99':>15}" for _, name in TIMED)
          + f" {'memory MB':>9} {'disk MB':>8} {'victims got':>11} {'missed':>6}")
    for result in results:
        loud = result.notes["with"]
        times = "".join(" {:>15}".format(" > ".join(f"{quantile_ms(result.notes[phase].took[kind], 0.99):.0f}"
                                                    for phase in ("without", "with"))) for kind, _ in TIMED)
        memory = "died" if None in result.grown.values() else f"{max(result.grown.values()):.0f}"
        datagrams, _, addresses, _ = _victim(result)
        missed = sum(not holds for holds, _ in verdict(result))
        print(f"{result.name:11} {sum(loud.asked.values()):6} {sum(loud.refused.values()):7} {sum(loud.unanswered.values()):7}"
              f"{times} {memory:>9} {result.disk / MIB:8.0f} {datagrams if addresses else '':>11} {missed:6}")
