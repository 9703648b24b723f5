/*
 * From INVITE to the ACK. A 200 is asked about first: of the phones that
 * answer, the database knows the first.
 */
#include "call/callee.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "call/bye.h"
#include "call/callee_encode.h"
#include "call/confirm.h"
#include "call/divert.h"
#include "call/info.h"
#include "call/session/border.h"
#include "call/session/early.h"
#include "call/session/session.h"
#include "call/tell/answered.h"
#include "call/tell/told.h"
#include "common/log.h"
#include "common/pgres.h"
#include "parse/hdr.h"
#include "parse/uri.h"
#include "pg/pgval.h"
#include "transaction/ack.h"
#include "transaction/body.h"
#include "transaction/dialog.h"
#include "transaction/local_target.h"
#include "transaction/uas.h"

enum {
	FORKS_MAX = 8,
	TELLS_ALL = 1,
	TELLS_WEB = 2,
	TELLS_PLAIN = 3,  /* app.leg_relay_number */
	RING_MORE_S = 32, /* than the caller's leg: it is who ends it */
	PROGRESSES_MAX = 10,
	PROGRESS_MS = 1000,
	LATE_CSEQ = 1000,    /* further on than what may have been used */
	HELD_MS = 20 * 1000, /* a page has 15 s, by the database's clock */
};

/* --- how it ends ------------------------------------------------------------
 */

static void ended(struct leg *l, int code, const char *reason,
		  const struct sip_msg *msg)
{
	char to[DIVERT_SIZE];
	const struct told_end end = {
		.code = code ? code : 480,
		.reason = reason,
		.to = msg && divert_read(to, l->legs->ag, msg) ? to : NULL,
	};

	told_end(l->legs->told, l, &end, NULL);
	leg_forget(l);
}

static void say_answer(struct leg *l, const struct pl *sdp)
{
	session_said(l, sdp->p, sdp->l);
	if (l->session.border)
		told_moved(l->legs->told, l);
	if (sa_isset(&l->to.sa, SA_ALL)) {
		(void)confirm_send(l, l->invite_cseq, sdp);
	} else if (!l->sdp.len) { /* resumed: its next 200 says where it goes */
		buf_add(&l->sdp, sdp->p, sdp->l);
	}
}

static void on_answer(struct leg *l, int err, const struct pl *sdp, void *arg)
{
	(void)arg;
	if (l->state != LEG_UP || l->ack)
		return;
	if (err)
		bye_no_media(l);
	else
		say_answer(l, sdp);
}

/* The answer to its offer, as it hears it */
static void answer_offer(struct leg *l, const struct pl *sdp)
{
	if (!l->session.border)
		say_answer(l, sdp);
	else if (border_say(l->session.border, BRIDGE_ANSWER, false, sdp,
			    on_answer, NULL))
		bye_no_media(l);
}

/* No page has answered its offer: who calls takes part without media */
static void held_too_long(void *arg)
{
	struct leg *l = arg;
	const struct pl sdp = {l->sdp.p, l->sdp.len};

	answer_offer(l, &sdp);
}

/**
 * It has answered, and was the first
 *
 * @param sdp It has offered, and a page is to answer: what we say if it does
 *            not; NULL: otherwise
 */
void callee_won(struct leg *l, const char *sdp)
{
	if (l->state != LEG_ANSWERED)
		return;
	l->state = LEG_UP;
	session_begin(l);
	border_watch(l->session.border, bye_no_media);
	if (!l->offerless)
		(void)confirm_send(l, l->invite_cseq, NULL);
	if (l->offerless && sdp) {
		buf_str(&l->sdp, sdp);
		tmr_start(&l->tmr, HELD_MS, held_too_long, l);
	}
	if (l->bye_after_ack)
		bye_send(l, NULL);
}

/** A page has answered what it has offered */
void callee_accept(struct leg *l, const char *sdp)
{
	struct pl pl;

	if (l->state != LEG_UP || l->in || !l->offerless || l->ack || !sdp ||
	    border_asks(l->session.border))
		return;
	tmr_cancel(&l->tmr);
	pl_set_str(&pl, sdp);
	answer_offer(l, &pl);
}

/** It has answered, and was not; reason: of a Reason header, NULL: none */
void callee_lost(struct leg *l, const char *reason)
{
	if (l->state != LEG_ANSWERED)
		return;
	(void)confirm_send(l, l->invite_cseq, NULL);
	l->state = LEG_UP;
	bye_send(l, reason);
}

static void on_unknown(struct leg *l, bool committed)
{
	(void)committed;
	callee_lost(l, NULL);
}

/* --- what it says -----------------------------------------------------------
 */

