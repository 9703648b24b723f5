/*
 * A 2xx of an INVITE, until its ACK: its transaction does not send it again
 * (RFC 3261 section 13.3.1.4).
 */
#ifndef REPEAT_H
#define REPEAT_H

#include <re.h>

struct agent;
struct answer;
struct repeat;
struct uas;

/** No ACK has come in time; may let go of it */
typedef void(repeat_over_h)(void *arg);

int repeat_answer(struct repeat **rp, struct uas *u, const struct answer *a,
		  repeat_over_h *h, void *arg);
int repeat_resume(struct repeat **rp, struct agent *ag, struct mbuf *mb,
		  const struct sa *to, repeat_over_h *h, void *arg);

#endif
