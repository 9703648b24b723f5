/*
 * Statements under way on one connection, in pipeline mode: what was sent, in
 * which order its results come, and what may be asked once more. It knows
 * nothing of sockets; conn.c gives it a connection and takes that away.
 */
#ifndef PG_PIPE_H
#define PG_PIPE_H

#include "common/pg/job.h"

enum {
	PG_PREPARED_MAX = 128, /* statements of a connection */
	PG_NAME_MAX = 63,      /* bytes of a prepared one's name */
};

struct pg_pipe;

/**
 * A statement is off the connection.
 *
 * @param job     no more the pipe's; pg_job_tell() says what came of it
 * @param again   it was rolled back or never run, and waits for its answer:
 *                it may be put once more, here or elsewhere
 * @param cost_us how long it ran; 0: it was lost
 */
typedef void(pg_done_h)(struct pg_job *job, bool again, uint64_t cost_us,
			void *arg);

struct pg_pipe_conf {
	size_t depth; /**< statements under way at most */
	/**
	 * All of them only read: several may share a Sync, each is done with
	 * its rows, and what is lost with the connection is asked once more.
	 * Otherwise each has a Sync of its own, and is done when that came,
	 * that is when it is committed.
	 */
	bool reads;
	pg_done_h *done;
	void (*synced)(void *arg); /**< a Sync has come back */
	void *arg;
};

/** What follows a statement. An error lets those up to the Sync abort. */
enum pg_then {
	PG_THEN_SYNC,
	PG_THEN_MORE,  /**< of the same batch */
	PG_THEN_FLUSH, /**< likewise, but its rows are sent before that runs */
};

/** @return 0 or ENOMEM */
int pg_pipe_new(struct pg_pipe **out, const struct pg_pipe_conf *conf);
void pg_pipe_free(struct pg_pipe *p);

/** Use a fresh connection, in pipeline mode, until pg_pipe_end(). Borrowed. */
void pg_pipe_begin(struct pg_pipe *p, PGconn *pg);

/** The connection is lost, and so is what was under way */
void pg_pipe_end(struct pg_pipe *p);

/**
 * Put a statement behind those under way; libpq has to be flushed.
 *
 * @return 0; EIO: it is still yours, and the connection is of no more use
 */
int pg_pipe_put(struct pg_pipe *p, struct pg_job *job, enum pg_then then);

/** Take the results that libpq has. @return 0 or EIO: it is lost */
int pg_pipe_read(struct pg_pipe *p);

/** Anything is to come */
bool pg_pipe_is_busy(const struct pg_pipe *p);
size_t pg_pipe_load(const struct pg_pipe *p);

/** How long the first of them has run, in microseconds */
uint64_t pg_pipe_age_us(const struct pg_pipe *p, uint64_t now_us);

/** The nth of those under way, null where that was taken */
struct pg_job *pg_pipe_job(const struct pg_pipe *p, size_t n);

/** Take one back: it runs on, but its result is thrown away */
void pg_pipe_take(struct pg_pipe *p, const struct pg_job *job);

#endif
