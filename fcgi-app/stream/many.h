/*
 * many.h: one stream on many resources (/watch): a viewer for each of them,
 * which share the stream. An event says whose it is:
 * {"resource":"/login/me","id":"12.3","data":…}; its id has a part for each
 * resource, with commas between them, so that all of them are resumed from it.
 * A part is empty where nothing was shown yet, and `-` where the resource has
 * ended.
 *
 * Or one answer: an array of those that have moved, with the id of them all,
 * {"resource","id","data"}, "patch" instead of data, or "gone":true alone.
 */
#ifndef RESTSIP_STREAM_MANY_H
#define RESTSIP_STREAM_MANY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "stream/viewer.h"

enum {
	MANY_MAX = 100, /* resources */
};

struct many;

/** One of the resources. Borrowed until many_new() returns. */
struct many_one {
	const char *name; /* as it was asked for */
	bool ended;	  /* the client knows that it has */
	struct viewer_ask ask;
};

/**
 * Ask for many; who, ticket, format and diff of each are those of the first.
 * Nothing is shown until all of them may be seen, but for those that the client
 * has seen before: they are told as gone. A refusal has a pointer to which it
 * is, `/r/0`. once: what has moved since, or ops->waits, as soon as
 * all are known.
 *
 * @param n    1 to MANY_MAX, one of them at least not ended
 * @param ops  as for a viewer; answer_many is called instead of answer
 * @return 0, EAGAIN (the database is away), ENOMEM
 */
int many_new(struct many **out, struct hub *hub, const struct many_one *one,
	     size_t n, const struct viewer_ops *ops, void *arg);

/** Where all of them stand, as the id of an event. Added to b. */
void many_add_id(struct buf *b, const struct many *m);

/** The client has gone before ops; nothing is called any more. */
void many_free(struct many *m);

#endif
