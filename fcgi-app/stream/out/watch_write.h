/*
 * watch_write.h: events of a watch, and its one answer, as text.
 */
#ifndef RESTSIP_STREAM_WATCH_WRITE_H
#define RESTSIP_STREAM_WATCH_WRITE_H

#include "common/buf.h"
#include "stream/out/watch_parts.h"

/** Where all of them stand, as the id of an event: a part for each; what is
 *  not shown yet begins anew. */
void watch_write_id(struct buf *b, const struct watch *w);

/**
 * Write an event of one, which says whose it is.
 *
 * @param own  its id, in the body; null: none
 * @return 0 or EMSGSIZE
 */
int watch_write(struct member *o, const char *name, const char *own,
		const char *data, size_t n);

/** Write the last event, with a reason, and the end. */
void watch_write_end(struct watch *w, const char *reason);

/**
 * What has become of one, of a long poll: o->answer.
 *
 * @param id    null: none
 * @param name  "data", "patch" or "gone"
 * @return 0 or EMSGSIZE (or there was no memory)
 */
int watch_write_answer(struct member *o, const char *id, const char *name,
		       const char *value);

/** Those answers together: an array. b->failed: too large. */
void watch_write_answers(struct buf *b, const struct watch *w);

#endif
