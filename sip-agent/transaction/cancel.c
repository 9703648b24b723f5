/*
 * Made of the INVITE as it went out: the CANCEL has its Via, so that it is
 * matched with it.
 */
#include "transaction/cancel.h"

#include <errno.h>

#include "agent.h"
#include "compat.h"
#include "transaction/address.h"

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
 * Write the CANCEL of an INVITE
 *
 * @param mbp    Set to it, owned by the caller
 * @param invite All of it, as it was sent
 * @param reason Of a Reason header; NULL: none
 *
 * @return 0, EBADMSG or ENOMEM
 */
int cancel_encode(struct mbuf **mbp, const struct mbuf *invite,
		  const char *reason)
{
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
		err = write(mb, msg, reason);
	mem_deref(msg);
	mem_deref(copy);
	if (err) {
		mem_deref(mb);
		return err;
	}
	*mbp = mb;

	return 0;
}

/** Send it; it may get lost, and is to be sent again until there is an answer
 */
int cancel_send(struct agent *ag, const struct address *to, struct mbuf *mb)
{
	mbuf_set_pos(mb, 0);

	return compat_sip_send(ag->sip, NULL, to->tp, &to->sa, mb);
}
