/*
 * NOTIFYs that are due in the database, claimed, sent and settled.
 */
#ifndef NOTIFIER_H
#define NOTIFIER_H

#include <re.h>

/** Payload of the doorbell */
#define NOTIFIER_BELL "notify"

struct agent;
struct notifier;

enum {
	NOTIFIER_MAX = 4096,   /* transactions in flight at once */
	NOTIFIER_LEASE_S = 90, /* longer than any transaction */
	NOTIFIER_PAUSE_MS =
		1000, /* bound notify_pause, unless it was changed */
	NOTIFIER_AGAIN_MS = 250,
	NOTIFIER_POLL_MS = 2000, /* behind the doorbell */
};

int notifier_alloc(struct notifier **nfp, struct agent *ag);
void notifier_kick(struct notifier *nf);
void notifier_ring(struct notifier *nf);
void notifier_flow_lost(struct notifier *nf, const char *flow);
size_t notifier_drain(struct notifier *nf);

#endif
