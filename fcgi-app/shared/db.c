/*
 * db.c: the lanes of fcgi-app, and which of them a query is for.
 */
#include "shared/db.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/pg/lane.h"
#include "shared/loop_pg.h"

enum lane { READ, WRITE, SESSION, HEALTH, LANES };

struct db {
	struct pg_server server;
	struct pg_bells *bells;
	struct pg_lane *lane[LANES];
	loop_h *changed;
	void *changed_arg;
	bool closing;
};

static enum lane lane_of(const struct pg_stmt *st)
{
	if (st->session)
		return SESSION;
	if (st->health)
		return HEALTH;
	return st->write ? WRITE : READ;
}

static bool are_right(const struct pg_stmt *st, const struct pg_args *args)
{
	const int given = args ? args->n : 0;

	if (given == st->nparams && (!args || !args->failed))
		return true;
	log_error_often(1, "sql_arguments", LOG_STR("statement", st->name),
			LOG_INT("given", given));
	return false;
}

struct pg_query *db_ask(struct db *db, const struct pg_stmt *st,
			const struct pg_args *args, pg_answer_h *answered,
			void *arg)
{
	const struct db_whose nobodys = {0};

	return db_ask_as(db, &nobodys, st, args, answered, arg);
}

struct pg_query *db_ask_as(struct db *db, const struct db_whose *whose,
			   const struct pg_stmt *st, const struct pg_args *args,
			   pg_answer_h *answered, void *arg)
{
	const struct pg_ask ask = {
		.stmt = st,
		.args = args,
		.caller = whose->caller,
		.rests = whose->rests,
		.target = st->write ? whose->target : 0,
		.h = answered,
		.arg = arg,
	};
	struct pg_query *q = NULL;

	if (are_right(st, args) && !db->closing)
		(void)pg_lane_ask(&q, db->lane[lane_of(st)], &ask);
	return q;
}

bool db_forget(struct pg_query *q)
{
	return pg_query_forget(q);
}

/* ---- doorbells ---- */

static void ring(const char *array, void *arg)
{
	struct db *db = arg;
	struct pg_args args = {.n = 0};
	struct pg_ask ask = {.stmt = &pg_stmt_ring, .args = &args};

	if (db->closing || !pg_lane_is_up(db->lane[WRITE]))
		return;
	ask.data = strdup(array);
	pg_arg_text(&args, ask.data);
	if (!ask.data || pg_lane_ask(NULL, db->lane[WRITE], &ask))
		free(ask.data);
}

void db_ring(struct db *db, const char *bells)
{
	pg_bells_add(db->bells, bells);
}

/* ---- state ---- */

bool db_is_up(const struct db *db)
{
	if (db->closing)
		return false;
	for (int i = 0; i < LANES; i++)
		if (!pg_lane_is_up(db->lane[i]))
			return false;
	return true;
}

bool db_can_serve(const struct db *db)
{
	return !db->closing && pg_lane_is_up(db->lane[READ]) &&
	       pg_lane_is_up(db->lane[WRITE]);
}

static void on_changed(void *arg)
{
	const struct db *db = arg;

	if (!db->closing && db->changed)
		db->changed(db->changed_arg);
}

struct db_stats db_stats(const struct db *db)
{
	struct db_stats sum = {.waiting = 0};

	for (int i = 0; i < LANES; i++) {
		const struct pg_lane_stats *s = pg_lane_stats(db->lane[i]);

		sum.too_slow += s->too_slow;
		sum.busy += s->busy;
		sum.forgotten += s->forgotten;
		sum.moved += s->moved;
		sum.waiting += pg_lane_waiting(db->lane[i]);
	}
	return sum;
}

/* ---- life ---- */

/* How many writes of one, or on one thing, are under way: the others have a
 * connection left. */
static size_t writes_max(int writers)
{
	return writers <= 2 ? 1 : DB_WRITES_MAX;
}

