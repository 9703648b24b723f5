/*
 * viewers.c: all viewers of the process, and how one comes.
 */
#include "stream/viewer/viewers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shared/loop.h"
#include "stream/hub/proof.h"
#include "stream/viewer/access.h"
#include "stream/viewer/catch_up.h"
#include "stream/viewer/mail.h"
#include "stream/viewer/page.h"
#include "stream/viewer/tell.h"

static const struct reader versions_reader = {
	.topic =
		{
			.changed = catch_up_changed,
			.recheck = access_seat_recheck,
			.retry = access_seat_retry,
		},
	.inbox = {.message = mail_message, .composing = mail_composing},
	.load = catch_up_load,
	.load_inbox = mail_load,
	.sent = mail_sent,
	.id = catch_up_id,
};

static const struct reader list_reader = {
	.topic =
		{
			.item = page_item,
			.advanced = page_advanced,
			.restart = page_restart,
			.recheck = access_seat_recheck,
			.retry = access_seat_retry,
		},
	.load = page_load,
	.id = page_id,
	.is_partial = page_is_partial,
};

/* ---- one comes ---- */

static void viewer_link(struct viewer *v)
{
	struct viewers *all = v->all;

	v->next = all->first;
	v->prev = &all->first;
	if (v->next)
		v->next->prev = &v->next;
	all->first = v;
	all->count++;
}

/* What it keeps of the request. */
static int viewer_keep(struct viewer *v, const struct viewer_ask *ask)
{
	const struct list_at at = {.upto = ask->upto, .n = ask->after_n};

	v->proof = ask->who ? proof_new(ask->who) : proof_ref(ask->proof);
	if (ask->who && !v->proof)
		return ENOMEM;
	if (ask->kind->renamed && !(v->key = strdup(ask->key)))
		return ENOMEM;
	if (ask->kind->is_list && !(v->page = page_new(ask->resume ? &at : NULL,
						       ask->after, ask->limit)))
		return ENOMEM;
	return 0;
}

int viewer_new(struct viewer **out, struct viewers *all,
	       const struct viewer_ask *ask, const struct outlet_ops *outlet,
	       void *arg)
{
	const struct view view = {
		.kind = ask->kind,
		.key = ask->key,
		.n = ask->n,
	};
	struct viewer *v;
	int err;

	if (!hub_is_ready(all->hub))
		return EAGAIN;
	v = calloc(1, sizeof(*v));
	if (!v)
		return ENOMEM;
	v->all = all;
	v->outlet = outlet;
	v->arg = arg;
	v->state = VIEWER_ASKING;
	v->format = (uint8_t)ask->format;
	v->quiet = ask->quiet || ask->once;
	v->inbox_at = -1;
	v->seat.ops = ask->kind->is_list ? &list_reader.topic
					 : &versions_reader.topic;
	v->seat.diff = ask->diff;
	v->session.ops = &access_session;
	if (ask->resume) { /* version 0: only from that message on */
		v->seat.version = ask->version;
		v->inbox_at = ask->inbox;
	}
	viewer_link(v);
	err = viewer_keep(v, ask);
	if (!err)
		err = access_ask(v, &view, ask->ticket);
	if (err) {
		viewer_destroy(v);
		return err;
	}
	*out = v;
	return 0;
}

/* ---- what befalls all ---- */

static void on_lost(void *arg)
{
	struct viewers *all = arg;

	for (struct viewer *v = all->first; v; v = v->next)
		if (v->state > VIEWER_ASKING && v->state <= VIEWER_HELD)
			viewer_refuse_unavailable(v);
}

static size_t on_reopen(void *arg)
{
	struct viewers *all = arg;

	for (struct viewer *v = all->first; v; v = v->next)
		if (v->state < VIEWER_ENDING)
			access_reopen(v);
	return all->count;
}

static const struct hub_ops hub_ops = {
	.lost = on_lost,
	.reopen = on_reopen,
};

void viewers_drain(struct viewers *all)
{
	hub_drain(all->hub);
	for (struct viewer *v = all->first; v; v = v->next)
		if (viewer_has_begun(v))
			viewer_end(v, "restart");
		else if (v->state < VIEWER_ENDING)
			viewer_refuse_unavailable(v);
}

int viewers_new(struct viewers **out, struct hub *hub)
{
	struct viewers *all = calloc(1, sizeof(*all));

	if (!all)
		return ENOMEM;
	all->hub = hub;
	all->place = hub_place(hub);
	all->openings = hub_openings(hub);
	frame_init(&all->frame);
	hub_serve(hub, &hub_ops, all);
	*out = all;
	return 0;
}

void viewers_free(struct viewers *all)
{
	if (!all)
		return;
	while (all->first)
		viewer_destroy(all->first);
	loop_cancel(all->place->loop, &all->reap);
	frame_free(&all->frame);
	free(all);
}

struct hub *viewers_hub(const struct viewers *all)
{
	return all->hub;
}
