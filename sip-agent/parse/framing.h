/*
 * Where messages begin and end in a stream (RFC 3261 section 18.3).
 */
#ifndef FRAMING_H
#define FRAMING_H

#include <re.h>

enum {
	FRAMING_HEAD_MAX = 32 * 1024,
	/* what is larger than a message may be is read and refused; beyond this
	   it is not even read, and the connection is closed */
	FRAMING_BODY_MAX = 128 * 1024,
};

int framing_take(struct mbuf *acc, struct mbuf *in, bool *whole);
int framing_next(size_t *len, const char *p, size_t left);

#endif
