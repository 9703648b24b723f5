/*
 * The table of methods: which function serves which.
 */
#ifndef DISPATCH_H
#define DISPATCH_H

#include <re.h>

struct agent;

void dispatch_request(struct agent *ag, const struct sip_msg *msg);

#endif
