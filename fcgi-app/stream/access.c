/*
 * access.c: what a viewer may see: asked for when it comes, and again when a
 * session, a password or the sight of a call may have ended. Meanwhile it is
 * shown nothing new.
 */
#include <stdlib.h>
#include <string.h>

#include "stream/watch.h"

/* The first time. @return false: freed */
static bool viewer_attach(struct viewer *v, struct resource *r, bool mine)
{
	if (mine && v->many && many_has_inbox(v))
		mine = false;
	v->state = VIEWER_LOADING;
	v->mine = mine;
	sub_attach(&v->sub, r, mine);
	if (mine && !r->inbox)
		r->inbox = inbox_new(r, r->id);
	if (mine && !r->inbox) {
		viewer_refuse_unavailable(v);
		return false;
	}
	if (mine)
		inbox_attach(r->inbox, v);
	if (mine && v->inbox_at < 0)
		v->sub.version = 0; /* its first event needs the inbox */
	return true;
}

/* It sees more or less than it did: it is shown the whole anew. */
static void viewer_move(struct viewer *v, struct resource *r)
{
	sub_detach(&v->sub);
	sub_attach(&v->sub, r, false);
	v->sub.version = 0;
}

void viewer_opened(struct viewer *v, struct resource *r,
		   struct resource *session, bool mine)
{
	bool again = v->recheck;

	v->recheck = false;
	v->caller = session->id;
	if (!v->session.resource)
		sub_attach(&v->session, session, false);
	if (v->stream)
		stream_deadline(v->stream, v->ends_s);
	if (v->many)
		many_opened(v);
	resource_opened(r, mine);
	if (v->state == VIEWER_ASKING && !viewer_attach(v, r, mine))
		return;
	if (v->sub.resource != r && v->inbox) {
		viewer_end(v, "reopen"); /* another's by that name */
		return;
	}
	if (v->sub.resource != r)
		viewer_move(v, r);
	if (again)
		viewer_reopen(v);
	else
		viewer_step(v);
}

void viewer_reopen(struct viewer *v)
{
	struct resource *r = v->sub.resource;
	struct view view = {0};

	if (v->state == VIEWER_ENDING)
		return;
	if (v->query)
		db_forget(v->query);
	v->query = NULL;
	if (!r || v->opening) { /* when that has come */
		v->recheck = true;
		return;
	}
	view.kind = r->kind;
	view.key = v->key ? v->key : r->topic + strlen(r->kind) + 1;
	view.n = r->n;
	if (!open_add(v->hub, v, &view, NULL))
		return;
	if (v->state == VIEWER_OPEN)
		viewer_end(v, "busy");
	else
		viewer_refuse_unavailable(v);
}

void viewer_recheck(struct viewer *v)
{
	if (v->state == VIEWER_ENDING)
		return;
	if (v->sub.resource)
		sub_fall_behind(&v->sub);
	if (v->inbox)
		inbox_fall_behind(v);
	viewer_reopen(v);
}

bool array_has(const char *s, int64_t n)
{
	while (*s) {
		char *end;

		s += strcspn(s, "0123456789");
		if (!*s)
			return false;
		if (strtoll(s, &end, 10) == n)
			return true;
		s = end;
	}
	return false;
}

bool viewer_must_recheck(struct viewer *v, const struct change *c)
{
	bool maybe = c->recheck && (array_has(c->recheck, 0) ||
				    array_has(c->recheck, v->caller));

	/* What is not a step may have more than one behind it. */
	if (c->fresh && !c->gone && v->sub.resource &&
	    !strcmp(v->sub.resource->kind, "call"))
		maybe = true;
	if (!maybe || c->version <= v->checked)
		return false;
	viewer_recheck(v);
	return true;
}
