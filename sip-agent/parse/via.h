/*
 * Via (RFC 3261 sections 20.42 and 25.1).
 */
#ifndef VIA_H
#define VIA_H

#include <re.h>

/** One value; all pl are borrowed */
struct via {
	struct pl val;	     /**< the whole of it, without blanks around */
	struct pl transport; /**< as it came */
	struct pl host;	     /**< an IPv6 address with its brackets */
	uint16_t port;	     /**< 0: none */
	struct pl branch, maddr, received, rport; /**< p NULL: not there */
};

int via_take(struct via *v, struct pl *list);
int via_write(struct mbuf *mb, const struct via *v, const struct sa *src,
	      bool received);
bool via_has_rport(const struct via *v);

#endif
