/*
 * An order, as the database gives it: a row of app.leg_work.
 */
#ifndef ORDER_H
#define ORDER_H

#include "call/leg.h"

struct pg_answer;

struct order {
	struct legs *legs;
	const char *kind, *reason, *cause, *sdp;
	int64_t leg, call, peer, number, ring_s;
	int code;
	struct leg *l; /**< NULL: it is not ours any more */
	void (*doh)(const struct order *o); /**< does it */
	/* of an INVITE, which is never put off */
	const struct pg_answer *ans;
	int row;
};

/** One that waits */
struct late {
	struct le le;
	struct order o;
	char *texts[4]; /**< of it, owned */
};

struct late *order_keep(const struct order *o);
bool order_is(const struct order *o, const char *kind);

#endif
