/*
 * One libpq connection in libre's loop.  Never blocks: connecting, sending and
 * receiving wait for the socket; a lost connection comes back after 100 ms to
 * 1 s.  Each statement is prepared once a connection and is a transaction of
 * its own (a pipeline sync follows it).
 */
#include <errno.h>
#include <string.h>

#include <libpq-fe.h>

#include "common/log.h"
#include "compat.h"
#include "pg/pgjob.h"

enum {
	BACKOFF_MIN_MS = 100,
	BACKOFF_MAX_MS = 1000,
	CONNECT_MS = 5000,
	OVERDUE_MS = 10000, /* past its deadline: the server hangs */
	PREPARED_MAX = 32,
	NAME_SIZE = 16,
};

#define ROLE "restsip_agent"
#define PROGRAM "restsip-agent"

enum state {
	CLOSED,	    /* waiting to connect again */
	CONNECTING, /* PQconnectPoll under way */
	UP,
};

struct pgconn {
	char name[NAME_SIZE];
	char *conninfo;
	struct pgconn_handlers hv;
	PGconn *c;
	struct fd_watch watch;
	enum state state;
	struct tmr tmr; /* connect timeout, or when to connect again */
	uint32_t backoff_ms;
	bool complained;
	struct list jobs; /* struct pg_job in flight, oldest first */
	size_t load;
	const struct pg_stmt *preparedv[PREPARED_MAX];
	size_t preparedc;
};

static void start_connect(void *arg);
static void poll_connect(struct pgconn *pc);
static void receive(struct pgconn *pc);

static void fail_jobs(struct pgconn *pc, const char *why)
{
	struct pg_job *job;

	while ((job = list_ledata(list_head(&pc->jobs)))) {
		list_unlink(&job->le);
		pc->load--;
		pg_job_fail(job, why);
		mem_deref(job);
	}
}

static void close_conn(struct pgconn *pc)
{
	fd_watch_stop(&pc->watch); /* before PQfinish gives the number back */
	PQfinish(pc->c);
	pc->c = NULL;
	pc->preparedc = 0;
	tmr_cancel(&pc->tmr);
}

static void destructor(void *arg)
{
	struct pgconn *pc = arg;

	pc->state = CLOSED;
	close_conn(pc);
	fail_jobs(pc, "closing");
	mem_deref(pc->conninfo);
}

/**
 * Close the connection, answer what was in flight, and connect again later
 *
 * @param why For the log
 */
void pgconn_drop(struct pgconn *pc, const char *why)
{
	const bool was_up = pc->state == UP;

	if (!pc->complained) {
		log_warn("pg_lost", LOG_STR("conn", pc->name),
			 LOG_STR("why", why));
		pc->complained = true;
	}

	pc->state = CLOSED;
	close_conn(pc);
	tmr_start(&pc->tmr, pc->backoff_ms, start_connect, pc);
	pc->backoff_ms = MIN(pc->backoff_ms * 2, BACKOFF_MAX_MS);

	if (was_up)
		pc->hv.down(pc, pc->hv.arg);
	fail_jobs(pc, why);
}

static void fd_handler(int flags, void *arg)
{
	struct pgconn *pc = arg;
	int rc;

	if (pc->state == CONNECTING) {
		poll_connect(pc);
		return;
	}

	if (flags & FD_WRITE) {
		rc = PQflush(pc->c);
		if (rc < 0) {
			pgconn_drop(pc, PQerrorMessage(pc->c));
			return;
		}
		if (!rc)
			(void)fd_watch_start(&pc->watch, PQsocket(pc->c),
					     FD_READ, fd_handler, pc);
	}

	if (flags & (FD_READ | FD_EXCEPT))
		receive(pc);
}

static void on_notice(void *arg, const PGresult *res)
{
	(void)arg; /* nobody reads notices */
	(void)res;
}

static void come_up(struct pgconn *pc)
{
	if (PQsetnonblocking(pc->c, 1) || !PQenterPipelineMode(pc->c)) {
		pgconn_drop(pc, PQerrorMessage(pc->c));
		return;
	}

	tmr_cancel(&pc->tmr);
	pc->state = UP;
	pc->backoff_ms = BACKOFF_MIN_MS;
	if (pc->complained)
		log_info("pg_back", LOG_STR("conn", pc->name));
	pc->complained = false;
	pc->hv.up(pc, pc->hv.arg);
}

