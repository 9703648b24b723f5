/*
 * stream.h: the bytes of an open answer: our own FastCGI records on a
 * connection that libfcgi let go of. Nothing here waits: bytes that the socket
 * does not take are queued, and a client that does not read for too long is
 * dropped.
 */
#ifndef RESTSIP_STREAM_STREAM_H
#define RESTSIP_STREAM_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/fcgi.h"
#include "stream/bytes/stream_pool.h"

enum {
	STREAM_QUEUE_MAX = 256 << 10, /* bytes; then the writer has to wait */
	STREAM_QUEUE_LOW = 32 << 10,  /* from here on it may go on */
};

struct stream;
struct stream_pool;

/**
 * Take over a connection. On failure it is closed.
 *
 * @param ops  borrowed for the stream's life
 * @return 0 or errno
 */
int stream_new(struct stream **out, struct stream_pool *pool,
	       const struct fcgi_stream *fs, const struct stream_ops *ops,
	       void *arg);

/**
 * Write, or queue. It always takes all of it: the caller looks at
 * stream_pending() before. Without memory the stream is lost.
 */
void stream_write(struct stream *s, const void *p, size_t n);

/** Bytes queued. */
size_t stream_pending(const struct stream *s);

/** Bytes that have gone out, and that will have when the queue has: what was
 *  written last is out once `sent` reaches the present `position`. */
uint64_t stream_sent(const struct stream *s);
uint64_t stream_position(const struct stream *s);

/** Call ops->due at that second of stream_now_s(), or later; 0: never. */
void stream_deadline(struct stream *s, uint32_t at_s);

/** End the answer once the queue is empty, then close. */
void stream_finish(struct stream *s);

#endif
