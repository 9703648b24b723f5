/*
 * One connection to PostgreSQL, which comes back by itself. Once connected it
 * looks at the schema's version and listens to its channels, then it is up.
 */
#ifndef PG_CONN_H
#define PG_CONN_H

#include "common/pg/job.h"
#include "common/pg/pipe.h"
#include "common/pg/server.h"

enum {
	PG_LOOKUP_MS = 1000,	 /* then the last addresses will do */
	PG_CONNECT_MS = 5000,	 /* one attempt to connect */
	PG_BACKOFF_MIN_MS = 100, /* between attempts, doubled each time */
	PG_BACKOFF_MAX_MS = 1000,
	PG_LATE_MS = 2000,   /* after its time-out: the server hangs */
	PG_CHANNELS_MAX = 4, /* of a connection */
};

struct pg_conn;

/** Any but done may be null. */
struct pg_conn_handlers {
	void (*up)(void *arg);	 /**< assume that bells were lost */
	void (*lost)(void *arg); /**< it was up; after all done()s */
	pg_done_h *done;
	void (*synced)(void *arg); /**< there may be room again */
	/** both borrowed */
	void (*notified)(const char *channel, const char *payload, void *arg);
	void *arg;
};

struct pg_conn_conf {
	struct pg_server *server;
	const char *name; /**< for the log; borrowed */
	/** names that need no quotes; null at the end; may be null */
	const char *const *channels;
	/** asked before it is up, so that the server has the plans of what
	 * comes; borrowed, may be null, and may fail */
	const char *warm;
	int limit_ms; /**< how long one statement may take */
	int lock_ms;  /**< and wait for a lock; 0: as long as that */
	int late_ms;  /**< after that the server hangs: PG_LATE_MS */
	size_t depth; /**< statements under way at most */
	bool reads;   /**< as pg_pipe_conf's */
	struct pg_conn_handlers h;
};

/** Start connecting. @return 0, E2BIG or ENOMEM */
int pg_conn_new(struct pg_conn **out, const struct pg_conn_conf *conf);

/** What is under way is done before this returns */
void pg_conn_free(struct pg_conn *c);

bool pg_conn_is_up(const struct pg_conn *c);

/** How much is under way, the connection's own statements too */
const struct pg_pipe *pg_conn_pipe(const struct pg_conn *c);

/**
 * Put a statement behind those under way; it leaves with pg_conn_flush().
 * done() is not called before this returns.
 *
 * @return 0, or EIO: it is still yours, and the connection ends soon
 */
int pg_conn_put(struct pg_conn *c, struct pg_job *job, enum pg_then then);
void pg_conn_flush(struct pg_conn *c);

/** The nth of users' statements under way, null where it was taken */
struct pg_job *pg_conn_job(const struct pg_conn *c, size_t n);

/** Take one back: it runs on, but its result is thrown away */
void pg_conn_take(struct pg_conn *c, const struct pg_job *job);

/**
 * Give it up if its server hangs: then nothing of it is asked again. To be
 * called now and then. @return whether it did
 */
bool pg_conn_look(struct pg_conn *c, uint64_t now_us);

#endif
