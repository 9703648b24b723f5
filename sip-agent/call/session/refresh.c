#include "call/offer/offered.h"
#include "call/session/refresh.h"

#include <errno.h>

#include "agent.h"
#include "call/bye.h"
#include "call/confirm.h"
#include "call/request.h"
#include "call/session/session.h"
#include "call/tell/told.h"
#include "transaction/body.h"
#include "transaction/uas.h"

enum {
	PHONE_MS = 32 * 1000, /* for a phone that says 100 and no more */
};

#define SDP_TYPE "Content-Type: application/sdp\r\n"

/* Of one side, until it is done with; its leg has it */
struct refresh {
	struct leg *l;
	struct uas *u;	      /* its phone's, until the ACK; or */
	struct repeat *again; /* our 200, until then */
	struct uac *uac;      /* ours */
	struct leg_request req;
	struct tmr tmr; /* it takes too long */
	refresh_h *h;
};

static void destructor(void *arg)
{
	struct refresh *r = arg;

	tmr_cancel(&r->tmr);
	mem_deref(r->again);
	if (r->u)
		uas_set_cancel(r->u, NULL, NULL);
	mem_deref(r->u);
	mem_deref(r->uac);
	leg_request_free(&r->req);
}

static void end(struct refresh *r)
{
	r->l->session.refresh = NULL;
	r->l->goneh = NULL;
	mem_deref(r);
}

static void on_gone(struct leg *l)
{
	end(l->session.refresh);
	session_give_back(l);
	offered_go_on(l);
}

static int refresh_alloc(struct refresh **rp, struct leg *l)
{
	struct refresh *r = mem_zalloc(sizeof(*r), destructor);

	if (!r)
		return ENOMEM;
	r->l = l;
	l->session.refresh = r;
	l->goneh = on_gone;
	*rp = r;

	return 0;
}

/* --- its phone refreshes ----------------------------------------------------
 */

static void unacknowledged(void *arg)
{
	const struct refresh *r = arg;
	struct leg *l = r->l, *peer = leg_find(l->legs, l->peer);
	const struct told_end over = {.cause = "no-ack",
				      .peer = peer ? peer->id : 0};

	told_end(l->legs->told, l, &over, NULL);
	bye_send(l, NULL);
	if (peer)
		bye_hang_up(peer, NULL);
}

static int answer(struct leg *l, struct uas *u)
{
	struct refresh *r;
	int err;

	err = refresh_alloc(&r, l);
	if (err)
		return err;
	r->u = mem_ref(u);
	request_take_target(l, uas_msg(u));
	err = confirm_say(&r->again, l, u, &l->session.said, unacknowledged, r);
	if (err)
		end(r);

	return err;
}

/**
 * Answer an offer that is the same as its phone's last, and refreshes that
 *
 * @return false: it is another, or cannot be taken now
 */
bool refresh_serve(struct leg *l, struct uas *u)
{
	struct body body;
	bool is_same;

	if (l->state != LEG_UP || leg_is_busy(l))
		return false;
	is_same = !body_open_sdp(&body, uas_msg(u), LEG_SDP_MAX) &&
		  session_is_refresh(l, uas_msg(u), &body.data);
	body_close(&body);
	if (is_same && answer(l, u))
		uas_refuse(u, 500);

	return is_same;
}

/** An ACK of a leg's phone; whether it is of such a re-INVITE */
bool refresh_ack(struct leg *l, const struct sip_msg *msg)
{
	struct refresh *r = l->session.refresh;

	if (!r || !r->u || msg->cseq.num != uas_msg(r->u)->cseq.num)
		return false;
	end(r);
	offered_go_on(l);

	return true;
}

/* --- we do ------------------------------------------------------------------
 */

static void on_end(int code, const char *reason, const struct sip_msg *msg,
		   void *arg)
{
	struct refresh *r = arg;
	struct leg *l = mem_ref(r->l);
	refresh_h *h = r->h;

	(void)reason;
	if (msg && code >= 200 && code < 300) {
		l->to = *uac_sent_to(r->uac);
		(void)confirm_send(l, r->req.cseq, NULL);
	}
	end(r);
	h(l, code, msg);
	offered_go_on(l);
	mem_deref(l);
}

/* It has said that it is at it, and no more */
static void too_late(void *arg)
{
	struct refresh *r = arg;

	uac_cancel(r->uac, NULL);
}

/**
 * Offer its phone once more what it has
 *
 * @return 0, ENODATA where that is not known, or another errno
 */
int refresh_send(struct leg *l, refresh_h *h)
{
	const struct pl sdp = {l->session.said.p, l->session.said.len};
	struct refresh *r;
	int err;

	if (!sdp.l || l->session.said.failed)
		return ENODATA;
	err = refresh_alloc(&r, l);
	if (err)
		return err;
	r->h = h;
	err = request_write(&r->req, l, "INVITE", UAS_ALLOW SDP_TYPE, &sdp);
	if (!err)
		err = uac_alloc(&r->uac, l->legs->ag, &r->req.out, on_end, r);
	if (err) {
		end(r);
		return err;
	}
	tmr_start(&r->tmr, PHONE_MS, too_late, r);
	uac_start(r->uac);

	return 0;
}

/** The connection of a leg has closed */
void refresh_flow_lost(struct leg *l)
{
	if (l->session.refresh && l->session.refresh->uac)
		uac_flow_failed(l->session.refresh->uac);
}
