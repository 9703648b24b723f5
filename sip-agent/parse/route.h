/*
 * Routes that a request brings: Path (RFC 3327) and Record-Route (RFC 3261
 * section 12.1.1), as one line that can be sent as Route.
 */
#ifndef ROUTE_H
#define ROUTE_H

#include "parse/hdr.h"

enum {
	ROUTE_MAX_LEN = 2048,
};

int route_reverse(char **dstp, const char *route);
int route_read(char **routep, const struct sip_msg *msg, enum hdr h);

#endif
