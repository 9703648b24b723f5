/*
 * Settling what was claimed.  While the database is away it is kept, and asked
 * again: a lease that runs out meanwhile does no harm, for settling is fenced.
 */
#include "work/settler.h"

#include <errno.h>

#include "pg/pgloop.h"

enum {
	AGAIN_MS = 500,
};

struct settler {
	struct pgloop *pl;
	const struct pg_stmt *stmt;
	settling_values_h *vh;
	settled_h *h;
	void *arg;
	struct list settlings;
	struct tmr tmr;
};

static void settle(struct settling *s);

static void settle_all(void *arg)
{
	struct settler *st = arg;
	struct le *le = list_head(&st->settlings);

	while (le) {
		struct settling *s = le->data;

		le = le->next;
		if (!s->asking)
			settle(s);
	}
}

static void settle_later(struct settler *st)
{
	if (!tmr_isrunning(&st->tmr))
		tmr_start(&st->tmr, AGAIN_MS, settle_all, st);
}

static void on_settled(const struct pg_answer *ans, void *arg)
{
	struct settling *s = arg;
	struct settler *st = s->st;

	s->asking = false;
	if (!s->le.list) {
		/* the settler is gone */
	} else if (ans->end == PG_AWAY) {
		settle_later(st);
	} else {
		list_unlink(&s->le);
		mem_deref(s);
		st->h(s, ans, st->arg);
	}
	mem_deref(s);
}

static void settle(struct settling *s)
{
	struct settler *st = s->st;
	struct pg_val valv[SETTLER_VALUES_MAX];

	valv[0] = pg_int(pgloop_agent(st->pl));
	st->vh(valv + 1, s);
	mem_ref(s);
	s->asking = true;
	if (!pgloop_query_in(st->pl, PG_SETTLE, st->stmt, valv, on_settled, s))
		return;

	s->asking = false;
	mem_deref(s);
	settle_later(st);
}

static void settling_destructor(void *arg)
{
	struct settling *s = arg;

	list_unlink(&s->le);
}

/** Zeroed, of a struct that begins with a settling; NULL without memory */
void *settling_alloc(size_t size)
{
	return mem_zalloc(size, settling_destructor);
}

/** Tell the database; s is the settler's from here on */
void settler_add(struct settler *st, struct settling *s)
{
	s->st = st;
	list_append(&st->settlings, &s->le, s);
	settle(s);
}

static void destructor(void *arg)
{
	struct settler *st = arg;

	tmr_cancel(&st->tmr);
	list_flush(&st->settlings);
}

/**
 * Allocate
 *
 * @param stp  Set to the settler, owned by the caller
 * @param pl   Borrowed
 * @param stmt Constant; its first parameter is the agent's number, and there
 *             are SETTLER_VALUES_MAX at most
 * @param vh   Fills in the others
 * @param h    Called when one is settled
 */
int settler_alloc(struct settler **stp, struct pgloop *pl,
		  const struct pg_stmt *stmt, settling_values_h *vh,
		  settled_h *h, void *arg)
{
	struct settler *st = mem_zalloc(sizeof(*st), destructor);

	if (!st)
		return ENOMEM;

	st->pl = pl;
	st->stmt = stmt;
	st->vh = vh;
	st->h = h;
	st->arg = arg;
	*stp = st;

	return 0;
}
