/*
 * One claimed job, from its row to its settlement: as a rule a request that is
 * sent, until its final answer.
 */
#ifndef JOB_H
#define JOB_H

#include <re.h>

#include "transaction/uac.h"

struct agent;
struct dialog;
struct job;
struct pg_answer;

/**
 * A job has ended; called once
 *
 * @param msg The final answer; NULL where there is none
 */
typedef void(job_end_h)(struct job *job, const struct sip_msg *msg, void *arg);

/** The first member of what a kind makes of a row */
struct job {
	struct le le;
	job_end_h *endh;
	void *arg;
	int64_t id; /**< of the row; its lease is renewed by it */
	/** whose rows its settlement waits for, as pgloop.h has it; 0: nobody's
	 */
	uint64_t whose;
	/** What is sent. Of it uri, route, flow, request_id and mb are owned */
	struct uac_request req;
	struct uac *uac;
	/** How it ended: SIP code, 0: it never left us */
	int code;
	char reason[UAC_REASON_SIZE];
	bool answered; /**< by whoever is there */
	bool went_out; /**< its end tells something about the destination */
	bool settling; /**< the database is being told */
};

void *job_alloc(size_t size, job_end_h *h, void *arg);
int job_take(const char **sp, const struct pg_answer *ans, int row,
	     const char *column);
int job_set_target(struct job *job, const char *contact);
int job_set_dialog(struct job *job, const struct dialog *d);
void job_send(struct job *job, struct agent *ag);
void job_end(struct job *job, int code, const char *reason,
	     const struct sip_msg *msg);
void job_flow_failed(struct job *job);

#endif
