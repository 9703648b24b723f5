/*
 * The next hop of a request (RFC 3261 sections 8.1.2 and 26.2.2,
 * RFC 3327, RFC 5626 section 5.3).
 */
#ifndef NEXT_HOP_H
#define NEXT_HOP_H

#include <re.h>

struct flow_table;

enum {
	NEXT_HOP_TEXT_SIZE = 128,
};

/** Borrows from the arguments that it was made of; to be used at once */
struct next_hop {
	struct uri route; /**< for sip_request */
	char text[NEXT_HOP_TEXT_SIZE];
};

bool next_hop_needs_tls(const char *uri, const char *flow);
bool next_hop_dials(const struct pl *uri, enum sip_transp tp,
		    const struct sa *src);
int next_hop_to_address(struct next_hop *hop, const struct sa *peer,
			enum sip_transp tp);
int next_hop_over_flow(struct next_hop *hop, const struct flow_table *ft,
		       const char *flow);
int next_hop_to_uri(struct next_hop *hop, const char *uri, const char *route);
int next_hop_host(struct pl *host, const char *uri, const char *route);
bool next_hop_has_transport(const struct next_hop *hop);
void next_hop_set_transport(struct next_hop *hop, const char *params);

#endif
