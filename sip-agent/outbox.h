/*
 * Deliveries that wait in the database, claimed, sent and settled.
 */
#ifndef OUTBOX_H
#define OUTBOX_H

#include <re.h>

struct agent;
struct outbox;

enum {
	OUTBOX_MAX = 64,     /* transactions in flight at once */
	OUTBOX_LEASE_S = 30, /* renewed while a transaction lives */
	OUTBOX_RENEW_MS = 10000,
	OUTBOX_POLL_MS = 2000, /* behind the doorbell */
};

int outbox_alloc(struct outbox **obp, struct agent *ag);
void outbox_kick(struct outbox *ob);
void outbox_flow_lost(struct outbox *ob, const char *flow);
size_t outbox_drain(struct outbox *ob);
void outbox_give_back(struct outbox *ob);

#endif
