#include "call/offer/page.h"

#include <errno.h>

#include "agent.h"
#include "call/bye.h"
#include "call/confirm.h"
#include "call/offer/offer.h"
#include "call/offer/offered.h"
#include "call/request.h"
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
	GONE_MS = 5 * 1000,   /* until the database says that none will come */
};

static const struct pg_stmt stmt_offer = {
	.name = "leg_offer",
	.sql = "select * from api.leg_offer($1, $2, $3)",
	.nparams = 3,
	.write = true,
};
static const struct pg_stmt stmt_acked = {
	.name = "leg_acked",
	.sql = "select * from api.leg_acked($1, $2, $3)",
	.nparams = 3,
	.write = true,
};

/* --- the database is asked ---------------------------------------------------
 */

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

static bool waits(const struct question *q)
{
	return offer_is_open(q->l->offer) && cseq_of(q->l->offer) == q->cseq;
}

static void not_asked(struct leg *l, const struct pg_answer *ans)
{
	if (ans->err == APP_OUTCOME_UNKNOWN) /* it may be done */
		offer_tell(l, 488, NULL, NULL);
	page_refuse(l, 500);
}

/* The first row is of the offer, the others are not */
static void on_asked(const struct pg_answer *ans, void *arg)
{
	struct question *q = arg;
	struct told *told = q->l->legs->told;

	if (waits(q)) {
		if (ans->end != PG_OK)
			not_asked(q->l, ans);
		told_heard(told, q->l, ans, 0, pg_rows(ans));
	} else {
		if (pg_rows(ans) &&
		    !str_cmp(pgres_text(ans->res, 0, "kind"), "wait"))
			offer_tell(q->l, 488, NULL,
				   NULL); /* nobody waits for it */
		told_heard(told, q->l, ans, 1, pg_rows(ans) - 1);
	}
	if (q->l->later && !q->l->session.refresh)
		offered_go_on(q->l);
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
	else
		told_question(l);

	return err;
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
		offer_no_media(l);
	else
		say_until_heard(l->legs, (uint64_t)l->account, &stmt_acked,
				valv);
}

/* The answer to what the other side has offered */
static void take_answer(struct leg *l, const struct sip_msg *msg)
{
	struct body body;

	if (body_open_sdp(&body, msg, LEG_SDP_MAX)) {
		offer_no_media(l);
	} else {
		session_heard(l, body.data.p, body.data.l);
		offer_translate(l, BRIDGE_ANSWER, true, &body.data, tell_acked);
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
		offer_end(o, (uint16_t)code);
		return;
	}
	o->gone = true;
	tmr_start(&o->tmr, GONE_MS, unanswered, o);
	offer_tell(o->l, code, NULL, NULL);
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
	if (!offer_is_open(o))
		return;
	if (err) {
		o->why = bridge_why(err);
		offer_end(o, 488);
	} else if (ask(l, sdp)) {
		offer_end(o, 500);
	}
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
		offer_translate(l, BRIDGE_OFFER, true, &body.data, on_heard);
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
	offer_translate(l, BRIDGE_OFFER, true, sdp, on_heard);
}

/** Somebody is to answer it */
void page_wait(struct leg *l, int64_t s)
{
	if (!offer_is_open(l->offer))
		return;
	l->offer->asked = false;
	tmr_start(&l->offer->tmr, limit(l->offer, 1000 * (uint64_t)s),
		  unanswered, l->offer);
}

static void keep(struct leg *l, const struct offer *o)
{
	struct body body;

	session_said(l, o->answer.p, o->answer.len);
	if (!body_open_sdp(&body, uas_msg(o->u), LEG_SDP_MAX))
		session_heard(l, body.data.p, body.data.l);
	body_close(&body);
	offer_tell_own(l);
}

/* Its phone has offered, and the other side has answered this */
static void accept_now(struct leg *l, int err, const struct pl *sdp, void *arg)
{
	struct offer *o = l->offer;

	(void)arg;
	if (!offer_is_open(o))
		return;
	if (err) { /* the other side thinks that it was taken */
		offer_no_media(l);
		return;
	}
	if (o->said) {
		session_heard(l, o->answer.p, o->answer.len);
		offer_end(o, 0);
		offer_tell_own(l);
		return;
	}
	buf_add(&o->answer, sdp->p, sdp->l);
	request_take_target(l, uas_msg(o->u));
	o->answered = true;
	tmr_cancel(&o->tmr);
	keep(l, o);
	if (update_is(o->u)) {
		update_accept(l, o->u, &o->answer);
		offer_end(o, 0);
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
		if (o->translated)
			return true;
		offer_translate(l, BRIDGE_ANSWER, false, &pl, offered_confirm);
		return true;
	}
	if (!offer_is_open(o))
		return false;
	if (o->translated) /* it is said again */
		return true;
	/* where the phone has asked for an offer this is one */
	offer_translate(l, o->wants ? BRIDGE_OFFER : BRIDGE_ANSWER, false, &pl,
			accept_now);

	return true;
}

/**
 * What its phone has offered is refused; or, without a code, what the other
 * side has offered is withdrawn
 */
void page_refuse(struct leg *l, int code)
{
	struct offer *o = l->offer;

	if (!code)
		offered_withdraw(l);
	else if (code >= 300 && offer_is_open(o))
		offer_end(o, (uint16_t)code);
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
	offer_end(o, 0);
	if (wants)
		take_answer(l, msg);

	return true;
}