static int read_lane(struct db *db, const struct db_config *config)
{
	const struct pg_lane_conf conf = {
		.server = &db->server,
		.name = "read",
		.conns = (size_t)config->readers,
		.depth = DB_BATCH_MAX,
		.reads = true,
		.fair = true,
		.limit_ms = config->read_ms,
		.late_ms = PG_LATE_MS,
		.wait_ms = DB_WAIT_MS,
		.turns = {.waiting = DB_QUEUE_MAX,
			  .caller_waiting = (size_t)config->caller_max},
		.h = {.up = on_changed, .lost = on_changed, .arg = db},
	};

	return pg_lane_new(&db->lane[READ], &conf);
}

static int write_lane(struct db *db, const struct db_config *config)
{
	const struct pg_lane_conf conf = {
		.server = &db->server,
		.bells = db->bells,
		.name = "write",
		.conns = (size_t)config->writers,
		.depth = 1,
		.fair = true,
		.limit_ms = config->write_ms,
		.late_ms = PG_LATE_MS,
		.wait_ms = DB_WAIT_MS,
		.turns = {.waiting = DB_QUEUE_MAX,
			  .caller_waiting = (size_t)config->caller_max,
			  .target_waiting = (size_t)config->target_max,
			  .caller_running = writes_max(config->writers),
			  .target_running = writes_max(config->writers)},
		.h = {.up = on_changed, .lost = on_changed, .arg = db},
	};

	return pg_lane_new(&db->lane[WRITE], &conf);
}

static int session_lane(struct db *db, const struct db_config *config)
{
	const struct db_session none = {NULL};
	const struct db_session *session = config->session ? config->session
							   : &none;
	const struct pg_lane_conf conf = {
		.server = &db->server,
		.bells = db->bells,
		.name = "session",
		.conns = config->session != NULL,
		.depth = DB_INFLIGHT_MAX,
		.limit_ms = config->write_ms > DB_SESSION_MS ? config->write_ms
							     : DB_SESSION_MS,
		.lock_ms = DB_SESSION_LOCK_MS,
		.late_ms = PG_LATE_MS,
		.wait_ms = DB_WAIT_MS,
		.turns = {.waiting = DB_QUEUE_MAX},
		.channels = session->channels,
		.h = {.up = session->connected,
		      .lost = session->lost,
		      .notified = session->notified,
		      .arg = session->arg},
	};

	return pg_lane_new(&db->lane[SESSION], &conf);
}

static int health_lane(struct db *db, const struct db_config *config)
{
	const struct pg_lane_conf conf = {
		.server = &db->server,
		.name = "health",
		.conns = config->health,
		.depth = 1,
		.limit_ms = DB_HEALTH_MS,
		.wait_ms = DB_HEALTH_MS,
		.turns = {.waiting = DB_QUEUE_MAX},
	};

	return pg_lane_new(&db->lane[HEALTH], &conf);
}

int db_new(struct db **out, struct loop *l, const struct db_config *config)
{
	struct db *db = calloc(1, sizeof(*db));
	int err;

	if (!db)
		return ENOMEM;
	db->server = (struct pg_server){
		.loop = loop_pg(l),
		.conninfo = config->conninfo,
		.user = config->user,
		.application = config->application,
	};
	db->changed = config->changed;
	db->changed_arg = config->arg;
	err = pg_server_open(&db->server);
	if (!err)
		err = pg_bells_new(&db->bells, &db->server.loop, ring, db);
	if (!err)
		err = session_lane(db, config);
	if (!err)
		err = read_lane(db, config);
	if (!err)
		err = write_lane(db, config);
	if (!err)
		err = health_lane(db, config);
	if (err)
		db_free(db);
	else
		*out = db;
	return err;
}

void db_free(struct db *db)
{
	if (!db)
		return;
	db->closing = true;
	for (int i = 0; i < LANES; i++)
		pg_lane_free(db->lane[i]);
	pg_bells_free(db->bells);
	pg_server_close(&db->server);
	free(db);
}
