/*
 * Offers pass as they are, one at a time in a call. Who refuses one leaves both
 * sides as they were.
 */
#include "call/relay.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "call/bye.h"
#include "call/confirm.h"
#include "call/request.h"
#include "call/session/session.h"
#include "call/session/update.h"
#include "call/tell/say.h"
#include "call/tell/told.h"
#include "pg/pgloop.h"
#include "transaction/answer.h"
#include "transaction/body.h"
#include "transaction/dialog.h"
#include "transaction/uas.h"

enum {
	ANSWER_MS = 60 * 1000, /* for a phone that says 100 and no more */
};

#define SDP_TYPE "Content-Type: application/sdp\r\n"

struct relay {
	struct le le;
	struct leg *from, *to; /* referenced */
	struct uas *u;	 /* what came: UPDATE; INVITE, until the ACK; NULL: we
			    offer what its phone has said already */
	struct uac *uac; /* what goes on */
	struct leg_request req;
	struct buf offer, answer;
	struct repeat *again; /* our 200, until its ACK */
	struct tmr tmr;	      /* it takes too long */
	bool answered;
};

static const struct pg_stmt stmt_session = {
	.name = "leg_session",
	.sql = "select * from api.leg_session($1, $2, $3, $4, $5)",
	.nparams = 5,
	.write = true,
};

static const struct pg_stmt stmt_late = {
	.name = "leg_late",
	.sql = "select * from api.leg_late($1, $2, $3)",
	.nparams = 3,
	.write = true,
};

static void let_go(struct relay *r, struct leg *l)
{
	if (!l || l->relay != r)
		return;
	l->relay = NULL;
	l->goneh = NULL;
}

static void destructor(void *arg)
{
	struct relay *r = arg;

	list_unlink(&r->le);
	let_go(r, r->from);
	let_go(r, r->to);
	tmr_cancel(&r->tmr);
	mem_deref(r->again);
	mem_deref(r->uac);
	leg_request_free(&r->req);
	buf_free(&r->offer);
	buf_free(&r->answer);
	if (r->u)
		uas_set_cancel(r->u, NULL, NULL);
	mem_deref(r->u);
	mem_deref(r->from);
	mem_deref(r->to);
}

/* --- a request of ours in the dialog of the other leg -----------------------
 */

static int relay_alloc(struct relay **rp, struct leg *from, struct leg *to,
		       struct uas *u)
{
	struct relay *r = mem_zalloc(sizeof(*r), destructor);

	if (!r)
		return ENOMEM;
	r->from = mem_ref(from);
	r->to = mem_ref(to);
	r->u = mem_ref(u);
	buf_init(&r->offer, LEG_SDP_MAX + 1);
	buf_init(&r->answer, LEG_SDP_MAX + 1);
	list_append(&from->legs->relays, &r->le, r);
	*rp = r;

	return 0;
}

static int pass_on(struct relay *r, const char *method, const char *hdrs,
		   const struct pl *body, uac_end_h *h)
{
	struct leg *to = r->to;
	int err;

	err = request_write(&r->req, to, method, hdrs, body);
	if (!err)
		err = uac_alloc(&r->uac, to->legs->ag, &r->req.out, h, r);
	if (!err)
		uac_start(r->uac);

	return err;
}

/* --- re-INVITE ---------------------------------------------------------------
 */

/* Of either side, and done with. Who is still waiting for an answer gets one */
static void end(struct relay *r, uint16_t scode)
{
	if (r->u)
		confirm_asks(r->from, NULL);
	let_go(r, r->from);
	let_go(r, r->to);
	if (r->u && !r->answered)
		uas_refuse(r->u, scode);
	mem_deref(r);
}

/* A BYE was quicker (section 15.1.2) */
static void on_gone(struct leg *l)
{
	struct relay *r = l->relay;

	if (r->answered && !r->offer.len)
		(void)confirm_send(r->to, r->req.cseq, NULL);
	end(r, 487);
}

/* It runs to its end all the same */
static void on_cancel(struct uas *u, void *arg)
{
	(void)u;
	(void)arg;
}

/* What the two may send each other is unknown: the call is over */
static void fail(struct relay *r, const char *cause)
{
	const struct told_end over = {.cause = cause};
	struct leg *from = mem_ref(r->from), *to = mem_ref(r->to);

	told_end(from->legs->told, from, &over, NULL);
	end(r, 488);
	bye_hang_up(to, NULL);
	bye_hang_up(from, NULL);
	mem_deref(from);
	mem_deref(to);
}