static void on_progress(const struct sip_msg *msg, void *arg)
{
	char reason[UAC_REASON_SIZE];
	struct leg *l = arg;
	const uint64_t now = tmr_jiffies();
	struct told_word word = {.mb = NULL};

	early_heard(l, msg);
	if (msg->scode == 100 || l->state > LEG_RINGING ||
	    msg->scode == l->progress || l->progresses >= PROGRESSES_MAX ||
	    (l->progresses && now < l->told_ms + PROGRESS_MS))
		return;
	l->state = LEG_RINGING;
	l->progress = msg->scode;
	l->progresses++;
	l->told_ms = now;
	uac_reason(reason, &msg->reason);
	if (l->progresses == 1 && uac_sent_to(l->uac)->tp == SIP_TRANSP_UDP)
		(void)uac_cancel_encode(l->uac, &word.mb);
	word.to = uac_sent_to(l->uac)->sa;
	told_rings(l->legs->told, l, msg->scode, reason, &word);
	mem_deref(word.mb);
}

static int take_answer(struct leg *l, const struct sip_msg *msg,
		       const struct address *to)
{
	struct dialog d;
	char *route;
	int err;

	err = dialog_of_answer(&d, msg);
	if (err)
		return err;
	/* libre has looked at its branch alone */
	if (pl_strcmp(&d.call_id, l->d.call_id) ||
	    pl_strcmp(&d.local_tag, l->d.local_tag) ||
	    d.local_cseq != l->invite_cseq)
		return EBADMSG;
	l->to = *to;
	l->peer_addr = msg->src;
	err = dialog_route(&route, msg);
	if (err)
		return err;
	if (route)
		pl_set_str(&d.route, route);
	/* ours are known */
	d.call_id = d.local_tag = d.local_uri = d.remote_uri = pl_null;
	d.local_cseq = DIALOG_NO_CSEQ;
	err = leg_take_dialog(l, &d);
	mem_deref(route);
	mem_deref(l->d.local_target);
	l->d.local_target = NULL;
	if (!err)
		err = local_target_to(&l->d.local_target, l->legs->ag,
				      &l->to.sa, l->to.tp);

	return err;
}

/* It has answered, and nobody can say to its call what */
static void unsaid(struct leg *l, int err)
{
	const struct told_end end = {.code = 488, .reason = bridge_why(err)};

	told_end(l->legs->told, l, &end, NULL);
	callee_lost(l, NULL);
}

/* What it has answered, as its call is told */
static void on_translated(struct leg *l, int err, const struct pl *sdp,
			  void *arg)
{
	(void)arg;
	if (l->state != LEG_ANSWERED)
		return;
	if (err)
		unsaid(l, err);
	else if (answered_ask(l, sdp, on_unknown))
		callee_lost(l, NULL);
}

/* It offers by itself, and who is to hear it speaks the other kind */
static bool offers_other(const struct leg *l, const struct pl *sdp)
{
	return l->offerless &&
	       ((l->session.tells == TELLS_WEB && bridge_is_plain(sdp)) ||
		(l->session.tells == TELLS_PLAIN && bridge_is_web(sdp)));
}

static void ask_who_won(struct leg *l, const struct pl *sdp)
{
	struct leg_session *ss = &l->session;
	int err = 0;

	if (!ss->border && offers_other(l, sdp))
		err = border_open(&ss->border, l, l->legs->ag->ng,
				  bridge_is_web(sdp), l->d.local_tag);
	if (!ss->border && !err) {
		if (answered_ask(l, sdp, on_unknown))
			callee_lost(l, NULL);
		return;
	}
	if (!err)
		err = border_say(ss->border,
				 l->offerless ? BRIDGE_OFFER : BRIDGE_ANSWER,
				 true, sdp, on_translated, NULL);
	if (err)
		unsaid(l, err);
}

static void answered(struct leg *l, const struct sip_msg *msg)
{
	struct body body;
	struct pl sdp;
	int err;

	err = take_answer(l, msg, uac_sent_to(l->uac));
	if (err) { /* there is nobody to send an ACK to */
		log_debug("answer_refused", LOG_INT("leg", l->id),
			  LOG_INT("errno", err));
		ended(l, 500, "Bad answer", NULL);
		return;
	}
	if (l->state == LEG_ENDING) { /* it was quicker than our CANCEL */
		l->state = LEG_ANSWERED;
		callee_lost(l, l->why);
		return;
	}
	l->state = LEG_ANSWERED;
	l->takes_info = info_allowed(msg);
	(void)session_of_answer(l, msg);
	err = body_open_sdp(&body, msg, LEG_SDP_MAX);
	sdp = body.data;
	if (early_sdp(&sdp, l, msg)) /* what its 2xx says beside that is not */
		err = 0;
	if (!err)
		session_heard(l, sdp.p, sdp.l);
	buf_free(&l->session.offer);
	if (err)
		callee_lost(l, NULL);
	else
		ask_who_won(l, &sdp);
	body_close(&body);
	early_over(l);
}

