/*
 * db_conn.h: within the database module: one pipelined connection.
 */
#ifndef RESTSIP_DB_CONN_H
#define RESTSIP_DB_CONN_H

#include <libpq-fe.h>

#include "common/buf.h"
#include "common/turn.h"
#include "shared/db.h"

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

enum db_lane { LANE_READ, LANE_WRITE, LANE_SESSION, LANE_HEALTH, LANE_COUNT };

enum conn_state {
	CONN_DOWN,	 /* the timer runs until the next attempt */
	CONN_CONNECTING, /* PQconnectPoll */
	CONN_CHECKING,	 /* connected; schema version, LISTEN */
	CONN_UP,
};

/* In a lane's queue, or under way on a connection. */
struct db_query {
	struct turn turn; /* first: turns_take() gives it */
	struct db *db;
	struct db_query *next; /* on the connection */
	const struct db_stmt *st;
	struct db_args args;
	db_answer_h *answered; /* null: forgotten */
	void *arg;
	PGresult *res;	 /* what has come so far */
	unsigned serial; /* of the preparation that it uses */
	unsigned steps;	 /* answers to come: of its preparation, of itself */
	bool preparing;	 /* its first result is that of the preparation */
	bool synced;	 /* a Sync follows it: the last of its batch */
	bool retried;
	bool sent;
	bool ghost; /* it was moved; what comes for it is thrown away */
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
	size_t syncs;	  /* to come */
	uint64_t head_us; /* since when the first of those runs */
	bool careful;	  /* each read is answered before the next runs */
	bool heavy;	  /* what it runs is of heavy callers, or slow */
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
	size_t lane_conns[LANE_COUNT];
	struct turns *waiting[LANE_COUNT];
	int limit_ms[LANE_COUNT]; /* how long a statement may take */
	struct db_stats stats;
	struct loop_timer flush; /* at the end of the turn */
	struct loop_timer tick;	 /* while anything waits or is under way */
	uint64_t careful_ms;	 /* until then: a read was slow */
	uint64_t looked_ms;	 /* for what has waited too long */
	struct buf bells;
	struct loop_timer bell_timer;
	uint64_t rung_ms;
	int schema_seen; /* the last version that was refused; 0: none */
	bool closing;
};

/* db_lane.c */
void db_lane_flush(struct db *db, enum db_lane lane);
/** Look after what is slow or has waited long, if there may be something. */
void db_tick_later(struct db *db);

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
/** The server does not answer: lost, and nothing of it is asked again. */
void db_conn_hangs(struct db_conn *c);
void db_conn_close(struct db_conn *c);

/* db.c */
void db_queue_add(struct db_queue *queue, struct db_query *q);
struct db_query *db_queue_take(struct db_queue *queue);
bool db_lane_is_up(const struct db *db, enum db_lane lane);

/* db.c, told by a connection */
void db_conn_is_up(struct db_conn *c);
void db_conn_is_lost(struct db_conn *c, struct db_queue *lost);
void db_query_done(struct db_conn *c, struct db_query *q);
/** Ask once more, in its old place. */
void db_ask_again(struct db *db, struct db_query *q);
void db_flush_later(struct db *db);

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
