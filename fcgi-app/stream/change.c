/*
 * change.c: versions of a resource as they are read, what differences start
 * from, and telling all who keep up.
 */
#include <stdlib.h>
#include <string.h>

#include "common/pgres.h"
#include "stream/bytes/json_patch.h"
#include "stream/watch.h"

void change_read(struct change *c, struct hub *hub, const struct pg_result *res,
		 int row)
{
	c->version = pgres_int(res, row, "version");
	c->prior = pgres_int(res, row, "prior");
	c->fresh = pgres_null(res, row, "prior");
	c->doc = pgres_text(res, row, "doc");
	c->recheck = pgres_text(res, row, "recheck");
	c->gone = pgres_bool(res, row, "gone") || !c->doc;
	c->from = NULL;
	c->event = ++hub->events;
	c->patch_event = ++hub->events;
}

const struct buf *change_patch(struct hub *hub, const struct change *c)
{
	if (hub->patch_of == c->patch_event)
		return &hub->patch;
	buf_reset(&hub->patch);
	json_patch(&hub->patch, c->from, strlen(c->from), c->doc,
		   strlen(c->doc));
	hub->patch_of = hub->patch.failed ? 0 : c->patch_event;
	return hub->patch.failed ? NULL : &hub->patch;
}

static void base_keep(struct resource *r, int64_t version, const char *doc)
{
	free(r->base);
	r->base = strdup(doc); /* without it each reads for itself */
	r->base_version = version;
}

const char *resource_base(struct resource *r, int64_t version, const char *doc)
{
	if (r->base && r->base_version == version)
		return r->base;
	/* Those that keep up still need the one that is there. */
	if (!r->base || !r->nlive || r->base_version != r->version)
		base_keep(r, version, doc);
	return doc;
}

void resource_drop_base(struct resource *r)
{
	free(r->base);
	r->base = NULL;
}

static void resource_changed(struct resource *r, const struct change *c)
{
	struct sub *s, *next;

	for (s = r->subs; s; s = next) {
		next = s->next;
		if (!s->behind)
			viewer_change(s->viewer, c);
	}
	if (c->version > r->version)
		r->version = c->version;
}

void resource_pass_on(struct resource *r, const struct pg_result *res, int rows)
{
	struct change c = {0};
	const char *doc = r->base;
	int64_t version = r->base_version;

	for (int i = 0; i < rows; i++) {
		change_read(&c, r->hub, res, i);
		if (doc && !c.fresh && c.prior == version)
			c.from = doc;
		resource_changed(r, &c);
		doc = c.gone ? NULL : c.doc;
		version = c.version;
	}
	if (!rows || !r->ndiff)
		return;
	/* A state that was not read for them may not be what they get. */
	if (!doc || c.fresh)
		resource_drop_base(r);
	else
		base_keep(r, version, doc);
}
