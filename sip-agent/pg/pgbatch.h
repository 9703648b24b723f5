/*
 * Questions of one kind that share a statement, and so a commit: those that
 * come while earlier ones are being answered go together.  With a statement for
 * each, 1,300 registrations a second were served instead of 6,300
 * (bench/register's load), and a phone's first one cost agent and database a
 * third more of the processor, for the algorithm as for the credential.
 */
#ifndef PGBATCH_H
#define PGBATCH_H

#include "common/buf.h"
#include "pg/pgloop.h"

enum {
	PGBATCH_MAX = 128,	     /* items of a statement */
	PGBATCH_WAITING_MAX = 16384, /* items */
};

struct pgbatch;

struct pgbatch_conf {
	const struct pg_stmt *stmt; /**< takes the agent and the items */
	enum pg_line line;
	unsigned at_once; /**< statements that may be under way together */
	unsigned items;	  /**< of a statement; PGBATCH_MAX at most */
};

/**
 * An item's answer
 *
 * @param row  The first of its rows in the answer
 * @param rows How many; 0: the item is to be asked for alone.  Where ans->end
 *             is not PG_OK, that is the answer
 */
typedef void(pgbatch_h)(const struct pg_answer *ans, int row, int rows,
			void *arg);

int pgbatch_alloc(struct pgbatch **bp, struct pgloop *pl,
		  const struct pgbatch_conf *conf);
int pgbatch_ask(struct pgbatch *b, const struct buf *item, pgbatch_h *h,
		void *arg);

#endif
