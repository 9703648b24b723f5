/*
 * What the database is told until it has heard it: an answer that the other
 * end of a call waits for.
 */
#ifndef SAY_H
#define SAY_H

#include <re.h>

#include "pg/pgval.h"

struct legs;

typedef void(say_lost_h)(struct legs *ls, int64_t leg);

void say_or(struct legs *ls, uint64_t whose, const struct pg_stmt *stmt,
	    const struct pg_val *valv, say_lost_h *losth, int64_t leg);
void say_until_heard(struct legs *ls, uint64_t whose,
		     const struct pg_stmt *stmt, const struct pg_val *valv);
void say_latest(struct legs *ls, uint64_t whose, const struct pg_stmt *stmt,
		const struct pg_val *valv);

#endif
