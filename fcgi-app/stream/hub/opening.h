/*
 * opening.h: asking the database for a watch, a few at a time, in order; for
 * new viewers, and for all viewers after the connection was lost.
 */
#ifndef RESTSIP_STREAM_OPENING_H
#define RESTSIP_STREAM_OPENING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/db.h"
#include "shared/loop.h"
#include "stream/hub/place.h"
#include "stream/hub/topic.h"

enum {
	OPENING_WINDOW = 64, /* asked at a time */
	OPENING_WAIT_MS = 5000,
};

struct opening;
struct proof;

/** What may be looked at. Borrowed. */
struct opened {
	struct topic *topic;
	struct topic *session; /* of who calls: when it ends, ask again */
	struct topic *part;    /* what stays by it: a participant, or the logins
				  of the session; or null */
	struct proof *proof;   /* who that is, though it was a ticket */
	bool mine;	       /* it is the owner */
	uint32_t ends_s;       /* of stream_now_s(), the session; 0: never */
	int64_t version;       /* as of which it may */
};

/** Exactly one is called, never by opening_add(), unless it is forgotten. */
struct opening_ops {
	void (*opened)(const struct opened *o, void *arg);
	void (*refused)(const struct pg_answer *why, void *arg);
	/* It could not be asked; all are asked anew when the database is back.
	 */
	void (*lost)(void *arg);
};

/** Borrowed. */
struct opening_ask {
	const struct topic_kind *kind;
	const char *key;
	int64_t n;
	struct proof *proof;   /* null with a ticket */
	const uint8_t *ticket; /* SHA-256, or null */
	bool quiet;	       /* it does not stay: it gets no messages, and
				  keeps nobody in a call */
	bool first;	       /* nothing is shown yet: rather lost than late */
};

struct openings {
	struct place *place;
	struct topics *topics;
	struct opening *first, *last;
	size_t asked;
	struct loop_timer soon;
};

void openings_init(struct openings *q, struct place *place,
		   struct topics *topics);

/** Ask as many as may be. */
void openings_pump(struct openings *q);

/** The connection is gone: nothing that waits can be. */
void openings_lost(struct openings *q);

/** At the end: what waits is freed. */
void openings_clear(struct openings *q);

/**
 * Queue a watch_open().
 *
 * @param ops  a constant
 * @return 0 or ENOMEM
 */
int opening_add(struct opening **out, struct openings *q,
		const struct opening_ask *ask, const struct opening_ops *ops,
		void *arg);

/** What it will say may not hold any more: it is asked once more then. Null is
 *  fine here, and below. */
void opening_again(struct opening *o);

/** Forget it: nobody waits for the answer any more. */
void opening_forget(struct opening *o);

#endif
