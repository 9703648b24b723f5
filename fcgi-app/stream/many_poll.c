/*
 * many_poll.c: the long poll of many resources: one answer with those that
 * have moved.
 */
#include <stdlib.h>

#include "common/json_write.h"
#include "common/log.h"
#include "stream/many_parts.h"

/* What has become of one; member: "data", "patch" or "gone". Null without
   memory, or where it is too large. */
static char *member_answer_text(const struct member *o, const char *id,
				const char *member, const char *value)
{
	struct buf b;

	buf_init(&b, FRAME_MAX);
	buf_char(&b, '{');
	json_member(&b, "resource", o->name);
	if (id)
		json_member(&b, "id", id);
	json_key(&b, member);
	buf_str(&b, value);
	buf_char(&b, '}');
	if (!b.failed)
		return b.p;
	log_error("answer_too_large", LOG_STR("resource", o->name));
	buf_free(&b);
	return NULL;
}

static void many_answer(struct many *m)
{
	struct buf id, docs;

	buf_init(&id, ID_MAX);
	buf_init(&docs, FRAME_MAX);
	many_add_id(&id, m);
	for (size_t i = 0; i < m->n; i++) {
		if (!m->member[i].answer)
			continue;
		buf_char(&docs, docs.len ? ',' : '[');
		buf_str(&docs, m->member[i].answer);
	}
	buf_char(&docs, ']');
	if (id.failed || docs.failed)
		many_refuse(m, NULL, 503, "busy", NULL);
	else {
		m->ops->answer_many(id.p, docs.p, docs.len, m->arg);
		many_destroy(m);
	}
	buf_free(&id);
	buf_free(&docs);
}

void many_poll(struct many *m)
{
	bool some = false;

	if (!many_all_ready(m))
		return;
	for (size_t i = 0; i < m->n; i++)
		some = some || m->member[i].answer;
	if (some)
		many_answer(m);
	else if (!m->waiting) {
		m->waiting = true;
		m->ops->waits(m->ends_s, m->arg);
	}
}

static void member_said(struct member *o, char *answer)
{
	o->ready = true;
	o->answer = answer;
	if (!answer)
		many_refuse(o->many, NULL, 503, "busy", NULL);
	many_soon(o->many);
}

void member_answered(int64_t version, const char *doc, bool patch, void *arg)
{
	struct member *o = arg;
	char id[RENDER_ID_SIZE];

	o->viewer = NULL; /* it frees itself */
	member_loaded(o);
	o->ask.resume = true;
	o->ask.version = version;
	o->ask.upto = o->ask.after_n = 0;
	render_id(id, version, -1);
	member_said(o,
		    member_answer_text(o, id, patch ? "patch" : "data", doc));
}

void member_waits(uint32_t ends_s, void *arg)
{
	struct member *o = arg;

	o->ready = true;
	member_loaded(o);
	if (ends_s < o->many->ends_s)
		o->many->ends_s = ends_s;
	many_soon(o->many);
}

void member_answer_gone(struct member *o)
{
	member_said(o, member_answer_text(o, NULL, "gone", "true"));
}
