/*
 * One NOTIFY, from its row to its final answer (RFC 6665 section 4.2.2).
 */
#ifndef NOTIFY_H
#define NOTIFY_H

#include <re.h>

struct agent;
struct notify;
struct pg_answer;

enum {
	NOTIFY_NO_RETRY = -1,
};

/**
 * A NOTIFY has ended
 *
 * @param code    SIP code; 0: it never left us
 * @param retry_s Of Retry-After, NOTIFY_NO_RETRY where there was none
 */
typedef void(notify_end_h)(struct notify *n, int code, int64_t retry_s,
			   void *arg);

int notify_alloc(struct notify **np, struct agent *ag,
		 const struct pg_answer *ans, int row, notify_end_h *h,
		 void *arg);
void notify_start(struct notify *n);
void notify_flow_failed(struct notify *n);
int64_t notify_subscription(const struct notify *n);
int64_t notify_cseq(const struct notify *n);
const char *notify_flow(const struct notify *n);
struct le *notify_le(struct notify *n);

#endif
