/*
 * list.c: the lists /login and /call: a first page, then what becomes of
 * single items.
 *
 * A list is read as a log, in windows of transactions, see
 * sql/functions/61_list.sql. Its version is where the next window begins; who
 * is midway in one has seen what is up to `n` of it. As with any resource, one
 * read serves all who keep up, and who does not reads for itself.
 */
#include <stdlib.h>
#include <string.h>

#include "common/pgres.h"
#include "common/turn.h"
#include "stream/sql.h"
#include "stream/watch.h"

enum {
	LIST_PAGE = 64,	   /* items a read */
	LIST_SOON_MS = 25, /* until a transaction has ended, perhaps */
};

struct list {
	struct resource *resource;
	int64_t upto, n; /* midway; upto 0: between windows */
	struct {
		int64_t version, upto, n;
	} asked; /* from where the query for all reads */
	struct loop_timer soon;
};

/** What became of an item. Borrowed. */
struct item {
	int64_t upto, n, xid;
	const char *doc;     /* null: it is there no more */
	const char *gone;    /* what is said where it has left */
	const char *seen_by; /* `{7,8}`; null: all */
	const char *was_seen_by;
	bool stale; /* a later state of it was shown already */
	uint64_t event;
};

struct list *list_new(struct resource *r)
{
	struct list *list = calloc(1, sizeof(*list));

	if (list)
		list->resource = r;
	return list;
}

void list_free(struct list *list)
{
	if (!list)
		return;
	loop_cancel(list->resource->hub->loop, &list->soon);
	free(list);
}

struct list_view *list_view_new(const struct viewer_ask *ask)
{
	struct list_view *view = calloc(1, sizeof(*view));

	if (!view)
		return NULL;
	view->limit = ask->limit;
	if (ask->resume) {
		view->upto = ask->upto;
		view->n = ask->upto ? ask->after_n : 0;
	}
	if (!ask->after)
		return view;
	view->after = strdup(ask->after);
	if (view->after)
		return view;
	free(view);
	return NULL;
}

void list_view_free(struct list_view *view)
{
	if (!view)
		return;
	free(view->after);
	free(view->last);
	free(view);
}

bool list_is_partial(const struct viewer *v)
{
	return v->list && v->list->missing;
}

void list_id(char out[static RENDER_ID_SIZE], const struct viewer *v)
{
	render_place(out, v->sub.version, v->list->upto, v->list->n);
}

bool list_can_catch_up(const struct viewer *v)
{
	const struct list *list = v->sub.resource->list;

	if (v->list->upto)
		return false;
	return !list->upto || v->sub.version >= list->upto;
}

void list_begin(struct list *list)
{
	list->upto = list->n = 0;
}

/* ---- asking again, when a transaction may have ended ---- */

static void list_again(void *arg)
{
	struct list *list = arg;
	struct resource *r = list->resource;
	struct sub *s, *next;

	r->busy++;
	for (s = r->subs; s; s = next) {
		next = s->next;
		if (s->behind)
			viewer_step(s->viewer);
	}
	r->busy--;
	resource_bell(r);
	resource_release(r);
}

static void list_soon(struct list *list)
{
	if (!loop_pending(&list->soon))
		(void)loop_after(list->resource->hub->loop, &list->soon,
				 LIST_SOON_MS, list_again,
				 list); /* else the poll comes by */
}

/* ---- items ---- */

static void item_read(struct item *item, struct hub *hub,
		      const struct pg_answer *a, int row)
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
	item->event = hub->events + 1;
	hub->events += 2; /* a put for some may be a remove for others */
}

static bool is_put(const struct viewer *v, const struct item *item)
{
	return item->doc && !item->stale &&
	       (!item->seen_by || array_has(item->seen_by, v->caller));
}

static bool is_remove(const struct viewer *v, const struct item *item)
{
	if (item->doc &&
	    (!item->seen_by || array_has(item->seen_by, v->caller)))
		return false;
	return !item->was_seen_by || array_has(item->was_seen_by, v->caller);
}

/* @return false: its queue is full */
static bool list_show(struct viewer *v, const struct item *item)
{
	bool put = is_put(v, item);

	if (item->xid < v->sub.version)
		return true; /* it read that for itself */
	if (viewer_is_full(v))
		return false;
	v->list->upto = item->upto;
	v->list->n = item->n;
	if (put)
		viewer_write(v, "put", v->sub.version, item->doc,
			     strlen(item->doc), item->event);
	else if (is_remove(v, item))
		viewer_write(v, "remove", v->sub.version, item->gone,
			     strlen(item->gone), item->event + 1);
	return v->state == VIEWER_OPEN;
}

/* A window has been read to its end. */
static void list_advance(struct viewer *v, int64_t upto)
{
	if (upto < v->sub.version)
		return;
	v->sub.version = upto;
	v->list->upto = v->list->n = 0;
}

/* What the client has is of no use: it gets the page anew. */
static void list_restart(struct viewer *v)
{
	sub_fall_behind(&v->sub);
	v->sub.version = 0;
	v->list->upto = v->list->n = 0;
	v->list->missing = 0;
	viewer_step(v);
}

