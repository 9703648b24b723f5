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
	SETUP_MAX = 2 + PG_CHANNELS_MAX,
	SQL_SIZE = 256,
	WHY_SIZE = 256,
	LOOK_MS = 20, /* whether a name has been found */
};

enum state {
	DOWN,	    /* the timer runs until the next attempt, or names are
		       being looked up */
	CONNECTING, /* PQconnectPoll() */
	CHECKING,   /* connected; schema version, LISTEN */
	UP,
};

/* A statement of the connection's own. */
struct setup {
	struct pg_stmt stmt;
	struct pg_job job;
	pg_answer_h *h;
	char sql[SQL_SIZE];
};

struct pg_conn {
	struct pg_conn_conf conf;
	enum state state;
	PGconn *pg;
	struct pg_pipe *pipe;
	struct pg_room watch, timer; /* timer: next attempt, or end of this */
	struct pg_room broken;
	bool is_broken;		/* nothing more is sent; it ends soon */
	const char *broken_why; /* null: libpq knows */
	uint64_t backoff_ms;
	uint64_t looks_ms; /* since when names are looked up; 0: they are not */
	size_t from;	   /* the host that is tried first */
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

static void after(struct pg_conn *c, struct pg_room *timer, uint64_t ms,
		  pg_timer_h *fired)
{
	loop_of(c)->after(loop_of(c)->loop, timer, ms, fired, c);
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
	c->broken_why = NULL;
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
		log_warn_often(1, "database_lost", LOG_STR("why", why),
			       LOG_STR("connection", c->conf.name));
	close_pg(c);
	c->backoff_ms *= 2;
	if (c->backoff_ms < PG_BACKOFF_MIN_MS)
		c->backoff_ms = PG_BACKOFF_MIN_MS;
	if (c->backoff_ms > PG_BACKOFF_MAX_MS)
		c->backoff_ms = PG_BACKOFF_MAX_MS;
	after(c, &c->timer, c->backoff_ms, attempt);
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

/* libpq goes on to the next host only when one has said no. */
static void connect_timed_out(void *arg)
{
	struct pg_conn *c = arg;

	c->from++;
	lose(c, "no answer in time");
}

static void broken(void *arg)
{
	struct pg_conn *c = arg;

	if (c->broken_why)
		lose(c, c->broken_why);
	else
		lose_pg(c);
}

/* This connection is of no use: half of a statement may be under way. Not now:
 * who asks does not expect answers before that returns. */
static void break_soon(struct pg_conn *c, const char *why)
{
	if (c->is_broken)
		return;
	after(c, &c->broken, 0, broken);
	c->is_broken = true;
	c->broken_why = why;
}

/* The primary is another now, and the next connection may find it: not at once,
 * where there is none for a while. */
static void look_for_primary(struct pg_conn *c)
{
	c->backoff_ms = PG_BACKOFF_MAX_MS;
	break_soon(c, "the server is read-only");
}

bool pg_conn_look(struct pg_conn *c, uint64_t now_us)
{
	const int limit_ms = c->conf.limit_ms + c->conf.late_ms;
	struct pg_job *job;

	if (c->state != UP ||
	    pg_pipe_age_us(c->pipe, now_us) < 1000 * (uint64_t)limit_ms)
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

static void on_version(const struct pg_answer *ans, void *arg)
{
	struct pg_conn *c = arg;
	const int version = (int)pgres_int(ans->res, 0, "version");

	if (version == SCHEMA_VERSION || version == SCHEMA_VERSION + 1)
		return;
	if (ans->end != PG_AWAY)
		pg_server_wrong_version(c->conf.server, version);
	c->backoff_ms = PG_BACKOFF_MAX_MS;
	break_soon(c, "the schema is not there");
}

/* It is what it was without that, but for the first statements' time. */
static void on_warm(const struct pg_answer *ans, void *arg)
{
	(void)ans;
	(void)arg;
}

static void on_listening(const struct pg_answer *ans, void *arg)
{
	if (ans->end != PG_OK)
		break_soon(arg, "it cannot listen");
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
	log_info_often(1, "database_up", LOG_STR("connection", c->conf.name),
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
			.h = s->h,
			.arg = c,
			.retried = true,
			.quiet = true,
		};
		if (pg_pipe_put(c->pipe, &s->job, PG_THEN_SYNC))
			break_soon(c, NULL);
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

/* @return whether to go on: names are found, or will not be soon */
static bool names_are_found(struct pg_conn *c)
{
	struct pg_hosts *hosts = c->conf.server->hosts;
	const uint64_t now_ms = clock_ms();

	if (pg_hosts_look(hosts, now_ms))
		return true;
	if (!c->looks_ms)
		c->looks_ms = now_ms;
	return now_ms - c->looks_ms >= PG_LOOKUP_MS;
}

static void attempt(void *arg)
{
	struct pg_conn *c = arg;
	const struct pg_hosts *hosts = c->conf.server->hosts;

	if (!names_are_found(c)) {
		after(c, &c->timer, LOOK_MS, attempt);
		return;
	}
	c->looks_ms = 0;
	if (!pg_hosts_are_known(hosts)) {
		lose(c, "its name has no address");
		return;
	}
	c->state = CONNECTING;
	c->pg = pg_server_connect(c->conf.server, c->conf.limit_ms,
				  c->conf.lock_ms, c->from);
	if (!c->pg || PQstatus(c->pg) == CONNECTION_BAD) {
		lose_pg(c);
		return;
	}
	(void)PQsetNoticeReceiver(c->pg, on_notice, NULL);
	after(c, &c->timer, PG_CONNECT_MS, connect_timed_out);
	if (watch(c, PG_WRITABLE))
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
	if (c->state == UP && pg_is_read_only(job->res))
		look_for_primary(c);
	c->conf.h.done(job, again, cost_us, c->conf.h.arg);
}

static void on_synced(void *arg)
{
	const struct pg_conn *c = arg;

	if (c->state == UP && c->conf.h.synced)
		c->conf.h.synced(c->conf.h.arg);
}

static int setup_add(struct pg_conn *c, pg_answer_h *h, const char *name,
		     const char *sql, const char *end)
{
	struct setup *s = &c->setup[c->setups];
	int n;

	if (c->setups == SETUP_MAX)
		return E2BIG;
	n = snprintf(s->sql, sizeof(s->sql), "%s%s", sql, end);
	if (n < 0 || (size_t)n >= sizeof(s->sql))
		return E2BIG;
	s->stmt = (struct pg_stmt){.name = name, .sql = s->sql};
	s->h = h;
	c->setups++;
	return 0;
}

static int setup_make(struct pg_conn *c, const char *const *channels)
{
	int err = setup_add(c, on_version, "schema_version",
			    "select api.schema_version()", " as version");

	if (!err && c->conf.warm)
		err = setup_add(c, on_warm, "warm", c->conf.warm, "");
	while (!err && channels && *channels)
		err = setup_add(c, on_listening, "listen", "listen ",
				*channels++);
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
	break_soon(c, NULL);
	return EIO;
}

void pg_conn_flush(struct pg_conn *c)
{
	if (pg_conn_is_up(c) && flush(c))
		break_soon(c, NULL);
}

struct pg_job *pg_conn_job(const struct pg_conn *c, size_t n)
{
	return c->state == UP ? pg_pipe_job(c->pipe, n) : NULL;
}

void pg_conn_take(struct pg_conn *c, const struct pg_job *job)
{
	pg_pipe_take(c->pipe, job);
}
