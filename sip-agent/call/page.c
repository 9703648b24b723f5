#include "call/page.h"

#include <errno.h>

#include "agent.h"
#include "call/bye.h"
#include "call/confirm.h"
#include "call/request.h"
#include "call/session/border.h"
#include "call/session/session.h"
#include "call/session/update.h"
#include "call/tell/say.h"
#include "call/tell/told.h"
#include "pg/pgloop.h"
#include "transaction/answer.h"
#include "transaction/body.h"
#include "transaction/uac.h"
#include "transaction/uas.h"

enum {
	ASKED_MS = 40 * 1000, /* until the database says who is to answer */
	PHONE_MS = 60 * 1000, /* for a phone that says 100 and no more */
	HELD_MS = 40 * 1000,  /* for an answer to what a phone has offered */
	GONE_MS = 5 * 1000,   /* until the database says that none will come */
};

/* Of one side, until it is done with; its leg has it */
struct offer {
	struct leg *l;
	struct uas *u;	 /* the phone's UPDATE, or INVITE until its ACK; or */
	struct uac *uac; /* ours, with what the other side offers */
	struct leg_request req;
	struct buf answer;    /* of our 200; or what we, or it, has offered */
	struct repeat *again; /* our 200, until its ACK */
	struct tmr tmr;	      /* it takes too long */
	bool wants;	      /* it asks for an offer */
	bool said;	      /* the phone has, in answer to our refresh */
	bool asked;    /* the database has not said yet whether it may be */
	bool gone;     /* nobody has answered it in time */
	bool answered; /* by us, or by the phone, whose ACK waits for what it
			  is to say */
};

static const struct pg_stmt stmt_offer = {
	.name = "leg_offer",
	.sql = "select * from api.leg_offer($1, $2, $3)",
	.nparams = 3,
	.write = true,
};
static const struct pg_stmt stmt_offered = {
	.name = "leg_offered",
	.sql = "select * from api.leg_offered($1, $2, $3, $4, $5)",
	.nparams = 5,
	.write = true,
};
static const struct pg_stmt stmt_acked = {
	.name = "leg_acked",
	.sql = "select * from api.leg_acked($1, $2, $3)",
	.nparams = 3,
	.write = true,
};

static void destructor(void *arg)
{
	struct offer *o = arg;

	tmr_cancel(&o->tmr);
	mem_deref(o->again);
	mem_deref(o->uac);
	leg_request_free(&o->req);
	buf_free(&o->answer);
	if (o->u)
		uas_set_cancel(o->u, NULL, NULL);
	mem_deref(o->u);
}

/* Done with; a phone that waits for an answer gets one */
static void end(struct offer *o, uint16_t scode)
{
	struct leg *l = o->l;

	l->offer = NULL;
	l->goneh = NULL;
	border_forget(l->session.border);
	if (o->u)
		confirm_asks(l, NULL);
	if (o->u && !o->answered)
		uas_refuse(o->u, scode);
	mem_deref(o);
}

/* A BYE was quicker (section 15.1.2) */
static void on_gone(struct leg *l)
{
	if (l->offer->uac && l->offer->answered)
		(void)confirm_send(l, l->offer->req.cseq, NULL);
	end(l->offer, 487);
}

static struct offer *offer_make(struct leg *l)
{
	struct offer *o = mem_zalloc(sizeof(*o), destructor);

	if (!o)
		return NULL;
	o->l = l;
	buf_init(&o->answer, LEG_SDP_MAX + 1);

	return o;
}

static int offer_alloc(struct offer **op, struct leg *l)
{
	struct offer *o = offer_make(l);

	if (!o)
		return ENOMEM;
	l->offer = o;
	l->goneh = on_gone;
	*op = o;

	return 0;
}

/* At the border of a leg that has a relay it says it in the other side's words,
   later; else it is what it is, and done at once */
static void translate(struct leg *l, enum bridge_what what, bool of_phone,
		      const struct pl *sdp, border_h *h)
{
	struct border *b = l->session.border;
	int err = 0;

	if (b && sdp->l)
		err = border_say(b, what, of_phone, sdp, h, NULL);
	if (!b || !sdp->l || err)
		h(l, err, sdp, NULL);
}

