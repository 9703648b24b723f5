/*
 * many.c: one stream on many resources.
 *
 * Each has a viewer, which reads and writes as ever, but for two things: the
 * stream begins when all of them may be seen, so what has been read by then is
 * read again, and only a few read their first state at a time, so that others'
 * reads are not behind a hundred large ones.
 * Whatever ends the whole is done from the loop, for viewers are told in walks
 * over all of them.
 */
#include "stream/many.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_write.h"
#include "common/log.h"
#include "stream/many_parts.h"

static const struct viewer_ops member_ops;
static const struct stream_ops stream_ops;
static void many_turn(void *arg);

/* ---- life ---- */

void many_destroy(struct many *m)
{
	for (size_t i = 0; i < m->n; i++) {
		struct member *o = &m->member[i];

		if (o->viewer)
			viewer_drop(o->viewer);
		free(o->name);
		free(o->key);
		free(o->after);
		free(o->answer);
	}
	loop_cancel(m->hub->loop, &m->soon);
	proof_free(m->proof);
	secret_wipe(m->ticket, sizeof(m->ticket));
	free(m);
}

void many_free(struct many *m)
{
	if (!m)
		return;
	stream_free(m->stream);
	many_destroy(m);
}

void many_soon(struct many *m)
{
	if (!loop_pending(&m->soon) &&
	    loop_after(m->hub->loop, &m->soon, 0, many_turn, m))
		log_error("no_memory", LOG_STR("where", "watch"));
}

void many_refuse(struct many *m, const struct member *o, int status,
		 const char *slug, const char *detail)
{
	if (m->refused)
		return;
	m->refused = true;
	m->why.status = status;
	(void)snprintf(m->why.slug, SLUG_SIZE, "%s", slug ? slug : "");
	(void)snprintf(m->why.detail, DETAIL_SIZE, "%s", detail ? detail : "");
	if (o && status != 401 && status != 503)
		(void)snprintf(m->why.pointer, POINTER_SIZE, "/r/%zu",
			       (size_t)(o - m->member));
	many_soon(m);
}

/* Its viewer, by the proof that all share or, the first time, the ticket. */
static void member_open(struct member *o)
{
	struct many *m = o->many;
	int err;

	o->ask.who = NULL;
	o->ask.proof = m->proof;
	o->ask.ticket = m->proof ? NULL : m->ticket;
	o->ask.many = m;
	o->ready = false;
	err = viewer_new(&o->viewer, m->hub, &o->ask, &member_ops, o);
	if (err)
		many_refuse(m, NULL, 503, "unavailable", NULL);
}

/* All that are not there; without a proof the first, which gets one. */
static void many_open_all(struct many *m)
{
	for (size_t i = 0; i < m->n && !m->refused; i++) {
		struct member *o = &m->member[i];

		if (o->ended || o->answer)
			continue;
		if (!o->viewer)
			member_open(o);
		if (!m->proof)
			return;
	}
}

static int member_init(struct member *o, const struct many_one *one)
{
	o->ask = one->ask;
	o->ended = one->ended;
	o->name = strdup(one->name);
	o->key = strdup(one->ask.key);
	o->ask.key = o->key;
	if (one->ask.after)
		o->after = strdup(one->ask.after);
	o->ask.after = o->after;
	return o->name && o->key && (o->after || !one->ask.after) ? 0 : ENOMEM;
}

int many_new(struct many **out, struct hub *hub, const struct many_one *one,
	     size_t n, const struct viewer_ops *ops, void *arg)
{
	struct many *m;
	int err = 0;

	if (!hub_is_ready(hub))
		return EAGAIN;
	m = calloc(1, sizeof(*m) + n * sizeof(*m->member));
	if (!m)
		return ENOMEM;
	m->hub = hub;
	m->ops = ops;
	m->arg = arg;
	m->format = one->ask.format;
	m->once = one->ask.once;
	m->ends_s = UINT32_MAX;
	if (one->ask.ticket)
		memcpy(m->ticket, one->ask.ticket, sizeof(m->ticket));
	else if (!(m->proof = proof_new(one->ask.who)))
		err = ENOMEM;
	for (; m->n < n && !err; m->n++) {
		m->member[m->n].many = m;
		err = member_init(&m->member[m->n], &one[m->n]);
	}
	if (!err)
		err = loop_after(hub->loop, &m->soon, 0, many_turn, m);
	if (err) {
		many_destroy(m);
		return err;
	}
	*out = m;
	return 0;
}

