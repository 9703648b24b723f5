/*
 * many_write.c: events of one stream on many resources, and the id that
 * resumes all of them.
 */
#include <string.h>

#include "common/json_write.h"
#include "common/log.h"
#include "stream/many_parts.h"

static void add_asked(struct buf *b, const struct viewer_ask *ask)
{
	char id[RENDER_ID_SIZE];

	if (strcmp(ask->kind, "list"))
		render_id(id, ask->version, ask->inbox);
	else
		render_place(id, ask->version, ask->upto, ask->after_n);
	buf_str(b, id);
}

/* A part for each; what is not shown yet begins anew. */
void many_add_id(struct buf *b, const struct many *m)
{
	for (size_t i = 0; i < m->n; i++) {
		const struct member *o = &m->member[i];
		const struct viewer *v = o->viewer;
		char id[RENDER_ID_SIZE];

		if (i)
			buf_char(b, ',');
		if (o->ended) {
			buf_char(b, '-');
		} else if (v && v->state == VIEWER_OPEN && v->sub.version &&
			   !list_is_partial(v)) {
			viewer_id(id, v);
			buf_str(b, id);
		} else if (o->ask.resume && o->ask.version) {
			add_asked(b, &o->ask); /* it has not gone on yet */
		} else if (v && v->inbox && v->inbox_at >= 0) {
			/* Messages may be written before its state is. */
			render_id(id, 0, v->inbox_at);
			buf_str(b, id);
		}
	}
}

void many_write(struct member *o, const char *name, const char *own,
		const char *data, size_t n)
{
	struct many *m = o->many;
	struct buf id, body, frame;

	buf_init(&id, ID_MAX);
	buf_init(&body, FRAME_MAX);
	buf_init(&frame, FRAME_MAX);
	buf_char(&body, '{');
	json_member(&body, "resource", o->name);
	if (own)
		json_member(&body, "id", own);
	json_key(&body, "data");
	buf_add(&body, data, n);
	buf_char(&body, '}');
	many_add_id(&id, m);
	if (!body.failed && !id.failed)
		render_event(&frame, m->format, name, id.p, body.p, body.len);
	if (body.failed || id.failed || frame.failed) {
		log_error("event_too_large", LOG_STR("name", name),
			  LOG_INT("bytes", n));
		many_end(m, "too-large");
	} else
		stream_write(m->stream, frame.p, frame.len);
	buf_free(&id);
	buf_free(&body);
	buf_free(&frame);
}

void many_event(struct viewer *v, const char *name, bool with_id,
		const char *data, size_t n)
{
	char own[RENDER_ID_SIZE];

	viewer_id(own, v);
	many_write(v->arg, name, with_id ? own : NULL, data, n);
}
