/*
 * Connecting, coming back, and what the socket has to say; pipe.c has the
 * statements.
 */
#include "common/pg/conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/pgres.h"
#include "common/schema.h"

enum {
	SETUP_MAX = 1 + PG_CHANNELS_MAX,
	SQL_SIZE = 160,
	WHY_SIZE = 256,
};

enum state {
	DOWN,	    /* the timer runs until the next attempt */
	CONNECTING, /* PQconnectPoll() */
	CHECKING,   /* connected; schema version, LISTEN */
	UP,
};

/* A statement of the connection's own. */
struct setup {
	struct pg_stmt stmt;
	struct pg_job job;
	char sql[SQL_SIZE];
};

struct pg_conn {
	struct pg_conn_conf conf;
	enum state state;
	PGconn *pg;
	struct pg_pipe *pipe;
	struct pg_room watch, timer; /* timer: next attempt, or end of this */
	struct pg_room broken;
	bool is_broken; /* nothing more is sent; it ends in the next turn */
	uint64_t backoff_ms;
	struct setup setup[SETUP_MAX];
	size_t setups, setups_left;
};

static void attempt(void *arg);
static void ready(unsigned events, void *arg);

static const struct pg_loop *loop_of(const struct pg_conn *c)
{
	return &c->conf.server->loop;
}

static void cancel(struct pg_conn *c, struct pg_room *timer)
{
	loop_of(c)->cancel(loop_of(c)->loop, timer);
}

static int after(struct pg_conn *c, struct pg_room *timer, uint64_t ms,
		 pg_timer_h *fired)
{
	int err = loop_of(c)->after(loop_of(c)->loop, timer, ms, fired, c);

	if (err)
		log_error("no_memory", LOG_STR("where", "database timer"));
	return err;
}

static int watch(struct pg_conn *c, unsigned events)
{
	return loop_of(c)->watch(loop_of(c)->loop, &c->watch,
				 c->pg ? PQsocket(c->pg) : -1, events, ready,
				 c);
}

/* ---- losing it ---- */

static void close_pg(struct pg_conn *c)
{
	cancel(c, &c->timer);
	cancel(c, &c->broken);
	c->is_broken = false;
	(void)watch(c, 0);
	PQfinish(c->pg);
	c->pg = NULL;
	c->state = DOWN;
}

static void lose(struct pg_conn *c, const char *why)
{
	const bool was_up = c->state == UP;

	/* Once, not for every attempt of an outage. */
	if (was_up || !c->backoff_ms)
		log_warn("database_lost", LOG_STR("why", why),
			 LOG_STR("connection", c->conf.name));
	close_pg(c);
	c->backoff_ms *= 2;
	if (c->backoff_ms < PG_BACKOFF_MIN_MS)
		c->backoff_ms = PG_BACKOFF_MIN_MS;
	if (c->backoff_ms > PG_BACKOFF_MAX_MS)
		c->backoff_ms = PG_BACKOFF_MAX_MS;
	(void)after(c, &c->timer, c->backoff_ms, attempt);
	pg_pipe_end(c->pipe);
	if (was_up && c->conf.h.lost)
		c->conf.h.lost(c->conf.h.arg);
}

/* With libpq's reason, of which the first line is enough. */
static void lose_pg(struct pg_conn *c)
{
	const char *message = c->pg ? PQerrorMessage(c->pg) : "";
	size_t n = strcspn(message, "\n");
	char why[WHY_SIZE];

	(void)snprintf(why, sizeof(why), "%.*s", (int)n, message);
	lose(c, n ? why : "no connection");
}

static void connect_timed_out(void *arg)
{
	lose(arg, "no answer in time");
}

static void broken(void *arg)
{
	lose_pg(arg);
}

/* Half of a statement may be under way: this connection is of no use. Not
 * now: who asks does not expect answers before that returns. */
static void break_soon(struct pg_conn *c)
{
	if (!c->is_broken)
		(void)after(c, &c->broken, 0, broken);
	c->is_broken = true;
}

bool pg_conn_look(struct pg_conn *c, uint64_t now_us)
{
	const int limit_ms = c->conf.limit_ms + c->conf.late_ms;
	struct pg_job *job;

	if (c->state != UP ||
	    pg_pipe_age_ms(c->pipe, now_us) < (uint64_t)limit_ms)
		return false;
	for (size_t i = 0; i < pg_pipe_load(c->pipe); i++)
		if ((job = pg_pipe_job(c->pipe, i)))
			job->retried = true; /* its time is over */
	lose(c, "the server does not answer");
	return true;
}

/* ---- the socket ---- */

