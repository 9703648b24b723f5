/*
 * Requests of ours within the dialog of a leg (RFC 3261 section 12.2.1.1).
 */
#ifndef REQUEST_H
#define REQUEST_H

#include "call/leg.h"

int request_write(struct leg_request *r, struct leg *l, const char *method,
		  const char *hdrs, const struct pl *body);
int request_write_in(struct leg_request *r, struct leg *l, struct dialog *d,
		     const char *method, const char *hdrs,
		     const struct pl *body);
void request_take_target(struct leg *l, const struct sip_msg *msg);

#endif
