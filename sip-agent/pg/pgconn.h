/*
 * One asynchronous connection to PostgreSQL in libre's loop: connects, comes
 * back by itself, and runs statements in pipeline mode.
 */
#ifndef PGCONN_H
#define PGCONN_H

#include <re.h>

struct pg_result; /* libpq's PGresult */
struct pgconn;

enum {
	PG_PARAMS_MAX = 12,
};

/** How a statement ended */
enum pg_end {
	PG_OK,
	PG_REFUSED, /**< by a rule: SQLSTATE RSnnn */
	PG_AWAY,    /**< no connection, lost, overloaded; outcome unknown */
	PG_BUG,	    /**< anything else: ours to mend */
};

/** The answer to a statement; all of it is borrowed */
struct pg_answer {
	enum pg_end end;
	int status;	      /**< nnn of RSnnn */
	int retry_s;	      /**< of Retry-After; 0: unsaid */
	const char *slug;     /**< stable name of the refusal, never NULL */
	const char *detail;   /**< a sentence, never NULL */
	const char *sqlstate; /**< never NULL */
	const struct pg_result *res;
};

typedef void(pg_answer_h)(const struct pg_answer *ans, void *arg);

/** A statement of the program: one const object each, its address names it */
struct pg_stmt {
	const char *name;
	const char *sql;
	int params;
	unsigned binary; /**< bit i: parameter i is bytea, sent as it is */
};

/** One parameter, as text unless the statement says binary */
struct pg_val {
	const char *p; /**< NULL: SQL null */
	size_t len;
	char num[24];
};

struct pg_val pg_text(const char *s);
struct pg_val pg_pl(const struct pl *pl);
struct pg_val pg_int(int64_t n);
struct pg_val pg_bool(bool b);
struct pg_val pg_null(void);

bool pg_is_text(const char *p, size_t len);

/** A statement with its parameters, on its way or waiting */
struct pg_job;

int pg_job_alloc(struct pg_job **jobp, const struct pg_stmt *stmt,
		 const struct pg_val *valv, uint64_t deadline_ms,
		 pg_answer_h *h, void *arg);
void pg_job_finish(struct pg_job *job, const struct pg_answer *ans);
void pg_job_fail(struct pg_job *job, const char *why);
void pg_job_disown(struct pg_job *job);
void pg_job_append(struct list *list, struct pg_job *job);
void pg_job_unlink(struct pg_job *job);
uint64_t pg_job_deadline(const struct pg_job *job);

typedef void(pgconn_up_h)(struct pgconn *pc, void *arg);
typedef void(pgconn_down_h)(struct pgconn *pc, void *arg);
typedef void(pgconn_idle_h)(struct pgconn *pc, void *arg);
typedef void(pgconn_notify_h)(const char *channel, const char *payload,
			      void *arg);

struct pgconn_handlers {
	pgconn_up_h *up;
	pgconn_down_h *down;
	pgconn_idle_h *room;	 /**< a statement has ended */
	pgconn_notify_h *notify; /**< may be NULL */
	void *arg;
};

int pgconn_alloc(struct pgconn **pcp, const char *name, const char *conninfo,
		 const struct pgconn_handlers *hv);
bool pgconn_is_up(const struct pgconn *pc);
size_t pgconn_load(const struct pgconn *pc);
int pgconn_send(struct pgconn *pc, struct pg_job *job);
void pgconn_check(struct pgconn *pc, uint64_t now_ms);
void pgconn_drop(struct pgconn *pc, const char *why);

#endif
