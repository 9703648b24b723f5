/*
 * page.c: a viewer of a list.
 */
#include "stream/viewer/page.h"

#include <stdlib.h>
#include <string.h>

#include "common/pgres.h"
#include "common/turn.h"
#include "stream/hub/sql.h"
#include "stream/viewer/access.h"
#include "stream/viewer/tell.h"

struct page *page_new(const struct list_at *at, const char *after, int limit)
{
	struct page *page = calloc(1, sizeof(*page));

	if (!page)
		return NULL;
	page->limit = limit;
	if (at && at->upto) {
		page->upto = at->upto;
		page->n = at->n;
	}
	if (!after)
		return page;
	page->after = strdup(after);
	if (page->after)
		return page;
	free(page);
	return NULL;
}

void page_id(char out[static RENDER_ID_SIZE], const struct viewer *v,
	     int64_t version)
{
	render_place(out, version, v->page->upto, v->page->n);
}

bool page_is_partial(const struct viewer *v)
{
	return v->page->missing;
}

/* Where it stands with the list after a read of its own. */
static void go_on(struct viewer *v)
{
	viewer_join(v);
	viewer_next(v);
}

/* ---- items ---- */

static bool is_put(const struct viewer *v, const struct item *item)
{
	return item->doc && !item->stale &&
	       (!item->seen_by || array_has(item->seen_by, access_caller(v)));
}

static bool is_remove(const struct viewer *v, const struct item *item)
{
	int64_t caller = access_caller(v);

	if (item->doc && (!item->seen_by || array_has(item->seen_by, caller)))
		return false;
	return !item->was_seen_by || array_has(item->was_seen_by, caller);
}

/* @return false: its queue is full, or it has ended */
static bool show(struct viewer *v, const struct item *item)
{
	bool put = is_put(v, item);

	if (item->xid < v->seat.version)
		return true; /* it read that for itself */
	if (viewer_is_full(v))
		return false;
	v->page->upto = item->upto;
	v->page->n = item->n;
	if (put)
		viewer_write(v, "put", true, item->doc, strlen(item->doc),
			     item->event);
	else if (is_remove(v, item))
		viewer_write(v, "remove", true, item->gone, strlen(item->gone),
			     item->event + 1);
	return viewer_has_begun(v);
}

void page_advanced(struct seat *s, int64_t upto)
{
	struct viewer *v = viewer_of(s);

	if (upto < s->version)
		return;
	s->version = upto;
	v->page->upto = v->page->n = 0;
}

void page_restart(struct seat *s)
{
	struct viewer *v = viewer_of(s);

	viewer_fall_behind(v);
	s->version = 0;
	v->page->upto = v->page->n = 0;
	v->page->missing = 0;
	viewer_next(v);
}

void page_item(struct seat *s, const struct item *item)
{
	struct viewer *v = viewer_of(s);

	if (!v->outlet->once) {
		if (!show(v, item))
			viewer_fall_behind(v);
	} else if (item->xid >= s->version &&
		   (is_put(v, item) || is_remove(v, item)))
		page_restart(s);
}

/* ---- the first page ---- */

static void keep_missing(struct page *page, int missing, const char *last)
{
	char *copy = last ? strdup(last) : NULL;

	free(page->last);
	page->last = copy;
	page->missing = copy ? missing : 0; /* else as if it ended here */
}

/* Until the whole page is there events have no id, so a client that comes back
   meanwhile begins anew. */
static void put(struct viewer *v, const char *doc, const char *key,
		bool is_last)
{
	keep_missing(v->page, is_last ? 0 : v->page->missing - 1, key);
	viewer_write(v, "put", !v->page->missing, doc, strlen(doc),
		     ++v->all->place->events);
}

static void on_rest(const struct pg_answer *a, void *arg)
{
	struct viewer *v = arg;
	int rows;

	if (!viewer_answered(v, a))
		return;
	rows = PQntuples(a->res);
	if (rows == 0) /* they have gone meanwhile */
		v->page->missing = 0;
	for (int i = 0; i < rows && v->page->missing; i++) {
		if (!viewer_has_begun(v) || viewer_is_full(v))
			break; /* it goes on from there */
		if (!pgres_bool(a->res, i, "fits"))
			break;
		put(v, pgres_text(a->res, i, "doc"),
		    pgres_text(a->res, i, "key"), i == rows - 1);
	}
	if (!viewer_has_begun(v))
		return;
	if (!v->page->missing)
		viewer_join(v);
	viewer_next(v);
}

static void ask_rest(struct viewer *v)
{
	struct place *place = v->all->place;
	struct pg_args args = {0};

	pg_arg_int(&args, place->process);
	pg_arg_text(&args, topic_view(v->seat.topic).key);
	pg_arg_int(&args, access_caller(v));
	pg_arg_text(&args, v->page->last);
	pg_arg_int(&args, v->page->missing);
	v->query = db_ask(place->db, &sql_list_rest, &args, on_rest, v);
}

