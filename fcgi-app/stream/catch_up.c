/*
 * catch_up.c: what a viewer reads for itself: the first state, what it missed,
 * and what it was too slow for.
 */
#include <stdlib.h>
#include <string.h>

#include "pgres.h"
#include "watch.h"

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
	v->sub.version = c->version;
	viewer_write(v, "state", c->version, c->doc, strlen(c->doc), c->event);
	viewer_caught_up(v);
}

bool viewer_inbox_known(struct viewer *v, int64_t at)
{
	char *doc = v->first_doc;

	v->inbox_at = at;
	if (!doc)
		return true;
	v->first_doc = NULL;
	if (!viewer_begin(v, false)) {
		free(doc);
		return false;
	}
	viewer_write(v, "state", v->sub.version, doc, strlen(doc),
		     ++v->hub->events);
	free(doc);
	if (v->sub.resource)
		(void)sub_catch_up(&v->sub); /* else it reads once more */
	return true;			     /* the caller steps on */
}

/* Changes since its version; of what does not fit, the last. */
static void viewer_catch_up(struct viewer *v, const struct db_answer *a)
{
	int rows = PQntuples(a->res);

	for (int i = 0; i < rows && v->state == VIEWER_OPEN; i++) {
		struct change c;

		if (viewer_is_full(v) && i < rows - 1)
			continue;
		change_read(&c, v->hub, a->res, i);
		if (c.gone)
			viewer_gone(v, &c);
		else if (c.version > v->sub.version) {
			v->sub.version = c.version;
			viewer_write(v, c.fresh ? "state" : "change", c.version,
				     c.doc, strlen(c.doc), c.event);
		}
	}
	viewer_caught_up(v);
}

static void refuse_gone(struct viewer *v)
{
	const struct change gone = {.gone = true};

	viewer_answer(v, &gone);
}

static void viewer_loaded(struct viewer *v, const struct db_answer *a)
{
	struct change c;

	if (!PQntuples(a->res)) { /* as the client has it */
		if (v->once || viewer_begin(v, true))
			viewer_caught_up(v);
		return;
	}
	change_read(&c, v->hub, a->res, PQntuples(a->res) - 1);
	if (v->once)
		viewer_answer(v, &c);
	else if (c.gone)
		refuse_gone(v);
	else if (c.fresh)
		viewer_first(v, &c);
	else if (viewer_begin(v, true))
		viewer_catch_up(v, a);
}

static void on_read(const struct db_answer *a, void *arg)
{
	struct viewer *v = arg;
	struct resource *r = v->sub.resource;

	v->query = NULL;
	if (a->outcome != DB_OK) {
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

	if (v->query || !s->resource || !v->hub->db)
		return;
	if (v->stream && stream_pending(v->stream) > STREAM_QUEUE_LOW)
		return;
	if (s->behind && !v->first_doc) {
		s->bells = s->resource->bells;
		v->lock = resource_lock(s->resource);
		v->query = resource_ask(s->resource, s->version, v->lock,
					on_read, v);
	} else if (v->inbox && v->inbox_behind)
		inbox_load(v);
}