/* Send what libpq holds; wait until the rest can go. */
static int flush(struct pg_conn *c)
{
	int left = PQflush(c->pg);

	if (left < 0)
		return EIO;
	return watch(c, left ? PG_READABLE | PG_WRITABLE : PG_READABLE);
}

static void take_notifies(struct pg_conn *c)
{
	PGnotify *n;

	while (c->pg && (n = PQnotifies(c->pg))) {
		if (c->state == UP && c->conf.h.notified)
			c->conf.h.notified(n->relname, n->extra, c->conf.h.arg);
		PQfreemem(n);
	}
}

/* ---- coming up ---- */

/* 0: there is no schema yet. */
static void version_is_wrong(struct pg_server *server, int version)
{
	if (server->version_seen == version + 1)
		return;
	server->version_seen = version + 1;
	log_error("schema_version", LOG_INT("found", version),
		  LOG_INT("needed", SCHEMA_VERSION),
		  LOG_STR("mend_with", "sql/migrate CONNINFO"));
	if (version && server->wrong_version)
		server->wrong_version(server->arg);
}

static void on_version(const struct pg_answer *ans, void *arg)
{
	struct pg_conn *c = arg;
	const int version = (int)pgres_int(ans->res, 0, "version");

	if (version == SCHEMA_VERSION || version == SCHEMA_VERSION + 1)
		return;
	if (ans->end != PG_AWAY)
		version_is_wrong(c->conf.server, version);
	c->backoff_ms = PG_BACKOFF_MAX_MS;
	break_soon(c);
}

static void on_listening(const struct pg_answer *ans, void *arg)
{
	if (ans->end != PG_OK)
		break_soon(arg);
}

/* A statement of the setup has ended. */
static void setup_done(struct pg_conn *c, struct pg_job *job)
{
	const bool lost = c->state != CHECKING;

	if (lost)
		job->h = NULL;
	(void)pg_job_tell(job);
	if (lost || c->is_broken || --c->setups_left)
		return;
	cancel(c, &c->timer);
	c->state = UP;
	c->backoff_ms = 0;
	c->conf.server->version_seen = 0;
	log_info("database_up", LOG_STR("connection", c->conf.name),
		 LOG_INT("pid", PQbackendPID(c->pg)));
	if (c->conf.h.up)
		c->conf.h.up(c->conf.h.arg);
}

static void send_setup(struct pg_conn *c)
{
	c->setups_left = c->setups;
	for (size_t i = 0; i < c->setups; i++) {
		struct setup *s = &c->setup[i];

		s->job = (struct pg_job){
			.stmt = &s->stmt,
			.h = i ? on_listening : on_version,
			.arg = c,
			.retried = true,
		};
		if (pg_pipe_put(c->pipe, &s->job, PG_THEN_SYNC))
			break_soon(c);
	}
}

static void check(struct pg_conn *c)
{
	c->state = CHECKING;
	if (PQsetnonblocking(c->pg, 1) || !PQenterPipelineMode(c->pg)) {
		lose_pg(c);
		return;
	}
	pg_pipe_begin(c->pipe, c->pg);
	send_setup(c);
	if (flush(c))
		lose_pg(c);
}

static void poll_connect(struct pg_conn *c)
{
	PostgresPollingStatusType status;
	unsigned events = 0;

	(void)watch(c, 0); /* libpq may change the descriptor */
	status = PQconnectPoll(c->pg);
	if (status == PGRES_POLLING_OK) {
		check(c);
		return;
	}
	if (status == PGRES_POLLING_READING)
		events = PG_READABLE;
	else if (status == PGRES_POLLING_WRITING)
		events = PG_WRITABLE;
	if (!events || watch(c, events))
		lose_pg(c);
}

static void ready(unsigned events, void *arg)
{
	struct pg_conn *c = arg;

	if (c->state == CONNECTING) {
		poll_connect(c);
		return;
	}
	if ((events & PG_WRITABLE) && flush(c)) {
		lose_pg(c);
		return;
	}
	if (pg_pipe_read(c->pipe) || PQstatus(c->pg) == CONNECTION_BAD) {
		lose_pg(c);
		return;
	}
	take_notifies(c);
	if (c->pg && flush(c))
		lose_pg(c);
}

static void on_notice(void *arg, const PGresult *res)
{
	(void)arg;
	log_debug(
		"database_notice",
		LOG_STR("sqlstate", PQresultErrorField(res, PG_DIAG_SQLSTATE)));
}

