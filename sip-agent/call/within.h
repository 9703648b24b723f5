/*
 * Requests that come within the dialog of a leg (RFC 3261 section 12.2.2).
 */
#ifndef WITHIN_H
#define WITHIN_H

#include "call/leg.h"

void within_request(struct leg *l, const struct sip_msg *msg);
void within_move(struct leg *l, const struct sip_msg *msg, const char *flow);
bool within_unknown(struct legs *ls, const struct sip_msg *msg);

#endif
