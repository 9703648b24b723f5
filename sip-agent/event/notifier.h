/*
 * NOTIFYs that are due in the database, claimed, sent and settled.
 */
#ifndef NOTIFIER_H
#define NOTIFIER_H

#include <re.h>

/** Payload of the doorbell */
#define NOTIFIER_BELL "notify"

struct agent;
struct claimer;
struct notifier;

enum {
	NOTIFIER_CLAIM_MAX = 512, /* rows at once */
	NOTIFIER_PAUSE_MS =
		1000, /* bound notify_pause, unless it was changed */
	NOTIFIER_AGAIN_MS = 250,
};

int notifier_alloc(struct notifier **nfp, struct agent *ag);
void notifier_ring(struct notifier *nf);
struct claimer *notifier_claimer(const struct notifier *nf);

#endif
