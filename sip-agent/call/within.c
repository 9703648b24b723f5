/*
 * Who knows the tags and speaks from the leg's IP address is its phone: an ACK
 * cannot be challenged (section 22.1), and many phones know no 401 to BYE. From
 * elsewhere, as after a change of networks, a digest that is right says so.
 */
#include "call/within.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "auth/auth.h"
#include "call/bye.h"
#include "call/caller.h"
#include "call/info.h"
#include "call/load.h"
#include "call/offer/page.h"
#include "call/relay.h"
#include "call/session/refresh.h"
#include "call/session/reliable.h"
#include "call/session/session.h"
#include "call/session/update.h"
#include "call/tell/ladder.h"
#include "call/tell/told.h"
#include "call/transfer/refer.h"
#include "pg/pgloop.h"
#include "transaction/dialog.h"
#include "transaction/flow.h"
#include "transaction/next_hop.h"
#include "transaction/uas.h"

static void hang_up(struct leg *l)
{
	struct leg *peer = leg_find(l->legs, l->peer);
	const struct told_end end = {.cause = "hangup",
				     .peer = peer ? peer->id : 0};
	struct legs *ls = l->legs;

	told_end(ls->told, l, &end, NULL);
	if (l->u) {
		uas_set_cancel(l->u, NULL, NULL);
		if (!uas_is_answered(l->u)) /* section 15.1.2 */
			uas_refuse(l->u, 487);
	}
	leg_forget(l);
	if (peer)
		bye_hang_up(peer, NULL);
}

static void bye(struct leg *l, struct uas *u)
{
	const bool is_ending = l->state == LEG_ENDING;

	uas_reply(u, 200, NULL, NULL);
	if (!is_ending)
		hang_up(l);
}

struct wait {
	struct uas *u;
	struct leg *l;
	char *aor; /* who has sent it, by a digest; NULL: not asked yet */
};

static void wait_destructor(void *arg)
{
	struct wait *w = arg;

	mem_deref(w->u);
	mem_deref(w->l);
	mem_deref(w->aor);
}

static void relay(struct leg *l, struct uas *u)
{
	if (!pl_strcmp(&uas_msg(u)->met, "INFO"))
		info_pass(l, u);
	else
		(l->peer && !l->apart ? relay_invite : page_invite)(l, u);
}

static void on_peer(struct leg *peer, const struct pg_answer *ans, void *arg)
{
	struct wait *w = arg;

	(void)ans;
	if (peer)
		peer->peer = w->l->id;
	else
		w->l->peer = 0; /* another agent has it */
	if (w->l->state == LEG_GONE)
		uas_refuse(w->u, 481);
	else
		relay(w->l, w->u);
}

/* What goes on to the other side, which may not be in memory */
static void pass(struct leg *l, struct uas *u)
{
	struct wait *w;
	int err;

	if (!l->peer || leg_find(l->legs, l->peer)) {
		relay(l, u);
		return;
	}
	w = mem_zalloc(sizeof(*w), wait_destructor);
	if (!w) {
		uas_refuse(u, 503);
		return;
	}
	w->u = mem_ref(u);
	w->l = mem_ref(l);
	err = load_leg(l->legs, l->peer, on_peer, w);
	if (err)
		uas_refuse(u, 503);
	mem_deref(w);
}

/** Its phone is where a message of it came from, and is reached over a flow;
    empty: at its target */
void within_move(struct leg *l, const struct sip_msg *msg, const char *flow)
{
	l->peer_addr = msg->src;
	if (!strcmp(flow, l->flow ? l->flow : "") ||
	    (next_hop_needs_tls("", l->flow) && !next_hop_needs_tls("", flow)))
		return; /* what was encrypted is not sent in clear */
	l->flow = mem_deref(l->flow);
	if (*flow)
		(void)str_dup(&l->flow, flow);
	told_moved(l->legs->told, l);
}

/* Another port behind a NAT, another connection, and with a digest another
   network */
static void follow(struct leg *l, const struct sip_msg *msg)
{
	const struct agent *ag = l->legs->ag;
	char flow[FLOW_TEXT_SIZE];

	l->d.remote_cseq = msg->cseq.num;
	if (!flow_of(flow, sizeof(flow), ag->flows, ag->sip, msg))
		within_move(l, msg, flow);
}

/* What refreshes the session concerns the other side only where it changes it
 */
static void refresh(struct leg *l, struct uas *u)
{
	if (!leg_may_refresh(l))
		uas_refuse_for_now(u);
	else if (!session_refuses(u) &&
		 !(update_is(u) ? update_serve : refresh_serve)(l, u))
		pass(l, u);
}

