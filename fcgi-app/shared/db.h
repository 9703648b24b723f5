/*
 * db.h: SQL without waiting: pipelined connections, readers and writers
 * apart, prepared once each, doorbells rung after the commit.
 */
#ifndef RESTSIP_DB_H
#define RESTSIP_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/loop.h"

enum {
	DB_ARGS_MAX = 20,
	DB_QUEUE_MAX = 2048,   /* queries that wait for their turn */
	DB_CALLER_MAX = 64,    /* of those, of one caller */
	DB_TARGET_MAX = 256,   /* of those, writes on one target */
	DB_WRITES_MAX = 2,     /* under way of one caller, or on one target */
	DB_INFLIGHT_MAX = 256, /* on one connection */
	DB_WAIT_MS = 2000,     /* how long a query waits for its turn */
	DB_HEALTH_MS = 1500,   /* how long one of a health check takes */
	DB_REST = 7,	 /* times what a slow read took, before the next */
	DB_SLOW_MS = 20, /* a read that makes others go elsewhere */
	DB_CAREFUL_MS = 60000, /* after a read was slow among others */
	DB_LATE_MS = 2000,     /* after its time-out: the server is gone */
	DB_CONNS_MAX = 32,
	DB_BELL_MS = 5, /* at most one ring in this time */
};

struct db;
struct db_query;
struct pg_result; /* libpq's PGresult; read it with common/pgres.h */

/**
 * One SQL statement, a constant. Prepared by its name once a connection.
 * session: it runs on the session's (LISTEN) connection; health: on one that
 * nothing else stands before.
 */
struct db_stmt {
	const char *name;
	const char *sql;
	int nparams;
	bool write;
	bool session;
	bool health;
};

/** Typed parameters. What they point at is borrowed until the answer. */
struct db_args {
	int n;
	bool failed; /* too many, or no memory: the query is a bug */
	const char *value[DB_ARGS_MAX];
	int length[DB_ARGS_MAX];
	int format[DB_ARGS_MAX];
	char digits[DB_ARGS_MAX][24];
};

/** Who asks, and about what, as keys of turn.h; 0: nobody, nothing. */
struct db_whose {
	uint64_t caller, target;
};

void db_arg_null(struct db_args *a);
void db_arg_text(struct db_args *a, const char *s); /* null: SQL null */
void db_arg_int(struct db_args *a, int64_t n);
void db_arg_bool(struct db_args *a, bool b);
void db_arg_bytea(struct db_args *a, const void *p, size_t n); /* null too */

enum db_outcome {
	DB_OK,		/* res holds the rows */
	DB_REFUSED,	/* by a rule: RSnnn */
	DB_UNAVAILABLE, /* it did not happen; later it may */
	DB_BUSY,	/* nor did it: too much stands before it */
	DB_UNKNOWN,	/* a write was lost with its connection */
	DB_BUG,		/* any other SQLSTATE; logged */
};

/** What came of a query. All of it is borrowed during the callback. */
struct db_answer {
	enum db_outcome outcome;
	const struct pg_result *res; /* only with DB_OK */
	int status;		     /* HTTP status; of RSnnn: nnn */
	const char *sqlstate;	     /* "" if there is none */
	const char *slug;	     /* MESSAGE of RSnnn, or our own word */
	const char *detail;	     /* a sentence for people */
	const char *pointer;	     /* HINT: JSON pointer, "" if none */
	int retry_s;		     /* COLUMN: of Retry-After; 0: unsaid */
};

typedef void(db_answer_h)(const struct db_answer *a, void *arg);

/**
 * The session's connection: one more, for LISTEN and for what a session
 * holds (advisory locks). All members may be null.
 */
struct db_session {
	const char *const *channels; /* null at the end; [0] null: no LISTEN */
	/* after every connect, once it listens: assume that rings were lost */
	void (*connected)(void *arg);
	void (*lost)(void *arg);
	/* both borrowed */
	void (*notified)(const char *channel, const char *payload, void *arg);
	void *arg;
};

struct db_config {
	const char *conninfo;
	const char *user;	 /* role, unless conninfo names a user */
	const char *application; /* application_name */
	int readers, writers;
	int read_ms, write_ms;	    /* how long one statement may take */
	int caller_max, target_max; /* that wait for one; 0: any number */
	bool health;		    /* one more connection, for health checks */
	const struct db_session *session; /* null: no such connection */
};

/** Start connecting. All strings are copied; session too. @return 0, errno */
int db_new(struct db **out, struct loop *l, const struct db_config *config);

/** Close; answers every query that is under way with DB_UNAVAILABLE. */
void db_free(struct db *db);

/** Whether each lane has a connection, of a schema version that we serve. */
bool db_is_up(const struct db *db);

/** Since the beginning. */
struct db_stats {
	uint64_t too_slow;  /* statements that took longer than they may */
	uint64_t busy;	    /* refused, for too much stood before them */
	uint64_t forgotten; /* never sent, for nobody waits any more */
	uint64_t moved;	    /* reads asked again, from behind a slow one */
	size_t waiting;	    /* now */
};
struct db_stats db_stats(const struct db *db);

/**
 * Ask. Exactly one answer comes, never before db_ask() returns; a query
 * that waits longer than DB_WAIT_MS for its turn is DB_BUSY. Callers come in
 * turn (turn.h); of one, and on one target, DB_WRITES_MAX writes are under way.
 *
 * @param st    borrowed for ever (a constant)
 * @param args  copied, what it points at is borrowed until the answer; may
 *              be null if the statement has none
 * @return a handle for db_forget() only, or null (no memory, queue full,
 *         args failed): then no answer comes
 */
struct db_query *db_ask(struct db *db, const struct db_stmt *st,
			const struct db_args *args, db_answer_h *answered,
			void *arg);

/** The same, in the caller's turn. */
struct db_query *db_ask_as(struct db *db, const struct db_whose *whose,
			   const struct db_stmt *st, const struct db_args *args,
			   db_answer_h *answered, void *arg);

/**
 * The answer is not wanted any more.
 *
 * @return whether it was not sent, and never will be
 */
bool db_forget(struct db_query *q);

/** Ring after the commit, with others; text of an array, null: nothing. */
void db_ring(struct db *db, const char *bells);

#endif