static void unacknowledged(void *arg)
{
	fail(arg, "no-ack");
}

/* Both sides have a new session: l has offered */
static void tell_session(const struct leg *l, const struct buf *offer,
			 const struct leg *peer, const struct pl *answer)
{
	const struct pl sdp = {offer->p, offer->len};
	const struct pg_val valv[] = {
		pg_int(pgloop_agent(l->legs->ag->pl)),
		pg_int(l->id),
		pg_pl(&sdp),
		pg_int(peer->id),
		pg_pl(answer),
	};

	say_latest(l->legs, (uint64_t)l->call, &stmt_session, valv);
}

/* What each has said and heard; a phone that was not asked hears nothing */
static void keep(struct relay *r, struct leg *offers, const struct buf *offer,
		 struct leg *answers, const struct pl *answer)
{
	session_heard(offers, offer->p, offer->len);
	session_said(answers, offer->p, offer->len);
	session_heard(answers, answer->p, answer->l);
	if (r->u)
		session_said(offers, answer->p, answer->l);
	tell_session(offers, offer, answers, answer);
}

/* So they have of an offer that r->from has made */
static void agreed(struct relay *r)
{
	const struct pl answer = {r->answer.p, r->answer.len};

	keep(r, r->from, &r->offer, r->to, &answer);
	end(r, 0);
}

/* Nor can it: the two are apart for good */
static void stays_apart(struct legs *ls, int64_t leg)
{
	struct leg *l = mem_ref(leg_find(ls, leg)), *peer;
	struct told_end over = {.cause = "media"};

	if (l && l->state == LEG_UP) {
		peer = mem_ref(leg_find(ls, l->peer));
		over.peer = peer ? peer->id : 0;
		told_end(ls->told, l, &over, NULL);
		bye_send(l, NULL);
		if (peer)
			bye_hang_up(peer, NULL);
		mem_deref(peer);
	}
	mem_deref(l);
}

/* Who has offered was told so long ago that nobody takes it: who has now taken
   it is to have what it had */
static void accepted_late(struct relay *r)
{
	const struct pl told = {r->offer.p, r->offer.len};
	const struct leg *to = r->to;
	const struct pg_val valv[] = {
		pg_int(pgloop_agent(to->legs->ag->pl)),
		pg_int(to->id),
		pg_pl(&told),
	};

	say_or(to->legs, (uint64_t)to->call, &stmt_late, valv, stays_apart,
	       to->id);
	end(r, 0);
}

static void accepted(struct relay *r, const struct sip_msg *msg)
{
	struct body body;
	int err;

	request_take_target(r->to, msg);
	if (session_of_answer(r->to, msg))
		told_moved(r->to->legs->told, r->to);
	session_begin(r->to);
	r->to->to = *uac_sent_to(r->uac);
	err = body_open_sdp(&body, msg, LEG_SDP_MAX);
	if (!err && r->offer.len)
		err = confirm_send(r->to, r->req.cseq, NULL);
	if (!err)
		buf_add(&r->answer, body.data.p, body.data.l);
	body_close(&body);
	if (err) { /* the offer has no answer */
		(void)confirm_send(r->to, r->req.cseq, NULL);
		fail(r, "media");
		return;
	}
	if (r->u && uas_is_answered(r->u)) { /* an UPDATE, by too_late */
		accepted_late(r);
		return;
	}
	if (r->u)
		request_take_target(r->from, uas_msg(r->u));
	r->answered = true;
	tmr_cancel(&r->tmr);
	if (!r->u) {
		agreed(r);
	} else if (update_is(r->u)) {
		update_accept(r->from, r->u, &r->answer);
		agreed(r);
	} else if (confirm_say(&r->again, r->from, r->u, &r->answer,
			       unacknowledged, r))
		fail(r, "no-ack");
}

static void on_invited(int code, const char *reason, const struct sip_msg *msg,
		       void *arg)
{
	struct relay *r = arg;

	(void)reason;
	if (msg && code >= 200 && code < 300) {
		accepted(r, msg);
	} else if (code == 481) {
		struct leg *to = mem_ref(r->to);

		end(r, 480);
		bye_lost(to);
		mem_deref(to);
	} else {
		end(r, code == 491 ? 491 : 488);
	}
}

