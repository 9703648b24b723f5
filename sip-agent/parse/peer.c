/*
 * What addresses may be a peer's.
 */
#include "parse/peer.h"

/** Whether one program can be at this address: no broadcast, no multicast */
bool peer_is_possible(const struct sa *sa)
{
	if (!sa_port(sa))
		return false;

	if (sa_af(sa) == AF_INET) {
		const uint32_t in = sa_in(sa);

		return in < 0xe0000000u && in >> 24 != 0;
	}

	if (sa_af(sa) == AF_INET6) {
		uint8_t in6[16];

		sa_in6(sa, in6);
		return in6[0] != 0xff && !sa_is_any(sa);
	}

	return false;
}
