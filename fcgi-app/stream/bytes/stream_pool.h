/*
 * stream_pool.h: all streams of a loop, and the one clock for them.
 */
#ifndef RESTSIP_STREAM_POOL_H
#define RESTSIP_STREAM_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "shared/loop.h"

enum {
	STREAM_HEARTBEAT_S = 15,
	STREAM_STALL_S = 30, /* a queue that does not move */
	STREAM_END_S = 5,    /* the same, where it is the end */
};

struct stream_pool;

/** Never called from within a function of stream.h. */
struct stream_ops {
	/* Bytes have gone out since; the queue may be short now. */
	void (*moved)(void *arg);
	/* Nothing was written for STREAM_HEARTBEAT_S: write something. */
	void (*idle)(void *arg);
	/* The time of stream_deadline() has come. */
	void (*due)(void *arg);
	/* The peer is gone, or the end has been sent. The stream is freed
	   after this. */
	void (*closed)(void *arg);
};

/** @return 0 or errno */
int stream_pool_new(struct stream_pool **out, struct loop *l);

/** Closes all streams without a word. */
void stream_pool_free(struct stream_pool *pool);
size_t stream_pool_count(const struct stream_pool *pool);

/** Who is told when the last stream has closed; null: nobody. */
void stream_pool_on_empty(struct stream_pool *pool, loop_h *empty, void *arg);

/** Seconds of a clock of our own, from 1. */
uint32_t stream_now_s(const struct stream_pool *pool);

#endif