static void on_end(int code, const char *reason, const struct sip_msg *msg,
		   void *arg);

static int start(struct leg *l)
{
	int err;

	early_over(l);
	l->uac = mem_deref(l->uac);
	err = uac_alloc(&l->uac, l->legs->ag, &l->req.out, on_end, l);
	if (err)
		return err;
	uac_set_progress(l->uac, on_progress);
	uac_start(l->uac);

	return 0;
}

static bool rings(const struct leg *l)
{
	return l->state == LEG_CALLING || l->state == LEG_RINGING;
}

/* Its phone wants a session to be good for longer (RFC 4028 section 7.3) */
static bool invite_again(struct leg *l, const struct sip_msg *msg)
{
	return rings(l) && session_raise(l, msg) && !callee_encode_again(l) &&
	       !start(l);
}

/* --- in the other kind of media ---------------------------------------------
 */

static void unoffered(struct leg *l, int err)
{
	l->uac = mem_deref(l->uac);
	ended(l, 488, bridge_why(err), NULL);
}

static void on_offer(struct leg *l, int err, const struct pl *sdp, void *arg)
{
	(void)arg;
	if (!rings(l))
		return;
	if (!err)
		err = callee_encode_body(l, sdp);
	if (!err)
		err = start(l);
	if (err)
		unoffered(l, err);
}

/* Its phone is to hear what its call offers in the other kind: first the relay
   is asked */
static int offer_translated(struct leg *l)
{
	const struct pl offer = {l->session.offer.p, l->session.offer.len};
	int err;

	err = border_open(&l->session.border, l, l->legs->ag->ng,
			  !bridge_is_web(&offer), l->d.local_tag);

	return err ? err
		   : border_say(l->session.border, BRIDGE_OFFER, false, &offer,
				on_offer, NULL);
}

/* It refuses what it was offered: once more, in the other kind */
static bool try_other(struct leg *l, int code)
{
	const struct pl offer = {l->session.offer.p, l->session.offer.len};

	if ((code != 488 && code != 415 && code != 606) || !rings(l) ||
	    l->session.tried || !offer.l ||
	    (!bridge_is_web(&offer) && !bridge_is_plain(&offer)))
		return false;
	l->session.tried = true;
	if (callee_encode_again(l))
		return false;
	early_over(l);
	if (l->session.border) {
		border_close(&l->session.border);
		return !callee_encode_body(l, &offer) && !start(l);
	}
	if (offer_translated(l))
		return false;
	l->uac = mem_deref(l->uac);

	return true;
}

static void on_end(int code, const char *reason, const struct sip_msg *msg,
		   void *arg)
{
	struct leg *l = mem_ref(arg);

	if (code >= 200 && code < 300 && msg)
		answered(l, msg);
	else if (!try_other(l, code) &&
		 (code != 422 || !msg || !invite_again(l, msg)))
		ended(l, code, reason, msg);
	mem_deref(l);
}

/* --- the INVITE -------------------------------------------------------------
 */

/* The order to cancel it was lost */
static void rings_too_long(void *arg)
{
	callee_cancel(arg, NULL);
}

/* The order has come twice, or behind that to cancel it */
static bool was_called(const struct legs *ls, const struct pg_answer *ans,
		       int row)
{
	const char *call_id = pgres_text(ans->res, row, "sip_call_id");
	const char *local_tag = pgres_text(ans->res, row, "local_tag");

	return call_id && local_tag &&
	       lately_was(&ls->lately, call_id, local_tag);
}

/**
 * Call a phone
 *
 * @param row Of app.leg_work, of the kind invite
 */
void callee_call(struct legs *ls, const struct pg_answer *ans, int row)
{
	const int64_t id = pgres_int(ans->res, row, "leg");
	struct leg *l;
	int err;

	if (leg_find(ls, id) || was_called(ls, ans, row))
		return;
	err = leg_alloc(&l, ls, false);
	if (err) {
		log_error_often(1, "leg_refused", LOG_INT("errno", err));
		return;
	}
	l->state = LEG_CALLING;
	leg_set_id(l, id);
	err = ls->draining	     ? ECANCELED
	      : ls->count < LEGS_MAX ? callee_encode(l, ans, row)
				     : ENOSPC;
	l->req.out.sort_key = (uint64_t)id;
	if (err) {
		ended(l, 0, "", NULL);
		mem_deref(l);
		return;
	}
	leg_insert(l);
	tmr_start(&l->tmr,
		  1000 * (RING_MORE_S +
			  (uint64_t)pgres_int(ans->res, row, "ring_s")),
		  rings_too_long, l);
	l->session.tells = pgres_int(ans->res, row, "number");
	if (l->session.tells == TELLS_ALL) {
		err = offer_translated(l);
		if (err)
			unoffered(l, err);
	} else if (start(l)) {
		ended(l, 0, "", NULL);
	}
	mem_deref(l);
}

