/*
 * The leg of a phone that calls: what its INVITE is answered with (RFC 3261
 * section 13.3).
 */
#ifndef CALLER_H
#define CALLER_H

#include "call/leg.h"

void caller_made(struct leg *l, uint64_t ring_ms);
void caller_progress(struct leg *l, int code, const char *reason);
void caller_answer(struct leg *l, const char *sdp);
void caller_resume(struct leg *l, const char *word, const char *to,
		   const char *sdp);
void caller_fail(struct leg *l, int code, const char *reason,
		 const char *header);
void caller_heard(struct leg *l);
void caller_ack(struct leg *l, const struct sip_msg *msg);
void caller_gone(struct leg *l, const char *cause);
void caller_drain(struct leg *l);
void caller_cancelled(struct uas *u, void *arg);

#endif
