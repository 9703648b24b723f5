/*
 * The 2xx of an INVITE within a dialog, and the ACK of a 2xx that the phone
 * of a leg has sent (RFC 3261 section 13.2.2.4); kept, and sent again when
 * the 2xx comes again.
 */
#ifndef CONFIRM_H
#define CONFIRM_H

#include "call/leg.h"
#include "call/repeat.h"

int confirm_send(struct leg *l, int64_t cseq, const struct pl *sdp);
void confirm_asks(const struct leg *l, const struct sip_msg *msg);
int confirm_say(struct repeat **rp, struct leg *l, struct uas *u,
		const struct buf *sdp, repeat_over_h *h, void *arg);

#endif
