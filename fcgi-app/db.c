/*
 * db.c: who asks what on which connection: lanes, queues, deadlines.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "db_conn.h"
#include "log.h"

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

void db_queue_add_first(struct db_queue *queue, struct db_query *q)
{
	q->next = queue->first;
	queue->first = q;
	if (!queue->last)
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

bool db_queue_remove(struct db_queue *queue, struct db_query *q)
{
	struct db_query **at = &queue->first, *last = NULL;

	while (*at && *at != q) {
		last = *at;
		at = &(*at)->next;
	}
	if (!*at)
		return false;
	*at = q->next;
	if (queue->last == q)
		queue->last = last;
	queue->n--;
	return true;
}

static enum db_lane lane_of(const struct db_stmt *st)
{
	if (st->session)
		return LANE_SESSION;
	return st->write ? LANE_WRITE : LANE_READ;
}

/* The least loaded connection that is up and has room: for reads, which come
 * in batches, one that is idle. */
static struct db_conn *conn_choose(struct db *db, enum db_lane lane)
{
	const size_t room = lane == LANE_READ ? 1 : DB_INFLIGHT_MAX;
	struct db_conn *best = NULL;

	for (size_t i = 0; i < db->conns; i++) {
		struct db_conn *c = &db->conn[i];

		if (c->lane != lane || c->state != CONN_UP || c->broken ||
		    c->inflight.n >= room)
			continue;
		if (!best || c->inflight.n < best->inflight.n)
			best = c;
	}
	return best;
}

static void deadline_set(struct db *db);

/* Answer what has waited too long for a connection. */
static void deadline_passed(void *arg)
{
	struct db *db = arg;
	uint64_t now = clock_ms();

	for (int lane = 0; lane < LANE_COUNT; lane++) {
		struct db_queue *queue = &db->waiting[lane];

		while (queue->first &&
		       now - queue->first->asked_ms >= DB_WAIT_MS)
			db_query_answer(db_queue_take(queue), DB_UNAVAILABLE);
	}
	deadline_set(db);
}

static void deadline_set(struct db *db)
{
	uint64_t now = clock_ms(), first = UINT64_MAX;

	for (int lane = 0; lane < LANE_COUNT; lane++) {
		const struct db_query *q = db->waiting[lane].first;

		if (q && q->asked_ms + DB_WAIT_MS < first)
			first = q->asked_ms + DB_WAIT_MS;
	}
	if (first == UINT64_MAX)
		loop_cancel(db->loop, &db->deadline);
	else if (loop_after(db->loop, &db->deadline,
			    first > now ? first - now : 0, deadline_passed, db))
		log_error("no_memory", LOG_STR("where", "db deadline"));
}

/* Send what waits for that lane, as far as there is room. */
static void lane_flush(struct db *db, enum db_lane lane)
{
	struct db_queue *queue = &db->waiting[lane];

	while (queue->first) {
		struct db_conn *c = conn_choose(db, lane);
		size_t n = lane == LANE_READ ? DB_BATCH_MAX : 1;

		if (!c)
			break;
		if (n > queue->n)
			n = queue->n;
		while (n--) {
			struct db_query *q = db_queue_take(queue);

			if (!db_conn_put(c, q, n == 0))
				continue;
			db_queue_add_first(queue, q);
			break;
		}
		c->unsent = true;
	}
}

/* The turn is over: all that was asked in it leaves together. */
static void turn_over(void *arg)
{
	struct db *db = arg;
	bool waits = false;

	for (int lane = 0; lane < LANE_COUNT; lane++) {
		lane_flush(db, lane);
		waits |= db->waiting[lane].first != NULL;
	}
	for (size_t i = 0; i < db->conns; i++) {
		struct db_conn *c = &db->conn[i];

		if (c->unsent && c->state == CONN_UP)
			db_conn_flush(c);
		c->unsent = false;
	}
	if (waits && !loop_pending(&db->deadline))
		deadline_set(db);
}

static void flush_later(struct db *db)
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

struct db_query *db_ask(struct db *db, const struct db_stmt *st,
			const struct db_args *args, db_answer_h *answered,
			void *arg)
{
	enum db_lane lane = lane_of(st);
	struct db_queue *queue = &db->waiting[lane];
	int given = args ? args->n : 0;
	struct db_query *q;

	if ((args && args->failed) || given != st->nparams) {
		log_error("sql_arguments", LOG_STR("statement", st->name),
			  LOG_INT("given", given));
		return NULL;
	}
	if (queue->n >= DB_QUEUE_MAX || db->closing)
		return NULL;
	q = calloc(1, sizeof(*q));
	if (!q)
		return NULL;
	q->db = db;
	q->st = st;
	copy_args(&q->args, args);
	q->answered = answered;
	q->arg = arg;
	q->asked_ms = clock_ms();
	db_queue_add(queue, q);
	flush_later(db);
	return q;
}

