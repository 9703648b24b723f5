/*
 * single.c: one viewer for one request.
 */
#include "stream/out/single.h"

#include <string.h>

#include "common/buf.h"
#include "common/json_write.h"
#include "common/log.h"
#include "stream/hub/place.h"

/* ---- a stream of its own ---- */

static void on_moved(void *arg)
{
	viewer_moved(arg);
}

static void on_idle(void *arg)
{
	const char *text = render_heartbeat(viewer_format(arg));

	stream_write(viewer_stream(arg), text, strlen(text));
}

static void on_due(void *arg)
{
	viewer_end(arg, "session-ended");
}

static void on_closed(void *arg)
{
	viewer_closed(arg);
}

static const struct stream_ops stream_ops = {
	.moved = on_moved,
	.idle = on_idle,
	.due = on_due,
	.closed = on_closed,
};

static int single_begin(struct viewer *v, bool resumed)
{
	struct single *s = viewer_arg(v);
	const char *text = render_prologue(viewer_format(v));
	struct stream *stream;
	int err;

	s->viewer = NULL;
	err = s->outcome->open(&stream, &stream_ops, v, s->arg);
	if (err)
		return err;
	viewer_set_stream(v, stream);
	stream_deadline(stream, viewer_ends_s(v));
	if (resumed && !*text)
		text = render_heartbeat(viewer_format(v));
	stream_write(stream, text, strlen(text));
	return 0;
}

static void single_write(struct viewer *v, const char *name, const char *id,
			 const char *data, size_t n, uint64_t number)
{
	const struct buf *text = frame_event(viewer_frame(v), viewer_format(v),
					     number, name, id, data, n);

	if (text) {
		stream_write(viewer_stream(v), text->p, text->len);
		return;
	}
	log_error_often(1, "event_too_large", LOG_STR("name", name),
			LOG_INT("bytes", n));
	viewer_end(v, "too-large");
}

static void single_event(struct viewer *v, const char *name, bool with_id,
			 const char *data, size_t n, uint64_t number)
{
	char id[RENDER_ID_SIZE] = "";

	if (with_id)
		viewer_id(id, v, 0);
	single_write(v, name, id, data, n, number);
}

static void single_gone(struct viewer *v, int64_t version, uint64_t number)
{
	char id[RENDER_ID_SIZE] = "";

	if (version)
		viewer_id(id, v, version);
	single_write(v, "gone", id, "null", 4, number);
}

static void single_end(struct viewer *v, const char *reason)
{
	const struct buf *text = NULL;
	struct buf b;

	buf_init(&b, 256);
	buf_char(&b, '{');
	json_member(&b, "reason", reason);
	buf_char(&b, '}');
	if (!b.failed)
		text = frame_event(viewer_frame(v), viewer_format(v),
				   ++viewer_place(v)->events, "end", "", b.p,
				   b.len);
	if (text)
		stream_write(viewer_stream(v), text->p, text->len);
	buf_free(&b);
	stream_finish(viewer_stream(v));
}

static void single_refuse(struct viewer *v, const struct pg_answer *why)
{
	struct single *s = viewer_arg(v);

	s->outcome->refused(why, s->arg);
}

static const struct outlet_ops stream_outlet = {
	.begin = single_begin,
	.event = single_event,
	.gone = single_gone,
	.end = single_end,
	.refuse = single_refuse,
};

/* ---- one answer ---- */

static void single_answer(struct viewer *v, int64_t version, const char *doc,
			  bool patch)
{
	struct single *s = viewer_arg(v);

	s->viewer = NULL;
	s->outcome->answer(version, doc, patch, s->arg);
}

static void single_wait(struct viewer *v, uint32_t ends_s)
{
	struct single *s = viewer_arg(v);

	s->outcome->waits(ends_s, s->arg);
}

static const struct outlet_ops poll_outlet = {
	.once = true,
	.answer = single_answer,
	.wait = single_wait,
	.refuse = single_refuse,
};

/* ---- asking ---- */

int single_ask(struct single *s, struct viewers *all,
	       const struct viewer_ask *ask, const struct outcome_ops *outcome,
	       void *arg)
{
	s->outcome = outcome;
	s->arg = arg;
	s->viewer = NULL;
	return viewer_new(&s->viewer, all, ask,
			  ask->once ? &poll_outlet : &stream_outlet, s);
}

void single_free(struct single *s)
{
	viewer_free(s->viewer);
	s->viewer = NULL;
}
