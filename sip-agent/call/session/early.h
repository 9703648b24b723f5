/*
 * Dialogs of an INVITE of ours before its 2xx: PRACK of what its phones say
 * reliably (RFC 3262), and what they send meanwhile.
 */
#ifndef EARLY_H
#define EARLY_H

#include "call/leg.h"

void early_heard(struct leg *l, const struct sip_msg *msg);
bool early_sdp(struct pl *sdp, const struct leg *l, const struct sip_msg *msg);
void early_over(struct leg *l);
bool early_request(struct legs *ls, const struct sip_msg *msg);

#endif
