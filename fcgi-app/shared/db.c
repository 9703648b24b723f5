/*
 * db.c: who asks what, and what becomes of it. db_lane.c says when.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "shared/db_conn.h"

void db_queue_add(struct db_queue *queue, struct db_query *q)
{
	q->next = NULL;
	if (queue->last)
		queue->last->next = q;
	else
		queue->first = q;
	queue->last = q;
	queue->n++;
}

struct db_query *db_queue_take(struct db_queue *queue)
{
	struct db_query *q = queue->first;

	if (!q)
		return NULL;
	queue->first = q->next;
	if (!queue->first)
		queue->last = NULL;
	queue->n--;
	return q;
}

static enum db_lane lane_of(const struct db_stmt *st)
{
	if (st->session)
		return LANE_SESSION;
	if (st->health)
		return LANE_HEALTH;
	return st->write ? LANE_WRITE : LANE_READ;
}

static struct turns *turns_of(const struct db_query *q)
{
	return q->db->waiting[lane_of(q->st)];
}

/* The turn is over: all that was asked in it leaves together. */
static void turn_over(void *arg)
{
	struct db *db = arg;

	for (int lane = 0; lane < LANE_COUNT; lane++)
		db_lane_flush(db, (enum db_lane)lane);
	for (size_t i = 0; i < db->conns; i++) {
		struct db_conn *c = &db->conn[i];

		if (c->unsent && c->state == CONN_UP)
			db_conn_flush(c);
		c->unsent = false;
	}
	db_tick_later(db);
}

void db_flush_later(struct db *db)
{
	if (db->closing || loop_pending(&db->flush))
		return;
	if (loop_defer(db->loop, &db->flush, turn_over, db))
		turn_over(db); /* no memory: then at once */
}

static void copy_args(struct db_args *to, const struct db_args *from)
{
	if (!from)
		return;
	*to = *from;
	for (int i = 0; i < to->n; i++)
		if (to->value[i] == from->digits[i])
			to->value[i] = to->digits[i];
}

static bool are_right(const struct db_stmt *st, const struct db_args *args)
{
	const int given = args ? args->n : 0;

	if (given == st->nparams && (!args || !args->failed))
		return true;
	log_error("sql_arguments", LOG_STR("statement", st->name),
		  LOG_INT("given", given));
	return false;
}

struct db_query *db_ask(struct db *db, const struct db_stmt *st,
			const struct db_args *args, db_answer_h *answered,
			void *arg)
{
	const struct db_whose nobodys = {0, 0};

	return db_ask_as(db, &nobodys, st, args, answered, arg);
}

/* Where there is no place for it, one of who has most waiting is refused. */
static int queue_add(struct db_query *q, uint64_t caller, uint64_t target)
{
	struct turns *t = turns_of(q);
	struct turn *e;
	int err = turns_add(t, &q->turn, caller, target, clock_ms());

	if (err != EBUSY || !(e = turns_make_room(t, caller, target)))
		return err;
	err = turns_add(t, &q->turn, caller, target, clock_ms());
	db_query_answer((struct db_query *)(void *)e, DB_BUSY);
	return err;
}

struct db_query *db_ask_as(struct db *db, const struct db_whose *whose,
			   const struct db_stmt *st, const struct db_args *args,
			   db_answer_h *answered, void *arg)
{
	struct db_query *q;
	int err;

	if (!are_right(st, args) || db->closing)
		return NULL;
	q = calloc(1, sizeof(*q));
	if (!q)
		return NULL;
	q->db = db;
	q->st = st;
	copy_args(&q->args, args);
	q->answered = answered;
	q->arg = arg;
	err = queue_add(q, whose->caller, st->write ? whose->target : 0);
	if (err) {
		db->stats.busy++;
		db_query_free(q);
		return NULL;
	}
	db_flush_later(db);
	return q;
}

bool db_forget(struct db_query *q)
{
	q->answered = NULL;
	if (q->sent)
		return false;
	q->db->stats.forgotten++;
	turns_remove(turns_of(q), &q->turn);
	db_query_free(q);
	return true;
}

void db_ask_again(struct db *db, struct db_query *q)
{
	(void)db;
	q->sent = false;
	PQclear(q->res);
	q->res = NULL;
	turns_give_back(turns_of(q), &q->turn);
}

/* It is off its connection for good. */
static void run_ends(struct db_query *q, uint64_t cost_us)
{
	turns_done(turns_of(q), &q->turn, cost_us, clock_ms());
}

void db_query_done(struct db_conn *c, struct db_query *q)
{
	struct db *db = c->db;
	const uint64_t now_us = clock_us();
	const uint64_t cost_us = now_us - c->head_us;
	const bool failed = q->res && db_is_error(q->res);

	c->head_us = now_us;
	db_flush_later(db);
	if (failed && q->answered && db_is_aborted(q->res)) {
		db_ask_again(db, q);
		return;
	}
	if (failed && db_is_retryable(q->res) && !q->retried && q->answered) {
		q->retried = true;
		db_ask_again(db, q);
		return;
	}
	run_ends(q, cost_us);
	if (q->st->write && q->res && !failed)
		db_bell_collect(db, q->res);
	db_query_answer(q, DB_OK);
}

void db_conn_is_up(struct db_conn *c)
{
	struct db *db = c->db;

	log_info("database_up", LOG_INT("connection", c - db->conn),
		 LOG_INT("pid", PQbackendPID(c->pg)));
	if (c->lane == LANE_SESSION && db->session.connected)
		db->session.connected(db->session.arg);
	db_flush_later(db);
}

