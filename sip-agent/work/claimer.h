/*
 * Work that waits in the database: claimed under a lease, done, settled.  There
 * are two kinds of work: MESSAGEs and NOTIFYs.
 */
#ifndef CLAIMER_H
#define CLAIMER_H

#include "common/buf.h"
#include "pg/pgval.h"
#include "work/job.h"

struct agent;
struct claimer;

enum {
	/* jobs in flight at once: phones that do not answer hold theirs for
	   32 s, and others must not wait for them */
	CLAIMER_MAX = 4096,
	CLAIMER_BODY_MAX = 32 << 20, /* bytes of all their bodies */
	CLAIMER_EMPTY_MAX = 8,	     /* claims that bring nothing, in a row */
	CLAIMER_LEASE_S = 30,
	CLAIMER_RENEW_MS = 10000,
	CLAIMER_RENEW_MAX = 512, /* leases by one statement */
	CLAIMER_POLL_MS = 2000,	 /* behind the doorbell */
	CLAIMER_AGAIN_MS = 500,	 /* to settle what could not be settled */
	/* settlements of a statement: their rows are locked until it ends */
	CLAIMER_SETTLE_MAX = 32,
	CLAIMER_SETTLES_AT_ONCE = 1, /* statements */
	CLAIMER_VALUES_FIRST = 4,    /* of a claim, those that claimer.c sets */
};

/**
 * A kind of work: how it is claimed, done and settled.
 *
 * A claim's statement has the parameters: agent, rows at most, lease in s,
 * whether to look for jobs whose claim was committed but whose answer was lost;
 * then the kind's own.  A last row whose id is null says that there is more:
 * when something has ended, or, where its column again is true, at once.
 *
 * That of a renewal has: agent, ids, lease in s; that of settlements: agent,
 * and a JSON array of items, each numbered by its member i.  It has a row for
 * each that the database has dealt with; one that it left out, for somebody
 * holds what it needs, is asked for in a statement of its own, which waits.
 */
struct claimer_kind {
	const struct pg_stmt *claim, *renew, *settle;
	const char *id;	 /**< column that names a row */
	size_t job_size; /**< of a struct that begins with struct job */
	size_t rows_max; /**< of one claim */
	bool is_series;	 /**< the end of one may make the next due */

	/** Set the kind's parameters of a claim; may be NULL.  What they point
	    at lives until the next claim; @return an errno: no claim now */
	int (*claim_values)(struct pg_val *valv, void *arg);
	/** A claim has brought rows, this is the last one; may be NULL */
	void (*claimed)(const struct pg_answer *ans, int row, void *arg);
	/** Fill in a job, first what its settlement needs.
	    @return 0, ENOMEM, or another errno where it can never be done */
	int (*read)(struct job *job, const struct pg_answer *ans, int row,
		    void *arg);
	/** Begin, and call job_end sometime; NULL: its request is sent */
	void (*start)(struct job *job, void *arg);
	/** The job has ended, msg is the answer or NULL: take note, and log it
	 * */
	void (*ended)(struct job *job, const struct sip_msg *msg, void *arg);
	/** Write the members of its settlement's item */
	void (*settle_item)(struct buf *item, const struct job *job);
	/** The job is settled, or the database has refused to; may be NULL */
	void (*settled)(const struct job *job, const struct pg_answer *ans,
			void *arg);
};

int claimer_alloc(struct claimer **clp, struct agent *ag,
		  const struct claimer_kind *kind, void *arg);
void claimer_kick(struct claimer *cl);
void claimer_ready(struct claimer *cl);
void claimer_flow_lost(struct claimer *cl, const char *flow);
size_t claimer_drain(struct claimer *cl);
void claimer_give_back(struct claimer *cl);

#endif
