/*
 * What a lane is made of, and what it has counted.
 */
#ifndef PG_LANE_CONF_H
#define PG_LANE_CONF_H

#include "common/pg/bells.h"
#include "common/pg/conn.h"
#include "common/turn.h"

enum {
	PG_CONNS_MAX = 32,     /* of a lane */
	PG_SLOW_MS = 20,       /* a read that makes others go elsewhere, unless
				  all take long now */
	PG_CAREFUL_MS = 60000, /* after a read was slow among others */
};

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
	int lock_ms;   /**< and wait for a lock; 0: as long as that */
	int late_ms;   /**< after that the server hangs */
	int wait_ms;   /**< how long one waits for its turn */
	int answer_ms; /**< how long until it is answered; 0: no limit */
	struct turns_limits turns;
	const char *const *channels;
	const char *warm; /**< as pg_conn_conf's, of so many of them */
	size_t warms;
	struct pg_conn_handlers h; /**< up, lost, notified; may be null */
};

/** Since the beginning */
struct pg_lane_stats {
	uint64_t too_slow;  /**< statements that took longer than they may */
	uint64_t busy;	    /**< refused, for too much stood before them */
	uint64_t forgotten; /**< never sent, for nobody waits any more */
	uint64_t moved;	    /**< reads asked again, from behind a slow one */
};

#endif
