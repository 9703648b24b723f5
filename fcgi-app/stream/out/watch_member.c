/*
 * watch_member.c: what the members of a watch do alike, for a stream or for one
 * answer.
 */
#include "stream/out/watch_member.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "stream/hub/place.h"
#include "stream/hub/proof.h"

enum {
	LOAD_WINDOW = 4, /* resources that read their first state at a time */
};

void watch_destroy(struct watch *w)
{
	for (size_t i = 0; i < w->n; i++) {
		struct member *o = &w->member[i];

		viewer_free(o->viewer);
		free(o->name);
		free(o->key);
		free(o->after);
		free(o->answer);
	}
	loop_cancel(w->place->loop, &w->soon);
	proof_free(w->proof);
	secret_wipe(w->ticket, sizeof(w->ticket));
	free(w);
}

void watch_soon(struct watch *w)
{
	if (!loop_pending(&w->soon))
		loop_after(w->place->loop, &w->soon, 0, w->turn, w);
}

void watch_refuse(struct watch *w, const struct member *o, int status,
		  const char *slug, const char *detail)
{
	if (w->refused)
		return;
	w->refused = true;
	w->why.status = status;
	(void)snprintf(w->why.slug, SLUG_SIZE, "%s", slug ? slug : "");
	(void)snprintf(w->why.detail, DETAIL_SIZE, "%s", detail ? detail : "");
	if (o && status != 401 && status != 503)
		(void)snprintf(w->why.pointer, POINTER_SIZE, "/r/%zu",
			       (size_t)(o - w->member));
	watch_soon(w);
}

bool watch_all_ready(const struct watch *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (!w->member[i].ended && !w->member[i].ready)
			return false;
	return true;
}

bool watch_all_ended(const struct watch *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (!w->member[i].ended)
			return false;
	return true;
}

void member_opened(struct viewer *v)
{
	struct member *o = viewer_arg(v);
	struct watch *w = o->watch;

	if (w->proof)
		return;
	w->proof = proof_ref(viewer_proof(v));
	watch_soon(w);
}

bool member_has_inbox(struct viewer *v)
{
	struct member *me = viewer_arg(v);
	struct watch *w = me->watch;

	for (size_t i = 0; i < w->n; i++)
		if (w->member[i].viewer &&
		    viewer_has_inbox(w->member[i].viewer))
			me->muted = true;
	return me->muted;
}

bool member_may_load(struct viewer *v)
{
	struct member *o = viewer_arg(v);
	struct watch *w = o->watch;

	/* Of one item, whether it is there is only known when it is read, and
	   where the inbox stands is said from the first event on. */
	if (!w->once && !w->stream &&
	    (o->ready || (!o->ask.n && !viewer_has_inbox(v)))) {
		o->ready = true;
		watch_soon(w);
		return false;
	}
	if (!o->loading && w->loading < LOAD_WINDOW) {
		o->loading = true;
		w->loading++;
	}
	return o->loading;
}

void member_loaded(struct member *o)
{
	if (!o->loading)
		return;
	o->loading = false;
	o->watch->loading--;
	watch_soon(o->watch);
}

void watch_load(struct watch *w)
{
	for (size_t i = 0; i < w->n && w->loading < LOAD_WINDOW; i++) {
		struct member *o = &w->member[i];

		if (o->viewer && !o->loading &&
		    (w->stream || w->once || !o->ready))
			viewer_next(o->viewer);
	}
}

bool member_try_send(struct member *o, const struct pg_answer *why)
{
	char *key;

	if (why->status != 404 || !o->ask.n || !o->ask.kind->item ||
	    !strcmp(why->slug, "user-not-found"))
		return false;
	if (asprintf(&key, "%s/%lld", o->key, (long long)o->ask.n) < 0)
		return false;
	free(o->key);
	o->ask.key = o->key = key;
	o->ask.kind = o->ask.kind->item;
	o->ask.n = 0;
	watch_soon(o->watch); /* opens it */
	return true;
}

bool member_has_gone(struct member *o, const struct pg_answer *why)
{
	if ((why->status != 404 && why->status != 403) ||
	    (!o->watch->stream && (!o->ask.resume || !o->ask.version)))
		return false;
	o->ended = true;
	watch_soon(o->watch);
	return true;
}