static void poll_connect(struct pgconn *pc)
{
	int flags = 0;

	/* libpq may have closed one socket and opened another of the same
	   number, so epoll must be told anew after every step */
	fd_watch_stop(&pc->watch);

	switch (PQconnectPoll(pc->c)) {
	case PGRES_POLLING_OK:
		flags = FD_READ;
		break;

	case PGRES_POLLING_READING:
		flags = FD_READ;
		break;

	case PGRES_POLLING_WRITING:
		flags = FD_WRITE;
		break;

	default:
		pgconn_drop(pc, PQerrorMessage(pc->c));
		return;
	}

	if (fd_watch_start(&pc->watch, PQsocket(pc->c), flags, fd_handler,
			   pc)) {
		pgconn_drop(pc, "fd_listen");
		return;
	}

	if (PQstatus(pc->c) == CONNECTION_OK)
		come_up(pc);
}

static void connect_timeout(void *arg)
{
	pgconn_drop(arg, "connect timeout");
}

static void start_connect(void *arg)
{
	/* what conninfo says stands above what is before it */
	static const char *const names[] = {"user", "application_name",
					    "dbname", NULL};
	struct pgconn *pc = arg;
	const char *const values[] = {ROLE, PROGRAM, pc->conninfo, NULL};

	pc->c = PQconnectStartParams(names, values, 1);
	if (!pc->c || PQstatus(pc->c) == CONNECTION_BAD) {
		pgconn_drop(pc, pc->c ? PQerrorMessage(pc->c) : "no memory");
		return;
	}

	(void)PQsetNoticeReceiver(pc->c, on_notice, pc);
	pc->state = CONNECTING;
	tmr_start(&pc->tmr, CONNECT_MS, connect_timeout, pc);
	if (fd_watch_start(&pc->watch, PQsocket(pc->c), FD_WRITE, fd_handler,
			   pc))
		pgconn_drop(pc, "fd_listen");
}

/**
 * Allocate a connection; it connects by itself, now and after every loss
 *
 * @param pcp      Set to the connection, owned by the caller
 * @param name     For the log, copied
 * @param conninfo libpq's, copied
 * @param hv       Handlers, copied
 */
int pgconn_alloc(struct pgconn **pcp, const char *name, const char *conninfo,
		 const struct pgconn_handlers *hv)
{
	struct pgconn *pc = mem_zalloc(sizeof(*pc), destructor);
	int err;

	if (!pc)
		return ENOMEM;

	fd_watch_init(&pc->watch);
	str_ncpy(pc->name, name, sizeof(pc->name));
	pc->hv = *hv;
	pc->backoff_ms = BACKOFF_MIN_MS;
	err = str_dup(&pc->conninfo, conninfo);
	if (err) {
		mem_deref(pc);
		return err;
	}

	*pcp = pc;
	tmr_start(&pc->tmr, 0, start_connect, pc);

	return 0;
}

bool pgconn_is_up(const struct pgconn *pc)
{
	return pc->state == UP;
}

/** Statements in flight */
size_t pgconn_load(const struct pgconn *pc)
{
	return pc->load;
}

/**
 * Answer those who have waited long enough; drop a connection whose server
 * has not answered for much longer
 */
void pgconn_check(struct pgconn *pc, uint64_t now_ms)
{
	const struct pg_job *first = list_ledata(list_head(&pc->jobs));
	struct le *le;

	if (first && first->deadline_ms + OVERDUE_MS < now_ms) {
		pgconn_drop(pc, "server does not answer");
		return;
	}

	LIST_FOREACH(&pc->jobs, le)
	{
		struct pg_job *job = le->data;

		if (job->deadline_ms < now_ms)
			pg_job_fail(job, "deadline");
	}
}

/* --- sending ------------------------------------------------------------ */

static bool is_prepared(const struct pgconn *pc, const struct pg_stmt *stmt)
{
	for (size_t i = 0; i < pc->preparedc; i++) {
		if (pc->preparedv[i] == stmt)
			return true;
	}

	return false;
}

static void forget_prepared(struct pgconn *pc, const struct pg_stmt *stmt)
{
	for (size_t i = 0; i < pc->preparedc; i++) {
		if (pc->preparedv[i] == stmt) {
			pc->preparedv[i] = pc->preparedv[--pc->preparedc];
			return;
		}
	}
}

