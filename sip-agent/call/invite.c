/*
 * An INVITE that makes a dialog: authenticated, written to the database as a
 * call with its legs, and answered by what becomes of those.
 */
#include "call/invite.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "auth/auth.h"
#include "call/caller.h"
#include "call/info.h"
#include "call/orders.h"
#include "call/tell/told.h"
#include "common/json_write.h"
#include "parse/hdr.h"
#include "pg/pgloop.h"
#include "settings.h"
#include "transaction/answer.h"
#include "transaction/body.h"
#include "transaction/dialog.h"
#include "transaction/flow.h"
#include "transaction/local_target.h"
#include "transaction/uas.h"

enum {
	JSON_MAX = 16 * 1024,
	HOPS = 70,
};

static const struct pg_stmt stmt_invite = {
	.name = "sip_invite",
	.sql = "select * from "
	       "api.sip_invite($1, $2, $3, $4, $5, $6, $7, $8, $9)",
	.nparams = 9,
	.write = true,
};

/* --- the answer of the database ----------------------------------------------
 */

static void on_invited(const struct pg_answer *ans, void *arg)
{
	const struct told_end cancelled = {.code = 487, .cause = "cancelled"};
	const struct told_end unseen = {
		.code = 503, .cause = "agent-lost", .unseen = true};
	struct leg *l = arg;

	if (ans->end != PG_OK) {
		if (ans->end == PG_AWAY)
			told_end(l->legs->told, l, &unseen, NULL);
		/* whoever has cancelled has had his answer */
		uas_set_cancel(l->u, NULL, NULL);
		uas_set_tag(l->u, l->d.local_tag);
		auth_db_failed(l->u, l->aor, ans);
		leg_forget(l);
		mem_deref(l);
		return;
	}
	leg_set_id(l, pgres_int(ans->res, 0, "leg"));
	l->call = pgres_int(ans->res, 0, "call");
	l->account = pgres_int(ans->res, 0, "account");
	if (l->cancelled) {
		l->state = LEG_ENDING;
		told_end(l->legs->told, l, &cancelled, NULL);
		leg_forget(l);
	} else {
		caller_made(l,
			    1000 * (uint64_t)pgres_int(ans->res, 0, "ring_s"));
	}
	orders_do(l->legs, ans);
	mem_deref(l);
}

/* --- the request
 * -------------------------------------------------------------- */

/* How long the caller would have it ring; the database knows how long it may */
static struct pg_val read_expires(const struct sip_msg *msg)
{
	const struct pl *val = hdr_get(msg, HDR_EXPIRES);
	uint64_t n;

	if (!val || hdr_number(&n, val, UINT32_MAX) || !n)
		return pg_null();

	return pg_int(n < INT32_MAX ? (int64_t)n : INT32_MAX);
}

static int64_t read_hops(const struct sip_msg *msg)
{
	const struct pl *val = hdr_get(msg, HDR_MAX_FORWARDS);
	uint64_t n;

	if (!val || hdr_number(&n, val, 255))
		return HOPS;

	return (int64_t)n - 1;
}

/* What the caller hears where we are no more; over a connection its end says
   so. With what a 200 of our successor has to say, too (caller_resume) */
static void write_word(struct buf *b, const struct leg *l)
{
	const struct answer gone = {.scode = 503, .dialog = true};
	const struct sip_msg *msg = uas_msg(l->u);
	struct told_word word = {.mb = NULL};

	if (msg->tp != SIP_TRANSP_UDP)
		return;
	if (!answer_encode(&word.mb, &word.to, msg, &gone))
		told_word(b, &word);
	mem_deref(word.mb);
}

static int write_leg(struct buf *b, const struct leg *l, int64_t hops)
{
	struct dialog d;
	char ip[64];

	leg_view(&d, l);
	(void)re_snprintf(ip, sizeof(ip), "%j", &l->peer_addr);
	buf_char(b, '{');
	dialog_json(b, &d);
	if (l->flow)
		json_member(b, "flow", l->flow);
	json_member(b, "peer", ip);
	if (l->takes_info)
		json_member(b, "takes_info", l->takes_info);
	json_member_int(b, "hops", hops);
	write_word(b, l);
	buf_char(b, '}');

	return b->failed ? ENOMEM : 0;
}

static int ask(struct leg *l, const struct auth_id *id, const char *to,
	       const struct pl *sdp)
{
	const struct sip_msg *msg = uas_msg(l->u);
	const struct agent *ag = l->legs->ag;
	struct buf b;
	int err;

	buf_init(&b, JSON_MAX);
	err = write_leg(&b, l, read_hops(msg));
	if (!err) {
		const struct pl json = {b.p, b.len};
		const struct pg_val valv[] = {
			pg_int(pgloop_agent(ag->pl)),
			pg_int(id->credential),
			pg_text(id->ha1),
			pg_text(to),
			pg_pl(&json),
			sdp->l ? pg_pl(sdp) : pg_null(),
			pg_null(),
			read_expires(msg),
			pg_bool(l->secure),
		};

		err = pgloop_query_alone(ag->pl, id->aor, &stmt_invite, valv,
					 on_invited, mem_ref(l));
		if (err)
			mem_deref(l);
	}
	buf_free(&b);

	return err;
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

static void call(struct uas *u, const struct auth_id *id, const char *to,
		 const struct pl *sdp)
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
	l->offerless = !sdp->l;
	l->invite_cseq = msg->cseq.num;
	l->peer_addr = msg->src;
	l->takes_info = info_allowed(msg);
	/* who has answered a challenge there is no stranger there */
	address_prove(ls->ag->addresses, &from, ADDRESS_ANSWERED_S,
		      tmr_jiffies());
	l->secure = !pl_strcasecmp(&msg->uri.scheme, "sips");
	str_ncpy(l->aor, id->aor, sizeof(l->aor));
	err = read_dialog(l, msg);
	if (!err) {
		leg_insert(l);
		uas_set_cancel(u, caller_cancelled, l);
		uas_reply(u, 100, NULL, NULL);
		err = ask(l, id, to, sdp);
	}
	if (err) {
		uas_set_cancel(u, NULL, NULL);
		uas_fail(u, err);
		leg_forget(l);
	}
	mem_deref(l);
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
	struct body body;
	char to[AOR_BUF];
	int err;

	if (settings_to_aor(uas_agent(u)->set, to, &msg->ruri)) {
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
	if (read_hops(msg) < 0) {
		uas_refuse(u, 483);
		return;
	}
	err = body_open_sdp(&body, msg, LEG_SDP_MAX);
	if (err && err != ENODATA)
		body_refuse(u, err);
	else
		call(u, id, to, &body.data);
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