/* It has said that it is at it, and no more */
static void too_late(void *arg)
{
	struct relay *r = arg;

	if (r->u && update_is(r->u))
		uas_refuse(r->u, 504); /* RFC 3311 section 5.2 */
	uac_cancel(r->uac, NULL);
}

/** The connection of a leg has closed */
void relay_flow_lost(struct leg *l)
{
	if (l->relay && l->relay->to == l && !l->relay->answered)
		uac_flow_failed(l->relay->uac);
}

/* @return false where it was refused */
static bool may_be_passed_on(struct leg *l, const struct leg *peer,
			     struct uas *u)
{
	if (l->state <= LEG_ANSWERED || (l->relay && l->relay->from == l) ||
	    !leg_may_offer(l)) {
		uas_refuse_for_now(u);
		return false;
	}
	if (!peer || peer->state != LEG_UP) {
		uas_refuse(u, peer ? 491 : 488);
		return false;
	}
	if (leg_is_busy(l) || leg_is_busy(peer)) {
		uas_refuse(u, 491);
		return false;
	}

	return true;
}

static void begin(struct leg *l, struct leg *peer, struct uas *u,
		  const struct pl *sdp)
{
	struct relay *r = NULL;

	uas_reply(u, 100, NULL, NULL);
	uas_set_cancel(u, on_cancel, NULL);
	uas_set_waiting(u);
	if (relay_alloc(&r, l, peer, u)) {
		uas_refuse(u, 500);
		return;
	}

	buf_add(&r->offer, sdp->p, sdp->l);
	l->relay = peer->relay = r;
	l->goneh = peer->goneh = on_gone;
	tmr_start(&r->tmr, update_is(u) ? UPDATE_ANSWER_MS : ANSWER_MS,
		  too_late, r);
	confirm_asks(l, uas_msg(u));
	if (pass_on(r, "INVITE", sdp->l ? UAS_ALLOW SDP_TYPE : UAS_ALLOW, sdp,
		    on_invited))
		end(r, 500);
}

/**
 * An offer, or the wish for one, within the dialog of a leg
 *
 * @param l Whose phone has sent it
 * @param u Its request, answered here
 */
void relay_invite(struct leg *l, struct uas *u)
{
	struct leg *peer = leg_find(l->legs, l->peer);
	struct body body;
	int err;

	if (!may_be_passed_on(l, peer, u))
		return;
	err = body_open_sdp(&body, uas_msg(u), LEG_SDP_MAX);
	if (err && err != ENODATA)
		body_refuse(u, err);
	else
		begin(l, peer, u, &body.data);
	body_close(&body);
}

/**
 * A phone has answered our refresh with another session than it had: that is
 * offered to the other side, where that can be reached from here
 */
void relay_offer(struct leg *l, const struct pl *sdp)
{
	struct leg *peer = leg_find(l->legs, l->peer);
	struct relay *r;

	if (!peer || peer->state != LEG_UP || leg_is_busy(l) ||
	    leg_is_busy(peer) || relay_alloc(&r, l, peer, NULL))
		return;
	buf_add(&r->offer, sdp->p, sdp->l);
	l->relay = peer->relay = r;
	l->goneh = peer->goneh = on_gone;
	tmr_start(&r->tmr, ANSWER_MS, too_late, r);
	if (pass_on(r, "INVITE", UAS_ALLOW SDP_TYPE, sdp, on_invited))
		end(r, 0);
}

/**
 * An ACK of a leg's phone
 *
 * @return whether it is of a re-INVITE
 */
bool relay_ack(struct leg *l, const struct sip_msg *msg)
{
	struct relay *r = l->relay;
	struct body body;
	int err = 0;

	if (!r || r->from != l || !r->u || !r->answered ||
	    msg->cseq.num != uas_msg(r->u)->cseq.num)
		return false;
	if (!r->offer.len) { /* the answer to what the other side has offered */
		err = body_open_sdp(&body, msg, LEG_SDP_MAX);
		if (!err)
			err = confirm_send(r->to, r->req.cseq, &body.data);
		if (!err)
			keep(r, r->to, &r->answer, l, &body.data);
		body_close(&body);
	} else {
		agreed(r);
		return true;
	}
	if (err) {
		(void)confirm_send(r->to, r->req.cseq, NULL);
		fail(r, "media");
	} else {
		end(r, 0);
	}

	return true;
}
