/*
 * Goes where its INVITE went: a phone behind a NAT has no other address, and
 * one behind a proxy has that one as its first route.
 */
#include "transaction/ack.h"

#include <errno.h>

#include "agent.h"
#include "compat.h"
#include "transaction/address.h"
#include "transaction/dialog.h"

/**
 * Write an ACK
 *
 * @param mbp  Set to it, owned by the caller
 * @param to   Where it will go
 * @param d    The dialog, with the CSeq of the INVITE
 * @param type Content-Type of the body
 * @param body The answer to an offer that the 2xx had; empty: none
 *
 * @return 0, EINVAL where something would end its line, or another errno
 */
int ack_encode(struct mbuf **mbp, struct agent *ag, const struct address *to,
	       const struct dialog *d, const char *type, const struct pl *body)
{
	struct mbuf *mb;
	char *uri, *route;
	struct sa laddr;
	int err;

	err = sip_transp_laddr(ag->sip, &laddr, to->tp, &to->sa);
	if (!err)
		err = dialog_way(&uri, &route, d);
	if (err)
		return err;

	mb = mbuf_alloc(768 + body->l);
	err = mb ? mbuf_printf(mb,
			       "ACK %s SIP/2.0\r\n"
			       "Via: SIP/2.0/%s %J;branch=z9hG4bK%016llx;"
			       "rport\r\n",
			       uri, sip_transp_name(to->tp), &laddr, rand_u64())
		 : ENOMEM;
	if (!err)
		err = dialog_write(mb, d, "ACK", route);
	if (!err && body->l)
		err = mbuf_printf(mb, "Content-Type: %s\r\n", type);
	if (!err)
		err = mbuf_printf(mb, "Content-Length: %zu\r\n\r\n%r", body->l,
				  body);
	mem_deref(uri);
	mem_deref(route);
	if (err)
		mem_deref(mb);
	else
		*mbp = mb;

	return err;
}

/** Send it, for the first time or to a 2xx that has come again */
int ack_send(struct agent *ag, const struct address *to, struct mbuf *mb)
{
	mbuf_set_pos(mb, 0);

	return compat_sip_send(ag->sip, NULL, to->tp, &to->sa, mb);
}
