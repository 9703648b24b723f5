/*
 * tell.c: what becomes of a viewer's client, by way of its outlet.
 */
#include "stream/viewer/tell.h"

#include <errno.h>
#include <string.h>

#include "common/error.h"
#include "stream/bytes/stream_pool.h"

/* ---- that it cannot be ---- */

static const char *end_reason(const struct pg_answer *why)
{
	switch (why->status) {
	case 401:
		return "session-ended";
	case 403:
	case 404:
		return "access-ended";
	default:
		return why->slug;
	}
}

void viewer_refuse(struct viewer *v, const struct pg_answer *why)
{
	if (viewer_has_begun(v))
		viewer_end(v, end_reason(why));
	else if (v->state < VIEWER_ENDING) {
		v->outlet->refuse(v, why);
		viewer_move(v, VIEWER_DEAD);
	}
}

static void refuse_as(struct viewer *v, enum pg_end end, enum app_err err)
{
	const struct app_err_info *info = app_err_info(err);
	const struct pg_answer why = {
		.end = end,
		.err = err,
		.status = info->status,
		.sqlstate = "",
		.slug = info->slug,
		.detail = info->detail,
		.pointer = "",
	};

	viewer_refuse(v, &why);
}

void viewer_refuse_unavailable(struct viewer *v)
{
	refuse_as(v, PG_AWAY, APP_UNAVAILABLE);
}

bool viewer_answered(struct viewer *v, const struct pg_answer *a)
{
	v->query = NULL;
	if (v->state == VIEWER_READING)
		viewer_move(v, VIEWER_BEHIND);
	if (a->end == PG_OK)
		return true;
	if (!viewer_has_begun(v))
		viewer_refuse(v, a);
	return false; /* the poll comes by */
}

/* ---- on a stream ---- */

bool viewer_begin(struct viewer *v, bool resumed)
{
	switch (v->outlet->begin(v, resumed)) {
	case 0:
		viewer_move(v, VIEWER_BEHIND);
		return true;
	case EAGAIN:
		viewer_move(v, VIEWER_TURN);
		return false;
	default:
		viewer_move(v, VIEWER_DEAD);
		return false;
	}
}

bool viewer_is_full(const struct viewer *v)
{
	return stream_pending(v->stream) > STREAM_QUEUE_MAX;
}

void viewer_write(struct viewer *v, const char *name, bool with_id,
		  const char *data, size_t n, uint64_t number)
{
	v->outlet->event(v, name, with_id, data, n, number);
}

void viewer_put(struct viewer *v, const struct change *c)
{
	const struct buf *patch;

	v->seat.version = c->version;
	if (c->fresh || !v->seat.diff) {
		viewer_write(v, c->fresh ? "state" : "change", c->version,
			     c->doc, strlen(c->doc), c->event);
		return;
	}
	patch = change_patch(v->seat.topic, c);
	if (patch)
		viewer_write(v, "change", c->version, patch->p, patch->len,
			     c->patch_event);
	else
		viewer_end(v, "busy");
}

void viewer_end(struct viewer *v, const char *reason)
{
	if (!viewer_has_begun(v))
		return;
	v->outlet->end(v, reason);
	viewer_leave(v);
}

void viewer_gone(struct viewer *v, const struct change *c)
{
	if (!viewer_has_begun(v))
		return;
	v->outlet->gone(v, c->version, c->event);
	viewer_end(v, "gone");
}

/* ---- in one answer ---- */

void viewer_answer(struct viewer *v, const struct change *c)
{
	const struct buf *patch = NULL;

	if (c->gone) {
		refuse_as(v, PG_REFUSED, APP_NOT_FOUND);
		return;
	}
	if (v->seat.diff && c->from) {
		patch = change_patch(v->seat.topic, c);
		if (!patch) {
			viewer_refuse_unavailable(v);
			return;
		}
	}
	v->outlet->answer(v, c->version, patch ? patch->p : c->doc, patch);
	viewer_move(v, VIEWER_DEAD);
}

void viewer_hold(struct viewer *v)
{
	uint32_t now_s = stream_now_s(v->all->place->pool);
	uint32_t ends_s = UINT32_MAX;

	if (v->ends_s)
		ends_s = v->ends_s > now_s ? v->ends_s - now_s : 0;
	viewer_move(v, VIEWER_HELD);
	v->outlet->wait(v, ends_s);
}
