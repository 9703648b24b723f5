/*
 * viewer.c: one client, from its request to its end.
 */
#include "stream/viewer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/json_write.h"
#include "common/log.h"
#include "stream/many.h"
#include "stream/watch.h"

static const struct stream_ops stream_ops;

/* ---- life ---- */

static void viewer_link(struct viewer *v)
{
	struct hub *hub = v->hub;

	v->next = hub->viewers;
	v->prev = &hub->viewers;
	if (v->next)
		v->next->prev = &v->next;
	hub->viewers = v;
	hub->nviewers++;
}

/* All but the stream, which goes by itself where there is one. */
static void viewer_destroy(struct viewer *v)
{
	struct resource *r = v->sub.resource;
	struct inbox *b = v->inbox;

	if (v->query)
		db_forget(v->query);
	open_forget(v->opening);
	if (b)
		inbox_detach(v);
	if (r)
		sub_detach(&v->sub);
	else if (b)
		inbox_release(b);
	sub_detach(&v->session);
	*v->prev = v->next;
	if (v->next)
		v->next->prev = v->prev;
	v->hub->nviewers--;
	proof_free(v->proof);
	list_view_free(v->list);
	free(v->key);
	free(v->first_doc);
	free(v->acks);
	free(v);
}

void viewer_free(struct viewer *v)
{
	if (!v)
		return;
	if (v->many) {
		many_free(v->many);
		return;
	}
	stream_free(v->stream);
	viewer_destroy(v);
}

void viewer_drop(struct viewer *v)
{
	viewer_destroy(v);
}

int viewer_new(struct viewer **out, struct hub *hub,
	       const struct viewer_ask *ask, const struct viewer_ops *ops,
	       void *arg)
{
	const struct view view = {
		.kind = ask->kind,
		.key = ask->key,
		.n = ask->n,
	};
	struct viewer *v;
	int err = ENOMEM;

	if (!hub_is_ready(hub))
		return EAGAIN;
	v = calloc(1, sizeof(*v));
	if (!v)
		return ENOMEM;
	v->hub = hub;
	v->many = ask->many;
	v->ops = ops;
	v->arg = arg;
	v->format = (uint8_t)ask->format;
	v->once = ask->once;
	v->diff = ask->diff;
	v->quiet = ask->quiet || ask->once;
	v->inbox_at = -1;
	v->sub.viewer = v->session.viewer = v;
	if (ask->resume) { /* version 0: only from that message on */
		v->sub.version = ask->version;
		v->inbox_at = ask->inbox;
	}
	viewer_link(v);
	v->proof = ask->who ? proof_new(ask->who) : proof_ref(ask->proof);
	if (!strcmp(ask->kind, "send")) /* its doorbell has another */
		v->key = strdup(ask->key);
	if (!strcmp(ask->kind, "list"))
		v->list = list_view_new(ask);
	if ((v->proof || !ask->who) &&
	    (v->list || strcmp(ask->kind, "list") != 0))
		err = open_add(hub, v, &view, ask->ticket);
	if (err) {
		viewer_destroy(v);
		return err;
	}
	*out = v;
	return 0;
}

void viewer_refuse(struct viewer *v, const struct pg_answer *why)
{
	if (v->state != VIEWER_ASKING && v->state != VIEWER_LOADING) {
		viewer_end(v, why->status == 401   ? "session-ended"
			      : why->status == 403 ? "access-ended"
			      : why->status == 404 ? "access-ended"
						   : why->slug);
		return;
	}
	v->ops->refused(why, v->arg);
	viewer_destroy(v);
}

void viewer_refuse_unavailable(struct viewer *v)
{
	const struct app_err_info *info = app_err_info(APP_UNAVAILABLE);
	const struct pg_answer why = {
		.end = PG_AWAY,
		.status = info->status,
		.sqlstate = "",
		.slug = info->slug,
		.detail = info->detail,
		.pointer = "",
	};

	viewer_refuse(v, &why);
}

/* ---- writing ---- */

