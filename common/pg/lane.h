/*
 * Connections for statements of one sort, whose turn it is on them, and what
 * is done about those that take long.
 */
#ifndef PG_LANE_H
#define PG_LANE_H

#include "common/pg/bells.h"
#include "common/pg/conn.h"
#include "common/turn.h"

enum {
	PG_CONNS_MAX = 32,     /* of a lane */
	PG_SLOW_MS = 20,       /* a read that makes others go elsewhere */
	PG_CAREFUL_MS = 60000, /* after a read was slow among others */
};

struct pg_lane;
struct pg_query;

struct pg_lane_conf {
	struct pg_server *server;
	struct pg_bells *bells; /**< of what is written; may be null */
	const char *name;	/**< for the log */
	size_t conns;
	size_t depth;  /**< under way on each; of reads: that share a Sync */
	bool reads;    /**< as pg_pipe_conf's */
	bool fair;     /**< one is kept free of callers whose work is slow */
	bool hasty;    /**< nobody waits for a connection that is lost */
	int limit_ms;  /**< how long a statement may take */
	int late_ms;   /**< after that the server hangs */
	int wait_ms;   /**< how long one waits for its turn */
	int answer_ms; /**< how long until it is answered; 0: no limit */
	struct turns_limits turns;
	const char *const *channels;
	struct pg_conn_handlers h; /**< up, lost, notified; may be null */
};

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

/** Since the beginning */
struct pg_lane_stats {
	uint64_t too_slow;  /**< statements that took longer than they may */
	uint64_t busy;	    /**< refused, for too much stood before them */
	uint64_t forgotten; /**< never sent, for nobody waits any more */
	uint64_t moved;	    /**< reads asked again, from behind a slow one */
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
