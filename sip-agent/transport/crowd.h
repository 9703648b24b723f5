/*
 * Connections that have shown nothing yet, the one that has waited longest
 * first.  Says which have run out of time, and which makes room for another.
 */
#ifndef CROWD_H
#define CROWD_H

#include <re.h>

#include "gate/budget.h"

/** One connection; embedded in its owner */
struct crowd_member {
	struct le le;
	const struct sa *peer;
	uint64_t since_ms;
	void *arg;
};

/** Ends a connection, with an errno for the log; it leaves the crowd by that */
typedef void(crowd_end_h)(void *arg, int err);

struct crowd {
	struct list members;
	struct budget *budget;	     /* borrowed */
	enum budget_counter counter; /* what they are counted by */
	uint64_t most_ms;	     /* then it is ended */
	crowd_end_h *end;
};

enum {
	CROWD_LOOKED_AT = 64,
	CROWD_ROOM_MS = 2000, /* then any newcomer may replace it */
};

void crowd_enter(struct crowd *cr, struct crowd_member *m,
		 const struct sa *peer, void *arg, uint64_t now_ms);
void crowd_touch(struct crowd *cr, struct crowd_member *m, uint64_t now_ms);
void crowd_leave(struct crowd_member *m);
void crowd_sweep(struct crowd *cr, uint64_t now_ms);
bool crowd_make_room(struct crowd *cr, const struct sa *peer, bool of_source,
		     uint64_t now_ms);

#endif
