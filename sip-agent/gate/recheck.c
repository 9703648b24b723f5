/*
 * Checks where answers may go, and what else a decoded request must have.
 */
#include "gate/recheck.h"

#include <string.h>

#include "parse/peer.h"
#include "parse/sanity.h"

/**
 * Whether a reply goes to the source: maddr would send it elsewhere (RFC 3261
 * section 18.2.2), which only multicast needs
 */
bool recheck_via(const struct sip_msg *msg)
{
	struct pl maddr;
	struct sa sa;

	if (msg_param_decode(&msg->via.params, "maddr", &maddr))
		return true;

	return !sa_set(&sa, &maddr, 0) && sa_cmp(&sa, &msg->src, SA_ADDR);
}

/**
 * Check a request that libre has decoded.  The gate has checked most of them
 * already, but not those that come over connections that we opened
 *
 * @param why Set to the reason phrase where it is refused
 *
 * @return RECHECK_OK, RECHECK_DROP or the SIP code to refuse with
 */
int recheck_request(const struct sip_msg *msg, const char **why)
{
	const char *end = (const char *)msg->mb->buf + msg->mb->end;
	struct sanity m;

	*why = "";
	if (!peer_is_possible(&msg->src) || !recheck_via(msg))
		return RECHECK_DROP;

	if (msg->tp == SIP_TRANSP_UDP)
		return RECHECK_OK; /* every datagram has passed the gate */

	(void)sanity_parse(&m, msg->met.p, (size_t)(end - msg->met.p));
	if (m.kind != SANITY_REQUEST)
		return RECHECK_DROP;
	if (m.scode)
		*why = m.why;

	return m.scode;
}
