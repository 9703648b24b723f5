/*
 * What comes of a leg's turn: its refresh, its end, or a question to its phone.
 */
#include "call/offer/page.h"
#include "call/session/timer.h"

#include <errno.h>

#include "agent.h"
#include "call/alive.h"
#include "call/bye.h"
#include "call/relay.h"
#include "call/request.h"
#include "call/session/refresh.h"
#include "call/session/session.h"
#include "call/tell/told.h"
#include "common/log.h"
#include "pg/pgloop.h"
#include "transaction/body.h"
#include "transaction/uas.h"

enum {
	AGAIN_MS = 4000,
	SILENT_MAX = 2, /* times in turn */
};

static const struct pg_stmt stmt_sdps = {
	.name = "leg_sdps",
	.sql = "select * from api.leg_sdps($1, $2)",
	.nparams = 2,
};

/* Both sides hear of it (section 10) */
static void expire(struct leg *l)
{
	static const char why[] = "SIP;cause=408;text=\"Session expired\"";
	struct leg *peer = leg_find(l->legs, l->peer);
	const struct told_end end = {.cause = "expired",
				     .peer = peer ? peer->id : 0};

	log_debug("session_expired", LOG_INT("leg", l->id));
	told_end(l->legs->told, l, &end, NULL);
	bye_send(l, why);
	if (peer)
		bye_hang_up(peer, why);
}

/* Until it is given up */
static void try_in(struct leg *l, uint64_t ms)
{
	const uint64_t now = tmr_jiffies(), ends = session_ends_ms(l);

	session_wait(l, MIN(ms, ends > now ? ends - now : 0));
}

/* Both have offered at once (RFC 3261 section 14.1) */
static uint64_t glare_ms(const struct leg *l)
{
	return l->in ? rand_u32() % 2000 : 2100 + rand_u32() % 1900;
}

static void refresh(struct leg *l);

static void refused(struct leg *l, int code, const struct sip_msg *msg)
{
	if (msg && (code == 481 || code == 408)) {
		bye_lost(l);
	} else if (!msg && code != 430 && ++l->silent >= SILENT_MAX) {
		bye_lost(l);
	} else if (msg && code == 422 && session_raise(l, msg)) {
		refresh(l);
	} else if (msg && code != 491 && code != 500 && code != 503 &&
		   l->session.takes_update) { /* it may take an INVITE */
		l->session.takes_update = false;
		refresh(l);
	} else {
		try_in(l, code == 491 ? glare_ms(l) : AGAIN_MS);
	}
}

static void accepted(struct leg *l, const struct sip_msg *msg)
{
	l->silent = 0;
	request_take_target(l, msg);
	if (session_of_answer(l, msg))
		told_moved(l->legs->told, l);
	session_begin(l);
}

static void on_updated(int code, const char *reason, const struct sip_msg *msg,
		       void *arg)
{
	struct leg *l = mem_ref(arg);

	(void)reason;
	l->uac = mem_deref(l->uac);
	if (msg && code >= 200 && code < 300)
		accepted(l, msg);
	else
		refused(l, code, msg);
	mem_deref(l);
}

/* What it answers may be something else than it had: the other side hears it */
static void on_invited(struct leg *l, int code, const struct sip_msg *msg)
{
	struct body body;

	if (!msg || code < 200 || code >= 300) {
		session_give_back(l);
		refused(l, code, msg);
		return;
	}
	accepted(l, msg);
	if (!body_open_sdp(&body, msg, LEG_SDP_MAX) &&
	    !session_is_same(l, &body.data))
		(l->peer && !l->apart ? relay_offer : page_said)(l, &body.data);
	body_close(&body);
	session_give_back(l);
}

static int update(struct leg *l)
{
	static const struct pl none = PL_INIT;
	int err;

	l->uac = mem_deref(l->uac); /* a question, that tells as much */
	tmr_cancel(&l->session.tmr);
	err = request_write(&l->req, l, "UPDATE", UAS_ALLOW, &none);
	if (!err)
		err = uac_alloc(&l->uac, l->legs->ag, &l->req.out, on_updated,
				l);
	if (!err)
		uac_start(l->uac);

	return err;
}

static int refresh_borrowed(struct leg *l, const struct pg_answer *ans)
{
	int err;

	if (leg_is_busy(l) || !session_borrow(l, ans))
		return EAGAIN;
	err = refresh_send(l, on_invited);
	if (err)
		session_give_back(l);

	return err == ENODATA ? update(l)
			      : err; /* it may know that after all */
}

static void on_sdps(const struct pg_answer *ans, void *arg)
{
	struct leg *l = arg;

	if (l->state == LEG_UP && refresh_borrowed(l, ans))
		try_in(l, AGAIN_MS);
	mem_deref(l);
}

/* What its phone has is too long to be kept, and is read for that */
static int refresh_by_row(struct leg *l)
{
	const struct pg_val valv[] = {
		pg_int(pgloop_agent(l->legs->ag->pl)),
		pg_int(l->id),
	};
	int err;

	err = pgloop_query_in(l->legs->ag->pl, PG_ALONE, 0, &stmt_sdps, valv,
			      on_sdps, mem_ref(l));
	if (err)
		mem_deref(l);

	return err;
}

/* By re-INVITE only where its phone knows no UPDATE: that changes nothing, and
   needs no SDP */
static void refresh(struct leg *l)
{
	int err;

	if (leg_is_busy(l)) {
		try_in(l, AGAIN_MS);
		return;
	}
	/* where none of them is answered */
	try_in(l, UINT32_MAX);
	err = l->session.takes_update ? update(l)
	      : l->session.said.len   ? refresh_send(l, on_invited)
				      : refresh_by_row(l);
	if (err)
		try_in(l, AGAIN_MS);
}

/** Its turn has come */
void timer_due(struct leg *l)
{
	if (l->state != LEG_UP)
		return;
	if (!l->session.s)
		alive_ask(l);
	else if (tmr_jiffies() >= session_ends_ms(l))
		expire(l);
	else if (l->session.ours)
		refresh(l);
}

/** Is its phone there, of which nobody knows how long it has said nothing? What
    we are to refresh is refreshed for that */
void timer_ask(struct leg *l)
{
	if (l->state == LEG_UP && l->session.s && l->session.ours)
		refresh(l);
	else
		alive_ask(l);
}
