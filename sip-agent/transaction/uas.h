/*
 * A request that we serve, from its arrival to its one final answer (RFC 3261
 * sections 8.2 and 17.2).
 */
#ifndef UAS_H
#define UAS_H

#include <re.h>

#include "gate/budget.h"

struct agent;
struct answer;
struct pg_answer;
struct uas;
struct uas_list;

/** What this server does, in answers that say so (RFC 3261 section 11.2) */
#define UAS_ALLOW \
	"Allow: ACK, BYE, CANCEL, INFO, INVITE, MESSAGE, NOTIFY, OPTIONS, " \
	"PRACK, PUBLISH, REFER, REGISTER, SUBSCRIBE, UPDATE\r\n"
#define UAS_ALLOW_EVENTS \
	"Allow-Events: conference, dialog, message-summary, presence, reg\r\n"
#define UAS_SUPPORTED "Supported: 100rel, outbound, path, replaces, timer\r\n"

enum {
	UAS_ID_SIZE = 17,
	UAS_TAG_SIZE = 17,
	RETRY_AFTER_S = 1,
	LATER_S = 2,	  /* of what is under way in a dialog */
	TOO_OFTEN_S = 60, /* where the database does not say */
};

/** The INVITE was cancelled; the handler answers 487 (section 9.2)
 */
typedef void(uas_cancel_h)(struct uas *u, void *arg);

int uas_list_alloc(struct uas_list **ulp);
size_t uas_list_count(const struct uas_list *ul);

int uas_alloc(struct uas **up, struct agent *ag, const struct sip_msg *msg);
const struct sip_msg *uas_msg(const struct uas *u);
struct agent *uas_agent(const struct uas *u);
void uas_tag(const struct uas *u, char *tag, size_t size);
const char *uas_id(const struct uas *u);
bool uas_is_answered(const struct uas *u);
void uas_set_proven(struct uas *u);
void uas_set_cancel(struct uas *u, uas_cancel_h *h, void *arg);
void uas_set_waiting(struct uas *u);
void uas_set_tag(struct uas *u, const char *tag);
void uas_answer(struct uas *u, const struct answer *a);
void uas_repeat(struct uas *u, const struct sa *dst, struct mbuf *mb);
void uas_reply(struct uas *u, uint16_t scode, const char *reason,
	       const char *fmt, ...);
void uas_reply_dialog(struct uas *u, const char *tag, const char *fmt, ...);
void uas_refuse(struct uas *u, uint16_t scode);
void uas_refuse_for_now(struct uas *u);
void uas_db_failed(struct uas *u, const struct pg_answer *ans);
void uas_fail(struct uas *u, int err);

void uas_reply_stateless(struct agent *ag, const struct sip_msg *msg,
			 uint16_t scode, const char *reason, const char *hdrs);
void uas_busy_stateless(struct agent *ag, const struct sip_msg *msg);

#endif
