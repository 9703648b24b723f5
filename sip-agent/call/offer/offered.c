#include "call/offer/offered.h"

#include <errno.h>

#include "agent.h"
#include "call/bye.h"
#include "call/confirm.h"
#include "call/offer/offer.h"
#include "call/request.h"
#include "call/session/session.h"
#include "call/tell/told.h"
#include "transaction/body.h"
#include "transaction/uac.h"
#include "transaction/uas.h"

enum {
	PHONE_MS = 60 * 1000, /* for a phone that says 100 and no more */
	HELD_MS = 40 * 1000,  /* for an answer to what a phone has offered */
};

/* Without an answer to its offer, it does not know what it may send */
static void held_too_long(void *arg)
{
	struct offer *o = arg;

	offer_no_media(o->l);
}

/* What its phone has said to the offer, as the other side is told */
static void on_accepted(struct leg *l, int err, const struct pl *sdp, void *arg)
{
	struct offer *o = l->offer;

	(void)arg;
	if (!o || !o->uac)
		return;
	if (err) {
		offer_no_media(l);
		return;
	}
	offer_tell(l, 200, "OK", sdp);
	if (o->wants) {
		o->answered = true;
		tmr_start(&o->tmr, HELD_MS, held_too_long, o);
	} else {
		offer_end(o, 0);
		offer_tell_own(l);
	}
}

static void accepted(struct offer *o, const struct sip_msg *msg)
{
	struct leg *l = o->l;
	struct body body;
	int err;

	request_take_target(l, msg);
	if (session_of_answer(l, msg))
		told_moved(l->legs->told, l);
	session_begin(l);
	l->to = *uac_sent_to(o->uac);
	tmr_cancel(&o->tmr);
	o->acks = true;
	offer_take_border(o);
	err = body_open_sdp(&body, msg, LEG_SDP_MAX);
	if (!err)
		session_heard(l, body.data.p, body.data.l);
	if (!o->wants)
		session_said(l, o->answer.p, o->answer.len);
	if (err || !o->wants) {
		(void)confirm_send(l, o->req.cseq, NULL);
		o->acks = false;
	}
	if (err) { /* the offer has no answer */
		offer_end(o, 0);
		offer_no_media(l);
	} else {
		offer_translate(l, o->wants ? BRIDGE_OFFER : BRIDGE_ANSWER,
				true, &body.data, on_accepted);
	}
	body_close(&body);
}

static void on_invited(int code, const char *reason, const struct sip_msg *msg,
		       void *arg)
{
	struct offer *o = arg;
	struct leg *l = mem_ref(o->l);

	if (msg && code >= 200 && code < 300) {
		accepted(o, msg);
	} else {
		offer_tell(l, code ? code : 480, reason, NULL);
		offer_refused(o);
		if (code == 481) /* it knows nothing of the call */
			bye_lost(l);
	}
	mem_deref(l);
}

/* It has said that it is at it, and no more */
static void too_late(void *arg)
{
	struct offer *o = arg;

	uac_cancel(o->uac, NULL);
}

/* The phone has offered, and the database has not said yet whether it may */
static bool is_asked(const struct leg *l)
{
	return l->offer && l->offer->asked;
}

/* A refresh is under way, which nobody else knows of; or both offer at once,
   and the other side was first (section 14.2): the database is about to say so,
   and the phone takes no offer before its own has had its answer */
static bool put_off(struct leg *l, const char *sdp)
{
	struct offer *o;

	if (l->state != LEG_UP || (!l->session.refresh && !is_asked(l)))
		return false;
	o = offer_make(l);
	if (!o)
		return false;
	o->wants = !sdp;
	buf_str(&o->answer, sdp ? sdp : "");
	mem_deref(l->later);
	l->later = o;

	return true;
}

/** A refresh is over: what the other side has offered meanwhile is to follow */
void offered_go_on(struct leg *l)
{
	struct offer *o = l->later;

	l->later = NULL;
	if (o && l->state == LEG_UP)
		offered_begin(l, o->wants ? NULL : o->answer.p);
	else if (o && l->legs->ag->pl) /* this process is not at its end */
		offer_tell(l, 480, NULL, NULL);
	mem_deref(o);
}