static bool send_statement(struct pgconn *pc, struct pg_job *job)
{
	const struct pg_stmt *stmt = job->stmt;
	bool known = is_prepared(pc, stmt);

	if (!known && pc->preparedc < PREPARED_MAX) {
		if (!PQsendPrepare(pc->c, stmt->name, stmt->sql, 0, NULL))
			return false;
		pc->preparedv[pc->preparedc++] = stmt;
		job->preparing = true;
		known = true;
	}

	if (known) {
		if (!PQsendQueryPrepared(pc->c, stmt->name, stmt->params,
					 job->valv, job->lenv, job->fmtv, 0))
			return false;
	} else if (!PQsendQueryParams(pc->c, stmt->sql, stmt->params, NULL,
				      job->valv, job->lenv, job->fmtv, 0)) {
		return false;
	}

	return PQpipelineSync(pc->c);
}

/**
 * Send a statement
 *
 * @param job Referenced here until it is answered
 *
 * @return 0 or ENOTCONN; then the job is untouched
 */
int pgconn_send(struct pgconn *pc, struct pg_job *job)
{
	if (pc->state != UP)
		return ENOTCONN;

	list_append(&pc->jobs, &job->le, mem_ref(job));
	pc->load++;

	if (!send_statement(pc, job) || PQflush(pc->c) < 0) {
		list_unlink(&job->le);
		mem_deref(job);
		pc->load--;
		pgconn_drop(pc, PQerrorMessage(pc->c));
		return ENOTCONN;
	}

	/* what did not fit goes when the socket has room */
	if (PQflush(pc->c) > 0)
		(void)fd_watch_start(&pc->watch, PQsocket(pc->c),
				     FD_READ | FD_WRITE, fd_handler, pc);

	return 0;
}

static void log_failure(const struct pgconn *pc, const struct pg_job *job,
			const struct pg_answer *ans)
{
	if (ans->end == PG_BUG)
		log_error("pg_error", LOG_STR("conn", pc->name),
			  LOG_STR("statement", job->stmt->name),
			  LOG_STR("sqlstate", ans->sqlstate),
			  LOG_STR("message", ans->slug));
	else if (ans->end == PG_AWAY)
		log_warn("pg_busy", LOG_STR("conn", pc->name),
			 LOG_STR("statement", job->stmt->name),
			 LOG_STR("sqlstate", ans->sqlstate));
}

/* @return false where the connection is gone */
static bool take_result(struct pgconn *pc, struct pg_job *job,
			const PGresult *res)
{
	struct pg_answer ans;
	bool stale;

	if (PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
		list_unlink(&job->le);
		pc->load--;
		mem_deref(job);
		if (pc->state == UP)
			pc->hv.room(pc, pc->hv.arg);
		return pc->state == UP;
	}

	pg_answer_of(&ans, res);
	log_failure(pc, job, &ans);
	if (job->preparing) {
		job->preparing = false;
		if (ans.end == PG_OK)
			return true;
		forget_prepared(pc, job->stmt);
	}

	stale = pg_answer_is_stale(&ans);
	pg_job_finish(job, &ans);
	if (stale && pc->state == UP)
		pgconn_drop(pc, "plans are out of date");

	return pc->state == UP;
}

static bool take_notifies(struct pgconn *pc)
{
	PGnotify *n;

	while (pc->state == UP && (n = PQnotifies(pc->c))) {
		if (pc->hv.notify)
			pc->hv.notify(n->relname, n->extra, pc->hv.arg);
		PQfreemem(n);
	}

	return pc->state == UP;
}

static void receive(struct pgconn *pc)
{
	int nulls = 0;
	bool alive = true;

	if (!PQconsumeInput(pc->c)) {
		pgconn_drop(pc, PQerrorMessage(pc->c));
		return;
	}

	mem_ref(pc);
	while (alive && !list_isempty(&pc->jobs) && !PQisBusy(pc->c)) {
		struct pg_job *job = list_ledata(list_head(&pc->jobs));
		PGresult *res = PQgetResult(pc->c);

		/* one NULL ends each statement's results */
		if (!res && ++nulls < 3)
			continue;
		if (!res) {
			pgconn_drop(pc, "out of step");
			break;
		}
		nulls = 0;
		alive = take_result(pc, job, res);
		PQclear(res);
	}

	if (alive && pc->state == UP && take_notifies(pc) &&
	    PQstatus(pc->c) != CONNECTION_OK)
		pgconn_drop(pc, PQerrorMessage(pc->c));
	mem_deref(pc);
}
