/*
 * MESSAGE from a phone (RFC 3428 section 7), and what becomes of it.
 */
#ifndef MESSAGE_H
#define MESSAGE_H

#include <re.h>

struct agent;
struct inbound;

enum {
	MESSAGE_TYPE_MAX = 255,
	MESSAGE_WAIT_MS = 10000, /* then 202 at the latest */
};

int inbound_alloc(struct inbound **ip, struct agent *ag);
void inbound_settled(struct inbound *in, int64_t send, int code);
void inbound_release(struct inbound *in);
void message_handle(struct agent *ag, const struct sip_msg *msg);

#endif
