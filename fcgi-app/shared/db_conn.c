/*
 * db_conn.c: one connection to PostgreSQL, in pipeline mode. Each write has
 * its own Sync, so that an error is its own alone; reads come in batches that
 * share one, and with it a transaction and a round trip.
 */
#include "shared/db_conn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/schema.h"

static void conn_attempt(void *arg);
static void conn_ready(uint32_t events, void *arg);

/* The only place where a connection's state changes. */
static void conn_move(struct db_conn *c, enum conn_state state)
{
	c->state = state;
	if (state == CONN_UP) {
		loop_cancel(c->db->loop, &c->timer);
		c->backoff_ms = 0;
		c->db->schema_seen = 0;
		db_conn_is_up(c);
	}
}

static void conn_drop(struct db_conn *c, struct db_queue *lost)
{
	struct loop *l = c->db->loop;

	loop_cancel(l, &c->timer);
	loop_cancel(l, &c->broken_timer);
	c->broken = false;
	loop_unwatch(l, &c->watch);
	PQfinish(c->pg);
	c->pg = NULL;
	c->nprepared = 0;
	c->setup = 0;
	c->setup_failed = false;
	*lost = c->inflight;
	memset(&c->inflight, 0, sizeof(c->inflight));
	c->syncs = 0;
	c->heavy = false;
}

static void conn_lost(struct db_conn *c, const char *why)
{
	bool was_up = c->state == CONN_UP;
	struct db_queue lost;

	/* Once, not for every attempt of an outage. */
	if (was_up || !c->backoff_ms)
		log_warn("database_lost", LOG_STR("why", why),
			 LOG_INT("connection", c - c->db->conn));
	conn_drop(c, &lost);
	c->backoff_ms *= 2;
	if (c->backoff_ms < DB_BACKOFF_MIN_MS)
		c->backoff_ms = DB_BACKOFF_MIN_MS;
	if (c->backoff_ms > DB_BACKOFF_MAX_MS)
		c->backoff_ms = DB_BACKOFF_MAX_MS;
	conn_move(c, CONN_DOWN);
	if (loop_after(c->db->loop, &c->timer, c->backoff_ms, conn_attempt, c))
		log_error("no_memory", LOG_STR("where", "db reconnect"));
	if (was_up)
		db_conn_is_lost(c, &lost);
}

static void conn_lost_pg(struct db_conn *c)
{
	char why[256] = "no connection";
	const char *message = c->pg ? PQerrorMessage(c->pg) : "";
	size_t n = strcspn(message, "\n");

	if (n >= sizeof(why))
		n = sizeof(why) - 1;
	if (n) {
		memcpy(why, message, n);
		why[n] = '\0';
	}
	conn_lost(c, why);
}

void db_conn_hangs(struct db_conn *c)
{
	for (struct db_query *q = c->inflight.first; q; q = q->next)
		q->retried = true; /* its time is over */
	conn_lost(c, "the server does not answer");
}

static void connect_timed_out(void *arg)
{
	conn_lost(arg, "no answer in time");
}

static void conn_broken(void *arg)
{
	conn_lost_pg(arg);
}

static int conn_watch(struct db_conn *c, uint32_t events)
{
	if (c->watch.events)
		return loop_change(c->db->loop, &c->watch, events);
	return loop_watch(c->db->loop, &c->watch, PQsocket(c->pg), events,
			  conn_ready, c);
}

/* Send what libpq holds; wait until the rest can go. */
static int conn_flush(struct db_conn *c)
{
	int left = PQflush(c->pg);

	if (left < 0)
		return -1;
	return conn_watch(c, left ? EPOLLIN | EPOLLOUT : EPOLLIN) ? -1 : 0;
}

static bool send_setup(struct db_conn *c, const char *sql)
{
	c->setup++;
	return PQsendQueryParams(c->pg, sql, 0, NULL, NULL, NULL, NULL, 0) &&
	       PQpipelineSync(c->pg);
}

static bool send_listen(struct db_conn *c, const char *channel)
{
	char *name = PQescapeIdentifier(c->pg, channel, strlen(channel));
	struct buf sql;
	bool sent;

	buf_init(&sql, 256);
	buf_str(&sql, "listen ");
	buf_str(&sql, name ? name : "");
	sent = name && !sql.failed && send_setup(c, sql.p);
	buf_free(&sql);
	PQfreemem(name);
	return sent;
}

static void conn_check(struct db_conn *c)
{
	struct db *db = c->db;
	bool sent;

	conn_move(c, CONN_CHECKING);
	sent = !PQsetnonblocking(c->pg, 1) && PQenterPipelineMode(c->pg) &&
	       send_setup(c, "select api.schema_version()");
	if (c->lane == LANE_SESSION)
		for (size_t i = 0; i < db->channels && sent; i++)
			sent = send_listen(c, db->channel[i]);
	if (!sent || conn_flush(c))
		conn_lost_pg(c);
}

