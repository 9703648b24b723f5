/*
 * What PostgreSQL's result of a statement means.
 */
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "common/error.h"
#include "pg/pgjob.h"

/**
 * Whether the server no longer takes the plan or its name (after a migrate),
 * which a new connection mends
 */
bool pg_answer_is_stale(const struct pg_answer *ans)
{
	return !strcmp(ans->sqlstate, "0A000") ||
	       !strcmp(ans->sqlstate, "26000");
}

/* Which kind of failure a SQLSTATE is (PostgreSQL appendix A) */
static enum pg_end classify(struct pg_answer *ans)
{
	ans->status = sqlstate_status(ans->sqlstate);
	if (!strncmp(ans->sqlstate, "RS", 2))
		return PG_REFUSED;

	return ans->status == 503 || pg_answer_is_stale(ans) ? PG_AWAY : PG_BUG;
}

static const char *field(const PGresult *res, int code)
{
	const char *s = PQresultErrorField(res, code);

	return s ? s : "";
}

/** Fill in an answer, which borrows from the result */
void pg_answer_of(struct pg_answer *ans, const struct pg_result *res)
{
	*ans = (struct pg_answer){
		.end = PG_OK,
		.slug = "",
		.detail = "",
		.sqlstate = "",
		.res = res,
	};

	switch (PQresultStatus(res)) {
	case PGRES_TUPLES_OK:
	case PGRES_COMMAND_OK:
		return;

	case PGRES_PIPELINE_ABORTED:
		ans->end = PG_AWAY;
		ans->detail = "pipeline aborted";
		return;

	default:
		break;
	}

	ans->sqlstate = field(res, PG_DIAG_SQLSTATE);
	ans->slug = field(res, PG_DIAG_MESSAGE_PRIMARY);
	ans->detail = field(res, PG_DIAG_MESSAGE_DETAIL);
	ans->end = classify(ans);
	if (ans->end == PG_REFUSED)
		ans->retry_s = atoi(field(res, PG_DIAG_COLUMN_NAME));
}
