/*
 * Deliveries that wait in the database, claimed, sent and settled.
 */
#ifndef OUTBOX_H
#define OUTBOX_H

#include <re.h>

struct agent;
struct claimer;
struct outbox;

enum {
	OUTBOX_CLAIM_MAX = 64, /* rows at once */
};

int outbox_alloc(struct outbox **obp, struct agent *ag);
struct claimer *outbox_claimer(const struct outbox *ob);

#endif
