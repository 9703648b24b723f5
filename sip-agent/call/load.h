/*
 * Legs that are not in memory, read from their rows: those of the process
 * before, of an agent that is no more, and those whose connection had gone.
 */
#ifndef LOAD_H
#define LOAD_H

#include "call/leg.h"

struct pg_answer;

enum {
	LOADS_BY_MSGS =
		128, /* of these for what comes in: anybody can send that,
			and orders must find their legs all the same */
};

/**
 * A leg was looked for
 *
 * @param l   Its dialog, in the table from now on; NULL: it has none (any more)
 * @param ans One row, or none, of api.leg_load; NULL: the database is away
 */
typedef void(load_h)(struct leg *l, const struct pg_answer *ans, void *arg);

int load_leg(struct legs *ls, int64_t id, load_h *h, void *arg);
int load_dialog(struct legs *ls, const struct sip_msg *msg, const char *aor,
		load_h *h, void *arg);
bool load_says(const struct pg_answer *ans, const char *state);

#endif
