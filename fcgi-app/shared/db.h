/*
 * db.h: SQL without waiting: pipelined connections, readers and writers
 * apart, callers in turn, doorbells rung after the commit.
 */
#ifndef RESTSIP_DB_H
#define RESTSIP_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/pg/pg.h"
#include "shared/loop.h"

enum {
	DB_CALLER_MAX = 64,  /* queries that wait for their turn, of a caller */
	DB_TARGET_MAX = 256, /* of those, writes on one target */
	DB_QUEUE_MAX = 2048, /* of all */
	DB_WRITES_MAX = 2,   /* under way of one caller, or on one target */
	DB_BATCH_MAX = 16,   /* reads that share a round trip */
	DB_INFLIGHT_MAX = 256, /* on the session's connection */
	DB_WAIT_MS = 2000,     /* how long a query waits for its turn */
	DB_HEALTH_MS = 1500,   /* how long one of a health check takes */
	DB_SESSION_MS = 5000,  /* one of the session, at least */
	/* What the session asks does not wait longer for a lock: 64 watches
	 * that all wait hold up its heartbeat for less than the 10 s after
	 * which it is taken for silent. */
	DB_SESSION_LOCK_MS = 100,
};

struct db;
struct pg_query;

/** The caller and the target of a statement, as keys of turn.h; 0: none. */
struct db_whose {
	uint64_t caller, target;
	bool rests; /* as turn.h has it */
};

/**
 * The session's connection: one more, for LISTEN and for what a session
 * holds (advisory locks). All members may be null.
 */
struct db_session {
	const char *const *channels; /* null at the end; borrowed */
	/* after every connect, once it listens: assume that rings were lost */
	void (*connected)(void *arg);
	void (*lost)(void *arg);
	/* both borrowed */
	void (*notified)(const char *channel, const char *payload, void *arg);
	void *arg;
};

struct db_config {
	const char *conninfo;	 /* borrowed, as is each string */
	const char *user;	 /* role, unless conninfo names a user */
	const char *application; /* application_name */
	int readers, writers;
	int read_ms, write_ms;	    /* how long one statement may take */
	int caller_max, target_max; /* that wait for one; 0: any number */
	bool health;		    /* one more connection, for health checks */
	const struct db_session *session; /* null: no such connection */
	/* a connection has come or gone; may be null */
	loop_h *changed;
	void *arg;
};

/** Start connecting. @return 0 or errno */
int db_new(struct db **out, struct loop *l, const struct db_config *config);

/** Close; answers every query that is under way with PG_AWAY. */
void db_free(struct db *db);

/** Whether each lane has a connection, of a schema version that we serve. */
bool db_is_up(const struct db *db);

/** Whether there is a connection to read by, and one to write by. */
bool db_can_serve(const struct db *db);

/** Since the beginning. */
struct db_stats {
	uint64_t too_slow;  /* statements that took longer than they may */
	uint64_t busy;	    /* refused, because too many waited already */
	uint64_t forgotten; /* never sent, because nobody waited any more */
	uint64_t moved;	    /* reads asked again, from behind a slow one */
	size_t waiting;	    /* now */
};
struct db_stats db_stats(const struct db *db);

/**
 * Ask. Exactly one answer comes, never before db_ask() returns; a query that
 * waits longer than DB_WAIT_MS for its turn is APP_BUSY. Callers come in turn
 * (turn.h); of one, and on one target, DB_WRITES_MAX writes are under way.
 *
 * @param st    borrowed for ever (a constant)
 * @param args  copied, what it points at is borrowed until the answer; may
 *              be null if the statement has none
 * @return a handle for db_forget() only, or null (no memory, queue full,
 *         args failed): then no answer comes
 */
struct pg_query *db_ask(struct db *db, const struct pg_stmt *st,
			const struct pg_args *args, pg_answer_h *answered,
			void *arg);

/** The same, in the caller's turn. */
struct pg_query *db_ask_as(struct db *db, const struct db_whose *whose,
			   const struct pg_stmt *st, const struct pg_args *args,
			   pg_answer_h *answered, void *arg);

/**
 * The answer is not wanted any more.
 *
 * @return whether it was not sent, and never will be
 */
bool db_forget(struct pg_query *q);

/** Ring after the commit, with others; text of an array, null: nothing. */
void db_ring(struct db *db, const char *bells);

#endif