/* What we cannot do yet is refused, and leaves the call as it is */
static void serve(struct leg *l, struct uas *u)
{
	const struct sip_msg *msg = uas_msg(u);

	if ((int64_t)msg->cseq.num < l->d.remote_cseq) {
		uas_reply(u, 500, "CSeq Out Of Order", NULL);
		return;
	}
	if ((int64_t)msg->cseq.num == l->d.remote_cseq) {
		/* again, and its transaction went with an earlier process */
		uas_refuse_for_now(u);
		return;
	}
	follow(l, msg);
	caller_heard(l);
	if (!pl_strcmp(&msg->met, "BYE"))
		bye(l, u);
	else if (l->state == LEG_ENDING)
		uas_refuse(u, 481);
	else if (!pl_strcmp(&msg->met, "OPTIONS"))
		uas_reply(u, 200, NULL,
			  UAS_ALLOW "Accept: application/sdp\r\n");
	else if (!pl_strcmp(&msg->met, "INVITE") || update_is(u))
		refresh(l, u);
	else if (!pl_strcmp(&msg->met, "INFO"))
		pass(l, u);
	else if (!pl_strcmp(&msg->met, "PRACK"))
		reliable_prack(l, u);
	else if (!pl_strcmp(&msg->met, "REFER"))
		refer_take(l, u);
	else
		uas_reply(u, 405, NULL, UAS_ALLOW);
}

static bool is_here(const struct leg *l, const struct sip_msg *msg)
{
	return sa_cmp(&l->peer_addr, &msg->src, SA_ADDR);
}

static void on_authentic(struct uas *u, const struct auth_id *id)
{
	const struct sip_msg *msg = uas_msg(u);
	struct leg *l = leg_of_dialog(uas_agent(u)->legs, msg);

	if (l && !strcmp(l->aor, id->aor)) {
		mem_ref(l);
		serve(l, u);
		mem_deref(l);
	} else {
		uas_refuse(u, 481);
	}
}

static void check(struct leg *l, struct uas *u)
{
	if (!is_here(l, uas_msg(u))) {
		auth_identify(u, on_authentic);
		return;
	}
	uas_set_proven(u);
	mem_ref(l);
	serve(l, u);
	mem_deref(l);
}

/**
 * Serve a request of a leg's dialog
 *
 * @param msg Of any method; an ACK is not answered
 */
void within_request(struct leg *l, const struct sip_msg *msg)
{
	struct agent *ag = l->legs->ag;
	struct uas *u;

	ladder_note_request(l, msg);
	if (!pl_strcmp(&msg->met, "ACK")) {
		if (is_here(l, msg) && !relay_ack(l, msg) &&
		    !page_ack(l, msg) && !refresh_ack(l, msg))
			caller_ack(l, msg);
		return;
	}
	if (uas_alloc(&u, ag, msg)) {
		uas_busy_stateless(ag, msg);
		return;
	}
	check(l, u);
	mem_deref(u);
}

static void on_known(struct uas *u, const struct auth_id *id);

static void on_loaded(struct leg *l, const struct pg_answer *ans, void *arg)
{
	struct wait *w = arg;
	const bool is_bye = !pl_strcmp(&uas_msg(w->u)->met, "BYE");

	if (l && w->aor && !strcmp(l->aor, w->aor))
		serve(l, w->u);
	else if (l && !w->aor)
		check(l, w->u);
	else if (load_says(ans, "prove"))
		auth_identify(w->u, on_known);
	else if (!ans)
		uas_refuse(w->u, 503);
	else if (is_bye && load_says(ans, "ended") &&
		 pgres_bool(ans->res, 0, "fresh"))
		uas_reply(w->u, 200, NULL, NULL); /* both have hung up */
	else
		uas_refuse(w->u, 481);
}

static void load(struct legs *ls, struct uas *u, const char *aor)
{
	struct wait *w = mem_zalloc(sizeof(*w), wait_destructor);
	int err;

	if (!w || (aor && str_dup(&w->aor, aor))) {
		mem_deref(w);
		uas_refuse(u, 503);
		return;
	}
	w->u = mem_ref(u);
	err = load_dialog(ls, uas_msg(u), aor, on_loaded, w);
	if (err)
		uas_refuse(u, err == ENOENT ? 481 : 503);
	mem_deref(w);
}

/* Its phone, at another address and another agent than before */
static void on_known(struct uas *u, const struct auth_id *id)
{
	load(uas_agent(u)->legs, u, id->aor);
}

/**
 * Serve a request of a dialog that is not in memory: whoever makes up tags
 * costs one look into the database
 *
 * @return whether it is served
 */
bool within_unknown(struct legs *ls, const struct sip_msg *msg)
{
	struct uas *u;

	if (!pl_strcmp(&msg->met, "ACK") || !pl_isset(&msg->from.tag))
		return false;
	if (lately_was_of(&ls->lately, msg)) {
		/* both have hung up at once; the database may not know yet */
		uas_reply_stateless(ls->ag, msg,
				    pl_strcmp(&msg->met, "BYE") ? 481 : 200,
				    NULL, NULL);
		return true;
	}
	if (uas_alloc(&u, ls->ag, msg)) {
		uas_busy_stateless(ls->ag, msg);
		return true;
	}
	load(ls, u, NULL);
	mem_deref(u);

	return true;
}