static int rows_of(const struct pg_answer *a)
{
	return pgres_null(a->res, 0, "n") ? 0 : PQntuples(a->res);
}

static struct pg_query *list_ask(struct resource *r, int64_t version,
				 int64_t upto, int64_t n, pg_answer_h *answered,
				 void *arg)
{
	struct hub *hub = r->hub;
	struct pg_args args = {0};

	if (!hub->db || !hub->started)
		return NULL;
	pg_arg_int(&args, hub->process);
	pg_arg_text(&args, r->topic + strlen("list/"));
	pg_arg_int(&args, version);
	if (upto) {
		pg_arg_int(&args, upto);
		pg_arg_int(&args, n);
	} else {
		pg_arg_null(&args);
		pg_arg_null(&args);
	}
	pg_arg_int(&args, LIST_PAGE);
	return db_ask(hub->db, &sql_list_read, &args, answered, arg);
}

/* ---- for all who keep up ---- */

static void item_tell(struct resource *r, const struct item *item)
{
	struct sub *s, *next;

	for (s = r->subs; s; s = next) {
		struct viewer *v = s->viewer;

		next = s->next;
		if (s->behind)
			continue;
		if (v->once && item->xid >= s->version) {
			if (is_put(v, item) || is_remove(v, item))
				list_restart(v);
		} else if (!v->once && !list_show(v, item) && s->resource)
			sub_fall_behind(s);
	}
}

/* @return whether there is more to be read at once */
static bool list_tell(struct resource *r, const struct pg_answer *a)
{
	struct list *list = r->list;
	int rows = rows_of(a);
	struct item item = {0};
	struct sub *s;

	for (int i = 0; i < rows; i++) {
		item_read(&item, r->hub, a, i);
		item_tell(r, &item);
	}
	if (rows == LIST_PAGE) {
		list->upto = item.upto;
		list->n = item.n;
		return true;
	}
	r->version = pgres_int(a->res, 0, "upto");
	list_begin(list);
	for (s = r->subs; s; s = s->next)
		if (!s->behind)
			list_advance(s->viewer, r->version);
	if (pgres_bool(a->res, 0, "more"))
		list_soon(list);
	return false;
}

static void list_tell_all_restart(struct resource *r)
{
	struct sub *s, *next;

	for (s = r->subs; s; s = next) {
		next = s->next;
		if (!s->behind)
			list_restart(s->viewer);
	}
}

static void list_is_read(const struct pg_answer *a, void *arg)
{
	struct resource *r = arg;
	struct list *list = r->list;
	bool same = list->asked.version == r->version &&
		    list->asked.upto == list->upto && list->asked.n == list->n;
	bool again = r->again || !same;

	r->query = NULL;
	if (a->end != PG_OK)
		return; /* the poll comes by */
	r->busy++;
	r->locked = r->watched;
	if (same && pgres_null(a->res, 0, "reaches"))
		list_soon(list);
	else if (same && !pgres_bool(a->res, 0, "reaches"))
		list_tell_all_restart(r);
	else if (same)
		again = list_tell(r, a) || again;
	if (again)
		resource_bell(r);
	r->busy--;
	resource_release(r);
}

void list_bell(struct resource *r)
{
	struct list *list = r->list;

	list->asked.version = r->version;
	list->asked.upto = list->upto;
	list->asked.n = list->n;
	r->query = list_ask(r, r->version, list->upto, list->n, list_is_read,
			    r);
}

/* ---- for one that is behind ---- */

static void list_caught_up(struct viewer *v)
{
	(void)sub_catch_up(&v->sub); /* else it reads once more */
	viewer_step(v);
}

static void list_missing(struct list_view *view, int missing, const char *last)
{
	char *copy = last ? strdup(last) : NULL;

	free(view->last);
	view->last = copy;
	view->missing = copy ? missing : 0; /* else as if the page ended here */
}

/* Until all of its first page is there, events have no id: who comes back
   meanwhile begins anew. */
static void list_put(struct viewer *v, const char *doc, const char *key,
		     bool is_last)
{
	list_missing(v->list, is_last ? 0 : v->list->missing - 1, key);
	viewer_write(v, "put", list_is_partial(v) ? 0 : v->sub.version, doc,
		     strlen(doc), ++v->hub->events);
}

static void on_rest(const struct pg_answer *a, void *arg)
{
	struct viewer *v = arg;
	int rows;

	v->query = NULL;
	if (a->end != PG_OK)
		return; /* the poll comes by */
	rows = PQntuples(a->res);
	if (rows == 0) /* they have gone meanwhile */
		v->list->missing = 0;
	for (int i = 0; i < rows && v->list->missing; i++) {
		if (v->state != VIEWER_OPEN || viewer_is_full(v))
			break; /* it goes on from there */
		if (!pgres_bool(a->res, i, "fits"))
			break;
		list_put(v, pgres_text(a->res, i, "doc"),
			 pgres_text(a->res, i, "key"), i == rows - 1);
	}
	if (v->state != VIEWER_OPEN || !v->sub.resource)
		return;
	if (list_is_partial(v))
		viewer_step(v);
	else
		list_caught_up(v);
}

