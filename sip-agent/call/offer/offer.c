#include "call/offer/offer.h"

#include <errno.h>

#include "agent.h"
#include "call/bye.h"
#include "call/confirm.h"
#include "call/repeat.h"
#include "call/tell/say.h"
#include "call/tell/told.h"
#include "pg/pgloop.h"
#include "transaction/uac.h"
#include "transaction/uas.h"

static const struct pg_stmt stmt_offered = {
	.name = "leg_offered",
	.sql = "select * from api.leg_offered($1, $2, $3, $4, $5)",
	.nparams = 5,
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
	border_close(&o->was);
	if (o->u)
		uas_set_cancel(o->u, NULL, NULL);
	mem_deref(o->u);
}

/* It was not taken: the phone goes on by the relay that it had, or by none */
static void leave_border(struct offer *o)
{
	struct leg_session *ss = &o->l->session;

	if (o->opens)
		border_close(&ss->border);
	if (o->was && o->l->state == LEG_UP) {
		ss->border = o->was;
		o->was = NULL;
	}
}

/** The phone refuses it, or does not hear of it; as a relay may have */
void offer_refused(struct offer *o)
{
	struct leg *l = o->l;

	offer_end(o, 0);
	if (l->state == LEG_UP)
		border_refused(l->session.border);
}

/** Done with; a phone that waits for an answer gets one */
void offer_end(struct offer *o, uint16_t scode)
{
	struct leg *l = o->l;

	l->offer = NULL;
	l->goneh = NULL;
	if (o->translated)
		border_forget(l->session.border);
	leave_border(o);
	if (o->u)
		confirm_asks(l, NULL);
	if (scode && l->state == LEG_UP)
		border_refused(l->session.border);
	if (o->u && !o->answered && o->why)
		uas_reply(o->u, scode, o->why, NULL);
	else if (o->u && !o->answered)
		uas_refuse(o->u, scode);
	mem_deref(o);
}

/* A BYE was quicker (section 15.1.2) */
static void on_gone(struct leg *l)
{
	if (l->offer->acks)
		(void)confirm_send(l, l->offer->req.cseq, NULL);
	offer_end(l->offer, 487);
}

/** Allocate one that is put off; NULL without memory */
struct offer *offer_make(struct leg *l)
{
	struct offer *o = mem_zalloc(sizeof(*o), destructor);

	if (!o)
		return NULL;
	o->l = l;
	buf_init(&o->answer, LEG_SDP_MAX + 1);

	return o;
}

/** Allocate that which is under way; its leg has it */
int offer_alloc(struct offer **op, struct leg *l)
{
	struct offer *o = offer_make(l);

	if (!o)
		return ENOMEM;
	l->offer = o;
	l->goneh = on_gone;
	*op = o;

	return 0;
}

/** Whether it is the phone's, and has had no answer yet */
bool offer_is_open(const struct offer *o)
{
	return o && (o->u || o->said) && !o->answered;
}

static void on_translated(struct leg *l, int err, const struct pl *sdp,
			  void *arg)
{
	border_h *h = l->offer ? l->offer->translated : NULL;

	if (!h)
		return;
	l->offer->translated = NULL;
	h(l, err, sdp, arg);
}

/** At the border of a leg that has a relay it says it in the other side's
   words, later; else it is what it is, and done at once */
void offer_translate(struct leg *l, enum bridge_what what, bool of_phone,
		     const struct pl *sdp, border_h *h)
{
	struct border *b = l->session.border;
	int err = 0;

	if (b && sdp->l)
		err = border_say(b, what, of_phone, sdp,
				 l->offer ? on_translated : h, NULL);
	if (!b || !sdp->l || err)
		h(l, err, sdp, NULL);
	else if (l->offer)
		l->offer->translated = h;
}

/** Its phone has taken it, and goes on by what relay there is now, or by none
 */
void offer_take_border(struct offer *o)
{
	struct leg *l = o->l;

	border_close(&o->was);
	if (o->opens) {
		l->apart = true;
		border_watch(l->session.border, bye_no_media);
	}
	o->opens = false;
}

/** Its phone has something else than its row says */
void offer_tell_own(struct leg *l)
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

/** What became of it; sdp: the phone's answer, NULL: it was refused */
void offer_tell(const struct leg *l, int code, const char *reason,
		const struct pl *sdp)
{
	tell_of(l->legs, l->id, l->account, code, reason, sdp);
}

/** What was to be offered to a leg is not: it is not here, or not reached */
void offer_lost(struct legs *ls, int64_t leg)
{
	tell_of(ls, leg, 0, 480, NULL, NULL);
}

/** The offer of one side has no answer that the other could hear: neither knows
   what it may send */
void offer_no_media(struct leg *l)
{
	const struct told_end over = {.cause = "media"};

	told_end(l->legs->told, l, &over, NULL);
	bye_send(l, NULL);
}
