/*
 * Flows: the connections over which phones have registered (RFC 5626).
 */
#ifndef FLOW_H
#define FLOW_H

#include <re.h>

enum {
	FLOW_TEXT_SIZE = 96,
	FLOWS_MAX = 65536,
	/* libre closes a connection that was silent for 900 s, and the bindings
	   that came over it end: let the phone refresh earlier */
	FLOW_EXPIRES_MAX_S = 840,
};

struct flow_table;

/** A connection has closed; text is its name, borrowed */
typedef void(flow_lost_h)(const char *text, void *arg);

int flow_table_alloc(struct flow_table **ftp, const char *boot, flow_lost_h *h,
		     void *arg);
int flow_of(char *text, size_t size, struct flow_table *ft, struct sip *sip,
	    const struct sip_msg *msg);
bool flow_is_new(struct flow_table *ft, const struct sip_msg *msg);
int flow_find(struct sa *peer, enum sip_transp *tp, const struct flow_table *ft,
	      const char *text);

#endif
