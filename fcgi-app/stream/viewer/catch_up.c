/*
 * catch_up.c: versions that a viewer reads for itself, or is told of.
 */
#include "stream/viewer/catch_up.h"

#include <stdlib.h>
#include <string.h>

#include "common/pgres.h"
#include "stream/viewer/access.h"
#include "stream/viewer/tell.h"

void catch_up_id(char out[static RENDER_ID_SIZE], const struct viewer *v,
		 int64_t version)
{
	render_id(out, version, v->mail ? v->mail->seat.at : -1);
}

/* Where it stands with the resource after a read of its own. */
static void go_on(struct viewer *v)
{
	viewer_join(v);
	viewer_next(v);
}

/* ---- what is read for all ---- */

/* Whether it is no step from what the viewer has. */
static bool is_no_step(const struct viewer *v, const struct change *c)
{
	return c->fresh || !c->from || c->prior != v->seat.version;
}

void catch_up_changed(struct seat *s, const struct change *c)
{
	struct viewer *v = viewer_of(s);
	bool news = c->version > s->version;

	if (!c->gone && news && access_must_recheck(v, c))
		return;
	if (!c->gone && s->diff && (news || c->fresh) && is_no_step(v, c)) {
		viewer_fall_behind(v);
		viewer_next(v);
	} else if (!c->gone && !news)
		return;
	else if (v->outlet->once)
		viewer_answer(v, c);
	else if (c->gone)
		viewer_gone(v, c);
	else if (viewer_is_full(v))
		viewer_fall_behind(v);
	else
		viewer_put(v, c);
}

/* ---- the first state ---- */

/* For the owner it waits for the inbox, which is part of the event's id. */
static void first_state(struct viewer *v, const struct change *c)
{
	if (v->mail && v->mail->seat.at < 0) {
		v->mail->first_doc = strdup(c->doc);
		v->seat.version = c->version;
		if (!v->mail->first_doc) {
			viewer_refuse_unavailable(v);
			return;
		}
		viewer_move(v, VIEWER_NUMBER);
		viewer_next(v);
		return;
	}
	if (!viewer_begin(v, false))
		return;
	viewer_put(v, c);
	go_on(v);
}

void catch_up_numbered(struct viewer *v)
{
	struct seat *s = &v->seat;
	char *doc = v->mail->first_doc;
	int64_t version = s->version;
	const char *text = doc;

	v->mail->first_doc = NULL;
	s->version = 0; /* it may have to read it once more */
	if (viewer_begin(v, false)) {
		s->version = version;
		if (s->diff)
			text = versions_base(s->topic, version, doc);
		viewer_write(v, "state", true, text, strlen(text),
			     ++v->all->place->events);
		viewer_join(v);
	}
	free(doc);
}

/* A row; of a state, for differences, what others have of that version. */
static void row_read(struct change *c, struct viewer *v,
		     const struct pg_answer *a, int row)
{
	change_read(c, v->seat.topic, a->res, row);
	if (v->seat.diff && c->fresh && !c->gone)
		c->doc = versions_base(v->seat.topic, c->version, c->doc);
}

/* ---- what it missed ---- */

/* Changes since its version; of whole documents that do not fit, the last. */
static void catch_up(struct viewer *v, const struct pg_answer *a)
{
	int rows = PQntuples(a->res);
	bool more = rows && pgres_bool(a->res, rows - 1, "more");
	struct change c = {0};
	const char *from = NULL;

	for (int i = 0; i < rows && viewer_has_begun(v); i++) {
		if (viewer_is_full(v) && v->seat.diff)
			return; /* it goes on from there */
		row_read(&c, v, a, i);
		if (c.version > v->seat.version && access_must_recheck(v, &c))
			return;
		if (viewer_is_full(v) && i < rows - 1)
			continue; /* but its change of access was looked at */
		c.from = from;
		from = c.doc;
		if (c.gone)
			viewer_gone(v, &c);
		else if (c.version > v->seat.version ||
			 (v->seat.diff && c.fresh)) {
			c.fresh = c.fresh || (v->seat.diff && !c.from);
			viewer_put(v, &c);
		}
	}
	if (!viewer_has_begun(v))
		return;
	if (v->seat.diff && from)
		(void)versions_base(v->seat.topic, c.version, from);
	if (!more)
		viewer_join(v);
	viewer_next(v);
}

/* While the client was away its access may have changed: then the document that
   it has is not the one that differences start from. */
static bool may_have_had_another_view(const struct viewer *v,
				      const struct pg_answer *a)
{
	int rows = PQntuples(a->res);

	if (!topic_view(v->seat.topic).kind->hides)
		return false;
	for (int i = 0; i < rows; i++) {
		const char *recheck = pgres_text(a->res, i, "recheck");

		if (pgres_int(a->res, i, "version") > v->seat.version &&
		    recheck &&
		    (array_has(recheck, 0) ||
		     array_has(recheck, access_caller(v))))
			return true;
	}
	return rows && pgres_bool(a->res, rows - 1, "more");
}

/* ---- one answer ---- */

/* What has become of what the client has. */
static void loaded_once(struct viewer *v, const struct pg_answer *a)
{
	int rows = PQntuples(a->res);
	struct change c, base;

	row_read(&c, v, a, rows - 1);
	if (c.version != v->seat.version || c.gone) {
		row_read(&base, v, a, 0);
		if (base.version == v->seat.version)
			c.from = base.doc;
		viewer_answer(v, &c);
		return;
	}
	/* As the client has it; where that is not known to be exactly this,
	   what comes next is no difference. */
	if (c.fresh)
		seat_take_whole(&v->seat);
	else
		(void)versions_base(v->seat.topic, c.version, c.doc);
	viewer_hold(v);
	go_on(v);
}

/* ---- answers ---- */

static void loaded(struct viewer *v, const struct pg_answer *a)
{
	static const struct change gone = {.gone = true};
	int rows = PQntuples(a->res);
	struct change c;

	if (v->seat.diff && v->seat.version &&
	    may_have_had_another_view(v, a)) {
		v->seat.version = 0;
		viewer_move(v, VIEWER_TURN);
		viewer_next(v);
		return;
	}
	if (!rows) { /* as the client has it */
		if (v->outlet->once)
			viewer_hold(v);
		if (v->outlet->once || viewer_begin(v, true))
			go_on(v);
		return;
	}
	change_read(&c, v->seat.topic, a->res, rows - 1);
	if (access_must_recheck(v, &c))
		return;
	if (v->outlet->once) {
		loaded_once(v, a);
		return;
	}
	row_read(&c, v, a, rows - 1);
	if (c.gone)
		viewer_answer(v, &gone);
	else if (c.fresh)
		first_state(v, &c);
	else if (viewer_begin(v, true))
		catch_up(v, a);
}

static void on_read(const struct pg_answer *a, void *arg)
{
	struct viewer *v = arg;

	if (!viewer_answered(v, a))
		return;
	versions_answered(v->seat.topic, v->lock);
	if (v->state == VIEWER_LOADING)
		loaded(v, a);
	else
		catch_up(v, a);
}

void catch_up_load(struct viewer *v)
{
	const struct versions_ask ask = {
		.since = v->seat.version,
		.diff = v->seat.diff,
		.limit = v->outlet->once ? 0 : VERSIONS_PAGE,
	};

	v->query = versions_ask(v->seat.topic, &ask, &v->lock, on_read, v);
}
