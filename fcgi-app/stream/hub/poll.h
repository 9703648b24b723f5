/*
 * poll.h: what stands behind the doorbells: every topic is looked at every
 * POLL_S, many by one query that says which of them have moved.
 */
#ifndef RESTSIP_STREAM_POLL_H
#define RESTSIP_STREAM_POLL_H

#include "stream/hub/topic.h"

enum {
	POLL_S = 2,	      /* every topic is looked at in this time, */
	POLL_STEP_MS = 50,    /* some of them at a time, */
	POLL_STEP_MAX = 1000, /* by one query */
};

struct poll;

/** @return 0 or ENOMEM */
int poll_new(struct poll **out, struct topics *topics);
void poll_free(struct poll *p);

/** Look whether some have moved; every POLL_STEP_MS. */
void poll_step(struct poll *p);

#endif
