/*
 * An INVITE that makes a dialog: authenticated, read, and made a leg for which
 * the database is asked.
 */
#include "call/invite.h"

#include <errno.h>

#include "agent.h"
#include "auth/auth.h"
#include "call/caller.h"
#include "call/info.h"
#include "call/invite_ask.h"
#include "call/session/session.h"
#include "call/tell/ladder.h"
#include "parse/hdr.h"
#include "parse/refer.h"
#include "settings/ours.h"
#include "transaction/body.h"
#include "transaction/dialog.h"
#include "transaction/flow.h"
#include "transaction/local_target.h"
#include "transaction/uas.h"

enum {
	HOPS = 70,
};

/* How long the caller would have it ring; the database knows how long it may.
   0: he does not say */
static int64_t read_expires(const struct sip_msg *msg)
{
	const struct pl *val = hdr_get(msg, HDR_EXPIRES);
	uint64_t n;

	if (!val || hdr_number(&n, val, UINT32_MAX))
		return 0;

	return n < INT32_MAX ? (int64_t)n : INT32_MAX;
}

static int64_t read_hops(const struct sip_msg *msg)
{
	const struct pl *val = hdr_get(msg, HDR_MAX_FORWARDS);
	uint64_t n;

	if (!val || hdr_number(&n, val, 255))
		return HOPS;

	return (int64_t)n - 1;
}

static int read_dialog(struct leg *l, const struct sip_msg *msg)
{
	struct agent *ag = l->legs->ag;
	char tag[UAS_TAG_SIZE], flow[FLOW_TEXT_SIZE];
	char *route = NULL;
	struct dialog d;
	int err;

	err = dialog_of_request(&d, msg);
	if (err)
		return err;
	uas_tag(l->u, tag, sizeof(tag));
	pl_set_str(&d.local_tag, tag);
	err = dialog_route(&route, msg);
	if (err)
		return err;
	if (route)
		pl_set_str(&d.route, route);
	err = leg_take_dialog(l, &d);
	mem_deref(route);
	if (!err)
		err = local_target_of(&l->d.local_target, ag, msg);
	if (!err)
		err = flow_of(flow, sizeof(flow), ag->flows, ag->sip, msg);
	if (!err && *flow)
		err = str_dup(&l->flow, flow);

	return err;
}

static void call(struct uas *u, const struct invite_what *what)
{
	const struct sip_msg *msg = uas_msg(u);
	const struct address from = {.sa = msg->src, .tp = msg->tp};
	struct legs *ls = uas_agent(u)->legs;
	struct leg *l;
	int err;

	err = ls->count < LEGS_MAX ? leg_alloc(&l, ls, true) : ENOSPC;
	if (err) {
		uas_refuse(u, 503);
		return;
	}
	l->u = mem_ref(u);
	l->offerless = !what->sdp.l;
	l->invite_cseq = msg->cseq.num;
	l->peer_addr = msg->src;
	l->takes_info = info_allowed(msg);
	session_heard(l, what->sdp.p, what->sdp.l);
	(void)session_of_request(l, msg);
	/* who has answered a challenge there is no stranger there */
	address_prove(ls->ag->addresses, &from, ADDRESS_ANSWERED_S,
		      tmr_jiffies());
	l->secure = !pl_strcasecmp(&msg->uri.scheme, "sips");
	str_ncpy(l->aor, what->id->aor, sizeof(l->aor));
	err = read_dialog(l, msg);
	if (!err) {
		leg_insert(l);
		ladder_note_request(l, msg);
		uas_set_cancel(u, caller_cancelled, l);
		uas_reply(u, 100, NULL, NULL);
		err = invite_ask(l, what);
	}
	if (err) {
		uas_set_cancel(u, NULL, NULL);
		uas_fail(u, err);
		leg_forget(l);
	}
	mem_deref(l);
}

/* Whose place the phone takes (RFC 3891 section 3); without: nobody's */
static int read_replaces(struct replaces *in, const struct sip_msg *msg)
{
	const unsigned n = hdr_count(msg, HDR_REPLACES);

	if (n > 1)
		return EBADMSG;

	return n ? replaces_read(in, hdr_get(msg, HDR_REPLACES)) : 0;
}

/* RFC 3323 section 4.2; "none" and "session" hide nobody */
static bool wants_privacy(const struct sip_msg *msg)
{
	for (struct le *le = list_head(&msg->hdrl); le; le = le->next) {
		const struct sip_hdr *hdr = le->data;

		if (!pl_strcasecmp(&hdr->name, "Privacy") &&
		    (!re_regex(hdr->val.p, hdr->val.l, "id", NULL) ||
		     !re_regex(hdr->val.p, hdr->val.l, "user", NULL)))
			return true;
	}

	return false;
}

static void on_authentic(struct uas *u, const struct auth_id *id)
{
	const struct sip_msg *msg = uas_msg(u);
	char to[AOR_BUF] = "";
	struct invite_what what = {
		.id = id,
		.to = to,
		.hops = read_hops(msg),
		.ring_s = read_expires(msg),
	};
	struct body body;
	int err;

	if (read_replaces(&what.in, msg)) {
		uas_refuse(u, 400);
		return;
	}
	if (!what.in.call_id.l &&
	    settings_to_aor(uas_agent(u)->set, to, &msg->ruri)) {
		uas_refuse(u, 404);
		return;
	}
	if (!pl_isset(&msg->from.tag)) { /* as of RFC 2543 */
		uas_reply(u, 400, "Missing From Tag", NULL);
		return;
	}
	if (hdr_count(msg, HDR_CONTACT) != 1) {
		uas_reply(u, 400, "Needs One SIP Contact", NULL);
		return;
	}
	if (wants_privacy(msg)) { /* all see who calls (RFC 5079) */
		uas_reply(u, 433, "Anonymity Disallowed", NULL);
		return;
	}
	if (what.hops < 0) {
		uas_refuse(u, 483);
		return;
	}
	if (session_refuses(u))
		return;
	err = body_open_sdp(&body, msg, LEG_SDP_MAX);
	what.sdp = body.data;
	if (err && err != ENODATA)
		body_refuse(u, err);
	else
		call(u, &what);
	body_close(&body);
}

/**
 * Serve an INVITE that is not within a dialog
 *
 * @param msg A request that dispatch has let through
 */
void invite_handle(struct agent *ag, const struct sip_msg *msg)
{
	if (pl_isset(&msg->to.tag)) { /* a dialog that we do not know */
		uas_reply_stateless(ag, msg, 481, NULL, NULL);
		return;
	}

	auth_request(ag, msg, on_authentic);
}
