/*
 * Where messages begin and end in a stream (RFC 3261 section 18.3).
 */
#ifndef FRAMING_H
#define FRAMING_H

#include <re.h>

enum {
	FRAMING_HEAD_MAX = 32 * 1024,
	FRAMING_BODY_MAX = 128 * 1024, /* beyond: the connection is closed */
};

int framing_take(struct mbuf *acc, struct mbuf *in, bool *whole);
int framing_next(size_t *len, const char *p, size_t left);

#endif
