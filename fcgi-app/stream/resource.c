/*
 * resource.c: what is watched, and reading it for all who keep up.
 */
#include <stdlib.h>
#include <string.h>

#include "common/pgres.h"
#include "common/turn.h"
#include "stream/sql.h"
#include "stream/watch.h"

/* ---- the table, by topic ---- */

/* FNV-1a; topics are made of emails that exist, by who may sign up. */
static size_t topic_hash(const char *s)
{
	uint64_t h = 14695981039346656037u;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211u;
	return (size_t)(h ^ h >> 32);
}

static struct resource **table_slot(const struct hub *hub, const char *topic)
{
	return &hub->table[topic_hash(topic) & (hub->table_size - 1)];
}

static void table_grow(struct hub *hub)
{
	size_t size = 2 * hub->table_size;
	struct resource **table = calloc(size, sizeof(struct resource *));

	if (!table)
		return; /* slower, not wrong */
	free(hub->table);
	hub->table = table;
	hub->table_size = size;
	for (struct resource *r = hub->first; r; r = r->next) {
		struct resource **slot = table_slot(hub, r->topic);

		r->hash_next = *slot;
		*slot = r;
	}
}

static struct resource *with_topic(struct resource *r, const char *topic)
{
	while (r && strcmp(r->topic, topic))
		r = r->hash_next;
	return r;
}

struct resource *resource_first(struct hub *hub, const char *topic)
{
	return with_topic(*table_slot(hub, topic), topic);
}

struct resource *resource_next(const struct resource *r)
{
	return with_topic(r->hash_next, r->topic);
}

static char *topic_make(const char *kind, const char *key)
{
	struct buf b;

	buf_init(&b, 4096);
	buf_fmt(&b, "%s/%s", kind, key);
	if (b.failed) {
		buf_free(&b);
		return NULL;
	}
	return b.p;
}

static void resource_link(struct resource *r)
{
	struct hub *hub = r->hub;
	struct resource **slot;

	if (hub->resources >= hub->table_size)
		table_grow(hub);
	slot = table_slot(hub, r->topic);
	r->hash_next = *slot;
	*slot = r;
	r->next = hub->first;
	r->prev = &hub->first;
	if (r->next)
		r->next->prev = &r->next;
	hub->first = r;
	hub->resources++;
}

struct resource *resource_get(struct hub *hub, const struct view *view)
{
	char *topic = topic_make(view->kind, view->key);
	struct resource *r = topic ? resource_first(hub, topic) : NULL;

	while (r && (r->id != view->id || r->inside != view->inside ||
		     r->n != view->n))
		r = resource_next(r);
	if (r || !topic) {
		free(topic);
		return r;
	}
	r = calloc(1, sizeof(*r));
	if (!r) {
		free(topic);
		return NULL;
	}
	r->hub = hub;
	r->kind = view->kind;
	r->id = view->id;
	r->inside = view->inside;
	r->n = view->n;
	r->topic = topic;
	if (!strcmp(view->kind, "list")) {
		r->list = list_new(r);
		if (!r->list) {
			free(topic);
			free(r);
			return NULL;
		}
	}
	resource_link(r);
	return r;
}

void resource_free(struct resource *r)
{
	struct hub *hub = r->hub;
	struct resource **at = table_slot(hub, r->topic);

	while (*at != r)
		at = &(*at)->hash_next;
	*at = r->hash_next;
	if (hub->polled == r)
		hub->polled = r->next;
	*r->prev = r->next;
	if (r->next)
		r->next->prev = r->prev;
	hub->resources--;
	if (r->query)
		db_forget(r->query);
	inbox_free(r->inbox);
	list_free(r->list);
	free(r->base);
	free(r->topic);
	free(r);
}

/* ---- its row in the database ---- */

static void watch_closed(const struct pg_answer *a, void *arg)
{
	struct resource *r = arg;

	(void)a; /* where it failed, the row goes with the connection */
	r->closes--;
	resource_release(r);
}

/* Whether another view needs the row. */
static bool row_is_needed(const struct resource *r, bool mine)
{
	const struct resource *o = resource_first(r->hub, r->topic);

	for (; o; o = resource_next(o))
		if (o != r && o->id == r->id && (mine ? o->nmine : o->nsubs))
			return true;
	return false;
}

bool resource_was_closed(const struct resource *r, uint64_t seq, bool mine)
{
	const struct resource *o = resource_first(r->hub, r->topic);

	for (; o; o = resource_next(o))
		if (o->id == r->id &&
		    (o->closed_seq > seq || (mine && o->closed_mine_seq > seq)))
			return true;
	return false;
}

/* Say that nobody looks any more; or only that the owner does not. */
static void resource_close(struct resource *r, bool only_owner)
{
	struct hub *hub = r->hub;
	struct pg_args args = {0};

	if (!only_owner && row_is_needed(r, false)) {
		/* Others look at it, but perhaps no owner any more. */
		r->watched = r->locked = false;
		if (!r->watched_mine)
			return;
		only_owner = true;
	}
	if (only_owner && row_is_needed(r, true)) {
		r->watched_mine = r->locked_mine = false;
		return;
	}
	pg_arg_int(&args, hub->process);
	pg_arg_text(&args, r->kind);
	pg_arg_int(&args, r->id);
	pg_arg_bool(&args, only_owner);
	if (!db_ask(hub->db, &sql_watch_close, &args, watch_closed, r))
		return; /* the poll comes by again */
	r->closes++;
	r->closed_mine_seq = ++hub->opens.seq;
	r->watched_mine = r->locked_mine = false;
	if (only_owner)
		return;
	r->closed_seq = hub->opens.seq;
	r->watched = r->locked = false;
}

