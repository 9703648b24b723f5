/*
 * watch_stream.c: one stream that many viewers share.
 */
#include "stream/out/watch_stream.h"

#include <errno.h>
#include <string.h>

#include "stream/out/watch_member.h"
#include "stream/out/watch_write.h"

/* ---- the end of all ---- */

/* The stream is over for all of them. */
static void watch_end(struct watch *w, const char *reason)
{
	if (w->ending)
		return;
	w->ending = true;
	watch_write_end(w, reason);
	for (size_t i = 0; i < w->n; i++)
		if (w->member[i].viewer)
			viewer_leave(w->member[i].viewer);
}

static void member_write(struct member *o, const char *name, const char *own,
			 const char *data, size_t n)
{
	if (watch_write(o, name, own, data, n))
		watch_end(o->watch, "too-large");
}

/* ---- one of them ---- */

static int member_begin(struct viewer *v, bool resumed)
{
	struct member *o = viewer_arg(v);

	(void)resumed; /* the stream has begun by itself */
	o->ready = true;
	member_loaded(o);
	if (!o->watch->stream)
		return EAGAIN;
	o->ask.resume = false; /* from here on its own version counts */
	return 0;
}

static void member_event(struct viewer *v, const char *name, bool with_id,
			 const char *data, size_t n, uint64_t number)
{
	char own[RENDER_ID_SIZE];

	(void)number; /* nobody else has an event with this id */
	viewer_id(own, v, 0);
	member_write(viewer_arg(v), name, with_id ? own : NULL, data, n);
}

static void member_gone(struct viewer *v, int64_t version, uint64_t number)
{
	struct member *o = viewer_arg(v);

	o->ended = true;
	member_event(v, "gone", version != 0, "null", 4, number);
}

/* Whether it is one that the client has seen, which is no more, or may not be
   seen: that is told, and does not end the others. */
static bool has_gone(struct member *o, const struct pg_answer *why)
{
	struct watch *w = o->watch;

	if (!member_has_gone(o, why))
		return false;
	if (!w->stream)
		o->news = true;
	else {
		member_write(o, "gone", NULL, "null", 4);
		if (watch_all_ended(w))
			watch_end(w, "gone");
	}
	return true;
}

static void member_refused(struct viewer *v, const struct pg_answer *why)
{
	struct member *o = viewer_arg(v);
	struct watch *w = o->watch;

	o->viewer = NULL;
	member_loaded(o);
	if (w->refused || w->ending)
		return;
	if (!w->stream && member_try_send(o, why))
		return;
	if (has_gone(o, why))
		return;
	if (w->stream)
		watch_end(w, why->status == 401 ? "session-ended" : "restart");
	else
		watch_refuse(w, o, why->status, why->slug, why->detail);
}

/* Whether messages would have to go on with another. */
static bool inbox_is_orphaned(const struct watch *w, const struct viewer *v)
{
	for (size_t i = 0; viewer_has_inbox(v) && i < w->n; i++)
		if (w->member[i].muted && !w->member[i].ended)
			return true;
	return false;
}

static void member_end(struct viewer *v, const char *reason)
{
	struct member *o = viewer_arg(v);
	struct watch *w = o->watch;
	bool gone = o->ended;

	if (!gone && strcmp(reason, "access-ended") != 0) {
		watch_end(w, reason);
		return;
	}
	o->ended = true;
	if (!gone)
		member_write(o, "end", NULL, "{\"reason\":\"access-ended\"}",
			     25);
	member_loaded(o);
	if (inbox_is_orphaned(w, v))
		watch_end(w, "restart");
	else if (watch_all_ended(w))
		watch_end(w, reason);
}

const struct outlet_ops watch_stream_outlet = {
	.may_load = member_may_load,
	.opened = member_opened,
	.has_inbox = member_has_inbox,
	.begin = member_begin,
	.event = member_event,
	.gone = member_gone,
	.end = member_end,
	.refuse = member_refused,
};

/* ---- what the stream says ---- */

static void on_moved(void *arg)
{
	struct watch *w = arg;

	for (size_t i = 0; i < w->n; i++)
		if (w->member[i].viewer)
			viewer_moved(w->member[i].viewer);
}

static void on_idle(void *arg)
{
	struct watch *w = arg;
	const char *text = render_heartbeat(w->format);

	stream_write(w->stream, text, strlen(text));
}

static void on_due(void *arg)
{
	watch_end(arg, "session-ended");
}

static void on_closed(void *arg)
{
	struct watch *w = arg;

	w->ending = true;
	for (size_t i = 0; i < w->n; i++)
		if (w->member[i].viewer)
			viewer_closed(w->member[i].viewer);
	watch_destroy(w);
}

static const struct stream_ops stream_ops = {
	.moved = on_moved,
	.idle = on_idle,
	.due = on_due,
	.closed = on_closed,
};

void watch_stream_begin(struct watch *w)
{
	const char *text = render_prologue(w->format);
	uint32_t ends_s = 0;

	if (w->outcome->open(&w->stream, &stream_ops, w, w->arg)) {
		watch_destroy(w);
		return;
	}
	if (!*text)
		text = render_heartbeat(w->format);
	stream_write(w->stream, text, strlen(text));
	for (size_t i = 0; i < w->n; i++) {
		struct member *o = &w->member[i];

		if (o->viewer) {
			viewer_set_stream(o->viewer, w->stream);
			ends_s = viewer_ends_s(o->viewer);
		} else if (o->news) {
			o->news = false; /* ids have it from here on */
			member_write(o, "gone", NULL, "null", 4);
		}
	}
	stream_deadline(w->stream, ends_s);
	if (watch_all_ended(w))
		watch_end(w, "gone");
	watch_load(w);
}
