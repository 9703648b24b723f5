/*
 * A statement with what SIP brings as its parameters.
 */
#ifndef PGASK_H
#define PGASK_H

#include "common/pg/lane.h"
#include "pg/pgval.h"

enum {
	PG_DEADLINE_MS = 5000, /* the asker is answered by then */
};

int pg_ask(struct pg_lane *lane, uint64_t whose, const struct pg_stmt *stmt,
	   const struct pg_val *valv, pg_answer_h *h, void *arg);

#endif
