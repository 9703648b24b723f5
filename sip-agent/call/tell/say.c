/*
 * A statement that waits too long for a lock, or whose connection breaks, is
 * said again. To say it twice does no harm: what it answers is not asked for
 * any more.
 */
#include "call/tell/say.h"

#include <string.h>

#include "agent.h"
#include "call/leg.h"
#include "call/tell/told.h"
#include "common/log.h"
#include "pg/pgloop.h"

enum {
	VALUES_MAX = 5,
	AGAIN_MS = 500,
	HEARD_MS = 60 * 1000, /* who waits has given up by then */
	SAYINGS_MAX = LEGS_MAX,
};

struct saying {
	struct le le;
	struct legs *legs;
	const struct pg_stmt *stmt;
	struct pg_val valv[VALUES_MAX];
	char *texts[VALUES_MAX]; /* of them, owned */
	uint64_t whose;
	uint64_t until_ms;
	say_lost_h *losth; /* NULL: nobody is told */
	int64_t leg;
	struct tmr tmr;
};

static void destructor(void *arg)
{
	struct saying *s = arg;

	list_unlink(&s->le);
	tmr_cancel(&s->tmr);
	for (int i = 0; i < VALUES_MAX; i++)
		mem_deref(s->texts[i]);
}

static int copy(struct saying *s, const struct pg_val *valv)
{
	for (int i = 0; i < s->stmt->nparams; i++) {
		const struct pl pl = {valv[i].p, valv[i].len};
		int err;

		s->valv[i] = valv[i];
		if (!pl.p)
			continue;
		err = pl_strdup(&s->texts[i], &pl);
		if (err)
			return err;
		s->valv[i].p = s->texts[i];
	}

	return 0;
}

static void say(void *arg);

/* It is not said again */
static void lose(struct saying *s)
{
	if (s->losth && s->legs->ag->pl) /* this process is not at its end */
		s->losth(s->legs, s->leg);
	mem_deref(s);
}

static void say_again(struct saying *s)
{
	if (tmr_jiffies() < s->until_ms)
		tmr_start(&s->tmr, AGAIN_MS, say, s);
	else
		lose(s);
}

static void on_heard(const struct pg_answer *ans, void *arg)
{
	struct saying *s = arg;

	told_answer(s->legs->told, ans);
	if (ans->end == PG_AWAY)
		say_again(s);
	else if (ans->end != PG_OK)
		lose(s);
	else
		mem_deref(s);
}

static void say(void *arg)
{
	struct saying *s = arg;

	if (tmr_jiffies() >= s->until_ms)
		mem_deref(s); /* another has come in its place */
	else if (pgloop_query_in(s->legs->ag->pl, PG_SETTLE, s->whose, s->stmt,
				 s->valv, on_heard, s))
		say_again(s);
}

/**
 * Tell the database; where it does not hear it, tell somebody else
 *
 * @param whose See pgloop_query_in
 * @param valv  Its parameters, copied; the first is this agent
 * @param losth Called with the leg where it was refused, or not heard within
 *              HEARD_MS; NULL: nobody is
 */
void say_or(struct legs *ls, uint64_t whose, const struct pg_stmt *stmt,
	    const struct pg_val *valv, say_lost_h *losth, int64_t leg)
{
	struct saying *s = NULL;

	if (stmt->nparams <= VALUES_MAX &&
	    list_count(&ls->sayings) < SAYINGS_MAX)
		s = mem_zalloc(sizeof(*s), destructor);
	if (!s) {
		log_error_often(1, "no_memory", LOG_STR("where", "legs"));
		if (losth)
			losth(ls, leg);
		return;
	}
	s->legs = ls;
	s->stmt = stmt;
	s->whose = whose;
	s->until_ms = tmr_jiffies() + HEARD_MS;
	s->losth = losth;
	s->leg = leg;
	if (copy(s, valv)) {
		lose(s);
		return;
	}
	list_append(&ls->sayings, &s->le, s);
	say(s);
}

/** Tell the database, as above; where it does not hear it, nothing is done */
void say_until_heard(struct legs *ls, uint64_t whose,
		     const struct pg_stmt *stmt, const struct pg_val *valv)
{
	say_or(ls, whose, stmt, valv, NULL, 0);
}

struct latest {
	const struct pg_stmt *stmt;
	uint64_t whose;
};

static bool latest_handler(struct le *le, void *arg)
{
	const struct latest *l = arg;
	struct saying *s = le->data;

	if (s->stmt == l->stmt && s->whose == l->whose)
		s->until_ms = 0;

	return false;
}

/**
 * The same, in the place of what the statement has said before: that is not
 * said again, or it would be said after this
 *
 * @param whose Of whom, besides
 */
void say_latest(struct legs *ls, uint64_t whose, const struct pg_stmt *stmt,
		const struct pg_val *valv)
{
	struct latest l = {.stmt = stmt, .whose = whose};

	(void)list_apply(&ls->sayings, true, latest_handler, &l);
	say_until_heard(ls, whose, stmt, valv);
}
