/*
 * CANCEL of an INVITE that was sent (RFC 3261 section 9.1), with a Reason (RFC
 * 3326), which libre's own has no room for.
 */
#ifndef CANCEL_H
#define CANCEL_H

#include <re.h>

struct address;
struct agent;

int cancel_encode(struct mbuf **mbp, const struct mbuf *invite,
		  const char *reason);
int cancel_send(struct agent *ag, const struct address *to, struct mbuf *mb);

#endif
