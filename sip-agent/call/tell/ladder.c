/*
 * Kept in memory, and told to the database for all legs together a moment
 * later: no message costs a statement, and a leg that is done in a second or
 * two costs one row, for what it has to say waits for as long as that.  What
 * is not told when we are killed is lost.
 */
#include "call/tell/ladder.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "call/leg.h"
#include "common/json_write.h"
#include "common/log.h"
#include "parse/rung.h"
#include "pg/pgloop.h"
#include "pg/pgval.h"

enum {
	TELL_MS = 2000, /* between two looks, and what waits at least */
	MORE_MS = 10,
	ITEMS_MAX = 256,	   /* of a statement */
	TOLD_MAX = 512 * 1024,	   /* bytes of its JSON */
	WAITING_MAX = 8192 * 1024, /* bytes of what is not told */
	ENTRY_MAX = 4096,
};

/* Of all legs of this agent */
struct ladders {
	struct agent *ag;
	struct tmr tmr;
	struct list untold; /* struct ladder, each with a reference, oldest
			       first */
	size_t bytes;	    /* most of one leg; 0: none is kept */
	size_t waiting;	    /* bytes in those */
	bool under_way;
	bool more; /* than one statement takes */
};

/* Of one leg; the leg has a reference */
struct ladder {
	struct le le;
	int64_t leg;
	struct buf new; /* JSON objects, commas between */
	uint64_t since; /* when the first of these came, ms */
	size_t bytes;	/* of all that there was */
};

static const struct pg_stmt stmt_traced = {
	.name = "leg_traced",
	.sql = "select api.leg_traced($1, $2, $3)",
	.nparams = 3,
	.write = true,
};

static void tell(void *arg);

static void destructor(void *arg)
{
	struct ladders *ls = arg;

	tmr_cancel(&ls->tmr);
	list_flush(&ls->untold);
}

static void ladder_destructor(void *arg)
{
	struct ladder *d = arg;

	list_unlink(&d->le);
	buf_free(&d->new);
}

/**
 * Allocate
 *
 * @param bytes Of one leg, at most; 0: none is kept
 *
 * @return 0 or ENOMEM
 */
int ladders_alloc(struct ladders **lsp, struct agent *ag, size_t bytes)
{
	struct ladders *ls = mem_zalloc(sizeof(*ls), destructor);

	if (!ls)
		return ENOMEM;
	ls->ag = ag;
	ls->bytes = bytes;
	*lsp = ls;

	return 0;
}

/* --- what is told -----------------------------------------------------------
 */

static void on_told(const struct pg_answer *ans, void *arg)
{
	struct ladders *ls = arg;

	ls->under_way = false;
	if (ans->end == PG_BUG)
		log_error_often(1, "trace_failed",
				LOG_STR("sqlstate", ans->sqlstate));
	if (ls->untold.head && !tmr_isrunning(&ls->tmr))
		tmr_start(&ls->tmr, ls->more ? MORE_MS : TELL_MS, tell, ls);
}

/* @return whether the leg has an id, without which nobody finds it */
static bool write_item(struct buf *b, const struct ladder *d)
{
	if (!d->leg)
		return false;
	buf_char(b, b->len ? ',' : '[');
	buf_char(b, '{');
	json_member_int(b, "leg", d->leg);
	json_key(b, "said");
	buf_char(b, '[');
	buf_add(b, d->new.p, d->new.len);
	buf_str(b, "]}");

	return true;
}

/*
 * Those that have waited long enough.  One that has no id yet may get one;
 * whose leg has gone will not.
 */
static void write_items(struct buf *b, struct ladders *ls)
{
	const uint64_t now = tmr_jiffies();
	int n = 0;

	ls->more = false;
	for (struct le *le = ls->untold.head; le;) {
		struct ladder *d = le->data;

		le = le->next;
		if (d->since + TELL_MS > now && ls->waiting < WAITING_MAX / 2)
			break;
		ls->more = n >= ITEMS_MAX || b->len + d->new.len > TOLD_MAX / 2;
		if (ls->more)
			break;
		if (!write_item(b, d) && mem_nrefs(d) > 1)
			continue;
		n++;
		ls->waiting -= d->new.len;
		buf_reset(&d->new);
		list_unlink(&d->le);
		mem_deref(d);
	}
}

static void tell(void *arg)
{
	struct ladders *ls = arg;
	struct buf b;

	if (ls->under_way)
		return;
	buf_init(&b, TOLD_MAX);
	write_items(&b, ls);
	if (b.len && !b.failed) {
		buf_char(&b, ']');
		const struct pl json = {b.p, b.len};
		const struct pg_val valv[] = {
			pg_int(pgloop_agent(ls->ag->pl)),
			pg_int((int64_t)tmr_jiffies()),
			pg_pl(&json),
		};

		ls->under_way = !pgloop_query_in(ls->ag->pl, PG_SETTLE, 0,
						 &stmt_traced, valv, on_told,
						 ls);
	}
	buf_free(&b);
	if (!ls->under_way && ls->untold.head)
		tmr_start(&ls->tmr, TELL_MS, tell, ls);
}

/* --- what is kept -----------------------------------------------------------
 */

static struct ladder *of_leg(struct ladders *ls, struct leg *l)
{
	if (!l->ladder) {
		l->ladder = mem_zalloc(sizeof(*l->ladder), ladder_destructor);
		if (!l->ladder)
			return NULL;
		buf_init(&l->ladder->new, ls->bytes + ENTRY_MAX);
	}
	l->ladder->leg = l->id;

	return l->ladder;
}

/** A message has passed between us and a leg's phone */
void ladder_note(struct leg *l, const struct rung *r)
{
	struct ladders *ls = l->legs->ag->ladders;
	struct ladder *d = ls->bytes ? of_leg(ls, l) : NULL;
	struct buf b;

	if (!d || d->bytes >= ls->bytes || ls->waiting >= WAITING_MAX)
		return;
	buf_init(&b, ENTRY_MAX);
	rung_write(&b, r, tmr_jiffies());
	if (b.len && !b.failed && d->bytes + b.len < ls->bytes) {
		const size_t had = d->new.len;

		if (had)
			buf_char(&d->new, ',');
		buf_add(&d->new, b.p, b.len);
		d->bytes += b.len;
		ls->waiting += d->new.len - had;
		if (!d->le.list) {
			d->since = tmr_jiffies();
			list_append(&ls->untold, &d->le, mem_ref(d));
		}
		if (!ls->under_way && !tmr_isrunning(&ls->tmr))
			tmr_start(&ls->tmr, TELL_MS, tell, ls);
	}
	buf_free(&b);
}

/** The same of a request that has come */
void ladder_note_request(struct leg *l, const struct sip_msg *msg)
{
	const struct rung r = {
		.tp = msg->tp,
		.peer = &msg->src,
		.p = msg->met.p,
		.len = (size_t)((const char *)msg->mb->buf + msg->mb->end -
				msg->met.p),
	};

	ladder_note(l, &r);
}