void resource_release(struct resource *r)
{
	bool open = r->hub->started && r->hub->db;

	if (r->busy)
		return;
	if (open && r->watched && !r->nsubs)
		resource_close(r, false);
	else if (open && r->watched_mine && !r->nmine)
		resource_close(r, true);
	if (r->nsubs || r->closes || (open && (r->watched || r->watched_mine)))
		return;
	if (!r->inbox || inbox_is_idle(r->inbox))
		resource_free(r);
}

bool resource_must_lock(const struct resource *r)
{
	return !r->locked || (r->nmine && !r->locked_mine);
}

enum lock resource_lock(const struct resource *r)
{
	if (!resource_must_lock(r))
		return LOCK_NO;
	if (!r->watched)
		return LOCK_VAIN;
	return r->watched_mine ? LOCK_MINE : LOCK_ALL;
}

void resource_locked(struct resource *r, enum lock lock)
{
	if (lock == LOCK_ALL || lock == LOCK_MINE)
		r->locked = r->watched;
	if (lock == LOCK_MINE)
		r->locked_mine = r->watched_mine;
}

void resource_opened(struct resource *r, bool mine)
{
	r->watched = true;
	if (mine)
		r->watched_mine = true;
	if (!r->nlive || !resource_must_lock(r))
		return;
	r->then_inbox = true;
	resource_bell(r);
}

/* ---- who looks at it ---- */

void sub_attach(struct sub *s, struct resource *r, bool mine)
{
	s->resource = r;
	s->behind = true;
	s->mine = mine;
	s->next = r->subs;
	s->prev = &r->subs;
	if (s->next)
		s->next->prev = &s->next;
	r->subs = s;
	r->nsubs++;
	if (mine)
		r->nmine++;
	if (s->viewer->diff)
		r->ndiff++;
}

void sub_detach(struct sub *s)
{
	struct resource *r = s->resource;

	if (!r)
		return;
	*s->prev = s->next;
	if (s->next)
		s->next->prev = s->prev;
	s->resource = NULL;
	r->nsubs--;
	if (s->mine)
		r->nmine--;
	if (!s->behind)
		r->nlive--;
	s->behind = true;
	if (s->viewer->diff && !--r->ndiff)
		resource_drop_base(r);
	resource_release(r);
}

void sub_fall_behind(struct sub *s)
{
	if (s->behind || !s->resource)
		return;
	s->behind = true;
	s->resource->nlive--;
}

bool sub_catch_up(struct sub *s)
{
	struct resource *r = s->resource;
	bool rung = r->bells != s->bells || s->version > r->version;

	if (r->nlive && s->version < r->version)
		return false;
	if (r->list && s->viewer->list->upto)
		return false;
	if (r->list && r->nlive && !list_can_catch_up(s->viewer))
		return false;
	s->behind = false;
	if (!r->nlive++) {
		r->version = s->version;
		if (r->list)
			list_begin(r->list);
	}
	if (rung)
		resource_bell(r);
	return true;
}

/* ---- reading it ---- */

struct pg_query *resource_ask(struct resource *r, int64_t since, bool diff,
			      int limit, enum lock lock, pg_answer_h *answered,
			      void *arg)
{
	const struct pg_stmt *st = lock == LOCK_NO ? &sql_watch_read
						   : &sql_watch_read_locked;
	const uint64_t topic = turn_key_of('r', r->topic, strlen(r->topic));
	struct db_whose whose = {0, 0};
	struct pg_args args = {0};

	if (!r->hub->db)
		return NULL;
	pg_arg_text(&args, r->kind);
	pg_arg_int(&args, r->id);
	if (since)
		pg_arg_int(&args, since);
	else
		pg_arg_null(&args);
	pg_arg_bool(&args, r->inside);
	if (r->n)
		pg_arg_int(&args, r->n);
	else
		pg_arg_null(&args);
	pg_arg_bool(&args, diff);
	pg_arg_int(&args, limit);
	whose.caller = lock == LOCK_NO ? topic : 0;
	whose.target = topic; /* a row that is locked holds up its own */
	return db_ask_as(r->hub->db, &whose, st, &args, answered, arg);
}

static void resource_read(const struct pg_answer *a, void *arg)
{
	struct resource *r = arg;
	int rows = a->end == PG_OK ? PQntuples(a->res) : 0;
	bool more = rows && pgres_bool(a->res, rows - 1, "more");

	r->query = NULL;
	if (a->end == PG_OK)
		resource_locked(r, r->lock);
	r->busy++;
	resource_pass_on(r, a->res, rows);
	if (r->inbox && r->then_inbox && !resource_must_lock(r)) {
		r->then_inbox = false;
		inbox_bell(r->inbox);
	}
	/* Where it failed the poll comes by. */
	if ((r->again || more) && a->end == PG_OK)
		resource_bell(r);
	r->busy--;
	resource_release(r);
}

bool resource_is_session(const struct resource *r)
{
	return !strcmp(r->kind, "session");
}

void resource_recheck(struct resource *r)
{
	struct sub *s, *next;

	r->busy++;
	for (s = r->subs; s; s = next) {
		next = s->next;
		viewer_recheck(s->viewer);
	}
	r->busy--;
	resource_release(r);
}

void resource_bell(struct resource *r)
{
	r->bells++;
	if (r->query) {
		r->again = true;
		return;
	}
	r->again = false;
	if (!r->nlive)
		return; /* who is behind sees that it was rung */
	if (r->list) {
		list_bell(r);
		return;
	}
	r->lock = resource_lock(r);
	r->query = resource_ask(r, r->version, false, WATCH_PAGE, r->lock,
				resource_read, r);
}
