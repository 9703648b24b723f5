/*
 * A phone that is called, from INVITE to its final answer.
 */
#include "call/callee.h"

#include <errno.h>

#include "agent.h"
#include "call/callee_encode.h"
#include "call/divert.h"
#include "call/session/border.h"
#include "call/session/early.h"
#include "call/session/session.h"
#include "call/tell/told.h"
#include "common/log.h"
#include "common/pgres.h"
#include "pg/pgval.h"

enum {
	RING_MORE_S = 32, /* than the caller's leg: it is who ends it */
	PROGRESSES_MAX = 10,
	PROGRESS_MS = 1000,
};

/** It has ended: the database is told, and it is forgotten */
void callee_ended(struct leg *l, int code, const char *reason,
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

static void unoffered(struct leg *l, int err)
{
	l->uac = mem_deref(l->uac);
	callee_ended(l, 488, bridge_why(err), NULL);
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

	err = border_open(&l->session.border, l, l->legs->ag->ng, l->account,
			  !bridge_is_web(&offer), l->d.local_tag);

	return err ? err
		   : border_say(l->session.border, BRIDGE_OFFER, false, &offer,
				on_offer, NULL);
}

/* A phone that refuses WebRTC most often does so because that is what it is;
   what else it refuses is its own affair */
static void untranslated(struct leg *l, int code, const char *reason, bool web,
			 int err)
{
	if (web)
		log_warn_often(1, "relay_is_needed", LOG_INT("leg", l->id),
			       LOG_STR("why", bridge_why(err)));
	callee_ended(l, code, web ? bridge_why(err) : reason, NULL);
}

/* It refuses what it was offered: once more, in the other kind */
static bool try_other(struct leg *l, int code, const char *reason)
{
	const struct pl offer = {l->session.offer.p, l->session.offer.len};
	int err;

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
	err = offer_translated(l);
	if (err)
		untranslated(l, code, reason, bridge_is_web(&offer), err);
	else
		l->uac = mem_deref(l->uac);

	return true;
}

static void on_end(int code, const char *reason, const struct sip_msg *msg,
		   void *arg)
{
	struct leg *l = mem_ref(arg);

	if (code >= 200 && code < 300 && msg)
		callee_answered(l, msg);
	else if (!try_other(l, code, reason) &&
		 (code != 422 || !msg || !invite_again(l, msg)))
		callee_ended(l, code, reason, msg);
	mem_deref(l);
}

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
		callee_ended(l, 0, "", NULL);
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
		callee_ended(l, 0, "", NULL);
	}
	mem_deref(l);
}

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
		callee_ended(l, 487, NULL, NULL);
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
