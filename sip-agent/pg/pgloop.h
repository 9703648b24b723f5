/*
 * PostgreSQL as the agent sees it: statements in, answers out, doorbells both
 * ways.  One connection listens and holds the agent's advisory lock; the
 * others work, each for one line (enum pg_line).
 */
#ifndef PGLOOP_H
#define PGLOOP_H

#include "common/pgres.h"
#include "pg/pgask.h"
#include "pg/pglisten.h"

/** Where a statement stands in line: each line has connections of its own */
enum pg_line {
	PG_ASKED,  /**< a phone waits for the answer */
	PG_CLAIM,  /**< work is claimed; waits for no lock for long */
	PG_SETTLE, /**< work is settled or cleared up; may wait for locks */
	PG_LINES,
};

struct pgloop;

struct pgloop_conf {
	const char *conninfo;  /**< with the role */
	const char *name;      /**< of this agent, as others see it */
	const char *addresses; /**< that it listens on, commas between */
	pglisten_ready_h *ready;
	pglisten_bell_h *bell;
	/** the database is of a version that we cannot use */
	void (*fatal)(void *arg);
	void *arg;
};

int pgloop_alloc(struct pgloop **plp, const struct pgloop_conf *conf);
bool pgloop_is_ready(const struct pgloop *pl);
int pgloop_agent(const struct pgloop *pl);
const char *pgloop_boot(const struct pgloop *pl);
int pgloop_query(struct pgloop *pl, const struct pg_stmt *stmt,
		 const struct pg_val *valv, pg_answer_h *h, void *arg);
int pgloop_query_in(struct pgloop *pl, enum pg_line which,
		    const struct pg_stmt *stmt, const struct pg_val *valv,
		    pg_answer_h *h, void *arg);
int pg_rows(const struct pg_answer *ans);

#endif
