/*
 * Who knows the tags and speaks from the leg's IP address is its phone: an ACK
 * cannot be challenged (section 22.1), and many phones know no 401 to BYE. From
 * elsewhere, as after a change of networks, a digest that is right says so.
 */
#include "call/within.h"

#include <string.h>

#include "agent.h"
#include "auth/auth.h"
#include "call/bye.h"
#include "call/caller.h"
#include "call/relay.h"
#include "call/told.h"
#include "transaction/dialog.h"
#include "transaction/uas.h"

static void hang_up(struct leg *l)
{
	const struct told_end end = {.cause = "hangup"};
	struct leg *peer = leg_find(l->legs, l->peer);
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

/* What we cannot do yet is refused, and leaves the call as it is */
static void serve(struct leg *l, struct uas *u)
{
	const struct sip_msg *msg = uas_msg(u);

	l->peer_addr = msg->src;
	l->d.remote_cseq = msg->cseq.num;
	if (!pl_strcmp(&msg->met, "BYE"))
		bye(l, u);
	else if (l->state == LEG_ENDING)
		uas_refuse(u, 481);
	else if (!pl_strcmp(&msg->met, "OPTIONS"))
		uas_reply(u, 200, NULL,
			  UAS_ALLOW "Accept: application/sdp\r\n");
	else if (!pl_strcmp(&msg->met, "INVITE"))
		relay_invite(l, u);
	else if (!pl_strcmp(&msg->met, "INFO"))
		relay_info(l, u);
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

	if (l && !strcmp(l->aor, id->aor))
		serve(l, u);
	else
		uas_refuse(u, 481);
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
	int err;

	if (!pl_strcmp(&msg->met, "ACK")) {
		if (is_here(l, msg) && !relay_ack(l, msg))
			caller_ack(l, msg);
		return;
	}
	if (!is_here(l, msg)) {
		auth_request(ag, msg, on_authentic);
		return;
	}
	if ((int64_t)msg->cseq.num <= l->d.remote_cseq) {
		uas_reply_stateless(ag, msg, 500, "CSeq Out Of Order", NULL);
		return;
	}
	err = uas_alloc(&u, ag, msg);
	if (err) {
		uas_busy_stateless(ag, msg);
		return;
	}
	uas_set_proven(u);
	mem_ref(l);
	serve(l, u);
	mem_deref(l);
	mem_deref(u);
}
