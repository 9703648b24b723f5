/*
 * SUBSCRIBE (RFC 6665 section 4.2.1).
 */
#ifndef SUBSCRIBE_H
#define SUBSCRIBE_H

#include <re.h>

struct agent;

void subscribe_handle(struct agent *ag, const struct sip_msg *msg);

#endif
