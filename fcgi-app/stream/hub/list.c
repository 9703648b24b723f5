/*
 * list.c: lists, read for all who keep up.
 */
#include "stream/hub/list.h"

#include <errno.h>
#include <stdlib.h>

#include "common/pgres.h"
#include "shared/loop.h"
#include "stream/hub/sql.h"
#include "stream/hub/topic_parts.h"

enum {
	LIST_SOON_MS = 25, /* until a transaction has ended, perhaps */
};

struct list {
	int64_t upto, n;      /* midway; upto 0: between windows */
	struct list_at asked; /* from where the query for all reads */
	struct loop_timer soon;
};

static int list_open(struct topic *t)
{
	t->list = calloc(1, sizeof(*t->list));
	return t->list ? 0 : ENOMEM;
}

static void list_close(struct topic *t)
{
	loop_cancel(t->all->place->loop, &t->list->soon);
	free(t->list);
}

static bool list_may_join(const struct topic *t, const struct seat *s)
{
	return !t->list->upto || s->version >= t->list->upto;
}

static void list_begin(struct topic *t)
{
	t->list->upto = t->list->n = 0;
}

bool list_is_open(const struct topic *t)
{
	return t->watched && t->all->place->started;
}

/* ---- asking again, when a transaction may have ended ---- */

static void list_again(void *arg)
{
	struct topic *t = arg;

	for (struct seat *s = t->seats; s; s = s->next)
		if (s->behind)
			s->ops->retry(s);
	topic_bell(t);
}

void list_soon(struct topic *t)
{
	if (!loop_pending(&t->list->soon))
		loop_after(t->all->place->loop, &t->list->soon, LIST_SOON_MS,
			   list_again, t);
}

/* ---- items ---- */

void item_read(struct item *item, struct topic *t, const struct pg_answer *a,
	       int row)
{
	const struct pg_result *res = a->res;

	item->upto = pgres_int(res, row, "upto");
	item->n = pgres_int(res, row, "n");
	item->xid = pgres_int(res, row, "xid");
	item->doc = pgres_text(res, row, "doc");
	item->gone = pgres_text(res, row, "gone");
	item->seen_by = pgres_text(res, row, "seen_by");
	item->was_seen_by = pgres_text(res, row, "was_seen_by");
	item->stale = pgres_bool(res, row, "stale");
	item->event = t->all->place->events + 1;
	t->all->place->events += 2;
}

int list_rows(const struct pg_answer *a)
{
	return pgres_null(a->res, 0, "n") ? 0 : PQntuples(a->res);
}

struct pg_query *list_ask(struct topic *t, const struct list_at *from,
			  pg_answer_h *answered, void *arg)
{
	struct place *place = t->all->place;
	struct pg_args args = {0};

	if (!place->db)
		return NULL;
	pg_arg_int(&args, place->process);
	pg_arg_text(&args, topic_view(t).key);
	pg_arg_int(&args, from->version);
	if (from->upto) {
		pg_arg_int(&args, from->upto);
		pg_arg_int(&args, from->n);
	} else {
		pg_arg_null(&args);
		pg_arg_null(&args);
	}
	pg_arg_int(&args, LIST_PAGE);
	return db_ask(place->db, &sql_list_read, &args, answered, arg);
}

/* @return whether there is more to be read at once */
static bool tell_all(struct topic *t, const struct pg_answer *a)
{
	int rows = list_rows(a);
	struct item item = {0};

	for (int i = 0; i < rows; i++) {
		item_read(&item, t, a, i);
		for (struct seat *s = t->seats; s; s = s->next)
			if (!s->behind)
				s->ops->item(s, &item);
	}
	if (rows == LIST_PAGE) {
		t->list->upto = item.upto;
		t->list->n = item.n;
		return true;
	}
	t->version = pgres_int(a->res, 0, "upto");
	list_begin(t);
	for (struct seat *s = t->seats; s; s = s->next)
		if (!s->behind)
			s->ops->advanced(s, t->version);
	if (pgres_bool(a->res, 0, "more"))
		list_soon(t);
	return false;
}

static void restart_all(struct topic *t)
{
	for (struct seat *s = t->seats; s; s = s->next)
		if (!s->behind)
			s->ops->restart(s);
}

static void on_read(const struct pg_answer *a, void *arg)
{
	struct topic *t = arg;
	const struct list_at *asked = &t->list->asked;
	bool same = asked->version == t->version &&
		    asked->upto == t->list->upto && asked->n == t->list->n;
	bool again = t->again || !same;

	t->query = NULL;
	if (a->end != PG_OK)
		return; /* the poll comes by */
	t->locked = t->watched;
	if (same && pgres_null(a->res, 0, "reaches"))
		list_soon(t);
	else if (same && !pgres_bool(a->res, 0, "reaches"))
		restart_all(t);
	else if (same)
		again = tell_all(t, a) || again;
	if (again)
		topic_bell(t);
}

static void list_bell(struct topic *t)
{
	t->list->asked = (struct list_at){
		.version = t->version,
		.upto = t->list->upto,
		.n = t->list->n,
	};
	t->query = list_ask(t, &t->list->asked, on_read, t);
}

const struct feed_ops list_feed = {
	.open = list_open,
	.close = list_close,
	.bell = list_bell,
	.may_join = list_may_join,
	.begin = list_begin,
	.locks = true,
	.alone = true,
};