/* Its phone has something else than its row says */
static void tell_own(struct leg *l)
{
	if (l->session.border || l->session.bordered)
		told_moved(l->legs->told, l);
	l->session.bordered = l->session.border != NULL;
}

/* --- what the database is told ----------------------------------------------
 */

static void tell_of(struct legs *ls, int64_t leg, int64_t account, int code,
		    const char *reason, const struct pl *sdp)
{
	const struct pg_val valv[] = {
		pg_int(pgloop_agent(ls->ag->pl)),
		pg_int(leg),
		pg_int(code),
		reason ? pg_text(reason) : pg_null(),
		sdp ? pg_pl(sdp) : pg_null(),
	};

	say_until_heard(ls, (uint64_t)account, &stmt_offered, valv);
}

/* What became of it; sdp: the phone's answer, NULL: it was refused */
static void tell(const struct leg *l, int code, const char *reason,
		 const struct pl *sdp)
{
	tell_of(l->legs, l->id, l->account, code, reason, sdp);
}

/** What was to be offered to a leg is not: it is not here, or not reached */
void page_lost(struct legs *ls, int64_t leg)
{
	tell_of(ls, leg, 0, 480, NULL, NULL);
}

/* Which offer of a phone's the database is asked about */
struct question {
	struct leg *l; /* referenced */
	uint32_t cseq;
};

static void question_destructor(void *arg)
{
	struct question *q = arg;

	mem_deref(q->l);
}

static uint32_t cseq_of(const struct offer *o)
{
	return o->u ? uas_msg(o->u)->cseq.num : 0;
}

static int question_alloc(struct question **qp, struct leg *l)
{
	struct question *q = mem_zalloc(sizeof(*q), question_destructor);

	if (!q)
		return ENOMEM;
	q->l = mem_ref(l);
	q->cseq = cseq_of(l->offer);
	*qp = q;

	return 0;
}

/* The phone's, which has had no answer yet */
static bool is_open(const struct offer *o)
{
	return o && (o->u || o->said) && !o->answered;
}

static bool waits(const struct question *q)
{
	return is_open(q->l->offer) && cseq_of(q->l->offer) == q->cseq;
}

static void not_asked(struct leg *l, const struct pg_answer *ans)
{
	if (ans->err == APP_OUTCOME_UNKNOWN) /* it may be done */
		tell(l, 488, NULL, NULL);
	page_refuse(l, 500);
}

/* The first row is of the offer, the others are not */
static void on_asked(const struct pg_answer *ans, void *arg)
{
	struct question *q = arg;
	struct told *told = q->l->legs->told;

	if (waits(q)) {
		told_answer(told, ans);
		if (ans->end != PG_OK)
			not_asked(q->l, ans);
	} else {
		told_rows(told, ans, 1, pg_rows(ans) - 1);
		if (pg_rows(ans) &&
		    !str_cmp(pgres_text(ans->res, 0, "kind"), "wait"))
			tell(q->l, 488, NULL, NULL); /* nobody waits for it */
	}
	if (q->l->later && !q->l->session.refresh)
		page_go_on(q->l);
	mem_deref(q);
}

static int ask(struct leg *l, const struct pl *sdp)
{
	struct question *q;
	const struct pg_val valv[] = {
		pg_int(pgloop_agent(l->legs->ag->pl)),
		pg_int(l->id),
		sdp->l ? pg_pl(sdp) : pg_null(),
	};
	int err;

	err = question_alloc(&q, l);
	if (err)
		return err;
	err = pgloop_query_in(l->legs->ag->pl, PG_ALONE, (uint64_t)l->call,
			      &stmt_offer, valv, on_asked, q);
	if (err)
		mem_deref(q);

	return err;
}

/* The offer of one side has no answer that the other could hear: neither knows
   what it may send */
static void no_media(struct leg *l)
{
	const struct told_end over = {.cause = "media"};

	told_end(l->legs->told, l, &over, NULL);
	bye_send(l, NULL);
}

static void tell_acked(struct leg *l, int err, const struct pl *sdp, void *arg)
{
	const struct pg_val valv[] = {
		pg_int(pgloop_agent(l->legs->ag->pl)),
		pg_int(l->id),
		sdp ? pg_pl(sdp) : pg_null(),
	};

	(void)arg;
	if (err)
		no_media(l);
	else
		say_until_heard(l->legs, (uint64_t)l->account, &stmt_acked,
				valv);
}

