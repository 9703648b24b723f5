/*
 * PUBLISH of presence (RFC 3903, RFC 3856).
 */
#ifndef PUBLISH_H
#define PUBLISH_H

#include <re.h>

struct agent;

enum {
	PUBLISH_ETAG_MAX = 64,
};

void publish_handle(struct agent *ag, const struct sip_msg *msg);

#endif
