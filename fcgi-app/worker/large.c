/*
 * large.c: the queue, and which request gets a place that becomes free.
 */
#include "worker/large.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"

enum {
	LOOK_MS = 100,	     /* for requests that have waited too long */
	TOOK_FIRST_MS = 500, /* expected time of a place, at first */
	TOOK_WEIGHT = 4,     /* of earlier times against the last one */
};

struct larges {
	struct loop *loop;
	struct loop_timer look;
	struct turns *turns;
	struct large *refused; /* the last first */
	size_t held;
	uint64_t took_ms; /* that one held, lately */
};

int larges_new(struct larges **out, struct loop *l)
{
	const struct turns_limits limits = {
		.waiting = LARGE_QUEUE_MAX,
		.caller_waiting = LARGE_CALLER_QUEUE,
		.target_waiting = LARGE_SOURCE_QUEUE,
		.caller_running = LARGE_SOURCE_MAX,
		.target_running = LARGE_SOURCE_MAX,
	};
	struct larges *ls = calloc(1, sizeof(*ls));

	if (!ls)
		return ENOMEM;
	ls->loop = l;
	ls->took_ms = TOOK_FIRST_MS;
	if (turns_new(&ls->turns, &limits)) {
		free(ls);
		return ENOMEM;
	}
	*out = ls;
	return 0;
}

void larges_free(struct larges *ls)
{
	if (!ls)
		return;
	loop_cancel(ls->loop, &ls->look);
	turns_free(ls->turns);
	free(ls);
}

static void look(void *arg);

static struct large *take(struct larges *ls)
{
	struct large *e = NULL;

	if (ls->held < LARGE_MAX)
		e = (struct large *)(void *)turns_take(ls->turns, TURN_ANY,
						       clock_ms());
	if (!e)
		return NULL;
	ls->held++;
	e->state = LARGE_HOLDS;
	e->began_ms = clock_ms();
	return e;
}

static void refuse(struct large *e)
{
	e->state = LARGE_NONE;
	e->done(false, e->arg);
}

/* Not at once: the loop tells it, not whoever asks now. */
static void refuse_soon(struct larges *ls, struct large *e)
{
	e->state = LARGE_REFUSED;
	e->next_refused = ls->refused;
	ls->refused = e;
	loop_after(ls->loop, &ls->look, 0, look, ls);
}

static void refused_end(struct larges *ls)
{
	struct large *e;

	while ((e = ls->refused)) {
		ls->refused = e->next_refused;
		refuse(e);
	}
}

static void refused_remove(struct larges *ls, const struct large *e)
{
	struct large **at = &ls->refused;

	while (*at && *at != e)
		at = &(*at)->next_refused;
	if (*at)
		*at = e->next_refused;
}

static void overdue_end(struct larges *ls)
{
	const uint64_t now_ms = clock_ms();
	struct turn *e;

	while (now_ms > LARGE_WAIT_MS &&
	       (e = turns_overdue(ls->turns, now_ms - LARGE_WAIT_MS))) {
		turns_remove(ls->turns, e);
		refuse((struct large *)(void *)e);
	}
}

static void look(void *arg)
{
	struct larges *ls = arg;
	struct large *e;

	refused_end(ls);
	overdue_end(ls);
	while ((e = take(ls)))
		e->done(true, e->arg);
	if (turns_waiting(ls->turns) && !loop_pending(&ls->look))
		loop_after(ls->loop, &ls->look, LOOK_MS, look, ls);
}

/* Where there is no place for it, one request of the caller that has most
   waiting is refused. */
static int queue_add(struct larges *ls, struct large *e, uint64_t caller,
		     uint64_t source)
{
	struct turn *other;
	int err = turns_add(ls->turns, &e->turn, caller, source, clock_ms());

	if (err != EBUSY ||
	    !(other = turns_make_room(ls->turns, caller, source)))
		return err;
	err = turns_add(ls->turns, &e->turn, caller, source, clock_ms());
	refuse_soon(ls, (struct large *)(void *)other);
	return err;
}

int large_begin(struct larges *ls, struct large *e, uint64_t caller,
		const char *source, large_h *done, void *arg)
{
	const uint64_t address = turn_key_of('L', source, strlen(source));
	int err;

	*e = (struct large){.done = done, .arg = arg};
	err = queue_add(ls, e, caller, address);
	if (err)
		return err;
	e->state = LARGE_WAITS;
	if (turns_waiting(ls->turns) == 1 && take(ls))
		return 0;
	loop_after(ls->loop, &ls->look, 0, look, ls);
	return 0;
}

void large_end(struct larges *ls, struct large *e)
{
	const enum large_state state = e->state;
	uint64_t took_ms;

	e->state = LARGE_NONE;
	if (state == LARGE_WAITS)
		turns_remove(ls->turns, &e->turn);
	else if (state == LARGE_REFUSED)
		refused_remove(ls, e);
	if (state != LARGE_HOLDS)
		return;
	took_ms = clock_ms() - e->began_ms;
	ls->took_ms = (ls->took_ms * (TOOK_WEIGHT - 1) + took_ms) / TOOK_WEIGHT;
	turns_done(ls->turns, &e->turn, took_ms * 1000, clock_ms());
	ls->held--;
	/* Later, from the loop: one that gets a place may end at once, and let
	   in the next from here. */
	if (turns_waiting(ls->turns))
		loop_after(ls->loop, &ls->look, 0, look, ls);
}

size_t larges_waiting(const struct larges *ls)
{
	return turns_waiting(ls->turns);
}

int larges_retry_s(const struct larges *ls)
{
	const uint64_t before = turns_waiting(ls->turns) / LARGE_MAX + 1;
	const uint64_t s = (before * ls->took_ms + 999) / 1000;

	return s < 1 ? 1 : s > LARGE_RETRY_MAX_S ? LARGE_RETRY_MAX_S : (int)s;
}
