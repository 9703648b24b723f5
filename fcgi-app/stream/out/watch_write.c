/*
 * watch_write.c: events of a watch, and its one answer, as text.
 */
#include "stream/out/watch_write.h"

#include <errno.h>
#include <stdlib.h>

#include "common/json_write.h"
#include "common/log.h"

static void id_init(struct buf *b, const struct watch *w)
{
	buf_init(b, w->n * (RENDER_ID_SIZE + 1) + 1);
}

static void add_asked(struct buf *b, const struct viewer_ask *ask)
{
	char id[RENDER_ID_SIZE];

	if (ask->kind->is_list)
		render_place(id, ask->version, ask->upto, ask->after_n);
	else
		render_id(id, ask->version, ask->inbox);
	buf_str(b, id);
}

static void add_part(struct buf *b, const struct member *o)
{
	const struct viewer *v = o->viewer;
	char id[RENDER_ID_SIZE];

	if (o->ended && !o->news)
		buf_char(b, '-');
	else if (v && viewer_place_id(id, v))
		buf_str(b, id);
	else if (o->ask.resume && o->ask.version)
		add_asked(b, &o->ask); /* it has not gone on yet */
	else if (v && viewer_inbox_id(id, v))
		buf_str(b, id);
}

void watch_write_id(struct buf *b, const struct watch *w)
{
	for (size_t i = 0; i < w->n; i++) {
		if (i)
			buf_char(b, ',');
		add_part(b, &w->member[i]);
	}
}

static void add_body(struct buf *b, const struct member *o, const char *own,
		     const char *data, size_t n)
{
	buf_char(b, '{');
	json_member(b, "resource", o->name);
	if (own)
		json_member(b, "id", own);
	json_key(b, "data");
	buf_add(b, data, n);
	buf_char(b, '}');
}

int watch_write(struct member *o, const char *name, const char *own,
		const char *data, size_t n)
{
	struct watch *w = o->watch;
	struct buf id, body, frame;
	bool failed;

	id_init(&id, w);
	buf_init(&body, FRAME_MAX);
	buf_init(&frame, FRAME_MAX);
	add_body(&body, o, own, data, n);
	watch_write_id(&id, w);
	if (!body.failed && !id.failed)
		render_event(&frame, w->format, name, id.p, body.p, body.len);
	failed = body.failed || id.failed || frame.failed;
	if (failed)
		log_error_often(1, "event_too_large", LOG_STR("name", name),
				LOG_INT("bytes", n));
	else
		stream_write(w->stream, frame.p, frame.len);
	buf_free(&id);
	buf_free(&body);
	buf_free(&frame);
	return failed ? EMSGSIZE : 0;
}

void watch_write_end(struct watch *w, const char *reason)
{
	struct buf data, frame;

	buf_init(&data, 256);
	buf_init(&frame, 512);
	buf_char(&data, '{');
	json_member(&data, "reason", reason);
	buf_char(&data, '}');
	render_event(&frame, w->format, "end", NULL, data.p ? data.p : "",
		     data.len);
	if (!data.failed && !frame.failed)
		stream_write(w->stream, frame.p, frame.len);
	buf_free(&data);
	buf_free(&frame);
	stream_finish(w->stream);
}

int watch_write_answer(struct member *o, const char *id, const char *name,
		       const char *value)
{
	struct buf b;

	buf_init(&b, FRAME_MAX);
	buf_char(&b, '{');
	json_member(&b, "resource", o->name);
	if (id)
		json_member(&b, "id", id);
	json_key(&b, name);
	buf_str(&b, value);
	buf_char(&b, '}');
	free(o->answer);
	o->answer = b.failed ? NULL : b.p;
	if (!b.failed)
		return 0;
	log_error_often(0, "answer_too_large", LOG_STR("resource", o->name));
	buf_free(&b);
	return EMSGSIZE;
}

void watch_write_answers(struct buf *b, const struct watch *w)
{
	for (size_t i = 0; i < w->n; i++) {
		if (!w->member[i].answer)
			continue;
		buf_char(b, b->len ? ',' : '[');
		buf_str(b, w->member[i].answer);
	}
	buf_char(b, ']');
}
