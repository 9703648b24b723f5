/*
 * Made of the INVITE as it went out: the CANCEL has its Via, so that it is
 * matched with it.
 */
#include "transaction/cancel.h"

#include <errno.h>

#include "agent.h"
#include "compat.h"
#include "transaction/address.h"

enum {
	T1_MS = 500, /* RFC 3261 section 17.1.2.1 */
	T2_MS = 4000,
};

struct cancel {
	struct mbuf *invite; /* as it was sent */
	char *reason;	     /* of a Reason header; NULL: none */
	struct mbuf *mb;     /* what is sent again until there is an answer */
	struct agent *ag;
	struct address to;
	struct tmr tmr;
	uint32_t pause_ms;
};

static void destructor(void *arg)
{
	struct cancel *c = arg;

	tmr_cancel(&c->tmr);
	mem_deref(c->invite);
	mem_deref(c->reason);
	mem_deref(c->mb);
}

/**
 * Keep what a CANCEL would be made of
 *
 * @param cp   Set to it, owned by the caller
 * @param head Of the INVITE as it goes out: its line and Via
 * @param rest Of the same: all that follows
 */
int cancel_alloc(struct cancel **cp, const struct mbuf *head,
		 const struct mbuf *rest)
{
	struct cancel *c = mem_zalloc(sizeof(*c), destructor);

	if (!c)
		return ENOMEM;
	c->invite = mbuf_alloc(head->end + rest->end);
	if (!c->invite || mbuf_write_mem(c->invite, head->buf, head->end) ||
	    mbuf_write_mem(c->invite, rest->buf, rest->end)) {
		mem_deref(c);
		return ENOMEM;
	}
	*cp = c;

	return 0;
}

/** Why it will be sent, copied; NULL, or no memory: it is sent without */
void cancel_set_reason(struct cancel *c, const char *reason)
{
	if (!c)
		return;
	c->reason = mem_deref(c->reason);
	if (reason)
		(void)str_dup(&c->reason, reason);
}

/* --- its bytes ---------------------------------------------------------------
 */

static bool route_handler(const struct sip_hdr *hdr, const struct sip_msg *msg,
			  void *arg)
{
	(void)msg;

	return mbuf_printf(arg, "Route: %r\r\n", &hdr->val) != 0;
}

static int write(struct mbuf *mb, const struct sip_msg *invite,
		 const char *reason)
{
	int err;

	err = mbuf_printf(mb,
			  "CANCEL %r SIP/2.0\r\n"
			  "Via: %r\r\n"
			  "Max-Forwards: 70\r\n",
			  &invite->ruri, &invite->via.val);
	if (sip_msg_hdr_apply(invite, true, SIP_HDR_ROUTE, route_handler, mb))
		err |= ENOMEM;
	err |= mbuf_printf(mb,
			   "To: %r\r\n"
			   "From: %r\r\n"
			   "Call-ID: %r\r\n"
			   "CSeq: %u CANCEL\r\n",
			   &invite->to.val, &invite->from.val, &invite->callid,
			   invite->cseq.num);
	if (reason)
		err |= mbuf_printf(mb, "Reason: %s\r\n", reason);
	err |= mbuf_write_str(mb, "User-Agent: restsip\r\n"
				  "Content-Length: 0\r\n\r\n");

	return err ? ENOMEM : 0;
}

/**
 * Write it
 *
 * @param mbp Set to it, owned by the caller
 *
 * @return 0, EBADMSG or ENOMEM
 */
int cancel_encode(struct mbuf **mbp, const struct cancel *c)
{
	const struct mbuf *invite = c->invite;
	struct mbuf *copy = mbuf_alloc(invite->end), *mb = mbuf_alloc(512);
	struct sip_msg *msg = NULL;
	int err = ENOMEM;

	if (copy && mb)
		err = mbuf_write_mem(copy, invite->buf, invite->end);
	if (!err) {
		mbuf_set_pos(copy, 0);
		err = sip_msg_decode(&msg, copy) ? EBADMSG : 0;
	}
	if (!err)
		err = write(mb, msg, c->reason);
	mem_deref(msg);
	mem_deref(copy);
	if (err) {
		mem_deref(mb);
		return err;
	}
	*mbp = mb;

	return 0;
}

/* --- on its way --------------------------------------------------------------
 */

/* Over a connection once: what answers is the INVITE, not this */
static void send_again(void *arg)
{
	struct cancel *c = arg;

	mbuf_set_pos(c->mb, 0);
	(void)compat_sip_send(c->ag->sip, NULL, c->to.tp, &c->to.sa, c->mb);
	c->pause_ms = c->pause_ms ? MIN(2 * c->pause_ms, T2_MS) : T1_MS;
	if (c->to.tp == SIP_TRANSP_UDP)
		tmr_start(&c->tmr, c->pause_ms, send_again, c);
}

/**
 * Send it, over UDP again and again until it is stopped
 *
 * @param to Where the INVITE went to, copied
 */
void cancel_send(struct cancel *c, struct agent *ag, const struct address *to)
{
	if (!c || (!c->mb && cancel_encode(&c->mb, c)))
		return;
	c->ag = ag;
	c->to = *to;
	send_again(c);
}

/** The INVITE has been answered */
void cancel_stop(struct cancel *c)
{
	if (c)
		tmr_cancel(&c->tmr);
}