/* The answer to what the other side has offered */
static void take_answer(struct leg *l, const struct sip_msg *msg)
{
	struct body body;

	if (body_open_sdp(&body, msg, LEG_SDP_MAX)) {
		no_media(l);
	} else {
		session_heard(l, body.data.p, body.data.l);
		translate(l, BRIDGE_ANSWER, true, &body.data, tell_acked);
	}
	body_close(&body);
}

/** The ACK of the INVITE that made the dialog */
void page_first_ack(struct leg *l, const struct sip_msg *msg)
{
	if (l->offerless)
		take_answer(l, msg);
}

/* --- the phone offers -------------------------------------------------------
 */

static void unacknowledged(void *arg)
{
	const struct told_end over = {.cause = "no-ack"};
	const struct offer *o = arg;
	struct leg *l = o->l;

	told_end(l->legs->told, l, &over, NULL);
	bye_send(l, NULL);
}

static bool is_update(const struct offer *o)
{
	return o->u && update_is(o->u);
}

/* Nobody has answered it. The answer may be written by now, and is about to be
   ordered: else the database says that there is none, and has its phone refused
   once that is written */
static void unanswered(void *arg)
{
	struct offer *o = arg;
	const int code = is_update(o) ? 504 : 488; /* RFC 3311 section 5.2 */

	if (o->gone) {
		end(o, (uint16_t)code);
		return;
	}
	o->gone = true;
	tmr_start(&o->tmr, GONE_MS, unanswered, o);
	tell(o->l, code, NULL, NULL);
}

/* What its phone waits for less long */
static uint64_t limit(const struct offer *o, uint64_t ms)
{
	return is_update(o) ? MIN(ms, UPDATE_ANSWER_MS) : ms;
}

/* It runs to its end all the same */
static void on_cancel(struct uas *u, void *arg)
{
	(void)u;
	(void)arg;
}

/* What it offers, as the other side is told */
static void on_heard(struct leg *l, int err, const struct pl *sdp, void *arg)
{
	struct offer *o = l->offer;

	(void)arg;
	if (!is_open(o))
		return;
	if (err)
		end(o, 488);
	else if (ask(l, sdp))
		end(o, 500);
}

/**
 * An offer, or the wish for one, where no phone of this agent is at the other
 * end
 *
 * @param u Its request, answered here
 */
void page_invite(struct leg *l, struct uas *u)
{
	struct offer *o = NULL;
	struct body body;
	int err;

	if (l->state <= LEG_ANSWERED || (l->offer && l->offer->u) ||
	    !leg_may_offer(l)) {
		uas_refuse_for_now(u);
		return;
	}
	if (leg_is_busy(l)) {
		uas_refuse(u, 491);
		return;
	}
	err = body_open_sdp(&body, uas_msg(u), LEG_SDP_MAX);
	if (err && err != ENODATA) {
		body_refuse(u, err);
		body_close(&body);
		return;
	}

	err = offer_alloc(&o, l);
	if (err) {
		uas_refuse(u, 500);
	} else {
		o->u = mem_ref(u);
		o->wants = !body.data.l;
		o->asked = true;
		uas_reply(u, 100, NULL, NULL);
		uas_set_cancel(u, on_cancel, NULL);
		uas_set_waiting(u);
		tmr_start(&o->tmr, limit(o, ASKED_MS), unanswered, o);
		confirm_asks(l, uas_msg(u));
		translate(l, BRIDGE_OFFER, true, &body.data, on_heard);
	}
	body_close(&body);
}

/**
 * A phone has answered our refresh with another session than it had: that is
 * offered to the other side, where no phone of this agent is. What that answers
 * its phone is not told
 */
void page_said(struct leg *l, const struct pl *sdp)
{
	struct offer *o;

	if (l->state != LEG_UP || leg_is_busy(l) || offer_alloc(&o, l))
		return;
	o->said = true;
	o->asked = true;
	buf_add(&o->answer, sdp->p, sdp->l);
	tmr_start(&o->tmr, ASKED_MS, unanswered, o);
	translate(l, BRIDGE_OFFER, true, sdp, on_heard);
}

