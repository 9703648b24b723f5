/*
 * db_answer.c: what an SQLSTATE means to whoever asked.
 */
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "shared/db_conn.h"

void db_query_free(struct db_query *q)
{
	PQclear(q->res);
	free(q);
}

bool db_is_error(const PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);

	return status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE ||
	       status == PGRES_PIPELINE_ABORTED;
}

bool db_is_aborted(const PGresult *res)
{
	return PQresultStatus(res) == PGRES_PIPELINE_ABORTED;
}

static const char *field(const PGresult *res, int code)
{
	const char *s = res ? PQresultErrorField(res, code) : NULL;

	return s ? s : "";
}

bool db_is_stale(const PGresult *res)
{
	return !strcmp(field(res, PG_DIAG_SQLSTATE), "0A000");
}

bool db_is_retryable(const PGresult *res)
{
	static const char *const states[] = {
		"0A000", /* a cached plan whose result has changed */
		"40001", /* serialization_failure */
		"40P01", /* deadlock_detected */
		"26000", /* its preparation had failed: try it once more */
	};
	const char *sqlstate = field(res, PG_DIAG_SQLSTATE);

	for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++)
		if (!strcmp(sqlstate, states[i]))
			return true;
	return false;
}

static void use_info(struct db_answer *a, enum app_err err)
{
	const struct app_err_info *info = app_err_info(err);

	a->status = info->status;
	a->slug = info->slug;
	a->detail = info->detail;
	a->pointer = "";
}

/* Not the message: it may quote what a client sent. */
static void log_bug(const struct db_query *q, const char *sqlstate)
{
	log_error("sql_failed", LOG_STR("statement", q->st->name),
		  LOG_STR("sqlstate", sqlstate),
		  LOG_STR("constraint", field(q->res, PG_DIAG_CONSTRAINT_NAME)),
		  LOG_STR("context", field(q->res, PG_DIAG_CONTEXT)));
	log_debug("sql_failed_why", LOG_STR("statement", q->st->name),
		  LOG_STR("message", field(q->res, PG_DIAG_MESSAGE_PRIMARY)));
}

static void read_error(struct db_answer *a, struct db_query *q)
{
	const char *sqlstate = field(q->res, PG_DIAG_SQLSTATE);

	a->sqlstate = sqlstate;
	a->status = sqlstate_status(sqlstate);
	if (!strncmp(sqlstate, "RS", 2)) {
		a->outcome = DB_REFUSED;
		a->slug = field(q->res, PG_DIAG_MESSAGE_PRIMARY);
		a->detail = field(q->res, PG_DIAG_MESSAGE_DETAIL);
		a->pointer = field(q->res, PG_DIAG_MESSAGE_HINT);
		a->retry_s = atoi(field(q->res, PG_DIAG_COLUMN_NAME));
	} else if (!strcmp(sqlstate, "57014")) { /* query_canceled */
		a->outcome = DB_UNAVAILABLE;
		use_info(a, APP_TOO_SLOW);
		q->db->stats.too_slow++;
		log_warn("too_slow", LOG_STR("statement", q->st->name));
	} else if (a->status == 503) {
		a->outcome = DB_UNAVAILABLE;
		use_info(a, APP_UNAVAILABLE);
		log_warn("sql_unavailable", LOG_STR("statement", q->st->name),
			 LOG_STR("sqlstate", sqlstate));
	} else {
		a->outcome = DB_BUG;
		use_info(a, APP_INTERNAL);
		log_bug(q, sqlstate);
	}
}

void db_query_answer(struct db_query *q, enum db_outcome outcome)
{
	struct db_answer a = {
		.outcome = outcome,
		.sqlstate = "",
		.slug = "",
		.detail = "",
		.pointer = "",
	};

	if (outcome == DB_UNKNOWN)
		use_info(&a, APP_OUTCOME_UNKNOWN);
	else if (outcome == DB_BUSY) {
		use_info(&a, APP_BUSY);
		q->db->stats.busy++;
	} else if (outcome == DB_UNAVAILABLE)
		use_info(&a, APP_UNAVAILABLE);
	else if (!q->res || db_is_error(q->res))
		read_error(&a, q);
	else {
		a.status = 200;
		a.res = q->res;
	}
	if (q->answered)
		q->answered(&a, q->arg);
	db_query_free(q);
}