/* ---- beginning ---- */

bool many_may_load(struct viewer *v)
{
	struct member *o = v->arg;
	struct many *m = o->many;

	/* Of one item, whether it is there is only known when it is read, and
	   where the inbox stands is said from the first event on. */
	if (!m->once && !m->stream && (o->ready || (!o->ask.n && !v->inbox))) {
		o->ready = true;
		many_soon(m);
		return false;
	}
	if (!o->loading && m->loading < LOAD_WINDOW) {
		o->loading = true;
		m->loading++;
	}
	return o->loading;
}

void member_loaded(struct member *o)
{
	if (!o->loading)
		return;
	o->loading = false;
	o->many->loading--;
	many_soon(o->many);
}

/* The next of those that wait for their turn. */
static void many_load(struct many *m)
{
	for (size_t i = 0; i < m->n && m->loading < LOAD_WINDOW; i++) {
		struct member *o = &m->member[i];
		struct viewer *v = o->viewer;

		if (v && v->state == VIEWER_LOADING && !o->loading &&
		    (m->stream || m->once || !o->ready))
			viewer_step(v);
	}
}

bool many_all_ready(const struct many *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (!m->member[i].ended && !m->member[i].ready)
			return false;
	return true;
}

static bool all_ended(const struct many *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (!m->member[i].ended)
			return false;
	return true;
}

static void many_open(struct many *m)
{
	const char *text = render_prologue(m->format);
	uint32_t ends_s = 0;

	if (m->ops->open(&m->stream, &stream_ops, m, m->arg)) {
		many_destroy(m);
		return;
	}
	if (!*text)
		text = render_heartbeat(m->format);
	stream_write(m->stream, text, strlen(text));
	for (size_t i = 0; i < m->n; i++) {
		struct member *o = &m->member[i];
		struct viewer *v = o->viewer;

		if (v) {
			v->stream = m->stream;
			ends_s = v->ends_s;
		} else if (o->news)
			many_write(o, "gone", NULL, "null", 4);
	}
	stream_deadline(m->stream, ends_s);
	if (all_ended(m))
		many_end(m, "gone");
	many_load(m);
}

/* Whatever was put off. */
static void many_turn(void *arg)
{
	struct many *m = arg;
	const struct pg_answer why = {
		.end = PG_REFUSED,
		.status = m->why.status,
		.sqlstate = "",
		.slug = m->why.slug,
		.detail = m->why.detail,
		.pointer = m->why.pointer,
	};

	if (!m->stream && !m->refused)
		many_open_all(m);
	if (!m->refused)
		many_load(m);
	if (m->stream)
		return; /* it is ended by its own */
	if (m->refused) {
		m->ops->refused(&why, m->arg);
		many_destroy(m);
	} else if (m->once)
		many_poll(m);
	else if (many_all_ready(m))
		many_open(m);
}

void many_opened(struct viewer *v)
{
	struct member *o = v->arg;
	struct many *m = o->many;

	if (m->proof)
		return;
	m->proof = proof_ref(v->proof);
	many_soon(m);
}

bool many_begin(struct viewer *v)
{
	struct member *o = v->arg;
	bool open = o->many->stream;

	if (open)
		v->state = VIEWER_OPEN;
	o->ready = true;
	member_loaded(o);
	return open;
}

bool many_has_inbox(struct viewer *v)
{
	struct member *me = v->arg;
	struct many *m = me->many;

	for (size_t i = 0; i < m->n; i++)
		if (m->member[i].viewer && m->member[i].viewer->inbox)
			me->muted = true;
	return me->muted;
}

/* ---- what becomes of one ---- */

/* Whether it may be a message that was sent to that login. */
static bool member_try_send(struct member *o, const struct pg_answer *why)
{
	char *key;
	int n;

	if (why->status != 404 || !o->ask.n || strcmp(o->ask.kind, "login") ||
	    !strcmp(why->slug, "user-not-found"))
		return false;
	n = snprintf(NULL, 0, "%s/%lld", o->key, (long long)o->ask.n);
	key = malloc((size_t)n + 1);
	if (!key)
		return false;
	(void)snprintf(key, (size_t)n + 1, "%s/%lld", o->key,
		       (long long)o->ask.n);
	free(o->key);
	o->ask.key = o->key = key;
	o->ask.kind = "send";
	o->ask.n = 0;
	many_soon(o->many); /* opens it */
	return true;
}