/** Somebody is to answer it */
void page_wait(struct leg *l, int64_t s)
{
	if (!is_open(l->offer))
		return;
	l->offer->asked = false;
	tmr_start(&l->offer->tmr, limit(l->offer, 1000 * (uint64_t)s),
		  unanswered, l->offer);
}

/* The phone was asked for an offer, and this is the answer */
static void confirm(struct leg *l, int err, const struct pl *sdp, void *arg)
{
	struct offer *o = l->offer;

	(void)arg;
	if (!o || !o->uac || !o->answered)
		return;
	if (err) {
		no_media(l);
		return;
	}
	session_said(l, sdp->p, sdp->l);
	(void)confirm_send(l, o->req.cseq, sdp);
	end(o, 0);
	tell_own(l);
}

static void keep(struct leg *l, const struct offer *o)
{
	struct body body;

	session_said(l, o->answer.p, o->answer.len);
	if (!body_open_sdp(&body, uas_msg(o->u), LEG_SDP_MAX))
		session_heard(l, body.data.p, body.data.l);
	body_close(&body);
	tell_own(l);
}

/* Its phone has offered, and the other side has answered this */
static void accept_now(struct leg *l, int err, const struct pl *sdp, void *arg)
{
	struct offer *o = l->offer;

	(void)arg;
	if (!is_open(o))
		return;
	if (err) { /* the other side thinks that it was taken */
		no_media(l);
		return;
	}
	if (o->said) {
		session_heard(l, o->answer.p, o->answer.len);
		end(o, 0);
		return;
	}
	buf_add(&o->answer, sdp->p, sdp->l);
	request_take_target(l, uas_msg(o->u));
	o->answered = true;
	tmr_cancel(&o->tmr);
	keep(l, o);
	if (update_is(o->u)) {
		update_accept(l, o->u, &o->answer);
		end(o, 0);
	} else if (confirm_say(&o->again, l, o->u, &o->answer, unacknowledged,
			       o))
		unacknowledged(o);
}

/** It is answered: whether there was any */
bool page_accept(struct leg *l, const char *sdp)
{
	struct offer *o = l->offer;
	struct pl pl;

	pl_set_str(&pl, sdp ? sdp : "");
	if (o && o->uac && o->answered) {
		translate(l, BRIDGE_ANSWER, false, &pl, confirm);
		return true;
	}
	if (!is_open(o))
		return false;
	/* where the phone has asked for an offer this is one */
	translate(l, o->wants ? BRIDGE_OFFER : BRIDGE_ANSWER, false, &pl,
		  accept_now);

	return true;
}

/* What the other side has offered is not to be taken any more */
static void withdraw(struct leg *l)
{
	if (l->later) { /* its phone has not heard of it */
		l->later = mem_deref(l->later);
		tell(l, 487, NULL, NULL);
	} else if (l->offer && l->offer->uac && !l->offer->answered) {
		uac_cancel(l->offer->uac, NULL);
	} else if (l->offer && !l->offer->u && !l->offer->uac &&
		   !l->offer->said) {
		end(l->offer, 0); /* its relay has not answered yet */
		tell(l, 487, NULL, NULL);
	}
}

/**
 * What its phone has offered is refused; or, without a code, what the other
 * side has offered is withdrawn
 */
void page_refuse(struct leg *l, int code)
{
	struct offer *o = l->offer;

	if (!code)
		withdraw(l);
	else if (code >= 300 && is_open(o))
		end(o, (uint16_t)code);
}

/** An ACK of a leg's phone; whether it is of a re-INVITE */
bool page_ack(struct leg *l, const struct sip_msg *msg)
{
	struct offer *o = l->offer;
	bool wants;

	if (!o || !o->u || !o->answered ||
	    msg->cseq.num != uas_msg(o->u)->cseq.num)
		return false;
	wants = o->wants;
	end(o, 0);
	if (wants)
		take_answer(l, msg);

	return true;
}

/* --- the other side offers ---------------------------------------------------
 */

/* Without an answer to its offer, it does not know what it may send */
static void held_too_long(void *arg)
{
	struct offer *o = arg;

	no_media(o->l);
}

