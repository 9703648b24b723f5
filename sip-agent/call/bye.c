/*
 * Whatever the phone says to a BYE, or does not: the leg is over then.
 */
#include "call/bye.h"

#include "agent.h"
#include "call/confirm.h"
#include "call/told.h"
#include "transaction/dialog.h"

static void over(struct leg *l)
{
	const struct told_end end = {.code = 0};

	told_end(l->legs->told, l, &end, NULL);
	leg_forget(l);
}

static void on_end(int code, const char *reason, const struct sip_msg *msg,
		   void *arg)
{
	struct leg *l = mem_ref(arg);

	(void)code;
	(void)reason;
	(void)msg;
	over(l);
	mem_deref(l);
}

/* The 2xx had an offer, whose answer has not come */
static void ack_first(struct leg *l)
{
	if (!l->in && l->offerless && !l->ack)
		(void)confirm_send(l, LEG_INVITE_CSEQ, NULL);
}

static int encode(struct leg *l, const struct dialog *d, const char *reason)
{
	struct uac_request *req = &l->req;
	int err;

	mem_deref(req->mb);
	l->uri = mem_deref(l->uri);
	l->req_route = mem_deref(l->req_route);
	req->mb = mbuf_alloc(768);
	if (!req->mb)
		return ENOMEM;
	err = dialog_way(&l->uri, &l->req_route, d);
	if (!err)
		err = dialog_write(req->mb, d, "BYE", l->req_route);
	if (!err && reason)
		err = mbuf_printf(req->mb, "Reason: %s\r\n", reason);
	if (!err)
		err = mbuf_write_str(req->mb, "User-Agent: restsip\r\n"
					      "Content-Length: 0\r\n\r\n");

	return err;
}

/**
 * End a leg whose dialog is confirmed
 *
 * @param reason Of a Reason header (RFC 3326); NULL: none
 */
void bye_send(struct leg *l, const char *reason)
{
	struct uac_request *req = &l->req;
	struct dialog d;
	int err;

	if (l->state == LEG_ENDING || l->state == LEG_GONE)
		return;
	ack_first(l);
	l->state = LEG_ENDING;
	if (l->goneh)
		l->goneh(l);
	tmr_cancel(&l->tmr);
	l->u = mem_deref(l->u);
	l->uac = mem_deref(l->uac);
	l->d.local_cseq++;
	leg_view(&d, l);
	err = encode(l, &d, reason);
	req->method = "BYE";
	req->uri = l->uri;
	req->route = l->req_route;
	req->flow = l->flow;
	req->tls = l->secure;
	req->rest = l->rest;
	req->account = l->account;
	req->contact = false;
	req->body_len = 0;
	req->sort_key = (uint64_t)l->id;
	if (!err)
		err = uac_alloc(&l->uac, l->legs->ag, req, on_end, l);
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
