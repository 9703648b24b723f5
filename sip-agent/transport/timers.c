/*
 * libre 1.1.0 keeps all timers in one sorted list, and walks it from its end to
 * start one.  Each transaction has one of 32 s (RFC 3261 section 17, timer J
 * and others), so that a retransmission of 0.5 s passes those of all that there
 * were in the last half minute: some hundred calls a second take tens of
 * thousands of steps each.  So tmr_start(), tmr_poll() and tmr_next_timeout()
 * are defined here once more, as libre_seam.c does with others: a timer goes
 * into the slot of its millisecond where that is near, else into one of a span
 * of them, whose timers come down to finer slots when it begins.  To start or
 * stop one takes a few steps, however many there are.
 *
 * There is one loop, in one thread, and so one wheel.
 */
#include "transport/timers.h"

#include <re.h>

enum {
	SLOT_BITS = 8,
	SLOTS = 1 << SLOT_BITS, /* of a level: one lasts as long as all of the
				   level below */
	LEVELS = 4,		/* 1 ms, 256 ms, 65 s, 4.6 h a slot */
	WORD = 64,
};

static const uint64_t AHEAD_MAX = (UINT64_C(1) << (LEVELS * SLOT_BITS)) - 1;

static struct {
	struct list slots[LEVELS][SLOTS];
	uint64_t used[LEVELS][SLOTS / WORD]; /* no bit: the slot is empty */
	uint64_t now; /* ms; what was due before has been called */
	bool turns;
	bool asked; /* for the check */
} wheel;

static unsigned slot_of(uint64_t at, unsigned level)
{
	return (unsigned)(at >> (level * SLOT_BITS)) % SLOTS;
}

/* Of those that are due in one millisecond it is the last, as in libre's list;
   first: the first */
static void place(struct tmr *tmr, bool first)
{
	const uint64_t due = tmr->jfs > wheel.now ? tmr->jfs : wheel.now;
	uint64_t ahead = due - wheel.now;
	unsigned level = 0, slot;
	struct list *list;

	if (ahead > AHEAD_MAX)
		ahead = AHEAD_MAX; /* it comes down, and goes up again */
	while (ahead >> ((level + 1) * SLOT_BITS))
		level++;
	slot = slot_of(wheel.now + ahead, level);
	list = &wheel.slots[level][slot];
	if (first)
		list_prepend(list, &tmr->le, tmr);
	else
		list_append(list, &tmr->le, tmr);
	wheel.used[level][slot / WORD] |= UINT64_C(1) << (slot % WORD);
}

/* @return how many slots after this one there is one with timers; SLOTS: none
 */
static unsigned next_used(unsigned level, unsigned from)
{
	for (unsigned n = 0; n < SLOTS;) {
		const unsigned i = (from + n) % SLOTS;
		uint64_t *word = &wheel.used[level][i / WORD];
		const uint64_t rest = *word >> (i % WORD);

		if (!rest) {
			n += WORD - i % WORD;
		} else if (!(rest & 1)) {
			n += (unsigned)__builtin_ctzll(rest);
		} else if (list_isempty(&wheel.slots[level][i])) {
			*word &= ~(UINT64_C(1) << (i % WORD));
		} else {
			return n;
		}
	}

	return SLOTS;
}

/* A slot of this level begins, and so those below it.  What it holds was
   started before all that is there already */
static void bring_down(unsigned level)
{
	struct list *list = &wheel.slots[level][slot_of(wheel.now, level)];
	struct tmr *tmr;

	while ((tmr = list_ledata(list_tail(list)))) {
		list_unlink(&tmr->le);
		place(tmr, true);
	}
}

/* To the next millisecond in which something may be due, or to this one */
static void turn_to(uint64_t now)
{
	const uint64_t slot = wheel.now % SLOTS;
	uint64_t next = wheel.now - slot + SLOTS;
	unsigned n = SLOTS;

	if (slot + 1 < SLOTS)
		n = next_used(0, (unsigned)slot + 1);
	if (slot + 1 + n < SLOTS)
		next = wheel.now + 1 + n;
	wheel.now = next < now ? next : now;
	for (unsigned level = 1;
	     level < LEVELS && !slot_of(wheel.now, level - 1); level++)
		bring_down(level);
}

static void call_due(void)
{
	struct list *list = &wheel.slots[0][slot_of(wheel.now, 0)];
	struct tmr *tmr;

	while ((tmr = list_ledata(list_head(list)))) {
		tmr_h *th = tmr->th;

		tmr->th = NULL;
		list_unlink(&tmr->le);
		th(tmr->arg);
	}
}

/* --- in the place of libre's ---------------------------------------------- */

/** As libre's; called by libre, for tmr_cancel() too, and by us */
void tmr_start(struct tmr *tmr, uint64_t delay, tmr_h *th, void *arg)
{
	wheel.asked = true;
	if (!tmr)
		return;
	if (tmr->th)
		list_unlink(&tmr->le);
	tmr->th = th;
	tmr->arg = arg;
	if (!th)
		return;

	tmr->jfs = tmr_jiffies();
	if (!wheel.turns) {
		wheel.turns = true;
		wheel.now = tmr->jfs;
	}
	tmr->jfs += delay;
	place(tmr, false);
}

/** As libre's; called by its loop in each turn: calls what is due */
void tmr_poll(struct list *tmrl)
{
	const uint64_t now = tmr_jiffies();

	(void)tmrl;
	if (!wheel.turns)
		return;

	call_due();
	while (wheel.now < now) {
		turn_to(now);
		call_due();
	}
}

/** As libre's; called by its loop before it waits. @return milliseconds until
    something may be due, at least 1; 0: there is no timer */
uint64_t tmr_next_timeout(struct list *tmrl)
{
	uint64_t next = UINT64_MAX;
	const uint64_t now = tmr_jiffies();

	(void)tmrl;
	for (unsigned level = 0; level < LEVELS; level++) {
		/* what is above comes down when its slot begins */
		const unsigned first = level ? 1 : 0, shift = level * SLOT_BITS,
			       n = next_used(level,
					     slot_of(wheel.now, level) + first);
		const uint64_t begins = ((wheel.now >> shift) + first + n)
					<< shift;

		if (n < SLOTS && begins < next)
			next = begins;
	}
	if (next == UINT64_MAX)
		return 0;

	return next > now ? next - now : 1;
}

/** Whether libre does call what stands here: its tmr_cancel() starts one that
    does nothing */
bool timers_check(void)
{
	struct tmr tmr;

	tmr_init(&tmr);
	wheel.asked = false;
	tmr_cancel(&tmr);

	return wheel.asked;
}
