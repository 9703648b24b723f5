/*
 * INFO (RFC 6086): what a phone tells the other, a pressed key as a rule.
 */
#ifndef INFO_H
#define INFO_H

#include "call/leg.h"

/** One; all may be NULL */
struct info_text {
	const char *type;    /**< Content-Type */
	const char *package; /**< Info-Package */
	const char *body;
};

int info_write(struct leg_request *r, struct leg *l, const struct info_text *t,
	       const struct pl *body);
void info_tell(struct legs *ls, int64_t leg, int64_t number, int code);
const char *info_allowed(const struct sip_msg *msg);
void info_pass(struct leg *l, struct uas *u);
void info_send(struct leg *l, int64_t number, const struct info_text *text);
void info_lost(struct legs *ls, int64_t leg, int64_t number);
void info_answer(struct legs *ls, int64_t number, int code);
void info_over(struct leg *l);
void info_flow_lost(struct leg *l);

#endif
