/*
 * What both programs say of a statement: it, its parameters, and its answer.
 */
#ifndef COMMON_PG_H
#define COMMON_PG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct pg_result; /* libpq's PGresult; read it with common/pgres.h */

enum {
	PG_ARGS_MAX = 20,
	PG_DIGITS_SIZE = 24,
};

/**
 * One SQL statement, a constant: its address names it. Prepared once a
 * connection. The last three say which of a program's connections it is for.
 */
struct pg_stmt {
	const char *name;
	const char *sql;
	int nparams;
	bool write;
	bool session; /**< on the connection that listens */
	bool health;  /**< on one that nothing else stands before */
};

/** Typed parameters. What they point at is borrowed until the answer. */
struct pg_args {
	int n;
	bool failed; /**< too many, or no memory: the query is a bug */
	const char *value[PG_ARGS_MAX];
	int length[PG_ARGS_MAX];
	int format[PG_ARGS_MAX];
	char digits[PG_ARGS_MAX][PG_DIGITS_SIZE];
};

void pg_arg_null(struct pg_args *a);
void pg_arg_text(struct pg_args *a, const char *s); /* null: SQL null */
void pg_arg_int(struct pg_args *a, int64_t n);
void pg_arg_bool(struct pg_args *a, bool b);
void pg_arg_bytea(struct pg_args *a, const void *p, size_t n); /* null too */
void pg_args_copy(struct pg_args *to, const struct pg_args *from);

/** How a statement ended */
enum pg_end {
	PG_OK,	    /**< it is committed */
	PG_REFUSED, /**< by a rule: SQLSTATE RSnnn */
	PG_AWAY,    /**< later it may do; err says whether it was done */
	PG_BUG,	    /**< any other SQLSTATE: ours to mend; logged */
};

/** The answer to a statement. All of it is borrowed during the callback. */
struct pg_answer {
	enum pg_end end;
	/**
	 * Of PG_AWAY: APP_UNAVAILABLE, APP_BUSY and APP_TOO_SLOW (it was not
	 * done), or APP_OUTCOME_UNKNOWN (it was lost with its connection)
	 */
	enum app_err err;
	int status;		     /**< HTTP status; of RSnnn: nnn */
	int retry_s;		     /**< of Retry-After; 0: unsaid */
	const char *slug;	     /**< of the refusal, or our own word */
	const char *detail;	     /**< a sentence for people */
	const char *pointer;	     /**< JSON pointer, "" if none */
	const char *sqlstate;	     /**< "" if there is none */
	const struct pg_result *res; /**< only with PG_OK */
};

typedef void(pg_answer_h)(const struct pg_answer *ans, void *arg);

#endif
