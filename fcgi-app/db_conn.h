/*
 * db_conn.h: within the database module: one pipelined connection.
 */
#ifndef RESTSIP_DB_CONN_H
#define RESTSIP_DB_CONN_H

#include <libpq-fe.h>

#include "buf.h"
#include "db.h"

enum {
	DB_PREPARED_MAX = 128,	 /* statements of a connection */
	DB_NAME_MAX = 63,	 /* of a prepared one, as PostgreSQL has it */
	DB_CONNECT_MS = 5000,	 /* one attempt to connect */
	DB_BACKOFF_MIN_MS = 100, /* between attempts, doubled each time */
	DB_BACKOFF_MAX_MS = 1000,
	DB_CHANNELS_MAX = 4,
	DB_BELLS_MAX = 64 << 10, /* bytes of bells that wait */
	DB_BATCH_MAX = 16,	 /* reads that share a round trip */
};

enum db_lane { LANE_READ, LANE_WRITE, LANE_SESSION, LANE_COUNT };

enum conn_state {
	CONN_DOWN,	 /* the timer runs until the next attempt */
	CONN_CONNECTING, /* PQconnectPoll */
	CONN_CHECKING,	 /* connected; schema version, LISTEN */
	CONN_UP,
};

/* In a lane's queue, or under way on a connection. */
struct db_query {
	struct db *db;
	struct db_query *next;
	const struct db_stmt *st;
	struct db_args args;
	db_answer_h *answered; /* null: forgotten */
	void *arg;
	uint64_t asked_ms;
	PGresult *res;	 /* what has come so far */
	unsigned serial; /* of the preparation that it uses */
	unsigned steps;	 /* answers to come: of its preparation, of itself */
	bool preparing;	 /* its first result is that of the preparation */
	bool synced;	 /* a Sync follows it: the last of its batch */
	bool retried;
	bool sent;
};

struct db_queue {
	struct db_query *first, *last;
	size_t n;
};

/* Its name on the server is that of the statement and the serial. */
struct db_prepared {
	const struct db_stmt *st;
	unsigned serial;
};

struct db_conn {
	struct db *db;
	enum db_lane lane;
	enum conn_state state;
	PGconn *pg;
	struct loop_fd watch;
	struct loop_timer timer; /* the next attempt, or the end of this */
	struct loop_timer broken_timer;
	bool unsent; /* it has what db_conn_flush() is to send */
	bool broken; /* nothing more is sent; it ends in the next turn */
	uint64_t backoff_ms;
	struct db_queue inflight;
	struct db_query *receiving; /* of those; null: the first */
	struct db_prepared prepared[DB_PREPARED_MAX];
	size_t nprepared;
	unsigned serial;
	size_t setup; /* answers of the setup that are still to come */
	bool setup_failed;
};

struct db {
	struct loop *loop;
	char *conninfo, *user, *application;
	struct db_session session;
	char *channel[DB_CHANNELS_MAX];
	size_t channels;
	struct db_conn conn[DB_CONNS_MAX];
	size_t conns;
	struct db_queue waiting[LANE_COUNT];
	struct loop_timer flush; /* at the end of the turn */
	struct loop_timer deadline;
	struct buf bells;
	struct loop_timer bell_timer;
	uint64_t rung_ms;
	int schema_seen; /* the last version that was refused; 0: none */
	bool closing;
};

void db_queue_add(struct db_queue *queue, struct db_query *q);
void db_queue_add_first(struct db_queue *queue, struct db_query *q);
struct db_query *db_queue_take(struct db_queue *queue);
bool db_queue_remove(struct db_queue *queue, struct db_query *q);

/* db_conn.c */
void db_conn_start(struct db_conn *c);
/**
 * Put q behind what is under way; it is the connection's from then on, and
 * leaves with db_conn_flush(). Queries up to the next that is synced share its
 * Sync: an error of one lets those after it abort.
 * @return 0, or EIO: still yours, and the connection is of no more use
 */
int db_conn_put(struct db_conn *c, struct db_query *q, bool synced);
void db_conn_flush(struct db_conn *c);
void db_conn_close(struct db_conn *c);

/* db.c, told by a connection */
void db_conn_is_up(struct db_conn *c);
void db_conn_is_lost(struct db_conn *c, struct db_queue *lost);
void db_query_done(struct db_conn *c, struct db_query *q);

/* db_answer.c */
void db_query_free(struct db_query *q);
/* Tell and free. res is q->res, or null: then outcome says it. */
void db_query_answer(struct db_query *q, enum db_outcome outcome);
/* Whether an error is worth another try, for nothing has happened. */
bool db_is_retryable(const PGresult *res);
bool db_is_error(const PGresult *res);
/* Whether it was not run, for one before it in its batch has failed. */
bool db_is_aborted(const PGresult *res);
/* Whether it has to be prepared anew: a function has changed under it. */
bool db_is_stale(const PGresult *res);

/* db_bell.c */
void db_bell_collect(struct db *db, const PGresult *res);

#endif
