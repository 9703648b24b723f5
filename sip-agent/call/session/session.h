/*
 * How long the session of a leg is good, and who refreshes it, as the two have
 * agreed on by an INVITE or UPDATE (RFC 4028).
 */
#ifndef SESSION_H
#define SESSION_H

#include "call/leg.h"

struct pg_answer;
struct uas;

enum {
	SESSION_HDRS_SIZE = 160,
	SESSION_MAX_S = 24 * 3600, /* longer is no timer: its phone is asked */
};

bool session_refuses(struct uas *u);
bool session_of_request(struct leg *l, const struct sip_msg *msg);
bool session_of_answer(struct leg *l, const struct sip_msg *msg);
bool session_raise(struct leg *l, const struct sip_msg *msg);
const char *session_offer(char hdrs[static SESSION_HDRS_SIZE], struct leg *l);
const char *session_answer(char hdrs[static SESSION_HDRS_SIZE],
			   const struct leg *l);
void session_begin(struct leg *l);
void session_wait(struct leg *l, uint64_t ms);
uint64_t session_ends_ms(const struct leg *l);
uint32_t session_probe_s(const struct leg *l);
void session_json(struct buf *b, const struct leg *l);
void session_load(struct leg *l, const struct pg_answer *ans);
bool session_borrow(struct leg *l, const struct pg_answer *ans);
void session_give_back(struct leg *l);
void session_said(struct leg *l, const char *sdp, size_t len);
void session_heard(struct leg *l, const char *sdp, size_t len);
bool session_is_refresh(const struct leg *l, const struct sip_msg *msg,
			const struct pl *sdp);
bool session_is_same(const struct leg *l, const struct pl *sdp);

#endif
