/*
 * stream_parts.h: a stream as stream.c and stream_pool.c see it, and nobody
 * else. What is declared here is the pool's: stream.c stands above it.
 */
#ifndef RESTSIP_STREAM_PARTS_H
#define RESTSIP_STREAM_PARTS_H

#include <stddef.h>
#include <stdint.h>

#include "shared/loop.h"

enum {
	STREAM_WHEEL = 16, /* seconds; more than STREAM_HEARTBEAT_S */
	STREAM_RECORD_HEADER = 8,
};

enum stream_state {
	STREAM_OPEN,
	STREAM_FINISHING, /* the end is queued */
	STREAM_DEAD,	  /* waits for the reaper */
};

struct stream {
	struct loop_fd watch;
	struct stream_pool *pool;
	const struct stream_ops *ops;
	void *arg;
	struct stream *next,
		**prev; /* in a slot of the wheel, or of the dead */
	char *queue;
	size_t off, len, size; /* of the queue: out already, filled, there */
	uint64_t sent;
	uint32_t deadline_s; /* 0: none */
	uint32_t wrote_s;    /* when something was written last */
	uint32_t moved_s;    /* when bytes went out last, or nothing had to */
	uint32_t skip;	     /* of the peer's record: bytes that are left */
	uint16_t id;
	uint8_t state;
	uint8_t head_len;
	uint8_t head[STREAM_RECORD_HEADER]; /* of the peer's record */
};

struct stream_pool {
	struct loop *loop;
	struct loop_timer tick, reap;
	struct stream *slot[STREAM_WHEEL];
	struct stream *visiting, *dead;
	size_t count;
	uint64_t began_ms;
	uint32_t ticked_s;
	loop_h *empty;
	void *empty_arg;
};

/** Close it later, from the loop: the caller can still use it until then. */
void stream_die(struct stream *s);

/** Put it where it is looked at next. */
void stream_schedule(struct stream *s);

#endif
