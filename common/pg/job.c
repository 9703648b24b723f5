/*
 * What PostgreSQL's result of a statement means to whoever asked (PostgreSQL
 * appendix A has the SQLSTATEs).
 */
#include "common/pg/job.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"

bool pg_is_error(const PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);

	return status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE ||
	       status == PGRES_PIPELINE_ABORTED;
}

bool pg_is_aborted(const PGresult *res)
{
	return PQresultStatus(res) == PGRES_PIPELINE_ABORTED;
}

static const char *field(const PGresult *res, int code)
{
	const char *s = res ? PQresultErrorField(res, code) : NULL;

	return s ? s : "";
}

static bool is_one_of(const PGresult *res, const char *const *states)
{
	const char *sqlstate = field(res, PG_DIAG_SQLSTATE);

	while (*states && strcmp(sqlstate, *states) != 0)
		states++;
	return *states != NULL;
}

bool pg_is_stale(const PGresult *res)
{
	static const char *const states[] = {
		"0A000", /* a cached plan whose result has changed */
		"26000", /* there is no statement of that name */
		NULL,
	};

	return is_one_of(res, states);
}

bool pg_is_retryable(const PGresult *res)
{
	static const char *const states[] = {
		"40001", /* serialization_failure */
		"40P01", /* deadlock_detected */
		NULL,
	};

	return is_one_of(res, states) || pg_is_stale(res);
}

bool pg_is_read_only(const PGresult *res)
{
	static const char *const states[] = {
		"25006", /* read_only_sql_transaction */
		NULL,
	};

	return is_one_of(res, states);
}

/* Not the message: it may quote what a client sent. */
static void log_bug(const struct pg_job *job, const char *sqlstate)
{
	log_error_often(
		2, "sql_failed", LOG_STR("statement", job->stmt->name),
		LOG_STR("sqlstate", sqlstate),
		LOG_STR("constraint", field(job->res, PG_DIAG_CONSTRAINT_NAME)),
		LOG_STR("context", field(job->res, PG_DIAG_CONTEXT)));
	log_debug("sql_failed_why", LOG_STR("statement", job->stmt->name),
		  LOG_STR("message", field(job->res, PG_DIAG_MESSAGE_PRIMARY)));
}

static void answer_refusal(struct pg_answer *a, const PGresult *res)
{
	a->end = PG_REFUSED;
	a->slug = field(res, PG_DIAG_MESSAGE_PRIMARY);
	a->detail = field(res, PG_DIAG_MESSAGE_DETAIL);
	a->pointer = field(res, PG_DIAG_MESSAGE_HINT);
	a->retry_s = atoi(field(res, PG_DIAG_COLUMN_NAME));
}

static void answer_error(struct pg_answer *a, const struct pg_job *job)
{
	const char *sqlstate = field(job->res, PG_DIAG_SQLSTATE);

	a->sqlstate = sqlstate;
	a->status = sqlstate_status(sqlstate);
	if (!strncmp(sqlstate, "RS", 2)) {
		answer_refusal(a, job->res);
	} else if (!strcmp(sqlstate, "57014")) { /* query_canceled */
		a->err = APP_TOO_SLOW;
		if (!job->quiet)
			log_warn_often(1, "too_slow",
				       LOG_STR("statement", job->stmt->name));
	} else if (a->status == 503) {
		a->err = APP_UNAVAILABLE;
		if (!job->quiet)
			log_warn_often(2, "sql_unavailable",
				       LOG_STR("statement", job->stmt->name),
				       LOG_STR("sqlstate", sqlstate));
	} else {
		a->err = APP_INTERNAL;
		if (!job->quiet)
			log_bug(job, sqlstate);
	}
}

static void answer_own(struct pg_answer *a)
{
	const struct app_err_info *info = app_err_info(a->err);

	a->end = a->err == APP_INTERNAL ? PG_BUG : PG_AWAY;
	a->status = info->status;
	a->slug = info->slug;
	a->detail = info->detail;
}

enum app_err pg_job_tell(struct pg_job *job)
{
	pg_answer_h *h = job->h;
	struct pg_answer a = {
		.end = PG_OK,
		.err = job->err,
		.status = 200,
		.slug = "",
		.detail = "",
		.pointer = "",
		.sqlstate = "",
	};

	if (!a.err && !job->res)
		a.err = APP_INTERNAL;
	if (!a.err && pg_is_error(job->res))
		answer_error(&a, job);
	else if (!a.err)
		a.res = job->res;
	if (a.err)
		answer_own(&a);
	job->h = NULL;
	if (h)
		h(&a, job->arg);
	PQclear(job->res);
	job->res = NULL;
	return a.err;
}

enum app_err pg_job_fail(struct pg_job *job, enum app_err err)
{
	job->err = err;
	return pg_job_tell(job);
}