static void conn_connect(struct db_conn *c)
{
	PostgresPollingStatusType status;
	uint32_t events = 0;

	/* libpq may change the descriptor. */
	loop_unwatch(c->db->loop, &c->watch);
	status = PQconnectPoll(c->pg);
	if (status == PGRES_POLLING_OK) {
		conn_check(c);
		return;
	}
	if (status == PGRES_POLLING_READING)
		events = EPOLLIN;
	else if (status == PGRES_POLLING_WRITING)
		events = EPOLLOUT;
	if (!events || conn_watch(c, events))
		conn_lost_pg(c);
}

static void on_notice(void *arg, const PGresult *res)
{
	const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);

	(void)arg;
	log_debug("database_notice", LOG_STR("sqlstate", sqlstate));
}

static void conn_attempt(void *arg)
{
	struct db_conn *c = arg;
	const struct db *db = c->db;
	char options[64];
	/* What conninfo says goes before what stands above it. A host that
	 * has vanished is noticed within 20 s. */
	const char *const words[][2] = {
		{"user", db->user},
		{"fallback_application_name", db->application},
		{"client_encoding", "UTF8"},
		{"options", options},
		{"keepalives_idle", "5"},
		{"keepalives_interval", "5"},
		{"keepalives_count", "3"},
		{"tcp_user_timeout", "20000"},
		{"dbname", db->conninfo},
	};
	enum { WORDS = sizeof(words) / sizeof(*words) };
	const char *keys[WORDS + 1] = {NULL}, *values[WORDS + 1] = {NULL};

	(void)snprintf(options, sizeof(options), "-c statement_timeout=%d",
		       db->limit_ms[c->lane]);
	for (size_t i = 0; i < WORDS; i++) {
		keys[i] = words[i][0];
		values[i] = words[i][1];
	}
	conn_move(c, CONN_CONNECTING);
	c->pg = PQconnectStartParams(keys, values, 1);
	if (!c->pg || PQstatus(c->pg) == CONNECTION_BAD) {
		conn_lost_pg(c);
		return;
	}
	(void)PQsetNoticeReceiver(c->pg, on_notice, NULL);
	if (loop_after(c->db->loop, &c->timer, DB_CONNECT_MS, connect_timed_out,
		       c) ||
	    conn_watch(c, EPOLLOUT))
		conn_lost_pg(c);
}

void db_conn_start(struct db_conn *c)
{
	conn_attempt(c);
}

void db_conn_close(struct db_conn *c)
{
	struct db_queue lost;

	conn_drop(c, &lost);
	conn_move(c, CONN_DOWN);
	db_conn_is_lost(c, &lost);
}

/* What is known of st here, or null. */
static struct db_prepared *prepared_find(struct db_conn *c,
					 const struct db_stmt *st)
{
	for (size_t i = 0; i < c->nprepared; i++)
		if (c->prepared[i].st == st)
			return &c->prepared[i];
	return NULL;
}

/* Prepare it anew for whoever is next, unless that was done already. */
static void unprepare(struct db_conn *c, const struct db_query *q)
{
	struct db_prepared *p = prepared_find(c, q->st);

	if (p && p->serial == q->serial)
		*p = c->prepared[--c->nprepared];
}

static bool send_prepare(struct db_conn *c, struct db_query *q,
			 const char *name)
{
	if (c->nprepared == DB_PREPARED_MAX ||
	    !PQsendPrepare(c->pg, name, q->st->sql, q->st->nparams, NULL))
		return false;
	c->prepared[c->nprepared++] = (struct db_prepared){q->st, q->serial};
	return true;
}

static bool send_query(struct db_conn *c, struct db_query *q)
{
	const struct db_prepared *p = prepared_find(c, q->st);
	char name[DB_NAME_MAX + 1];

	q->preparing = !p;
	q->steps = p ? 1 : 2;
	q->serial = p ? p->serial : ++c->serial;
	(void)snprintf(name, sizeof(name), "%u_%s", q->serial, q->st->name);
	if (!p && !send_prepare(c, q, name))
		return false;
	return PQsendQueryPrepared(c->pg, name, q->args.n, q->args.value,
				   q->args.length, q->args.format, 0);
}

/* Half of a query may be under way: this connection is of no use. Not now:
 * whoever asks does not expect answers before it returns. */
static void conn_break(struct db_conn *c)
{
	c->broken = true;
	if (loop_after(c->db->loop, &c->broken_timer, 0, conn_broken, c))
		log_error("no_memory", LOG_STR("where", "db send"));
}

