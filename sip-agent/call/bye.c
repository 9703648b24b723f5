/*
 * Whatever the phone says to a BYE, or does not: the leg is over then.
 */
#include "call/bye.h"

#include "agent.h"
#include "call/confirm.h"
#include "call/request.h"
#include "call/session/border.h"
#include "call/tell/told.h"

enum {
	REASON_SIZE = 256,
};

static void over(struct leg *l)
{
	const struct told_end end = {.late = true}; /* its row is ending */

	told_end(l->legs->told, l, &end, NULL);
	leg_forget(l);
}

static void on_end(int code, const char *reason, const struct sip_msg *msg,
		   void *arg)
{
	struct leg *l = mem_ref(arg);

	(void)reason;
	(void)msg;
	/* it was not told: its row stays, until its phone is back over another
	   connection (api.leg_load) */
	if (code == 430 && l->id)
		leg_unload(l);
	else
		over(l);
	mem_deref(l);
}

/* The 2xx had an offer, whose answer has not come */
static void ack_first(struct leg *l)
{
	if (!l->in && l->offerless && !l->ack)
		(void)confirm_send(l, l->invite_cseq, NULL);
}

/**
 * End a leg whose dialog is confirmed
 *
 * @param reason Of a Reason header (RFC 3326); NULL: none
 */
void bye_send(struct leg *l, const char *reason)
{
	static const struct pl none = PL_INIT;
	char hdr[REASON_SIZE] = "";
	int err;

	if (l->state == LEG_ENDING || l->state == LEG_GONE)
		return;
	ack_first(l);
	l->state = LEG_ENDING;
	leg_over(l);
	border_close(&l->session.border);
	tmr_cancel(&l->tmr);
	tmr_cancel(&l->session.tmr);
	list_unlink(&l->session.le);
	l->again = mem_deref(l->again);
	l->u = mem_deref(l->u);
	l->uac = mem_deref(l->uac);
	if (reason)
		(void)re_snprintf(hdr, sizeof(hdr), "Reason: %s\r\n", reason);
	err = request_write(&l->req, l, "BYE", hdr, &none);
	if (!err)
		err = uac_alloc(&l->uac, l->legs->ag, &l->req.out, on_end, l);
	if (err)
		over(l);
	else
		uac_start(l->uac);
}

/** The same; one that has not been ACKed is ended when it is (section 15) */
void bye_hang_up(struct leg *l, const char *reason)
{
	if (l->state == LEG_ANSWERED)
		l->bye_after_ack = true;
	else
		bye_send(l, reason);
}

/** Its phone knows nothing of the dialog, or is not there any more */
void bye_lost(struct leg *l)
{
	struct leg *peer = leg_find(l->legs, l->peer);
	const struct told_end end = {.cause = "unreachable",
				     .peer = peer ? peer->id : 0};

	told_end(l->legs->told, l, &end, NULL);
	leg_forget(l);
	if (peer)
		bye_hang_up(peer, NULL);
}

/** What passed the media on between the two has lost it: neither hears the
    other */
void bye_no_media(struct leg *l)
{
	struct leg *peer = leg_find(l->legs, l->peer);
	const struct told_end end = {.cause = "media",
				     .peer = peer ? peer->id : 0};

	told_end(l->legs->told, l, &end, NULL);
	bye_hang_up(l, NULL);
	if (peer)
		bye_hang_up(peer, NULL);
}
