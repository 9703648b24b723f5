/*
 * Offers between a phone and what the database is the way to, a page or a phone
 * of another agent: re-INVITE (RFC 3261 section 14), and the answer that an ACK
 * brings.
 */
#ifndef PAGE_H
#define PAGE_H

#include "call/leg.h"

void page_invite(struct leg *l, struct uas *u);
void page_said(struct leg *l, const struct pl *sdp);
bool page_ack(struct leg *l, const struct sip_msg *msg);
void page_first_ack(struct leg *l, const struct sip_msg *msg);
bool page_accept(struct leg *l, const char *sdp);
void page_refuse(struct leg *l, int code);
void page_wait(struct leg *l, int64_t s);

#endif
