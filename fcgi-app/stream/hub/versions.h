/*
 * versions.h: topics that are read as versions of a document: as a state, as
 * changes since a version, or as differences.
 *
 * A seat that is told differences must have exactly the document that they
 * start from. That follows from the version alone: it is what the change log
 * has of it or, where the log has nothing, what the topic keeps as its base
 * while such seats look at it. A client that comes back with a version that the
 * log does not have begins with a state.
 */
#ifndef RESTSIP_STREAM_VERSIONS_H
#define RESTSIP_STREAM_VERSIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "shared/db.h"
#include "stream/hub/topic.h"

enum {
	VERSIONS_PAGE = 64, /* changes a read */
};

/** One version of a resource, as watch_read() gives it. Borrowed. */
struct change {
	int64_t version; /* 0: none */
	int64_t prior;
	bool fresh; /* not a step from the version before it */
	bool gone;
	const char *doc;
	const char *from;    /* that of prior; null: not known */
	const char *recheck; /* the accounts whose access changes, `{7,8}`;
				null: none */
	uint64_t event, patch_event; /* of place->events */
};

extern const struct feed_ops versions_feed;

/** A row of watch_read(). */
void change_read(struct change *c, struct topic *t, const struct pg_result *res,
		 int row);

/** From c->from to c->doc. @return null: no memory, or too large; borrowed */
const struct buf *change_patch(struct topic *t, const struct change *c);

/**
 * What seats that are told differences have at that version, or will have,
 * since nobody has it yet.
 *
 * @return doc or, instead of it, what others have; borrowed
 */
const char *versions_base(struct topic *t, int64_t version, const char *doc);

/** How a seat reads for itself. */
struct versions_ask {
	int64_t since; /* 0: for the whole */
	bool diff;     /* for differences */
	int limit;     /* rows; 0: the last alone and, diff, its start */
	bool rests;    /* as turn.h has it */
};

/**
 * Ask watch_read() for one seat.
 *
 * @param lock  what versions_answered() is told when the answer has come
 * @return null: not now
 */
struct pg_query *versions_ask(struct topic *t, const struct versions_ask *ask,
			      uint8_t *lock, pg_answer_h *answered, void *arg);
void versions_answered(struct topic *t, uint8_t lock);

#endif
