/*
 * From a request to its handler: first what is left to check, then Require,
 * then the table of methods (RFC 3261 section 8.2).
 */
#include "dispatch.h"

#include <string.h>

#include "agent.h"
#include "call/invite.h"
#include "call/legs.h"
#include "call/transfer/refer.h"
#include "event/publish.h"
#include "event/subscribe.h"
#include "gate/budget.h"
#include "gate/recheck.h"
#include "logre.h"
#include "message/message.h"
#include "options/options.h"
#include "parse/hdr.h"
#include "registrar/registrar.h"
#include "settings/ours.h"
#include "transaction/strans.h"
#include "transaction/uas.h"

enum { UNSUPPORTED_MAX = 512 };

typedef void(method_h)(struct agent *ag, const struct sip_msg *msg);

/* The CANCEL of an INVITE is handled by libre's transactions.  Others cannot be
   cancelled, but the answer tells whether there is one (RFC 3261 section 9.2)
   */
static void cancel_handle(struct agent *ag, const struct sip_msg *msg)
{
	uas_reply_stateless(ag, msg, strans_has(ag->strans, msg) ? 200 : 481,
			    NULL, NULL);
}

/* A request within a dialog: we have no such dialog */
static void stray_handle(struct agent *ag, const struct sip_msg *msg)
{
	uas_reply_stateless(ag, msg, 481, NULL, NULL);
}

static void ack_handle(struct agent *ag, const struct sip_msg *msg)
{
	(void)ag; /* an ACK is never answered */
	(void)msg;
}

static void known_handle(struct agent *ag, const struct sip_msg *msg)
{
	uas_reply_stateless(ag, msg, 405, NULL, UAS_ALLOW);
}

enum {
	NO_ANSWER = 1 << 0,  /* RFC 3261 section 17: an ACK has none */
	NO_REPEATS = 1 << 1, /* strans is not asked for it */
	NO_REQUIRE = 1 << 2, /* Require is not looked at */
	NO_DOMAIN = 1 << 3,  /* only found within a dialog, or of a request */
	IN_CALLS = 1 << 4,   /* within the dialog of a leg it is the leg's */
};

static const struct method {
	const char *name;
	method_h *handle;
	unsigned flags;
} methods[] = {
	{"ACK", ack_handle,
	 NO_ANSWER | NO_REPEATS | NO_REQUIRE | NO_DOMAIN | IN_CALLS},
	{"BYE", stray_handle, NO_REQUIRE | NO_DOMAIN | IN_CALLS},
	{"CANCEL", cancel_handle, NO_REPEATS | NO_REQUIRE | NO_DOMAIN},
	{"INFO", known_handle, IN_CALLS},
	{"INVITE", invite_handle, NO_REPEATS | IN_CALLS},
	{"MESSAGE", message_handle, 0},
	{"NOTIFY", stray_handle, NO_REQUIRE | NO_DOMAIN},
	{"OPTIONS", options_handle, IN_CALLS},
	{"PRACK", stray_handle, NO_DOMAIN | IN_CALLS},
	{"PUBLISH", publish_handle, 0},
	{"REFER", refer_handle, IN_CALLS},
	{"REGISTER", registrar_handle, 0},
	{"SUBSCRIBE", subscribe_handle, 0},
	{"UPDATE", stray_handle, NO_DOMAIN | IN_CALLS},
};

static const struct method unknown;

static const struct method *find(const struct pl *name)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
		if (!pl_strcmp(name, methods[i].name))
			return &methods[i];
	}

	return &unknown;
}

struct unsupported {
	char text[UNSUPPORTED_MAX];
	size_t len;
	bool in_calls;
};

