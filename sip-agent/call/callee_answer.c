/*
 * What a phone that is called has answered, until the ACK. A 200 is asked about
 * first: of the phones that answer, the database knows the first.
 */
#include "call/callee.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "call/bye.h"
#include "call/confirm.h"
#include "call/info.h"
#include "call/session/border.h"
#include "call/session/early.h"
#include "call/session/session.h"
#include "call/tell/answered.h"
#include "call/tell/told.h"
#include "common/log.h"
#include "common/pgres.h"
#include "pg/pgval.h"
#include "transaction/ack.h"
#include "transaction/body.h"
#include "transaction/dialog.h"
#include "transaction/local_target.h"

enum {
	FORKS_MAX = 8,
	LATE_CSEQ = 1000,    /* further on than what may have been used */
	HELD_MS = 20 * 1000, /* a page has 15 s, by the database's clock */
};

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
		err = border_open(&ss->border, l, l->legs->ag->ng, l->account,
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

/** A 2xx has come */
void callee_answered(struct leg *l, const struct sip_msg *msg)
{
	struct body body;
	struct pl sdp;
	int err;

	err = take_answer(l, msg, uac_sent_to(l->uac));
	if (err) { /* there is nobody to send an ACK to */
		log_debug("answer_refused", LOG_INT("leg", l->id),
			  LOG_INT("errno", err));
		callee_ended(l, 500, "Bad answer", NULL);
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
