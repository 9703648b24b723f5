/*
 * watch_poll.c: one answer for many viewers: those that have moved.
 */
#include "stream/out/watch_poll.h"

#include "stream/out/watch_member.h"
#include "stream/out/watch_write.h"

static void member_said(struct member *o, const char *id, const char *name,
			const char *value)
{
	o->ready = true;
	if (watch_write_answer(o, id, name, value))
		watch_refuse(o->watch, NULL, 503, "busy", NULL);
	watch_soon(o->watch);
}

static void member_answer(struct viewer *v, int64_t version, const char *doc,
			  bool patch)
{
	struct member *o = viewer_arg(v);
	char id[RENDER_ID_SIZE];

	o->viewer = NULL;
	member_loaded(o);
	o->ask.resume = true;
	o->ask.version = version;
	o->ask.upto = o->ask.after_n = 0;
	render_id(id, version, -1);
	member_said(o, id, patch ? "patch" : "data", doc);
}

static void member_wait(struct viewer *v, uint32_t ends_s)
{
	struct member *o = viewer_arg(v);

	o->ready = true;
	member_loaded(o);
	if (ends_s < o->watch->ends_s)
		o->watch->ends_s = ends_s;
	watch_soon(o->watch);
}

static void member_refused(struct viewer *v, const struct pg_answer *why)
{
	struct member *o = viewer_arg(v);

	o->viewer = NULL;
	member_loaded(o);
	if (o->watch->refused || member_try_send(o, why))
		return;
	if (member_has_gone(o, why))
		member_said(o, NULL, "gone", "true");
	else
		watch_refuse(o->watch, o, why->status, why->slug, why->detail);
}

const struct outlet_ops watch_poll_outlet = {
	.once = true,
	.may_load = member_may_load,
	.opened = member_opened,
	.has_inbox = member_has_inbox,
	.answer = member_answer,
	.wait = member_wait,
	.refuse = member_refused,
};

static void watch_answer(struct watch *w)
{
	struct buf id, docs;

	buf_init(&id, w->n * (RENDER_ID_SIZE + 1) + 1);
	buf_init(&docs, FRAME_MAX);
	watch_write_id(&id, w);
	watch_write_answers(&docs, w);
	if (id.failed || docs.failed)
		watch_refuse(w, NULL, 503, "busy", NULL);
	else {
		w->outcome->answer_many(id.p, docs.p, docs.len, w->arg);
		watch_destroy(w);
	}
	buf_free(&id);
	buf_free(&docs);
}

static bool has_answer(const struct watch *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->member[i].answer)
			return true;
	return false;
}

bool watch_wait_over(struct watch *w)
{
	if (!w->refused && has_answer(w)) {
		watch_answer(w);
		return true;
	}
	return w->refused;
}

void watch_poll_look(struct watch *w)
{
	if (!watch_all_ready(w))
		return;
	if (has_answer(w))
		watch_answer(w);
	else if (!w->waiting) {
		w->waiting = true;
		w->outcome->waits(w->ends_s, w->arg);
	}
}
