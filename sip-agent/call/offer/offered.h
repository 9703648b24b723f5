/*
 * What the other side of a call offers to its phone, where the database is the
 * way between them: our re-INVITE (RFC 3261 section 14.1).
 */
#ifndef OFFERED_H
#define OFFERED_H

#include "call/leg.h"

void offered_begin(struct leg *l, const char *sdp);
void offered_confirm(struct leg *l, int err, const struct pl *sdp, void *arg);
void offered_withdraw(struct leg *l);
void offered_go_on(struct leg *l);
void offered_flow_lost(struct leg *l);

#endif