static bool require_handler(const struct pl *val, void *arg)
{
	struct unsupported *un = arg;
	struct pl list = *val, tok;
	int n;

	while (!hdr_token(&tok, &list)) {
		if (!pl_strcasecmp(&tok, "path") ||
		    !pl_strcasecmp(&tok, "outbound") ||
		    (un->in_calls && (!pl_strcasecmp(&tok, "timer") ||
				      !pl_strcasecmp(&tok, "100rel") ||
				      !pl_strcasecmp(&tok, "replaces"))))
			continue;
		n = re_snprintf(un->text + un->len, sizeof(un->text) - un->len,
				"%s%r", un->len ? ", " : "", &tok);
		if (n < 0)
			return true;
		un->len += (size_t)n;
	}

	return false;
}

/* @return whether it was refused (RFC 3261 section 8.2.2.3) */
static bool needs_unknown(struct agent *ag, const struct sip_msg *msg)
{
	struct unsupported un = {.in_calls = !pl_strcmp(&msg->met, "INVITE") ||
					     !pl_strcmp(&msg->met, "UPDATE") ||
					     !pl_strcmp(&msg->met, "PRACK")};
	char hdrs[UNSUPPORTED_MAX + 32];

	(void)hdr_each(msg, HDR_REQUIRE, require_handler, &un);
	(void)hdr_each(msg, HDR_PROXY_REQUIRE, require_handler, &un);
	if (!un.len)
		return false;

	(void)re_snprintf(hdrs, sizeof(hdrs), "Unsupported: %s\r\n", un.text);
	uas_reply_stateless(ag, msg, 420, NULL, hdrs);

	return true;
}

/* Nothing is relayed.  Within a dialog the Request-URI may be the address of
   another agent.  @return whether it was refused (RFC 3261 section 8.2.2.1) */
static bool is_foreign(struct agent *ag, const struct sip_msg *msg)
{
	struct uri uri = msg->uri;

	/* who asks whether we are there has found us, by whatever port: sipsak
	   cuts the last digit off one that has five */
	if (!pl_strcmp(&msg->met, "OPTIONS"))
		uri.port = 0;
	if (pl_isset(&msg->to.tag) || settings_is_ours(ag->set, &uri))
		return false;

	/* a registrar does not say what there is elsewhere (section 10.3) */
	uas_reply_stateless(ag, msg,
			    pl_strcmp(&msg->met, "REGISTER") ? 404 : 403,
			    "Not Our Domain", NULL);

	return true;
}

static void refuse(struct agent *ag, const struct sip_msg *msg, int scode,
		   const char *why)
{
	log_debug("refused", LOG_SA("source", &msg->src),
		  LOG_PL("method", &msg->met), LOG_STR("why", why));
	budget_bad(ag->budget, budget_proof_of(msg), &msg->src, tmr_jiffies());
	if (scode != RECHECK_DROP)
		uas_reply_stateless(ag, msg, (uint16_t)scode, why, NULL);
}

/* @return whether it is a repeat, which is dealt with here */
static bool is_repeat(struct agent *ag, const struct sip_msg *msg)
{
	switch (strans_look(ag->strans, ag->sip, msg, tmr_jiffies())) {
	case STRANS_SAME:
		return true;

	case STRANS_MERGED:
		uas_reply_stateless(ag, msg, 482, NULL, NULL);
		return true;

	case STRANS_NEW:
		break;
	}

	return false;
}

/**
 * Serve a request, or refuse it
 */
void dispatch_request(struct agent *ag, const struct sip_msg *msg)
{
	const struct method *method = find(&msg->met);
	const char *why;
	int scode;

	scode = recheck_request(msg, &why);
	if (scode) {
		if (!(method->flags & NO_ANSWER))
			refuse(ag, msg, scode, why);
		return;
	}
	if (!(method->flags & NO_REPEATS) && is_repeat(ag, msg))
		return;
	if (!method->handle) {
		uas_reply_stateless(ag, msg, 501, NULL, UAS_ALLOW);
		return;
	}
	if (!(method->flags & NO_DOMAIN) && is_foreign(ag, msg))
		return;
	if (!(method->flags & NO_REQUIRE) && needs_unknown(ag, msg))
		return;

	if ((method->flags & IN_CALLS) && legs_request(ag->legs, msg))
		return;
	method->handle(ag, msg);
}