void viewer_id(char out[static RENDER_ID_SIZE], const struct viewer *v)
{
	if (v->list)
		list_id(out, v);
	else
		render_id(out, v->sub.version, v->inbox ? v->inbox_at : -1);
}

void viewer_write(struct viewer *v, const char *name, int64_t version,
		  const char *data, size_t n, uint64_t event)
{
	struct frame *f = &v->hub->frame;
	char id[RENDER_ID_SIZE] = "";

	if (v->many) {
		many_event(v, name, version != 0, data, n);
		return;
	}

	if (version && v->list)
		list_id(id, v);
	else if (version)
		render_id(id, version, v->inbox ? v->inbox_at : -1);
	if (f->of != event || f->format != v->format || strcmp(f->id, id)) {
		buf_reset(&f->text);
		render_event(&f->text, v->format, name, *id ? id : NULL, data,
			     n);
		f->of = event;
		f->format = v->format;
		memcpy(f->id, id, sizeof(id));
	}
	if (f->text.failed) {
		f->of = 0;
		log_error("event_too_large", LOG_STR("name", name),
			  LOG_INT("bytes", n));
		viewer_end(v, "too-large");
		return;
	}
	stream_write(v->stream, f->text.p, f->text.len);
}

void viewer_leave(struct viewer *v)
{
	v->state = VIEWER_ENDING;
	if (v->query)
		db_forget(v->query);
	v->query = NULL;
	open_forget(v->opening);
	v->opening = NULL;
	if (v->inbox)
		inbox_fall_behind(v);
	sub_detach(&v->sub);
	sub_detach(&v->session);
}

void viewer_end(struct viewer *v, const char *reason)
{
	struct buf b;

	if (v->state != VIEWER_OPEN)
		return;
	buf_init(&b, 256);
	buf_char(&b, '{');
	json_member(&b, "reason", reason);
	buf_char(&b, '}');
	if (v->many) {
		many_member_end(v, reason, b.failed ? "null" : b.p,
				b.failed ? 4 : b.len);
		buf_free(&b);
		return;
	}
	v->state = VIEWER_ENDING;
	if (!b.failed)
		viewer_write(v, "end", 0, b.p, b.len, ++v->hub->events);
	buf_free(&b);
	stream_finish(v->stream);
	viewer_leave(v);
}

void viewer_gone(struct viewer *v, const struct change *c)
{
	if (v->state != VIEWER_OPEN)
		return;
	if (v->many)
		many_member_gone(v);
	viewer_write(v, "gone", c->version, "null", 4, c->event);
	viewer_end(v, "gone");
}

bool viewer_begin(struct viewer *v, bool resumed)
{
	const char *text = render_prologue(v->format);

	if (v->many)
		return many_begin(v);
	if (v->ops->open(&v->stream, &stream_ops, v, v->arg)) {
		viewer_destroy(v);
		return false;
	}
	v->state = VIEWER_OPEN;
	stream_deadline(v->stream, v->ends_s);
	if (resumed && !*text)
		text = render_heartbeat(v->format);
	stream_write(v->stream, text, strlen(text));
	return true;
}

bool viewer_is_full(const struct viewer *v)
{
	return stream_pending(v->stream) > STREAM_QUEUE_MAX;
}

struct proof *viewer_proof(const struct viewer *v)
{
	return v->proof;
}

void viewer_wait(struct viewer *v)
{
	uint32_t now_s = stream_now_s(v->hub->pool);
	uint32_t ends_s = UINT32_MAX;

	if (v->ends_s)
		ends_s = v->ends_s > now_s ? v->ends_s - now_s : 0;
	v->ops->waits(ends_s, v->arg);
}

void viewer_answer(struct viewer *v, const struct change *c)
{
	if (c->gone) {
		const struct app_err_info *info = app_err_info(APP_NOT_FOUND);
		const struct pg_answer why = {
			.end = PG_REFUSED,
			.status = info->status,
			.sqlstate = "",
			.slug = info->slug,
			.detail = info->detail,
			.pointer = "",
		};

		v->ops->refused(&why, v->arg);
	} else if (v->diff && c->from) {
		const struct buf *patch = change_patch(v->hub, c);

		if (!patch) {
			viewer_refuse_unavailable(v);
			return;
		}
		v->ops->answer(c->version, patch->p, true, v->arg);
	} else
		v->ops->answer(c->version, c->doc, false, v->arg);
	viewer_destroy(v);
}

