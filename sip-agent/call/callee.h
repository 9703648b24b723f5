/*
 * The leg of a phone that is called (RFC 3261 section 13.2).
 */
#ifndef CALLEE_H
#define CALLEE_H

#include "call/leg.h"

struct pg_answer;

/* How its offer is told: app.leg_relay_number */
enum {
	TELLS_ALL = 1,
	TELLS_WEB = 2,
	TELLS_PLAIN = 3,
};

void callee_call(struct legs *ls, const struct pg_answer *ans, int row);
void callee_won(struct leg *l, const char *sdp);
void callee_accept(struct leg *l, const char *sdp);
void callee_lost(struct leg *l, const char *reason);
void callee_drain(struct leg *l);
void callee_cancel(struct leg *l, const char *reason);
void callee_ended(struct leg *l, int code, const char *reason,
		  const struct sip_msg *msg);
void callee_answered(struct leg *l, const struct sip_msg *msg);
void callee_answered_late(struct legs *ls, const struct pg_answer *ans,
			  const struct sip_msg *msg);
void callee_answered_again(struct leg *l, const struct sip_msg *msg);

#endif
