/*
 * CANCEL of an INVITE that was sent (RFC 3261 section 9.1), with a Reason (RFC
 * 3326), which libre's own has no room for.
 */
#ifndef CANCEL_H
#define CANCEL_H

#include <re.h>

struct address;
struct agent;
struct cancel;

int cancel_alloc(struct cancel **cp, const struct mbuf *head,
		 const struct mbuf *rest);
void cancel_set_reason(struct cancel *c, const char *reason);
void cancel_send(struct cancel *c, struct agent *ag, const struct address *to);
void cancel_stop(struct cancel *c);
int cancel_encode(struct mbuf **mbp, const struct cancel *c);

#endif
