/*
 * A statement on its way: asked, maybe asked once more, and answered. Its
 * owner keeps it in a struct of its own.
 */
#ifndef PG_JOB_H
#define PG_JOB_H

#include <libpq-fe.h>

#include "common/pg/pg.h"

struct pg_job {
	const struct pg_stmt *stmt;
	struct pg_args args;
	pg_answer_h *h; /**< null: nobody waits for the answer */
	void *arg;
	PGresult *res;	  /**< what came of it */
	enum app_err err; /**< APP_OK: what res says */
	bool sent;	  /**< it is under way */
	bool quiet;	  /**< what goes wrong is its asker's to log */
	bool retried;	  /**< it is not tried once more */
};

/**
 * Tell who asked, once, and be done with the result.
 *
 * @return what was told, as pg_answer's err
 */
enum app_err pg_job_tell(struct pg_job *job);

/** The same of one that did not run or whose result nobody waits for */
enum app_err pg_job_fail(struct pg_job *job, enum app_err err);

bool pg_is_error(const PGresult *res);
/** Not run, for one before it in its batch has failed */
bool pg_is_aborted(const PGresult *res);
/** The server no longer takes the plan or its name: prepare it anew */
bool pg_is_stale(const PGresult *res);
/** Rolled back, for a reason that may be gone by now */
bool pg_is_retryable(const PGresult *res);
/** The server only lets read: it is not the primary, or not any more */
bool pg_is_read_only(const PGresult *res);

#endif