void db_forget(struct db_query *q)
{
	q->answered = NULL;
	if (!q->sent && db_queue_remove(&q->db->waiting[lane_of(q->st)], q))
		db_query_free(q);
}

/* Ask once more, before all others that wait. */
static void ask_again(struct db *db, struct db_query *q)
{
	q->sent = false;
	PQclear(q->res);
	q->res = NULL;
	db_queue_add_first(&db->waiting[lane_of(q->st)], q);
}

void db_query_done(struct db_conn *c, struct db_query *q)
{
	struct db *db = c->db;

	if (q->res && db_is_aborted(q->res)) {
		if (q->answered)
			ask_again(db, q);
		else
			db_query_free(q);
	} else if (q->res && db_is_error(q->res) && db_is_retryable(q->res) &&
		   !q->retried && q->answered) {
		q->retried = true;
		ask_again(db, q);
	} else {
		if (q->st->write && q->res && !db_is_error(q->res))
			db_bell_collect(db, q->res);
		db_query_answer(q, DB_OK);
	}
	flush_later(db);
}

void db_conn_is_up(struct db_conn *c)
{
	struct db *db = c->db;

	log_info("database_up", LOG_INT("connection", c - db->conn),
		 LOG_INT("pid", PQbackendPID(c->pg)));
	if (c->lane == LANE_SESSION && db->session.connected)
		db->session.connected(db->session.arg);
	flush_later(db);
}

/* Its reads are asked again, elsewhere or later; of its writes nobody knows. */
void db_conn_is_lost(struct db_conn *c, struct db_queue *lost)
{
	struct db *db = c->db;
	struct db_queue again = {NULL, NULL, 0};
	struct db_query *q;

	while ((q = db_queue_take(lost))) {
		if (!q->st->write && !q->st->session && !q->retried &&
		    q->answered && !db->closing)
			db_queue_add_first(&again, q);
		else
			db_query_answer(q, q->st->write ? DB_UNKNOWN
							: DB_UNAVAILABLE);
	}
	while ((q = db_queue_take(&again))) {
		q->retried = true;
		ask_again(db, q);
	}
	if (db->closing)
		return;
	if (c->lane == LANE_SESSION && db->session.lost)
		db->session.lost(db->session.arg);
	flush_later(db);
}

bool db_is_up(const struct db *db)
{
	bool up[LANE_COUNT] = {false}, there[LANE_COUNT] = {false};

	for (size_t i = 0; i < db->conns; i++) {
		there[db->conn[i].lane] = true;
		if (db->conn[i].state == CONN_UP)
			up[db->conn[i].lane] = true;
	}
	for (int lane = 0; lane < LANE_COUNT; lane++)
		if (there[lane] && !up[lane])
			return false;
	return true;
}

static void conns_add(struct db *db, int n, enum db_lane lane)
{
	for (int i = 0; i < n && db->conns < DB_CONNS_MAX; i++) {
		db->conn[db->conns].db = db;
		db->conn[db->conns].lane = lane;
		db->conns++;
	}
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
	err = copy_config(db, config);
	if (err) {
		db_free(db);
		return err;
	}
	conns_add(db, config->session ? 1 : 0, LANE_SESSION);
	conns_add(db, config->readers, LANE_READ);
	conns_add(db, config->writers, LANE_WRITE);
	for (size_t i = 0; i < db->conns; i++)
		db_conn_start(&db->conn[i]);
	*out = db;
	return 0;
}

void db_free(struct db *db)
{
	struct db_query *q;

	if (!db)
		return;
	db->closing = true;
	for (size_t i = 0; i < db->conns; i++)
		db_conn_close(&db->conn[i]);
	for (int lane = 0; lane < LANE_COUNT; lane++)
		while ((q = db_queue_take(&db->waiting[lane])))
			db_query_answer(q, DB_UNAVAILABLE);
	loop_cancel(db->loop, &db->flush);
	loop_cancel(db->loop, &db->deadline);
	loop_cancel(db->loop, &db->bell_timer);
	buf_free(&db->bells);
	for (size_t i = 0; i < db->channels; i++)
		free(db->channel[i]);
	free(db->application);
	free(db->user);
	free(db->conninfo);
	free(db);
}
