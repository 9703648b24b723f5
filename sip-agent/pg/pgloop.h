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
	PG_ASKED,   /**< a phone waits for the answer; it waits for no lock */
	PG_ALONE,   /**< the same, but it may wait for a lock */
	PG_CLAIM,   /**< work is claimed; it waits for no lock */
	PG_SETTLE,  /**< work is settled; may wait for locks */
	PG_JANITOR, /**< what others have left is cleared up */
	PG_LINES,
};

enum {
	/* what shares a statement waits so long for a lock: then each of it is
	   asked for alone */
	PG_TOGETHER_LOCK_MS = 250,
	PG_ALONE_LOCK_MS = 2000,
};

struct pgloop;

struct pgloop_conf {
	const char *conninfo;  /**< with the role */
	const char *name;      /**< of this agent, as others see it */
	const char *addresses; /**< that it listens on, commas between */
	bool relays;	       /**< it has media relays */
	int queries; /**< connections of PG_ASKED, and of PG_ALONE: from 2 on */
	pglisten_ready_h *ready;
	pglisten_bell_h *bell;
	/** the database has a schema version that we cannot use */
	void (*fatal)(void *arg);
	void *arg;
};

int pgloop_alloc(struct pgloop **plp, const struct pgloop_conf *conf);
bool pgloop_is_ready(const struct pgloop *pl);
int pgloop_agent(const struct pgloop *pl);
const char *pgloop_boot(const struct pgloop *pl);
int pgloop_query(struct pgloop *pl, const struct pg_stmt *stmt,
		 const struct pg_val *valv, pg_answer_h *h, void *arg);
int pgloop_query_alone(struct pgloop *pl, const char *aor,
		       const struct pg_stmt *stmt, const struct pg_val *valv,
		       pg_answer_h *h, void *arg);
int pgloop_query_in(struct pgloop *pl, enum pg_line which, uint64_t whose,
		    const struct pg_stmt *stmt, const struct pg_val *valv,
		    pg_answer_h *h, void *arg);
uint64_t pgloop_whose(const char *aor);
int pg_rows(const struct pg_answer *ans);

#endif
