/*
 * Where answers may go, and what else is asked of a request once libre has
 * decoded it.
 */
#include "guard.h"

#include <string.h>

#include "hdr.h"
#include "rawmsg.h"

enum {
	LENGTH_MAX = 0x7fffffff,
};

/** Whether an answer may go to this address: no broadcast, no multicast */
bool guard_source(const struct sa *src)
{
	if (!sa_port(src))
		return false;

	if (sa_af(src) == AF_INET) {
		const uint32_t in = sa_in(src);

		return in < 0xe0000000u && in >> 24 != 0;
	}

	if (sa_af(src) == AF_INET6) {
		uint8_t in6[16];

		sa_in6(src, in6);
		return in6[0] != 0xff && !sa_is_any(src);
	}

	return false;
}

/**
 * Whether a reply goes to the source: maddr would send it elsewhere (RFC 3261
 * section 18.2.2), which only multicast needs
 */
bool guard_via(const struct sip_msg *msg)
{
	struct pl maddr;
	struct sa sa;

	if (msg_param_decode(&msg->via.params, "maddr", &maddr))
		return true;

	return !sa_set(&sa, &maddr, 0) && sa_cmp(&sa, &msg->src, SA_ADDR);
}

/**
 * Check a request that libre has decoded; of most the gate has seen to it, but
 * not of what comes over connections that we opened
 *
 * @param why Set to the reason phrase where it is refused
 *
 * @return GUARD_OK, GUARD_DROP or the SIP code to refuse with
 */
int guard_request(const struct sip_msg *msg, const char **why)
{
	const char *end = (const char *)msg->mb->buf + msg->mb->end;
	struct rawmsg m;

	*why = "";
	if (!guard_source(&msg->src) || !guard_via(msg))
		return GUARD_DROP;

	if (msg->tp == SIP_TRANSP_UDP)
		return GUARD_OK; /* every datagram has passed the gate */

	(void)rawmsg_parse(&m, msg->met.p, (size_t)(end - msg->met.p));
	if (m.kind != RAWMSG_REQUEST)
		return GUARD_DROP;
	if (m.scode)
		*why = m.why;

	return m.scode;
}

/** Bytes of the body: over UDP Content-Length may say less than came */
size_t guard_body_len(const struct sip_msg *msg)
{
	const struct pl *val = hdr_get(msg, HDR_CONTENT_LENGTH);
	const size_t left = mbuf_get_left(msg->mb);
	uint64_t n;

	if (!val || hdr_number(&n, val, LENGTH_MAX) || n > left)
		return left;

	return (size_t)n;
}