static void list_ask_rest(struct viewer *v)
{
	struct pg_args args = {0};

	pg_arg_int(&args, v->hub->process);
	pg_arg_text(&args, v->sub.resource->topic + strlen("list/"));
	pg_arg_int(&args, v->caller);
	pg_arg_text(&args, v->list->last);
	pg_arg_int(&args, v->list->missing);
	v->query = db_ask(v->hub->db, &sql_list_rest, &args, on_rest, v);
}

static void on_page(const struct pg_answer *a, void *arg)
{
	struct viewer *v = arg;
	const char *doc = a->end == PG_OK ? pgres_text(a->res, 0, "doc") : NULL;
	struct change c = {.doc = doc, .fresh = true};

	v->query = NULL;
	if (a->end != PG_OK) {
		if (v->state == VIEWER_LOADING)
			viewer_refuse(v, a);
		return; /* the poll comes by */
	}
	if (!doc) {
		list_soon(v->sub.resource->list);
		return;
	}
	c.version = pgres_int(a->res, 0, "upto");
	if (v->once) {
		viewer_answer(v, &c);
		return;
	}
	if (v->state == VIEWER_LOADING && !viewer_begin(v, false))
		return;
	v->sub.version = c.version;
	v->list->upto = v->list->n = 0;
	list_missing(v->list, (int)pgres_int(a->res, 0, "missing"),
		     pgres_text(a->res, 0, "last"));
	viewer_write(v, "state", list_is_partial(v) ? 0 : c.version, doc,
		     strlen(doc), ++v->hub->events);
	if (v->sub.resource && list_is_partial(v))
		viewer_step(v);
	else if (v->sub.resource)
		list_caught_up(v);
}

/* @return whether all of it was shown */
static bool list_replay(struct viewer *v, const struct pg_answer *a)
{
	int rows = rows_of(a);
	struct item item;

	for (int i = 0; i < rows; i++) {
		item_read(&item, v->hub, a, i);
		if (!list_show(v, &item))
			return false;
	}
	if (rows < LIST_PAGE)
		list_advance(v, pgres_int(a->res, 0, "upto"));
	return true;
}

/* once: whether there is anything new. */
static bool list_has_news(struct viewer *v, const struct pg_answer *a)
{
	int rows = rows_of(a);
	struct item item;

	for (int i = 0; i < rows; i++) {
		item_read(&item, v->hub, a, i);
		if (is_put(v, &item) || is_remove(v, &item))
			return true;
		v->list->upto = item.upto;
		v->list->n = item.n;
	}
	if (rows < LIST_PAGE)
		list_advance(v, pgres_int(a->res, 0, "upto"));
	return false;
}

static void list_reached(struct viewer *v, const struct pg_answer *a)
{
	struct list *list = v->sub.resource->list;
	bool more = pgres_bool(a->res, 0, "more");

	if (v->once && list_has_news(v, a)) {
		list_restart(v);
		return;
	}
	if (!v->once && v->state == VIEWER_LOADING && !viewer_begin(v, true))
		return;
	if (!v->once && !list_replay(v, a))
		return; /* when it has become short, or has ended */
	if (more && !v->list->upto)
		list_soon(list);
	if (v->once && !v->list->upto)
		viewer_wait(v);
	list_caught_up(v);
}

static void on_read(const struct pg_answer *a, void *arg)
{
	struct viewer *v = arg;

	v->query = NULL;
	if (a->end != PG_OK) {
		if (v->state == VIEWER_LOADING)
			viewer_refuse(v, a);
		return; /* the poll comes by */
	}
	if (pgres_null(a->res, 0, "reaches"))
		list_soon(v->sub.resource->list);
	else if (!pgres_bool(a->res, 0, "reaches"))
		list_restart(v);
	else
		list_reached(v, a);
}

void list_load(struct viewer *v)
{
	struct resource *r = v->sub.resource;
	struct hub *hub = v->hub;
	const struct db_whose whose = {
		.caller = turn_key_of('a', &v->caller, sizeof(v->caller)),
	};
	struct pg_args args = {0};

	if (!r->watched || !hub->started)
		return; /* it is opened anew */
	if (list_is_partial(v)) {
		list_ask_rest(v);
		return;
	}
	if (v->sub.version) {
		v->query = list_ask(r, v->sub.version, v->list->upto,
				    v->list->n, on_read, v);
		return;
	}
	pg_arg_int(&args, hub->process);
	pg_arg_text(&args, r->topic + strlen("list/"));
	pg_arg_int(&args, v->caller);
	pg_arg_text(&args, v->list->after);
	pg_arg_int(&args, v->list->limit);
	v->query = db_ask_as(hub->db, &whose, &sql_list_page, &args, on_page,
			     v);
}
