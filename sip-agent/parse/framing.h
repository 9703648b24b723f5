/*
 * Where messages begin and end in a stream (RFC 3261 section 18.3).
 */
#ifndef FRAMING_H
#define FRAMING_H

#include <re.h>

enum {
	FRAMING_HEAD_MAX = 32 * 1024,
	/* a message that is too large is read and refused; one above this is
	   not even read, and its connection is closed */
	FRAMING_BODY_MAX = 128 * 1024,
};

int framing_take(struct mbuf *acc, struct mbuf *in, bool *whole);
int framing_next(size_t *len, const char *p, size_t left);

#endif
