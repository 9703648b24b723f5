/*
 * Who must be at the other end of a TLS connection that is opened here.
 */
#ifndef IDENTITY_H
#define IDENTITY_H

#include <re.h>

enum {
	IDENTITY_HOST_SIZE = 256,
};

bool identity_expect(const struct sa *peer, const struct pl *host);
void identity_opened(const struct tcp_conn *tc, const struct sa *peer);
void identity_accepted(void);

#endif