/* What the other side offers, as its phone hears it */
static void offer_now(struct leg *l, int err, const struct pl *sdp, void *arg)
{
	struct offer *o = l->offer;

	(void)arg;
	if (!o || o->u || o->uac || o->said)
		return;
	if (err) {
		offer_tell(l, 488, bridge_why(err), NULL);
		offer_refused(o);
		return;
	}
	buf_add(&o->answer, sdp->p, sdp->l);
	err = request_write(&o->req, l, "INVITE",
			    sdp->l ? UAS_ALLOW
				    "Content-Type: application/sdp\r\n"
				   : UAS_ALLOW,
			    sdp);
	if (!err)
		err = uac_alloc(&o->uac, l->legs->ag, &o->req.out, on_invited,
				o);
	if (err) {
		offer_tell(l, 500, NULL, NULL);
		offer_refused(o);
		return;
	}
	tmr_start(&o->tmr, PHONE_MS, too_late, o);
	uac_start(o->uac);
}

/* Somebody of another kind has come to the other side, or has left it */
static int choose_border(struct offer *o, const struct pl *sdp)
{
	struct leg *l = o->l;
	struct leg_session *ss = &l->session;
	const struct pl heard = {ss->heard.p, ss->heard.len};
	const bool web = ss->border ? border_web(ss->border)
				    : bridge_is_web(&heard);
	int err;

	if (!heard.l || (!bridge_is_web(sdp) && !bridge_is_plain(sdp)))
		return 0;
	if (bridge_is_web(sdp) == web) {
		ss->bordered |= ss->border != NULL;
		o->was = ss->border;
		ss->border = NULL;
		return 0;
	}
	if (ss->border)
		return 0;
	if (!l->legs->ag->ng)
		return EHOSTUNREACH;
	err = border_open(&ss->border, l, l->legs->ag->ng, l->account, web,
			  l->d.local_tag);
	o->opens = !err;

	return err;
}

/** The other side offers the phone another session; NULL: it asks for one */
void offered_begin(struct leg *l, const char *sdp)
{
	struct offer *o;
	struct pl body;
	int err;

	if (put_off(l, sdp))
		return;

	if (l->state != LEG_UP || leg_is_busy(l) || offer_alloc(&o, l)) {
		offer_tell(l, 491, "Request Pending", NULL);
		return;
	}
	o->wants = !sdp;
	pl_set_str(&body, sdp ? sdp : "");
	err = choose_border(o, &body);
	if (err)
		offer_now(l, err, &body, NULL);
	else
		offer_translate(l, BRIDGE_OFFER, false, &body, offer_now);
}

/** The phone was asked for an offer, and this is the answer */
void offered_confirm(struct leg *l, int err, const struct pl *sdp, void *arg)
{
	struct offer *o = l->offer;

	(void)arg;
	if (!o || !o->uac || !o->answered)
		return;
	if (err) {
		offer_no_media(l);
		return;
	}
	session_said(l, sdp->p, sdp->l);
	(void)confirm_send(l, o->req.cseq, sdp);
	o->acks = false;
	offer_end(o, 0);
	offer_tell_own(l);
}

/** What the other side has offered is not to be taken any more */
void offered_withdraw(struct leg *l)
{
	if (l->later) { /* its phone has not heard of it */
		l->later = mem_deref(l->later);
		offer_tell(l, 487, NULL, NULL);
	} else if (l->offer && l->offer->uac && !l->offer->answered) {
		uac_cancel(l->offer->uac, NULL);
	} else if (l->offer && !l->offer->u && !l->offer->uac &&
		   !l->offer->said) {
		offer_refused(l->offer); /* its relay has not answered yet */
		offer_tell(l, 487, NULL, NULL);
	}
}

/** The connection of a leg has closed */
void offered_flow_lost(struct leg *l)
{
	if (l->offer && l->offer->uac && !l->offer->answered)
		uac_flow_failed(l->offer->uac);
}
