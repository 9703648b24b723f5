/*
 * Ends of legs are told until the database has them.
 */
#include "call/tell/ends.h"

#include <errno.h>

#include "agent.h"
#include "common/buf.h"
#include "common/json_write.h"
#include "common/log.h"
#include "pg/pgloop.h"
#include "pg/pgval.h"

enum {
	ITEMS_MAX = 64,		      /* of a statement */
	ITEMS_BYTES_MAX = 256 * 1024, /* of its JSON */
	LATE_MS = 500,		      /* nobody waits */
	AGAIN_MS = 1000,	      /* the database is away */
	ENDS_MAX = 2 * LEGS_MAX,
};

/* An end that the database has not heard of */
struct end {
	struct le le;
	struct leg *l; /* referenced */
	told_done_h *h;
	int code;
	char *reason, *cause, *header, *to;
	int64_t peer;
	bool under_way, late;
};

struct ends {
	struct agent *ag;
	ends_heard_h *heardh;
	void *arg;
	struct tmr tmr;
	struct list list;
	size_t most; /* of them in a statement */
	bool under_way, late;
};

static const struct pg_stmt stmt_ended = {
	.name = "leg_ended",
	.sql = "select * from api.leg_ended($1, $2)",
	.nparams = 2,
	.write = true,
};

static void end_destructor(void *arg)
{
	struct end *e = arg;

	list_unlink(&e->le);
	mem_deref(e->l);
	mem_deref(e->reason);
	mem_deref(e->cause);
	mem_deref(e->header);
	mem_deref(e->to);
}

static void destructor(void *arg)
{
	struct ends *es = arg;

	tmr_cancel(&es->tmr);
	list_flush(&es->list);
}

/**
 * Allocate
 *
 * @param h Called with each answer of the database
 *
 * @return 0 or ENOMEM
 */
int ends_alloc(struct ends **esp, struct agent *ag, ends_heard_h *h, void *arg)
{
	struct ends *es = mem_zalloc(sizeof(*es), destructor);

	if (!es)
		return ENOMEM;
	es->ag = ag;
	es->heardh = h;
	es->arg = arg;
	es->most = ITEMS_MAX;
	*esp = es;

	return 0;
}

/** How many the database has not heard of */
size_t ends_count(const struct ends *es)
{
	return list_count(&es->list);
}

static void send_them(void *arg);

static bool is_soon_handler(struct le *le, void *arg)
{
	const struct end *e = le->data;

	(void)arg;

	return !e->late;
}

/* Those that may be late go with the next that may not */
static void start(struct ends *es)
{
	es->late = !list_apply(&es->list, true, is_soon_handler, NULL);
	tmr_start(&es->tmr, es->late ? LATE_MS : 0, send_them, es);
}

/* The database is away */
static void ask_again(struct ends *es)
{
	es->late = false;
	if (!list_isempty(&es->list))
		tmr_start(&es->tmr, AGAIN_MS, send_them, es);
}

static void on_answer(const struct pg_answer *ans, void *arg)
{
	struct ends *es = arg;
	struct le *le = list_head(&es->list);
	const bool alone = es->most == 1;
	const bool done = ans->end == PG_OK || (alone && ans->end != PG_AWAY);

	/* one that the database cannot take does not hold up the others */
	es->most = ans->end == PG_OK || alone ? ITEMS_MAX : 1;
	es->under_way = false;
	while (le) {
		struct end *e = le->data;

		le = le->next;
		if (!e->under_way)
			continue;
		e->under_way = false;
		if (e->h)
			e->h(e->l, ans->end == PG_OK);
		e->h = NULL;
		if (done) {
			mem_deref(e);
		} else if (alone) { /* others first */
			list_unlink(&e->le);
			list_append(&es->list, &e->le, e);
			break;
		}
	}
	es->heardh(ans, es->arg);
	if (ans->end == PG_AWAY)
		ask_again(es);
	else if (!list_isempty(&es->list))
		start(es);
}

static void write_end(struct buf *b, const struct end *e)
{
	const struct leg_dialog *d = &e->l->d;

	buf_char(b, '{');
	if (e->l->id) {
		json_member_int(b, "leg", e->l->id);
	} else {
		json_member(b, "call_id", d->call_id);
		json_member(b, "local_tag", d->local_tag);
		json_member(b, "remote_tag", d->remote_tag);
	}
	if (e->code)
		json_member_int(b, "code", e->code);
	if (e->reason)
		json_member(b, "reason", e->reason);
	if (e->cause)
		json_member(b, "cause", e->cause);
	if (e->header)
		json_member(b, "header", e->header);
	if (e->peer)
		json_member_int(b, "peer", e->peer);
	if (e->to)
		json_member(b, "to", e->to);
	buf_char(b, '}');
}

/* The database is away: who waits for the commit goes on without it */
static void release(struct ends *es)
{
	struct le *le;

	LIST_FOREACH(&es->list, le)
	{
		struct end *e = le->data;

		e->under_way = false;
		if (e->h)
			e->h(e->l, false);
		e->h = NULL;
	}
}

static void send_them(void *arg)
{
	struct ends *es = arg;
	struct le *le;
	struct buf b;
	size_t n = 0;
	int err = ENOMEM;

	if (es->under_way || list_isempty(&es->list))
		return;
	buf_init(&b, ITEMS_BYTES_MAX);
	buf_char(&b, '[');
	LIST_FOREACH(&es->list, le)
	{
		struct end *e = le->data;

		if (n >= es->most)
			break;
		if (n++)
			buf_char(&b, ',');
		write_end(&b, e);
		e->under_way = true;
	}
	buf_char(&b, ']');
	if (!b.failed) {
		const struct pl json = {b.p, b.len};
		const struct pg_val valv[] = {
			pg_int(pgloop_agent(es->ag->pl)),
			pg_pl(&json),
		};

		err = pgloop_query_in(es->ag->pl, PG_SETTLE, 0, &stmt_ended,
				      valv, on_answer, es);
	}
	buf_free(&b);
	if (!err) {
		es->under_way = true;
		return;
	}
	release(es);
	ask_again(es);
}

/**
 * A leg has ended
 *
 * @param end Is copied
 * @param h   Called once, when it is committed or cannot be for now; NULL
 */
void ends_add(struct ends *es, struct leg *l, const struct told_end *end,
	      told_done_h *h)
{
	struct end *e;

	if (!l->id && !end->unseen) { /* the database has never heard of it */
		if (h)
			h(l, false);
		return;
	}
	e = list_count(&es->list) < ENDS_MAX
		    ? mem_zalloc(sizeof(*e), end_destructor)
		    : NULL;
	if (!e) {
		log_error_often(1, "no_memory", LOG_STR("where", "legs"));
		if (h)
			h(l, false);
		return;
	}
	e->l = mem_ref(l);
	e->h = h;
	e->code = end->code;
	if (end->reason)
		(void)str_dup(&e->reason, end->reason);
	if (end->cause)
		(void)str_dup(&e->cause, end->cause);
	if (end->header)
		(void)str_dup(&e->header, end->header);
	e->peer = end->peer;
	e->late = end->late;
	if (end->to)
		(void)str_dup(&e->to, end->to);
	list_append(&es->list, &e->le, e);
	if (es->under_way)
		return; /* on_answer sees it */
	if (!tmr_isrunning(&es->tmr) || (es->late && !e->late))
		start(es);
}
