/*
 * Inside of a statement on its way, and what its result means; for pg*.c only.
 */
#ifndef PGJOB_H
#define PGJOB_H

#include "pg/pgconn.h"

struct pg_job {
	struct le le;
	const struct pg_stmt *stmt;
	char *data; /* where valv points into */
	const char *valv[PG_PARAMS_MAX];
	int lenv[PG_PARAMS_MAX];
	int fmtv[PG_PARAMS_MAX];
	uint64_t deadline_ms;
	pg_answer_h *h;
	void *arg;
	bool preparing; /* the result of PREPARE comes first */
};

void pg_answer_of(struct pg_answer *ans, const struct pg_result *res);
bool pg_answer_is_stale(const struct pg_answer *ans);

#endif
