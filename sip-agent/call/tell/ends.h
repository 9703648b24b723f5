/*
 * What the database is told of legs that have ended.
 */
#ifndef ENDS_H
#define ENDS_H

#include <re.h>

#include "call/leg.h"

struct ends;
struct pg_answer;

typedef void(ends_heard_h)(const struct pg_answer *ans, void *arg);

/** It is committed; or, where the database is away, it will be */
typedef void(told_done_h)(struct leg *l, bool committed);

/** How a leg has ended. Texts are borrowed, NULL: none */
struct told_end {
	int code;	    /**< SIP code; 0: none */
	const char *reason; /**< its phrase */
	const char *cause;  /**< of app.leg */
	const char *header; /**< of the Reason that others hear */
	int64_t peer;	    /**< the leg that is hung up for it; 0: none */
	bool late;	    /**< the database waits for it, and nobody else */
	const char *to;	    /**< accounts that the call is sent on to */
	bool unseen; /**< its row may have been made, without our hearing */
};

int ends_alloc(struct ends **esp, struct agent *ag, ends_heard_h *h, void *arg);
size_t ends_count(const struct ends *es);
void ends_add(struct ends *es, struct leg *l, const struct told_end *end,
	      told_done_h *h);

#endif
