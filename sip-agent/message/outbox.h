/*
 * Deliveries that wait in the database, claimed, sent and settled.
 */
#ifndef OUTBOX_H
#define OUTBOX_H

#include <re.h>

struct agent;
struct outbox;

enum {
	/* transactions in flight at once: phones that do not answer hold
	   theirs for 32 s, and others must not wait for them */
	OUTBOX_MAX = 4096,
	OUTBOX_BODY_MAX = 32 << 20, /* bytes of all their bodies */
	OUTBOX_CLAIM_MAX = 64,
	OUTBOX_EMPTY_MAX = 8, /* claims that bring nothing, one after another */
	OUTBOX_LEASE_S = 30,  /* renewed while a transaction lives */
	OUTBOX_RENEW_MS = 10000,
	OUTBOX_POLL_MS = 2000, /* behind the doorbell */
};

int outbox_alloc(struct outbox **obp, struct agent *ag);
void outbox_kick(struct outbox *ob);
void outbox_flow_lost(struct outbox *ob, const char *flow);
size_t outbox_drain(struct outbox *ob);
void outbox_give_back(struct outbox *ob);

#endif
