/*
 * What was claimed has ended, and the database is told so, as often as it
 * takes.
 */
#ifndef SETTLER_H
#define SETTLER_H

#include <re.h>

#include "pg/pgval.h"

enum {
	SETTLER_VALUES_MAX = 8,
};

struct pgloop;
struct settler;

/** How one has ended, until the database knows; the first member of what the
    statement is made of */
struct settling {
	struct le le;
	struct settler *st;
	bool asking;
};

/** The statement's parameters behind the agent's number; what they point at
    lives as long as s */
typedef void(settling_values_h)(struct pg_val *valv, const struct settling *s);

/** The database knows, or has refused it; s is freed after this */
typedef void(settled_h)(const struct settling *s, const struct pg_answer *ans,
			void *arg);

int settler_alloc(struct settler **stp, struct pgloop *pl,
		  const struct pg_stmt *stmt, settling_values_h *vh,
		  settled_h *h, void *arg);
void *settling_alloc(size_t size);
void settler_add(struct settler *st, struct settling *s);

#endif
