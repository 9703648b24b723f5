/*
 * stream_pool.c: all streams of a loop, and the one clock for them.
 */
#include "stream/bytes/stream_pool.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "stream/bytes/stream_parts.h"

/* ---- lists ---- */

static void stream_unlink(struct stream *s)
{
	if (!s->prev)
		return;
	*s->prev = s->next;
	if (s->next)
		s->next->prev = s->prev;
	s->prev = NULL;
}

static void stream_link(struct stream *s, struct stream **list)
{
	stream_unlink(s);
	s->next = *list;
	if (s->next)
		s->next->prev = &s->next;
	s->prev = list;
	*list = s;
}

static void stream_destroy(struct stream *s)
{
	struct stream_pool *pool = s->pool;

	stream_unlink(s);
	loop_unwatch(pool->loop, &s->watch);
	(void)close(s->watch.fd); /* what counts was said, or cannot be */
	free(s->queue);
	free(s);
	pool->count--;
}

static void pool_reap(void *arg)
{
	struct stream_pool *pool = arg;

	while (pool->dead) {
		struct stream *s = pool->dead;

		s->ops->closed(s->arg);
		stream_destroy(s);
	}
	if (!pool->count && pool->empty)
		pool->empty(pool->empty_arg);
}

void stream_die(struct stream *s)
{
	struct stream_pool *pool = s->pool;

	if (s->state == STREAM_DEAD)
		return;
	s->state = STREAM_DEAD;
	loop_unwatch(pool->loop, &s->watch);
	stream_link(s, &pool->dead);
	if (!loop_pending(&pool->reap))
		loop_after(pool->loop, &pool->reap, 0, pool_reap, pool);
}

/* ---- the clock ---- */

uint32_t stream_now_s(const struct stream_pool *pool)
{
	return (uint32_t)((loop_now_ms(pool->loop) - pool->began_ms) / 1000) +
	       1;
}

void stream_schedule(struct stream *s)
{
	uint32_t now_s = stream_now_s(s->pool);
	uint32_t at_s = s->wrote_s + STREAM_HEARTBEAT_S;

	if (s->len)
		at_s = now_s + 1;
	if (s->deadline_s && s->deadline_s < at_s)
		at_s = s->deadline_s;
	if (at_s <= now_s)
		at_s = now_s + 1;
	stream_link(s, &s->pool->slot[at_s % STREAM_WHEEL]);
}

static void stream_visit(struct stream *s, uint32_t now_s)
{
	uint32_t stall_s = s->state == STREAM_FINISHING ? STREAM_END_S
							: STREAM_STALL_S;

	if (s->len && now_s - s->moved_s >= stall_s) {
		stream_die(s);
		return;
	}
	stream_schedule(s);
	if (s->state != STREAM_OPEN)
		return;
	if (now_s - s->wrote_s >= STREAM_HEARTBEAT_S && !s->len)
		s->ops->idle(s->arg);
	if (s->state == STREAM_OPEN && s->deadline_s &&
	    s->deadline_s <= now_s) {
		s->deadline_s = 0;
		s->ops->due(s->arg);
	}
}

static void pool_tick(void *arg)
{
	struct stream_pool *pool = arg;
	uint32_t now_s = stream_now_s(pool);
	uint32_t from_s = pool->ticked_s;

	if (now_s - from_s > STREAM_WHEEL)
		from_s = now_s - STREAM_WHEEL;
	pool->ticked_s = now_s;
	for (uint32_t at_s = from_s + 1; at_s <= now_s; at_s++) {
		/* Each stream that is looked at moves to a later slot, perhaps
		   to this one again. */
		while (pool->slot[at_s % STREAM_WHEEL])
			stream_link(pool->slot[at_s % STREAM_WHEEL],
				    &pool->visiting);
		while (pool->visiting)
			stream_visit(pool->visiting, now_s);
	}
	pool_reap(pool);
	loop_after(pool->loop, &pool->tick, 1000, pool_tick, pool);
}

/* ---- life ---- */

int stream_pool_new(struct stream_pool **out, struct loop *l)
{
	struct stream_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return ENOMEM;
	pool->loop = l;
	pool->began_ms = loop_now_ms(l);
	pool->ticked_s = stream_now_s(pool);
	loop_after(l, &pool->tick, 1000, pool_tick, pool);
	*out = pool;
	return 0;
}

void stream_pool_free(struct stream_pool *pool)
{
	if (!pool)
		return;
	for (size_t i = 0; i < STREAM_WHEEL; i++)
		while (pool->slot[i])
			stream_destroy(pool->slot[i]);
	while (pool->dead)
		stream_destroy(pool->dead);
	loop_cancel(pool->loop, &pool->tick);
	loop_cancel(pool->loop, &pool->reap);
	free(pool);
}

size_t stream_pool_count(const struct stream_pool *pool)
{
	return pool->count;
}

void stream_pool_on_empty(struct stream_pool *pool, loop_h *empty, void *arg)
{
	pool->empty = empty;
	pool->empty_arg = arg;
}
