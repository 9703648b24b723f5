/*
 * The ACK of a 2xx to our INVITE (RFC 3261 section 13.2.2.4): a request of its
 * own, without a transaction; that of any other answer is libre's.
 */
#ifndef ACK_H
#define ACK_H

#include <re.h>

struct address;
struct agent;
struct dialog;

int ack_encode(struct mbuf **mbp, struct agent *ag, const struct address *to,
	       const struct dialog *d, const char *type, const struct pl *body);
int ack_send(struct agent *ag, const struct address *to, struct mbuf *mb);

#endif
