/*
 * list.h: the lists /login and /call: what becomes of single items.
 *
 * A list is read as a log, in windows of transactions, see
 * sql/functions/61_list.sql. Its version is where the next window begins; a
 * reader midway in a window has seen its items up to `n`.
 */
#ifndef RESTSIP_STREAM_LIST_H
#define RESTSIP_STREAM_LIST_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/db.h"
#include "stream/hub/topic.h"

enum {
	LIST_PAGE = 64, /* items a read */
};

/** What became of an item. Borrowed. */
struct item {
	int64_t upto, n, xid;
	const char *doc;     /* null: it is there no more */
	const char *gone;    /* what is said where it has left */
	const char *seen_by; /* `{7,8}`; null: all */
	const char *was_seen_by;
	bool stale;	/* a later state of it was shown already */
	uint64_t event; /* of place->events; the next is its too: a put for some
			   may be a remove for others */
};

/** A place in the log; upto 0: between windows. */
struct list_at {
	int64_t version, upto, n;
};

extern const struct feed_ops list_feed;

/** Ask list_read() for one seat. @return null: not now */
struct pg_query *list_ask(struct topic *t, const struct list_at *from,
			  pg_answer_h *answered, void *arg);

/** Rows of its answer with an item, and one of them. */
int list_rows(const struct pg_answer *a);
void item_read(struct item *item, struct topic *t, const struct pg_answer *a,
	       int row);

/** A transaction has not ended yet: read again in a moment, all of them. */
void list_soon(struct topic *t);

/** Whether its row is there: else it is opened anew. */
bool list_is_open(const struct topic *t);

#endif
