/*
 * REFER within a call, and NOTIFY of what becomes of it (RFC 3515).
 */
#ifndef REFER_H
#define REFER_H

#include "call/leg.h"

void refer_handle(struct agent *ag, const struct sip_msg *msg);
void refer_take(struct leg *l, struct uas *u);
void refer_notify(struct leg *l, int64_t cseq, const char *said);

#endif
