/*
 * One NOTIFY, from its row to its end (RFC 6665 section 4.2.2).
 */
#ifndef NOTIFY_H
#define NOTIFY_H

#include "work/job.h"

struct pg_answer;

enum {
	NOTIFY_NO_RETRY = -1,
};

struct notify {
	struct job job;
	int64_t cseq;
	int64_t retry_s; /**< of Retry-After, or NOTIFY_NO_RETRY */
};

int notify_read(struct notify *n, const struct pg_answer *ans, int row);
void notify_ended(struct notify *n, const struct sip_msg *msg);

#endif