/* Its reads are asked again, elsewhere or later; of its writes nobody knows. */
void db_conn_is_lost(struct db_conn *c, struct db_queue *lost)
{
	struct db *db = c->db;
	struct db_query *q;

	while ((q = db_queue_take(lost))) {
		if (c->lane == LANE_READ && !q->retried && q->answered &&
		    !db->closing) {
			q->retried = true;
			db_ask_again(db, q);
			continue;
		}
		run_ends(q, 0);
		db_query_answer(q, q->st->write ? DB_UNKNOWN : DB_UNAVAILABLE);
	}
	if (db->closing)
		return;
	if (c->lane == LANE_SESSION && db->session.lost)
		db->session.lost(db->session.arg);
	db_flush_later(db);
}

bool db_lane_is_up(const struct db *db, enum db_lane lane)
{
	for (size_t i = 0; i < db->conns; i++)
		if (db->conn[i].lane == lane && db->conn[i].state == CONN_UP)
			return true;
	return !db->lane_conns[lane];
}

bool db_is_up(const struct db *db)
{
	for (int lane = 0; lane < LANE_COUNT; lane++)
		if (!db_lane_is_up(db, (enum db_lane)lane))
			return false;
	return true;
}

struct db_stats db_stats(const struct db *db)
{
	struct db_stats stats = db->stats;

	for (int lane = 0; lane < LANE_COUNT; lane++)
		stats.waiting += turns_waiting(db->waiting[lane]);
	return stats;
}

static void conns_add(struct db *db, int n, enum db_lane lane)
{
	for (int i = 0; i < n && db->conns < DB_CONNS_MAX; i++) {
		db->conn[db->conns].db = db;
		db->conn[db->conns].lane = lane;
		db->lane_conns[lane]++;
		db->conns++;
	}
}

/* How many writes of one, or on one thing, are under way: the others have a
 * connection left. */
static size_t writes_max(int writers)
{
	if (writers <= 2)
		return 1;
	return DB_WRITES_MAX;
}

static int turns_make(struct db *db, const struct db_config *config)
{
	struct turns_limits limits[LANE_COUNT] = {
		[LANE_READ] = {.caller_waiting = (size_t)config->caller_max,
			       .rest = DB_REST},
		[LANE_WRITE] = {.caller_waiting = (size_t)config->caller_max,
				.target_waiting = (size_t)config->target_max,
				.caller_running = writes_max(config->writers),
				.target_running = writes_max(config->writers)},
	};
	int err = 0;

	for (int lane = 0; lane < LANE_COUNT && !err; lane++) {
		limits[lane].waiting = DB_QUEUE_MAX;
		err = turns_new(&db->waiting[lane], &limits[lane]);
	}
	db->limit_ms[LANE_READ] = config->read_ms;
	db->limit_ms[LANE_WRITE] = config->write_ms;
	db->limit_ms[LANE_SESSION] = config->write_ms;
	db->limit_ms[LANE_HEALTH] = DB_HEALTH_MS;
	return err;
}

static int copy_config(struct db *db, const struct db_config *config)
{
	const struct db_session *session = config->session;

	db->conninfo = strdup(config->conninfo);
	db->user = strdup(config->user);
	db->application = strdup(config->application);
	if (!db->conninfo || !db->user || !db->application)
		return ENOMEM;
	if (!session)
		return 0;
	db->session = *session;
	for (size_t i = 0; session->channels && session->channels[i]; i++) {
		if (i == DB_CHANNELS_MAX)
			return E2BIG;
		db->channel[i] = strdup(session->channels[i]);
		if (!db->channel[i])
			return ENOMEM;
		db->channels++;
	}
	return 0;
}

int db_new(struct db **out, struct loop *l, const struct db_config *config)
{
	struct db *db = calloc(1, sizeof(*db));
	int err;

	if (!db)
		return ENOMEM;
	db->loop = l;
	buf_init(&db->bells, DB_BELLS_MAX);
	err = turns_make(db, config);
	if (!err)
		err = copy_config(db, config);
	if (err) {
		db_free(db);
		return err;
	}
	conns_add(db, config->session ? 1 : 0, LANE_SESSION);
	conns_add(db, config->readers, LANE_READ);
	conns_add(db, config->writers, LANE_WRITE);
	conns_add(db, config->health ? 1 : 0, LANE_HEALTH);
	for (size_t i = 0; i < db->conns; i++)
		db_conn_start(&db->conn[i]);
	*out = db;
	return 0;
}

static void waiting_free(struct turns *t)
{
	struct turn *e;

	while (t && (e = turns_first(t))) {
		turns_remove(t, e);
		db_query_answer((struct db_query *)(void *)e, DB_UNAVAILABLE);
	}
	turns_free(t);
}

void db_free(struct db *db)
{
	if (!db)
		return;
	db->closing = true;
	for (size_t i = 0; i < db->conns; i++)
		db_conn_close(&db->conn[i]);
	for (int lane = 0; lane < LANE_COUNT; lane++)
		waiting_free(db->waiting[lane]);
	loop_cancel(db->loop, &db->flush);
	loop_cancel(db->loop, &db->tick);
	loop_cancel(db->loop, &db->bell_timer);
	buf_free(&db->bells);
	for (size_t i = 0; i < db->channels; i++)
		free(db->channel[i]);
	free(db->application);
	free(db->user);
	free(db->conninfo);
	free(db);
}
