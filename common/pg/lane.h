/*
 * Connections for statements of one sort, whose turn it is on them, and what
 * is done about those that take long.
 */
#ifndef PG_LANE_H
#define PG_LANE_H

#include "common/pg/lane_conf.h"

struct pg_lane;
struct pg_query;

/** A question. Copied, but for data and what args point at. */
struct pg_ask {
	const struct pg_stmt *stmt;
	const struct pg_args *args; /**< may be null if there are none */
	uint64_t caller, target;    /**< keys of turn.h */
	bool rests;		    /**< as turn.h has it */
	void *data; /**< free()d after the answer: what args point at */
	pg_answer_h *h;
	void *arg;
};

/** Start connecting. @return 0 or errno */
int pg_lane_new(struct pg_lane **out, const struct pg_lane_conf *conf);

/** All that is left is answered: PG_AWAY. */
void pg_lane_free(struct pg_lane *lane);

/** Whether a connection is there; a lane without any is always up. */
bool pg_lane_is_up(const struct pg_lane *lane);

/**
 * Ask at the end of the loop's turn. Exactly one answer comes, never before
 * this returns.
 *
 * @param out  a handle for pg_query_forget(); may be null
 * @return 0; EBUSY (no place is left), ENOMEM: no answer comes, and data is
 *         still yours
 */
int pg_lane_ask(struct pg_query **out, struct pg_lane *lane,
		const struct pg_ask *ask);

/** The answer is not wanted. @return whether it will never be sent */
bool pg_query_forget(struct pg_query *q);

size_t pg_lane_waiting(const struct pg_lane *lane);
const struct pg_lane_stats *pg_lane_stats(const struct pg_lane *lane);

#endif
