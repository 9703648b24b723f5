/*
 * watch.c: one stream on many resources.
 *
 * Each resource has a viewer as usual, with two differences. The stream begins
 * only when all of them may be seen, so states that were read before are read
 * again. And only a few read their first state at a time, so that others' reads
 * are not behind a hundred large ones. The whole is ended only from the loop,
 * since viewers are told in walks over all of them.
 */
#include "stream/out/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stream/hub/place.h"
#include "stream/hub/proof.h"
#include "stream/out/watch_member.h"
#include "stream/out/watch_poll.h"
#include "stream/out/watch_stream.h"
#include "stream/out/watch_write.h"

/* Its viewer, by the proof that all share or, the first time, the ticket. */
static void member_open(struct member *o)
{
	struct watch *w = o->watch;
	int err;

	o->ask.who = NULL;
	o->ask.proof = w->proof;
	o->ask.ticket = w->proof ? NULL : w->ticket;
	o->ready = false;
	err = viewer_new(&o->viewer, w->viewers, &o->ask,
			 w->once ? &watch_poll_outlet : &watch_stream_outlet,
			 o);
	if (err)
		watch_refuse(w, NULL, 503, "unavailable", NULL);
}

/* Make the viewers that are not there yet; without a proof only the first,
   which gets one. */
static void watch_open_all(struct watch *w)
{
	for (size_t i = 0; i < w->n && !w->refused; i++) {
		struct member *o = &w->member[i];

		if (o->ended || o->answer)
			continue;
		if (!o->viewer)
			member_open(o);
		if (!w->proof)
			return;
	}
}

static void watch_turn(void *arg)
{
	struct watch *w = arg;
	const struct pg_answer why = {
		.end = PG_REFUSED,
		.status = w->why.status,
		.sqlstate = "",
		.slug = w->why.slug,
		.detail = w->why.detail,
		.pointer = w->why.pointer,
	};

	if (!w->stream && !w->refused)
		watch_open_all(w);
	if (!w->refused)
		watch_load(w);
	if (w->stream)
		return; /* it is ended by its own */
	if (w->refused) {
		w->outcome->refused(&why, w->arg);
		watch_destroy(w);
	} else if (w->once)
		watch_poll_look(w);
	else if (watch_all_ready(w))
		watch_stream_begin(w);
}

static int member_init(struct member *o, const struct watch_one *one)
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

int watch_new(struct watch **out, struct viewers *viewers,
	      const struct watch_one *one, size_t n,
	      const struct outcome_ops *outcome, void *arg)
{
	struct watch *w;
	int err = 0;

	if (!hub_is_ready(viewers_hub(viewers)))
		return EAGAIN;
	w = calloc(1, sizeof(*w) + n * sizeof(*w->member));
	if (!w)
		return ENOMEM;
	w->viewers = viewers;
	w->place = hub_place(viewers_hub(viewers));
	w->turn = watch_turn;
	w->outcome = outcome;
	w->arg = arg;
	w->format = one->ask.format;
	w->once = one->ask.once;
	w->ends_s = UINT32_MAX;
	if (one->ask.ticket)
		memcpy(w->ticket, one->ask.ticket, sizeof(w->ticket));
	else if (!(w->proof = proof_new(one->ask.who)))
		err = ENOMEM;
	for (; w->n < n && !err; w->n++) {
		w->member[w->n].watch = w;
		err = member_init(&w->member[w->n], &one[w->n]);
	}
	if (err) {
		watch_destroy(w);
		return err;
	}
	loop_after(w->place->loop, &w->soon, 0, watch_turn, w);
	*out = w;
	return 0;
}

void watch_free(struct watch *w)
{
	if (w)
		watch_destroy(w);
}

void watch_add_id(struct buf *b, const struct watch *w)
{
	watch_write_id(b, w);
}