/* What its phone has said to the offer, as the other side is told */
static void on_accepted(struct leg *l, int err, const struct pl *sdp, void *arg)
{
	struct offer *o = l->offer;

	(void)arg;
	if (!o || !o->uac)
		return;
	if (err) {
		no_media(l);
		return;
	}
	tell(l, 200, "OK", sdp);
	if (o->wants) {
		o->answered = true;
		tmr_start(&o->tmr, HELD_MS, held_too_long, o);
	} else {
		end(o, 0);
		tell_own(l);
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
	err = body_open_sdp(&body, msg, LEG_SDP_MAX);
	if (!err)
		session_heard(l, body.data.p, body.data.l);
	if (!o->wants)
		session_said(l, o->answer.p, o->answer.len);
	if (err || !o->wants)
		(void)confirm_send(l, o->req.cseq, NULL);
	if (err) { /* the offer has no answer */
		end(o, 0);
		no_media(l);
	} else {
		translate(l, o->wants ? BRIDGE_OFFER : BRIDGE_ANSWER, true,
			  &body.data, on_accepted);
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
		tell(l, code ? code : 480, reason, NULL);
		end(o, 0);
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
void page_go_on(struct leg *l)
{
	struct offer *o = l->later;

	l->later = NULL;
	if (o && l->state == LEG_UP)
		page_offer(l, o->wants ? NULL : o->answer.p);
	else if (o && l->legs->ag->pl) /* this process is not at its end */
		tell(l, 480, NULL, NULL);
	mem_deref(o);
}

/* What the other side offers, as its phone hears it */
static void offer_now(struct leg *l, int err, const struct pl *sdp, void *arg)
{
	struct offer *o = l->offer;

	(void)arg;
	if (!o || o->u || o->uac || o->said)
		return;
	buf_add(&o->answer, sdp->p, sdp->l);
	if (!err)
		err = request_write(&o->req, l, "INVITE",
				    sdp->l ? UAS_ALLOW
					    "Content-Type: application/sdp\r\n"
					   : UAS_ALLOW,
				    sdp);
	if (!err)
		err = uac_alloc(&o->uac, l->legs->ag, &o->req.out, on_invited,
				o);
	if (err) {
		tell(l, l->legs->ag->ng ? 488 : 500, NULL, NULL);
		end(o, 0);
		return;
	}
	tmr_start(&o->tmr, PHONE_MS, too_late, o);
	uac_start(o->uac);
}

/* Somebody of another kind has come to the other side, or has left it */
static int choose_border(struct leg *l, const struct pl *sdp)
{
	struct leg_session *ss = &l->session;
	const struct pl heard = {ss->heard.p, ss->heard.len};
	const bool web = ss->border ? border_web(ss->border)
				    : bridge_is_web(&heard);
	int err;

	if (!l->legs->ag->ng || !heard.l ||
	    (!bridge_is_web(sdp) && !bridge_is_plain(sdp)))
		return 0;
	if (bridge_is_web(sdp) == web) {
		ss->bordered |= ss->border != NULL;
		border_close(&ss->border);
		return 0;
	}
	if (ss->border)
		return 0;
	err = border_open(&ss->border, l, l->legs->ag->ng, web, l->d.local_tag);
	if (!err) {
		l->apart = true;
		border_watch(ss->border, bye_no_media);
	}

	return err;
}

/** The other side offers the phone another session; NULL: it asks for one */
void page_offer(struct leg *l, const char *sdp)
{
	struct offer *o;
	struct pl body;
	int err;

	if (put_off(l, sdp))
		return;

	if (l->state != LEG_UP || leg_is_busy(l) || offer_alloc(&o, l)) {
		tell(l, 491, "Request Pending", NULL);
		return;
	}
	o->wants = !sdp;
	pl_set_str(&body, sdp ? sdp : "");
	err = choose_border(l, &body);
	if (err)
		offer_now(l, err, &body, NULL);
	else
		translate(l, BRIDGE_OFFER, false, &body, offer_now);
}

/** The connection of a leg has closed */
void page_flow_lost(struct leg *l)
{
	if (l->offer && l->offer->uac && !l->offer->answered)
		uac_flow_failed(l->offer->uac);
}
