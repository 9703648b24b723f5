/*
 * watch.h: one stream on many resources (/watch): a viewer for each of them,
 * which share the stream. An event says whose it is:
 * {"resource":"/login/me","id":"12.3","data":…}; its id has a part for each
 * resource, with commas between them, so that all of them are resumed from it.
 * A part is empty where nothing was shown yet, and `-` where the resource has
 * ended.
 *
 * Or one answer: an array of those that have moved, with the id of them all,
 * {"resource","id","data"}, "patch" instead of data, or "gone":true alone.
 */
#ifndef RESTSIP_STREAM_WATCH_H
#define RESTSIP_STREAM_WATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "stream/out/outcome.h"
#include "stream/viewer/viewers.h"

enum {
	WATCH_MAX = 100, /* resources */
};

struct watch;

/** One of the resources. Borrowed until watch_new() returns. */
struct watch_one {
	const char *name; /* as it was asked for */
	bool ended;	  /* the client knows that it has */
	struct viewer_ask ask;
};

/**
 * Ask for many; who, ticket, format and diff of each are those of the first.
 * Nothing is shown until all of them may be seen, but for those that the client
 * has seen before: they are told as gone. A refusal has a pointer to which it
 * is, `/r/0`. once: what has moved since, or outcome->waits, as soon as all are
 * known; outcome->answer_many instead of answer.
 *
 * @param n  1 to WATCH_MAX, one of them at least not ended
 * @return 0, EAGAIN (the database is away), ENOMEM
 */
int watch_new(struct watch **out, struct viewers *viewers,
	      const struct watch_one *one, size_t n,
	      const struct outcome_ops *outcome, void *arg);

/** Where all of them stand, as the id of an event. Added to b. */
void watch_add_id(struct buf *b, const struct watch *w);

/**
 * The wait for one answer is over.
 *
 * @return whether it is answered, now or soon: nothing else is to be said
 */
bool watch_wait_over(struct watch *w);

/** The client has gone before outcome; nothing is called any more. Null is
 * fine.
 */
void watch_free(struct watch *w);

#endif
