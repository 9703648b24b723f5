/*
 * MESSAGE from a phone (RFC 3428 section 7).
 */
#ifndef MESSAGE_H
#define MESSAGE_H

#include <re.h>

struct agent;

enum {
	MESSAGE_TYPE_MAX = 255,
	MESSAGE_WAIT_MS = 4000, /* then 202 at the latest */
};

void message_handle(struct agent *ag, const struct sip_msg *msg);

#endif