static void on_page(const struct pg_answer *a, void *arg)
{
	struct viewer *v = arg;
	struct change c = {.fresh = true};

	if (!viewer_answered(v, a))
		return;
	c.doc = pgres_text(a->res, 0, "doc");
	c.version = pgres_int(a->res, 0, "upto");
	if (!c.doc) {
		if (v->state == VIEWER_LOADING)
			viewer_move(v, VIEWER_TURN);
		list_soon(v->seat.topic);
		return;
	}
	if (v->outlet->once) {
		viewer_answer(v, &c);
		return;
	}
	if (v->state == VIEWER_LOADING && !viewer_begin(v, false))
		return;
	v->seat.version = c.version;
	v->page->upto = v->page->n = 0;
	keep_missing(v->page, (int)pgres_int(a->res, 0, "missing"),
		     pgres_text(a->res, 0, "last"));
	viewer_write(v, "state", !v->page->missing, c.doc, strlen(c.doc),
		     ++v->all->place->events);
	if (!viewer_has_begun(v))
		return;
	if (!v->page->missing)
		viewer_join(v);
	viewer_next(v);
}

static void ask_page(struct viewer *v)
{
	struct place *place = v->all->place;
	int64_t caller = access_caller(v);
	const struct db_whose whose = {
		.caller = turn_key_of('a', &caller, sizeof(caller)),
	};
	struct pg_args args = {0};

	pg_arg_int(&args, place->process);
	pg_arg_text(&args, topic_view(v->seat.topic).key);
	pg_arg_int(&args, caller);
	pg_arg_text(&args, v->page->after);
	pg_arg_int(&args, v->page->limit);
	v->query = db_ask_as(place->db, &whose, &sql_list_page, &args, on_page,
			     v);
}

/* ---- what it missed ---- */

/* @return whether all of it was shown */
static bool replay(struct viewer *v, const struct pg_answer *a)
{
	int rows = list_rows(a);
	struct item item;

	for (int i = 0; i < rows; i++) {
		item_read(&item, v->seat.topic, a, i);
		if (!show(v, &item))
			return false;
	}
	if (rows < LIST_PAGE)
		page_advanced(&v->seat, pgres_int(a->res, 0, "upto"));
	return true;
}

/* once: whether there is anything new. */
static bool has_news(struct viewer *v, const struct pg_answer *a)
{
	int rows = list_rows(a);
	struct item item;

	for (int i = 0; i < rows; i++) {
		item_read(&item, v->seat.topic, a, i);
		if (is_put(v, &item) || is_remove(v, &item))
			return true;
		v->page->upto = item.upto;
		v->page->n = item.n;
	}
	if (rows < LIST_PAGE)
		page_advanced(&v->seat, pgres_int(a->res, 0, "upto"));
	return false;
}

static void reached_once(struct viewer *v, const struct pg_answer *a)
{
	bool news = has_news(v, a);

	if (news || v->page->upto) {
		viewer_move(v, VIEWER_TURN); /* there is more to be read */
		if (news)
			page_restart(&v->seat);
		else
			viewer_next(v);
		return;
	}
	if (pgres_bool(a->res, 0, "more"))
		list_soon(v->seat.topic);
	viewer_hold(v);
	go_on(v);
}

static void reached(struct viewer *v, const struct pg_answer *a)
{
	if (v->state == VIEWER_LOADING && !viewer_begin(v, true))
		return;
	if (!replay(v, a))
		return; /* when it has become short, or has ended */
	if (pgres_bool(a->res, 0, "more") && !v->page->upto)
		list_soon(v->seat.topic);
	go_on(v);
}

static void on_read(const struct pg_answer *a, void *arg)
{
	struct viewer *v = arg;
	bool waits;

	if (!viewer_answered(v, a))
		return;
	waits = pgres_null(a->res, 0, "reaches");
	if (waits || !pgres_bool(a->res, 0, "reaches")) {
		if (v->state == VIEWER_LOADING)
			viewer_move(v, VIEWER_TURN);
		if (waits)
			list_soon(v->seat.topic);
		else
			page_restart(&v->seat);
	} else if (v->outlet->once)
		reached_once(v, a);
	else
		reached(v, a);
}

void page_load(struct viewer *v)
{
	const struct list_at from = {
		.version = v->seat.version,
		.upto = v->page->upto,
		.n = v->page->n,
	};

	if (!list_is_open(v->seat.topic))
		return; /* it is opened anew */
	if (v->page->missing)
		ask_rest(v);
	else if (from.version)
		v->query = list_ask(v->seat.topic, &from, on_read, v);
	else
		ask_page(v);
}
