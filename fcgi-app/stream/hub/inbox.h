/*
 * inbox.h: messages for an account's streams in this process: read once,
 * written to all, and marked as delivered once they were to one.
 *
 * As with topics: a seat that keeps up is told what is read for all, one that
 * is behind reads for itself until it can join; and seats leave from the loop
 * alone.
 */
#ifndef RESTSIP_STREAM_INBOX_H
#define RESTSIP_STREAM_INBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "shared/db.h"
#include "stream/hub/topic.h"

enum {
	INBOX_PAGE = 16,	 /* messages a read; one has 64 KiB at most */
	INBOX_CONFIRM_MAX = 200, /* a call */
};

struct inbox_seat;

struct inbox_ops {
	/* A message, as JSON; event: of place->events.
	   @return false: it cannot take it, and falls behind */
	bool (*message)(struct inbox_seat *s, int64_t number, const char *data,
			size_t n, uint64_t event);
	/* That somebody is writing, as JSON: it is told or forgotten. */
	void (*composing)(struct inbox_seat *s, const char *data, size_t n,
			  uint64_t event);
};

struct inbox_seat {
	const struct inbox_ops *ops;
	struct inbox *inbox; /* null: not there */
	struct inbox_seat *next, **prev;
	int64_t at;	/* its owner has all up to this; negative: not known */
	uint32_t bells; /* of the inbox when it was read */
	uint32_t since_s; /* when it came */
	bool behind;
	bool fresh; /* it came without a number: gets what is undelivered */
	bool check; /* what `at` says is there may not be marked so */
};

/** A topic's. */
extern const struct feed_ops inbox_feed;

/** That of a login, made if it has none. @return 0 or ENOMEM */
int inbox_attach(struct inbox_seat *s, struct topic *t);
void inbox_detach(struct inbox_seat *s);

/** It gets nothing more of what is read for all. */
void inbox_fall_behind(struct inbox_seat *s);

/** It has read for itself: it keeps up, if it has all that the others have. */
void inbox_join(struct inbox_seat *s);

/** Read for one seat, from where it stands. @return null: not now */
struct pg_query *inbox_ask(struct inbox_seat *s, pg_answer_h *answered,
			   void *arg);

/** Rows of the answer with a message, the number of one, and its JSON. */
int inbox_rows(const struct pg_answer *a);
int64_t inbox_number(const struct pg_answer *a, int row);
void inbox_render(struct buf *out, const struct pg_answer *a, int row);

/** Somebody is writing to the owner. */
void inbox_composing(struct inbox *b, const char *data, size_t n);

/** It was written to a stream. */
void inbox_confirm(struct inbox *b, int64_t number);

/** The number that all have that keep up; negative: nobody does. */
int64_t inbox_head(const struct inbox *b);

#endif
