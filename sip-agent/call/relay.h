/*
 * re-INVITE (RFC 3261 section 14) that goes on to the other side of a call, and
 * its answer back. Both legs are ours.
 */
#ifndef RELAY_H
#define RELAY_H

#include "call/leg.h"

void relay_invite(struct leg *l, struct uas *u);
void relay_offer(struct leg *l, const struct pl *sdp);
void relay_flow_lost(struct leg *l);
bool relay_ack(struct leg *l, const struct sip_msg *msg);

#endif
