/*
 * Where messages begin and end on a TCP connection (RFC 3261 section 18.3).
 */
#ifndef FRAMING_H
#define FRAMING_H

#include <re.h>

struct framing;

enum {
	FRAMING_HEAD_MAX = 32 * 1024,
	FRAMING_BODY_MAX = 128 * 1024, /* beyond: the connection is closed */
};

int framing_alloc(struct framing **fp);
int framing_attach(struct framing *fr, struct sip *sip,
		   const struct sip_msg *msg);
int framing_take(struct mbuf *acc, struct mbuf *in, bool *whole);

#endif
