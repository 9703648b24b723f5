/*
 * Provisional answers that a phone which calls wants reliably: until their
 * PRACK, one at a time (RFC 3262 section 3).
 */
#ifndef RELIABLE_H
#define RELIABLE_H

#include "call/leg.h"

struct uas;

/** What says them, and what is done where there is no PRACK */
struct reliable_ops {
	/** more: further headers, each ended by CRLF */
	void (*sayh)(struct leg *l, int code, const char *reason,
		     const char *more);
	void (*failh)(struct leg *l);
};

bool reliable_is_wanted(const struct leg *l);
void reliable_say(struct leg *l, int code, const char *reason,
		  const struct reliable_ops *ops);
void reliable_stop(struct leg *l);
void reliable_prack(struct leg *l, struct uas *u);

#endif