static void start_connect(struct pg_conn *c)
{
	const struct pg_server *server = c->conf.server;
	char options[64];
	/* What conninfo says goes before what stands above it. A host that
	 * has vanished is noticed within 20 s. */
	const char *const words[][2] = {
		{"user", server->user},
		{"fallback_application_name", server->application},
		{"client_encoding", "UTF8"},
		{"options", options},
		{"keepalives_idle", "5"},
		{"keepalives_interval", "5"},
		{"keepalives_count", "3"},
		{"tcp_user_timeout", "20000"},
		{"dbname", server->conninfo},
	};
	enum { WORDS = sizeof(words) / sizeof(*words) };
	const char *keys[WORDS + 1] = {NULL}, *values[WORDS + 1] = {NULL};

	(void)snprintf(options, sizeof(options), "-c statement_timeout=%d",
		       c->conf.limit_ms);
	for (size_t i = 0; i < WORDS; i++) {
		keys[i] = words[i][0];
		values[i] = words[i][1];
	}
	c->pg = PQconnectStartParams(keys, values, 1);
}

static void attempt(void *arg)
{
	struct pg_conn *c = arg;

	c->state = CONNECTING;
	start_connect(c);
	if (!c->pg || PQstatus(c->pg) == CONNECTION_BAD) {
		lose_pg(c);
		return;
	}
	(void)PQsetNoticeReceiver(c->pg, on_notice, NULL);
	if (after(c, &c->timer, PG_CONNECT_MS, connect_timed_out) ||
	    watch(c, PG_WRITABLE))
		lose_pg(c);
}

/* ---- life, and statements ---- */

static void on_done(struct pg_job *job, bool again, uint64_t cost_us, void *arg)
{
	struct pg_conn *c = arg;

	for (size_t i = 0; i < c->setups; i++)
		if (job == &c->setup[i].job) {
			setup_done(c, job);
			return;
		}
	c->conf.h.done(job, again, cost_us, c->conf.h.arg);
}

static void on_synced(void *arg)
{
	const struct pg_conn *c = arg;

	if (c->state == UP && c->conf.h.synced)
		c->conf.h.synced(c->conf.h.arg);
}

static int setup_add(struct pg_conn *c, const char *name, const char *sql,
		     const char *end)
{
	struct setup *s = &c->setup[c->setups];
	int n;

	if (c->setups == SETUP_MAX)
		return E2BIG;
	n = snprintf(s->sql, sizeof(s->sql), "%s%s", sql, end);
	if (n < 0 || (size_t)n >= sizeof(s->sql))
		return E2BIG;
	s->stmt = (struct pg_stmt){.name = name, .sql = s->sql};
	c->setups++;
	return 0;
}

static int setup_make(struct pg_conn *c, const char *const *channels)
{
	int err = setup_add(c, "schema_version", "select api.schema_version()",
			    " as version");

	while (!err && channels && *channels)
		err = setup_add(c, "listen", "listen ", *channels++);
	return err;
}

int pg_conn_new(struct pg_conn **out, const struct pg_conn_conf *conf)
{
	struct pg_conn *c = calloc(1, sizeof(*c));
	const struct pg_pipe_conf pipe = {
		.depth = conf->depth > SETUP_MAX ? conf->depth : SETUP_MAX,
		.reads = conf->reads,
		.done = on_done,
		.synced = on_synced,
		.arg = c,
	};
	int err;

	if (!c)
		return ENOMEM;
	c->conf = *conf;
	err = setup_make(c, conf->channels);
	if (!err)
		err = pg_pipe_new(&c->pipe, &pipe);
	if (err) {
		free(c);
		return err;
	}
	*out = c;
	attempt(c);
	return 0;
}

void pg_conn_free(struct pg_conn *c)
{
	if (!c)
		return;
	close_pg(c);
	pg_pipe_free(c->pipe);
	free(c);
}

bool pg_conn_is_up(const struct pg_conn *c)
{
	return c->state == UP && !c->is_broken;
}

const struct pg_pipe *pg_conn_pipe(const struct pg_conn *c)
{
	return c->pipe;
}

int pg_conn_put(struct pg_conn *c, struct pg_job *job, enum pg_then then)
{
	if (!pg_conn_is_up(c))
		return EIO;
	if (!pg_pipe_put(c->pipe, job, then))
		return 0;
	break_soon(c);
	return EIO;
}

void pg_conn_flush(struct pg_conn *c)
{
	if (pg_conn_is_up(c) && flush(c))
		break_soon(c);
}

struct pg_job *pg_conn_job(const struct pg_conn *c, size_t n)
{
	return c->state == UP ? pg_pipe_job(c->pipe, n) : NULL;
}

void pg_conn_take(struct pg_conn *c, const struct pg_job *job)
{
	pg_pipe_take(c->pipe, job);
}
