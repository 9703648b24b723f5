/*
 * re-INVITE that changes nothing (RFC 4028 section 7.4): a phone's is answered
 * here, and ours is no news to the other side.
 */
#ifndef REFRESH_H
#define REFRESH_H

#include "call/leg.h"

struct uas;

/** What the phone has said to ours; see uac_end_h. Its 2xx has been ACKed */
typedef void(refresh_h)(struct leg *l, int code, const struct sip_msg *msg);

bool refresh_serve(struct leg *l, struct uas *u);
bool refresh_ack(struct leg *l, const struct sip_msg *msg);
int refresh_send(struct leg *l, refresh_h *h);
void refresh_flow_lost(struct leg *l);

#endif
