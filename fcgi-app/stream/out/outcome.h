/*
 * outcome.h: how a request gets its answer from the viewers that it made.
 */
#ifndef RESTSIP_STREAM_OUTCOME_H
#define RESTSIP_STREAM_OUTCOME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/db.h"
#include "stream/bytes/stream.h"

/** Exactly one of refused, open and the answers is called, once; never by the
 *  function that asks. A constant. */
struct outcome_ops {
	/* It cannot be. */
	void (*refused)(const struct pg_answer *why, void *arg);
	/* It can be: make the stream. Errno: there is none, and no more is
	   said. */
	int (*open)(struct stream **out, const struct stream_ops *ops,
		    void *stream_arg, void *arg);
	/* One answer: the resource, or a patch that makes it of what the client
	   has. */
	void (*answer)(int64_t version, const char *doc, bool patch, void *arg);
	/* The client has what there is; an answer may come later. Not after
	   ends_s seconds, when the session does; UINT32_MAX: never. */
	void (*waits)(uint32_t ends_s, void *arg);
	/* One answer of many: those that have moved; see watch.h. */
	void (*answer_many)(const char *id, const char *docs, size_t n,
			    void *arg);
};

#endif
