/*
 * access.c: what a viewer may see.
 */
#include "stream/viewer/access.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stream/hub/proof.h"
#include "stream/viewer/tell.h"

static const struct opening_ops opening_ops;

/* ---- asking ---- */

int access_ask(struct viewer *v, const struct view *view, const uint8_t *ticket)
{
	const struct opening_ask ask = {
		.kind = view->kind,
		.key = view->key,
		.n = view->n,
		.proof = v->proof,
		.ticket = ticket,
		.quiet = v->quiet,
		.first = v->state == VIEWER_ASKING,
	};

	return opening_add(&v->opening, v->all->openings, &ask, &opening_ops,
			   v);
}

/* Whether it is in a state that waits for an answer. */
static void ask_again(struct viewer *v)
{
	struct view view = topic_view(v->seat.topic);

	if (v->key)
		view.key = v->key;
	if (v->opening)
		opening_again(v->opening);
	else if (!access_ask(v, &view, NULL))
		return;
	else if (viewer_has_begun(v))
		viewer_end(v, "busy");
	else
		viewer_refuse_unavailable(v);
}

void access_reopen(struct viewer *v)
{
	if (!viewer_has_begun(v)) {
		access_recheck(v);
		return;
	}
	if (v->state != VIEWER_CHECKING && v->state != VIEWER_REOPENING)
		viewer_move(v, VIEWER_REOPENING);
	ask_again(v);
}

void access_recheck(struct viewer *v)
{
	if (v->state >= VIEWER_ENDING)
		return;
	if (viewer_has_begun(v) && v->state != VIEWER_CHECKING)
		viewer_move(v, VIEWER_CHECKING);
	else if (!viewer_has_begun(v) && v->state != VIEWER_ASKING)
		viewer_move(v, VIEWER_ASKING);
	if (v->seat.topic)
		ask_again(v);
	else
		opening_again(v->opening);
}

void access_seat_recheck(struct seat *s)
{
	access_recheck(viewer_of(s));
}

void access_seat_retry(struct seat *s)
{
	struct viewer *v = viewer_of(s);

	if ((v->state == VIEWER_CHECKING || v->state == VIEWER_REOPENING) &&
	    !v->opening)
		ask_again(v);
	else
		viewer_next(v);
}

static void session_recheck(struct seat *s)
{
	access_recheck((struct viewer *)((char *)s -
					 offsetof(struct viewer, session)));
}

static void session_retry(struct seat *s)
{
	(void)s; /* there is nothing to read */
}

const struct topic_ops access_session = {
	.recheck = session_recheck,
	.retry = session_retry,
};

static const struct topic_ops part_ops = {
	.retry = session_retry,
};

/* ---- answers ---- */

/* The owner's messages. */
static int get_mail(struct viewer *v, struct topic *t)
{
	v->mail = calloc(1, sizeof(*v->mail));
	if (!v->mail)
		return ENOMEM;
	v->mail->viewer = v;
	v->mail->seat.ops = &reader_of(v)->inbox;
	v->mail->seat.at = v->inbox_at;
	if (v->inbox_at < 0)
		v->seat.version = 0; /* its first event needs the inbox */
	return inbox_attach(&v->mail->seat, t);
}

/* It takes its seat. */
static void attach(struct viewer *v, const struct opened *o)
{
	bool mine = o->mine;

	if (mine && v->outlet->has_inbox && v->outlet->has_inbox(v))
		mine = false;
	seat_attach(&v->seat, o->topic, mine);
	if (mine && get_mail(v, o->topic))
		viewer_refuse_unavailable(v);
}

/* It sees more or less than it did: it is shown the whole anew. */
static void change_seat(struct viewer *v, const struct opened *o)
{
	if (v->mail) { /* another's by that name */
		if (viewer_has_begun(v))
			viewer_end(v, "reopen");
		else
			viewer_refuse_unavailable(v);
		return;
	}
	seat_detach(&v->seat);
	seat_attach(&v->seat, o->topic, false);
	v->seat.version = 0;
}

/* As long as it looks, `part` stays, if any: a participant, or logins. */
static void take_part(struct viewer *v, struct topic *part)
{
	if (v->part && v->part->topic == part)
		return;
	viewer_part(v);
	if (!part)
		return;
	v->part = calloc(1, sizeof(*v->part));
	if (v->part) {
		v->part->ops = &part_ops;
		seat_attach(v->part, part, false);
	} else if (viewer_has_begun(v))
		viewer_end(v, "busy");
	else
		viewer_refuse_unavailable(v);
}

static void on_opened(const struct opened *o, void *arg)
{
	struct viewer *v = arg;

	v->opening = NULL;
	v->ends_s = o->ends_s;
	v->checked = o->version;
	if (!v->proof)
		v->proof = proof_ref(o->proof);
	if (!v->session.topic)
		seat_attach_live(&v->session, o->session);
	if (v->stream)
		stream_deadline(v->stream, v->ends_s);
	take_part(v, o->part);
	if (v->state >= VIEWER_ENDING)
		return;
	if (v->outlet->opened)
		v->outlet->opened(v);
	if (!v->seat.topic)
		attach(v, o);
	else if (v->seat.topic != o->topic)
		change_seat(v, o);
	if (v->state >= VIEWER_ENDING)
		return;
	viewer_move(v, viewer_has_begun(v) ? VIEWER_BEHIND : VIEWER_TURN);
	viewer_next(v);
}

static void on_refused(const struct pg_answer *why, void *arg)
{
	struct viewer *v = arg;

	v->opening = NULL;
	viewer_refuse(v, why);
}

static void on_lost(void *arg)
{
	struct viewer *v = arg;

	v->opening = NULL;
	if (v->state == VIEWER_ASKING)
		viewer_refuse_unavailable(v);
}

static const struct opening_ops opening_ops = {
	.opened = on_opened,
	.refused = on_refused,
	.lost = on_lost,
};

/* ---- whose access changes ---- */

int64_t access_caller(const struct viewer *v)
{
	return v->session.topic ? topic_id(v->session.topic) : 0;
}

bool array_has(const char *s, int64_t n)
{
	while (*s) {
		char *end;

		s += strcspn(s, "0123456789");
		if (!*s)
			return false;
		if (strtoll(s, &end, 10) == n)
			return true;
		s = end;
	}
	return false;
}

bool access_must_recheck(struct viewer *v, const struct change *c)
{
	bool maybe = c->recheck && (array_has(c->recheck, 0) ||
				    array_has(c->recheck, access_caller(v)));

	/* What is not a step may have more than one behind it. */
	if (c->fresh && !c->gone && topic_view(v->seat.topic).kind->hides)
		maybe = true;
	if (!maybe || c->version <= v->checked)
		return false;
	access_recheck(v);
	return true;
}