/* --- from elsewhere ---------------------------------------------------------
 */

/**
 * Another has answered, or the caller is there no more
 *
 * @param reason Of a Reason header; NULL: none
 */
void callee_cancel(struct leg *l, const char *reason)
{
	if (l->state != LEG_CALLING && l->state != LEG_RINGING)
		return; /* it has answered: the database says lost */
	l->state = LEG_ENDING;
	tmr_cancel(&l->tmr);
	if (reason)
		(void)str_dup(&l->why, reason);
	if (l->uac)
		uac_cancel(l->uac, reason);
	else /* its relay has not answered yet, and the phone heard nothing */
		ended(l, 487, NULL, NULL);
}

/** We end while it rings: who calls may be at another agent */
void callee_drain(struct leg *l)
{
	const struct told_end end = {.code = 503, .cause = "agent-lost"};

	if (l->state != LEG_CALLING && l->state != LEG_RINGING)
		return;
	told_end(l->legs->told, l, &end, NULL);
	callee_cancel(l, "SIP;cause=503");
}

/* A dialog that is over at once */
static void end_dialog(struct leg *fork, const struct sip_msg *msg,
		       const struct address *to)
{
	if (take_answer(fork, msg, to))
		return;
	leg_insert(fork);
	fork->state = LEG_ANSWERED;
	callee_lost(fork, NULL);
}

/* One of the phones behind the contact that have lost without our knowing */
static void end_fork(struct leg *l, const struct sip_msg *msg)
{
	struct leg *fork;
	struct dialog d;

	if (l->forks >= FORKS_MAX || l->legs->count >= LEGS_MAX ||
	    leg_alloc(&fork, l->legs, false))
		return;
	l->forks++;
	leg_view(&d, l);
	d.remote_tag = d.remote_target = d.route = pl_null;
	fork->invite_cseq = msg->cseq.num; /* a PRACK may have had the next */
	if (l->flow)
		(void)str_dup(&fork->flow, l->flow);
	fork->account = l->account;
	fork->unloaded = true; /* the dialog that has its tag goes on */
	if (!leg_take_dialog(fork, &d))
		end_dialog(fork, msg, &l->to);
	mem_deref(fork);
}

/**
 * A phone has answered a call that has ended meanwhile, with the process that
 * made it or before
 *
 * @param ans Its row, of api.leg_load
 * @param msg The 2xx
 */
void callee_answered_late(struct legs *ls, const struct pg_answer *ans,
			  const struct sip_msg *msg)
{
	const struct address to = {.sa = msg->src, .tp = msg->tp};
	const char *flow = pgres_text(ans->res, 0, "flow");
	struct leg *l;
	struct dialog d;

	if (ls->count >= LEGS_MAX || leg_alloc(&l, ls, false))
		return;
	dialog_of_row(&d, ans, 0);
	d.remote_tag = d.remote_target = d.route = pl_null;
	l->invite_cseq = msg->cseq.num;
	d.local_cseq = l->invite_cseq + LATE_CSEQ;
	if (flow && !strncmp(flow, "udp:", 4))
		(void)str_dup(&l->flow, flow);
	if (!leg_take_dialog(l, &d))
		end_dialog(l, msg, &to);
	mem_deref(l);
}

/**
 * A 2xx that libre has no transaction for any more: the same once more, or of
 * another phone behind the contact (section 13.2.2.4)
 */
void callee_answered_again(struct leg *l, const struct sip_msg *msg)
{
	const bool is_same = l->d.remote_tag &&
			     !pl_strcmp(&msg->to.tag, l->d.remote_tag);
	const struct pl sdp = {l->sdp.p, l->sdp.len};

	if (is_same && l->resumed && !l->ack) {
		/* the ACK of the process before has not come there */
		l->to = (struct address){.sa = msg->src, .tp = msg->tp};
		if (l->sdp.len || !l->offerless)
			(void)confirm_send(l, msg->cseq.num,
					   l->sdp.len ? &sdp : NULL);
	} else if (is_same) {
		if (l->ack && l->ack_cseq == (int64_t)msg->cseq.num &&
		    tmr_jiffies() < l->ack_until_ms)
			(void)ack_send(l->legs->ag, &l->to, l->ack);
	} else if (!l->in) {
		end_fork(l, msg);
	}
}