/* Whether it is one that the client has seen, which is no more, or may not be
   seen: that is told, and does not end the others. */
static bool member_has_gone(struct member *o, const struct pg_answer *why)
{
	struct many *m = o->many;

	if ((why->status != 404 && why->status != 403) ||
	    (!m->stream && (!o->ask.resume || !o->ask.version)))
		return false;
	o->ended = true;
	if (m->once)
		member_answer_gone(o);
	else if (!m->stream)
		o->news = true;
	else {
		many_write(o, "gone", NULL, "null", 4);
		if (all_ended(m))
			many_end(m, "gone");
	}
	many_soon(m);
	return true;
}

static void member_refused(const struct pg_answer *why, void *arg)
{
	struct member *o = arg;
	struct many *m = o->many;

	o->viewer = NULL; /* it frees itself */
	member_loaded(o);
	if (m->refused || m->ending)
		return;
	if (!m->stream && member_try_send(o, why))
		return;
	if (member_has_gone(o, why))
		return;
	if (m->stream)
		many_end(m, why->status == 401 ? "session-ended" : "restart");
	else
		many_refuse(m, o, why->status, why->slug, why->detail);
}

static const struct viewer_ops member_ops = {
	.refused = member_refused,
	.answer = member_answered,
	.waits = member_waits,
};

void many_end(struct many *m, const char *reason)
{
	struct buf data, frame;

	if (m->ending)
		return;
	m->ending = true;
	buf_init(&data, 256);
	buf_init(&frame, 512);
	buf_char(&data, '{');
	json_member(&data, "reason", reason);
	buf_char(&data, '}');
	render_event(&frame, m->format, "end", NULL, data.p ? data.p : "",
		     data.len);
	if (!data.failed && !frame.failed)
		stream_write(m->stream, frame.p, frame.len);
	buf_free(&data);
	buf_free(&frame);
	stream_finish(m->stream);
	for (size_t i = 0; i < m->n; i++)
		if (m->member[i].viewer)
			viewer_leave(m->member[i].viewer);
}

/* Whether messages would have to go on with another. */
static bool inbox_is_orphaned(const struct many *m, const struct viewer *v)
{
	for (size_t i = 0; v->inbox && i < m->n; i++)
		if (m->member[i].muted && !m->member[i].ended)
			return true;
	return false;
}

void many_member_end(struct viewer *v, const char *reason, const char *data,
		     size_t n)
{
	struct member *o = v->arg;
	struct many *m = o->many;
	bool gone = !strcmp(reason, "gone");

	if (!gone && strcmp(reason, "access-ended") != 0) {
		many_end(m, reason);
		return;
	}
	o->ended = true;
	if (!gone)
		many_write(o, "end", NULL, data, n);
	if (v->state == VIEWER_ENDING)
		return; /* that was too much */
	viewer_leave(v);
	member_loaded(o);
	if (inbox_is_orphaned(m, v)) {
		many_end(m, "restart");
		return;
	}
	if (all_ended(m))
		many_end(m, reason);
}

void many_member_gone(struct viewer *v)
{
	struct member *o = v->arg;

	o->ended = true;
}

/* ---- what the stream says ---- */

static void on_moved(void *arg)
{
	struct many *m = arg;

	for (size_t i = 0; i < m->n; i++)
		if (m->member[i].viewer)
			viewer_moved(m->member[i].viewer);
}

static void on_idle(void *arg)
{
	struct many *m = arg;
	const char *text = render_heartbeat(m->format);

	stream_write(m->stream, text, strlen(text));
}

static void on_due(void *arg)
{
	many_end(arg, "session-ended");
}

static void on_closed(void *arg)
{
	struct many *m = arg;

	m->ending = true;
	for (size_t i = 0; i < m->n; i++)
		if (m->member[i].viewer)
			viewer_acknowledge(m->member[i].viewer);
	m->stream = NULL; /* goes by itself */
	many_destroy(m);
}

static const struct stream_ops stream_ops = {
	.moved = on_moved,
	.idle = on_idle,
	.due = on_due,
	.closed = on_closed,
};
