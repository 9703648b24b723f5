/*
 * catch_up.c: what a viewer reads for itself: the first state, what it missed,
 * and what it was too slow for.
 */
#include <stdlib.h>
#include <string.h>

#include "common/pgres.h"
#include "stream/watch.h"

/* Where it stands with the resource after a read of its own. */
static void viewer_caught_up(struct viewer *v)
{
	if (!v->sub.resource || !v->sub.behind)
		return;
	(void)sub_catch_up(&v->sub); /* else it reads once more */
	viewer_step(v);
}

/* The first state is there; for the owner it waits for the inbox, which the
   event's id tells of. */
static void viewer_first(struct viewer *v, const struct change *c)
{
	if (v->inbox && v->inbox_at < 0) {
		v->first_doc = strdup(c->doc);
		v->sub.version = c->version;
		if (!v->first_doc)
			viewer_refuse_unavailable(v);
		else
			viewer_step(v);
		return;
	}
	if (!viewer_begin(v, false))
		return;
	viewer_put(v, c);
	viewer_caught_up(v);
}

bool viewer_inbox_known(struct viewer *v, int64_t at)
{
	struct sub *s = &v->sub;
	char *doc = v->first_doc;
	const char *text = doc;
	int64_t version = s->version;

	v->inbox_at = at;
	if (!doc)
		return true;
	v->first_doc = NULL;
	s->version = 0; /* one of many may have to read it again */
	if (!viewer_begin(v, false)) {
		free(doc);
		return false;
	}
	s->version = version;
	if (v->diff && s->resource)
		text = resource_base(s->resource, s->version, doc);
	viewer_write(v, "state", s->version, text, strlen(text),
		     ++v->hub->events);
	free(doc);
	if (v->sub.resource)
		(void)sub_catch_up(&v->sub); /* else it reads once more */
	return true;			     /* the caller steps on */
}

/* A row; of a state, for differences, what others have of that version. */
static void row_read(struct change *c, struct viewer *v,
		     const struct pg_answer *a, int row)
{
	change_read(c, v->hub, a->res, row);
	if (v->diff && c->fresh && !c->gone)
		c->doc = resource_base(v->sub.resource, c->version, c->doc);
}

/* Changes since its version; of whole documents that do not fit, the last. */
static void viewer_catch_up(struct viewer *v, const struct pg_answer *a)
{
	int rows = PQntuples(a->res);
	struct change c = {0};
	const char *from = NULL;

	for (int i = 0; i < rows && v->state == VIEWER_OPEN; i++) {
		if (viewer_is_full(v) && v->diff)
			return; /* it goes on from there */
		if (viewer_is_full(v) && i < rows - 1)
			continue;
		row_read(&c, v, a, i);
		if (c.version > v->sub.version && viewer_must_recheck(v, &c))
			return;
		c.from = from;
		from = c.doc;
		if (c.gone)
			viewer_gone(v, &c);
		else if (c.version > v->sub.version || (v->diff && c.fresh)) {
			c.fresh = c.fresh || (v->diff && !c.from);
			viewer_put(v, &c);
		}
	}
	if (v->state == VIEWER_OPEN && v->diff && from)
		(void)resource_base(v->sub.resource, c.version, from);
	if (rows && pgres_bool(a->res, rows - 1, "more"))
		viewer_step(v);
	else
		viewer_caught_up(v);
}

static void refuse_gone(struct viewer *v)
{
	const struct change gone = {.gone = true};

	viewer_answer(v, &gone);
}

/* The one answer: what has become of what the client has. */
static void once_loaded(struct viewer *v, const struct pg_answer *a)
{
	int rows = PQntuples(a->res);
	struct change c, base;

	row_read(&c, v, a, rows - 1);
	if (c.version != v->sub.version || c.gone) {
		row_read(&base, v, a, 0);
		if (base.version == v->sub.version)
			c.from = base.doc;
		viewer_answer(v, &c);
		return;
	}
	/* As the client has it; where that is not known to be exactly this,
	   what comes next is no difference. */
	if (c.fresh) {
		v->diff = false;
		v->sub.resource->ndiff--;
	} else
		(void)resource_base(v->sub.resource, c.version, c.doc);
	viewer_wait(v);
	viewer_caught_up(v);
}

/* Who comes back may since have been let in, or have been in before: then what
   it has is not what differences would start from. */
static bool may_have_had_another_view(const struct viewer *v,
				      const struct pg_answer *a)
{
	int rows = PQntuples(a->res);

	if (strcmp(v->sub.resource->kind, "call") != 0)
		return false;
	for (int i = 0; i < rows; i++) {
		const char *recheck = pgres_text(a->res, i, "recheck");

		if (pgres_int(a->res, i, "version") > v->sub.version &&
		    recheck &&
		    (array_has(recheck, 0) || array_has(recheck, v->caller)))
			return true;
	}
	return rows && pgres_bool(a->res, rows - 1, "more");
}

static void viewer_loaded(struct viewer *v, const struct pg_answer *a)
{
	int rows = PQntuples(a->res);
	struct change c;

	if (v->diff && v->sub.version && may_have_had_another_view(v, a)) {
		v->sub.version = 0;
		viewer_step(v);
		return;
	}
	if (!rows) { /* as the client has it */
		if (v->once)
			viewer_wait(v);
		if (v->once || viewer_begin(v, true))
			viewer_caught_up(v);
		return;
	}
	change_read(&c, v->hub, a->res, rows - 1);
	if (viewer_must_recheck(v, &c))
		return;
	if (v->once) {
		once_loaded(v, a);
		return;
	}
	row_read(&c, v, a, rows - 1);
	if (c.gone)
		refuse_gone(v);
	else if (c.fresh)
		viewer_first(v, &c);
	else if (viewer_begin(v, true))
		viewer_catch_up(v, a);
}

static void on_read(const struct pg_answer *a, void *arg)
{
	struct viewer *v = arg;
	struct resource *r = v->sub.resource;

	v->query = NULL;
	if (a->end != PG_OK) {
		if (v->state == VIEWER_LOADING)
			viewer_refuse(v, a);
		return; /* the poll comes by */
	}
	resource_locked(r, v->lock);
	if (v->state == VIEWER_LOADING)
		viewer_loaded(v, a);
	else
		viewer_catch_up(v, a);
}

void viewer_step(struct viewer *v)
{
	struct sub *s = &v->sub;

	if (v->query || v->opening || !s->resource || !v->hub->db)
		return;
	if (v->stream && stream_pending(v->stream) > STREAM_QUEUE_LOW)
		return;
	if (s->behind && !v->first_doc && v->many &&
	    v->state == VIEWER_LOADING && !many_may_load(v))
		return;
	if (s->behind && v->list) {
		s->bells = s->resource->bells;
		list_load(v);
	} else if (s->behind && !v->first_doc) {
		s->bells = s->resource->bells;
		v->lock = resource_lock(s->resource);
		v->query = resource_ask(s->resource, s->version, v->diff,
					v->once ? 0 : WATCH_PAGE, v->lock,
					on_read, v);
	} else if (v->inbox && v->inbox_behind)
		inbox_load(v);
}
