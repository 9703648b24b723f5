/*
 * The next hop of a request (RFC 3261 sections 8.1.2 and 26.2.2,
 * RFC 3327, RFC 5626 section 5.3).
 */
#ifndef HOP_H
#define HOP_H

#include <re.h>

struct flow_table;

enum {
	HOP_TEXT_SIZE = 128,
};

/** Borrows from what it was made of; to be used at once */
struct hop {
	struct uri route; /**< for sip_request */
	char text[HOP_TEXT_SIZE];
};

bool hop_needs_tls(const char *uri, const char *flow);
int hop_to_address(struct hop *hop, const struct sa *peer, enum sip_transp tp);
int hop_over_flow(struct hop *hop, const struct flow_table *ft,
		  const char *flow);
int hop_to_uri(struct hop *hop, const char *uri, const char *route);
bool hop_has_transport(const struct hop *hop);
void hop_set_transport(struct hop *hop, const char *params);

#endif
