/*
 * versions.c: versions of a resource as they are read, what differences start
 * from, and telling all who keep up.
 */
#include "stream/hub/versions.h"

#include <stdlib.h>
#include <string.h>

#include "common/pgres.h"
#include "common/turn.h"
#include "stream/bytes/json_patch.h"
#include "stream/hub/sql.h"
#include "stream/hub/topic_parts.h"

/* ---- one version ---- */

void change_read(struct change *c, struct topic *t, const struct pg_result *res,
		 int row)
{
	struct place *place = t->all->place;

	c->version = pgres_int(res, row, "version");
	c->prior = pgres_int(res, row, "prior");
	c->fresh = pgres_null(res, row, "prior");
	c->doc = pgres_text(res, row, "doc");
	c->recheck = pgres_text(res, row, "recheck");
	c->gone = pgres_bool(res, row, "gone") || !c->doc;
	c->from = NULL;
	c->event = ++place->events;
	c->patch_event = ++place->events;
}

const struct buf *change_patch(struct topic *t, const struct change *c)
{
	struct topics *all = t->all;

	if (all->patch_of == c->patch_event)
		return &all->patch;
	buf_reset(&all->patch);
	json_patch(&all->patch, c->from, strlen(c->from), c->doc,
		   strlen(c->doc));
	all->patch_of = all->patch.failed ? 0 : c->patch_event;
	return all->patch.failed ? NULL : &all->patch;
}

/* ---- what differences start from ---- */

static void base_keep(struct topic *t, int64_t version, const char *doc)
{
	free(t->base);
	t->base = doc ? strdup(doc) : NULL; /* else each reads for itself */
	t->base_version = version;
}

const char *versions_base(struct topic *t, int64_t version, const char *doc)
{
	if (t->base && t->base_version == version)
		return t->base;
	/* Those that keep up still need the one that is there. */
	if (!t->base || !t->nlive || t->base_version != t->version)
		base_keep(t, version, doc);
	return doc;
}

/* ---- reading ---- */

static struct pg_query *read_ask(struct topic *t,
				 const struct versions_ask *ask, enum lock lock,
				 pg_answer_h *answered, void *arg)
{
	const struct pg_stmt *st = lock == LOCK_NO ? &sql_watch_read
						   : &sql_watch_read_locked;
	const uint64_t turn = turn_key_of('r', t->name, strlen(t->name));
	/* A locked row holds up only its own topic. */
	const struct db_whose whose = {
		.caller = lock == LOCK_NO ? turn : 0,
		.target = turn,
		.rests = ask->rests,
	};
	struct pg_args args = {0};

	if (!t->all->place->db)
		return NULL;
	pg_arg_text(&args, t->kind->name);
	pg_arg_int(&args, t->id);
	if (ask->since)
		pg_arg_int(&args, ask->since);
	else
		pg_arg_null(&args);
	pg_arg_bool(&args, t->inside);
	if (t->n)
		pg_arg_int(&args, t->n);
	else
		pg_arg_null(&args);
	pg_arg_bool(&args, ask->diff);
	pg_arg_int(&args, ask->limit);
	return db_ask_as(t->all->place->db, &whose, st, &args, answered, arg);
}

struct pg_query *versions_ask(struct topic *t, const struct versions_ask *ask,
			      uint8_t *lock, pg_answer_h *answered, void *arg)
{
	*lock = (uint8_t)topic_lock(t);
	return read_ask(t, ask, topic_lock(t), answered, arg);
}

void versions_answered(struct topic *t, uint8_t lock)
{
	topic_locked(t, lock);
}

static void tell(struct topic *t, const struct change *c)
{
	for (struct seat *s = t->seats; s; s = s->next)
		if (!s->behind)
			s->ops->changed(s, c);
	if (c->version > t->version)
		t->version = c->version;
}

static void tell_all(struct topic *t, const struct pg_result *res, int rows)
{
	struct change c = {0};
	const char *doc = t->base;
	int64_t version = t->base_version;

	for (int i = 0; i < rows; i++) {
		change_read(&c, t, res, i);
		if (doc && !c.fresh && c.prior == version)
			c.from = doc;
		tell(t, &c);
		doc = c.gone ? NULL : c.doc;
		version = c.version;
	}
	if (!rows || !t->ndiff)
		return;
	/* A state that was not read for them may not be what they get. */
	base_keep(t, version, c.fresh ? NULL : doc);
}

static void on_read(const struct pg_answer *a, void *arg)
{
	struct topic *t = arg;
	int rows = a->end == PG_OK ? PQntuples(a->res) : 0;
	bool more = rows && pgres_bool(a->res, rows - 1, "more");

	t->query = NULL;
	if (a->end == PG_OK)
		topic_locked(t, t->lock);
	tell_all(t, a->res, rows);
	if (t->inbox && t->then_mail && !topic_must_lock(t)) {
		t->then_mail = false;
		t->kind->mail->bell(t);
	}
	/* Where it failed the poll comes by. */
	if ((t->again || more) && a->end == PG_OK)
		topic_bell(t);
}

static void versions_bell(struct topic *t)
{
	const struct versions_ask ask = {
		.since = t->version,
		.limit = VERSIONS_PAGE,
		/* However often it changes, others need the database too. */
		.rests = true,
	};

	t->query = versions_ask(t, &ask, &t->lock, on_read, t);
}

const struct feed_ops versions_feed = {
	.bell = versions_bell,
	.locks = true,
};