int db_conn_put(struct db_conn *c, struct db_query *q, bool synced)
{
	/* Careful: its rows leave the server before the next one runs. */
	if (!send_query(c, q) || (synced && !PQpipelineSync(c->pg)) ||
	    (!synced && c->careful && !PQsendFlushRequest(c->pg))) {
		conn_break(c);
		return EIO;
	}
	q->sent = true;
	q->synced = synced;
	if (!c->inflight.first)
		c->head_us = clock_us();
	c->syncs += synced;
	db_queue_add(&c->inflight, q);
	return 0;
}

void db_conn_flush(struct db_conn *c)
{
	if (!c->broken && conn_flush(c))
		conn_break(c);
}

/* An answer of the setup; the first is that of the schema's version. */
static void setup_result(struct db_conn *c, const PGresult *res)
{
	struct db *db = c->db;
	int version = 0;

	if (PQresultStatus(res) == PGRES_COMMAND_OK)
		return; /* LISTEN */
	if (PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1) {
		const char *text = PQgetvalue(res, 0, 0);

		for (; *text >= '0' && *text <= '9' && version < 100000; text++)
			version = version * 10 + (*text - '0');
	}
	if (version == SCHEMA_VERSION || version == SCHEMA_VERSION + 1)
		return;
	c->setup_failed = true;
	if (db->schema_seen == version + 1)
		return;
	db->schema_seen = version + 1;
	log_error("schema_version", LOG_INT("found", version),
		  LOG_INT("needed", SCHEMA_VERSION),
		  LOG_STR("mend_with", "sql/migrate CONNINFO"));
}

/* @return whether the connection is still there */
static bool setup_synced(struct db_conn *c)
{
	if (--c->setup)
		return true;
	if (c->setup_failed) {
		c->backoff_ms = DB_BACKOFF_MAX_MS;
		conn_lost(c, "schema version");
		return false;
	}
	conn_move(c, CONN_UP);
	return c->state == CONN_UP;
}

static void query_result(struct db_conn *c, struct db_query *q, PGresult *res)
{
	bool failed = db_is_error(res);

	if (q->preparing) {
		q->preparing = false;
		if (failed)
			unprepare(c, q);
		else {
			PQclear(res);
			return;
		}
	}
	if (failed && db_is_stale(res))
		unprepare(c, q);
	/* The first error is the one that counts. */
	if (q->res && db_is_error(q->res)) {
		PQclear(res);
		return;
	}
	PQclear(q->res);
	q->res = res;
}

/* A read is done with its rows; a write when it is committed, at its Sync. */
static void step_done(struct db_conn *c)
{
	struct db_query *q = c->inflight.first;

	if (q && q->steps && --q->steps == 0 && c->lane == LANE_READ)
		db_query_done(c, db_queue_take(&c->inflight));
}

static void sync_done(struct db_conn *c)
{
	c->syncs -= c->syncs > 0;
	if (c->lane != LANE_READ && c->inflight.first)
		db_query_done(c, db_queue_take(&c->inflight));
	else
		db_flush_later(c->db); /* it is idle now */
}

/* res null: no more results of a step. @return whether the connection is
 * still there */
static bool conn_result(struct db_conn *c, PGresult *res)
{
	bool synced = res && PQresultStatus(res) == PGRES_PIPELINE_SYNC;
	struct db_query *q = c->inflight.first;

	if (c->setup) {
		if (res && !synced)
			setup_result(c, res);
		PQclear(res);
		return !synced || setup_synced(c);
	}
	if (synced) {
		PQclear(res);
		sync_done(c);
	} else if (!res)
		step_done(c);
	else if (q && q->steps)
		query_result(c, q, res);
	else
		PQclear(res);
	return c->pg != NULL;
}

static bool conn_notifies(struct db_conn *c)
{
	const struct db_session *session = &c->db->session;
	PGnotify *n;

	while (c->pg && (n = PQnotifies(c->pg))) {
		if (c->state == CONN_UP && session->notified)
			session->notified(n->relname, n->extra, session->arg);
		PQfreemem(n);
	}
	return c->pg != NULL;
}

static void conn_read(struct db_conn *c)
{
	if (!PQconsumeInput(c->pg)) {
		conn_lost_pg(c);
		return;
	}
	while ((c->setup || c->inflight.first || c->syncs) &&
	       !PQisBusy(c->pg)) {
		PGresult *res = PQgetResult(c->pg);

		if (PQstatus(c->pg) == CONNECTION_BAD) {
			PQclear(res);
			break;
		}
		if (!conn_result(c, res))
			return;
	}
	if (PQstatus(c->pg) == CONNECTION_BAD)
		conn_lost_pg(c);
	else if (conn_notifies(c) && conn_flush(c))
		conn_lost_pg(c);
}

static void conn_ready(uint32_t events, void *arg)
{
	struct db_conn *c = arg;

	if (c->state == CONN_CONNECTING) {
		conn_connect(c);
		return;
	}
	if ((events & EPOLLOUT) && conn_flush(c)) {
		conn_lost_pg(c);
		return;
	}
	conn_read(c);
}