void viewer_put(struct viewer *v, const struct change *c)
{
	const struct buf *patch;

	v->sub.version = c->version;
	if (c->fresh || !v->diff) {
		viewer_write(v, c->fresh ? "state" : "change", c->version,
			     c->doc, strlen(c->doc), c->event);
		return;
	}
	patch = change_patch(v->hub, c);
	if (patch)
		viewer_write(v, "change", c->version, patch->p, patch->len,
			     c->patch_event);
	else
		viewer_end(v, "busy");
}

/* Whether it is no step from what the viewer has. */
static bool is_no_step(const struct viewer *v, const struct change *c)
{
	return c->fresh || !c->from || c->prior != v->sub.version;
}

void viewer_change(struct viewer *v, const struct change *c)
{
	bool news = c->version > v->sub.version;

	if (!c->gone && news && viewer_must_recheck(v, c))
		return;
	if (!c->gone && v->diff && (news || c->fresh) && is_no_step(v, c)) {
		sub_fall_behind(&v->sub);
		viewer_step(v);
	} else if (!c->gone && !news)
		return;
	else if (v->once)
		viewer_answer(v, c);
	else if (c->gone)
		viewer_gone(v, c);
	else if (viewer_is_full(v))
		sub_fall_behind(&v->sub);
	else
		viewer_put(v, c);
}

/* ---- messages ---- */

static void ack_add(struct viewer *v, int64_t inbox)
{
	if (v->nacks == v->acks_size) {
		uint32_t size = v->acks_size ? 2 * v->acks_size : 8;
		struct ack *acks = realloc(v->acks, size * sizeof(*acks));

		if (!acks)
			return; /* it will be shown again */
		v->acks = acks;
		v->acks_size = size;
	}
	v->acks[v->nacks++] = (struct ack){
		.position = stream_position(v->stream),
		.inbox = inbox,
	};
}

static void acks_look(struct viewer *v)
{
	uint64_t sent = stream_sent(v->stream);
	uint32_t n = 0;

	while (n < v->nacks && v->acks[n].position <= sent)
		inbox_confirm(v->inbox, v->acks[n++].inbox);
	v->nacks -= n;
	if (!n)
		return;
	memmove(v->acks, v->acks + n, v->nacks * sizeof(*v->acks));
	if (v->nacks)
		return;
	free(v->acks);
	v->acks = NULL;
	v->acks_size = 0;
}

bool viewer_message(struct viewer *v, int64_t inbox, const char *data, size_t n,
		    uint64_t event)
{
	if (viewer_is_full(v))
		return false;
	v->inbox_at = inbox;
	viewer_write(v, "message", v->sub.version, data, n, event);
	ack_add(v, inbox);
	acks_look(v);
	return true;
}

/* ---- what the stream says ---- */

void viewer_acknowledge(struct viewer *v)
{
	if (v->nacks)
		acks_look(v);
}

void viewer_moved(struct viewer *v)
{
	viewer_acknowledge(v);
	viewer_step(v);
}

static void on_moved(void *arg)
{
	viewer_moved(arg);
}

static void on_idle(void *arg)
{
	struct viewer *v = arg;
	const char *text = render_heartbeat(v->format);

	stream_write(v->stream, text, strlen(text));
}

static void on_due(void *arg)
{
	viewer_end(arg, "session-ended");
}

static void on_closed(void *arg)
{
	struct viewer *v = arg;

	viewer_acknowledge(v);
	v->stream = NULL; /* goes by itself */
	viewer_destroy(v);
}

static const struct stream_ops stream_ops = {
	.moved = on_moved,
	.idle = on_idle,
	.due = on_due,
	.closed = on_closed,
};
