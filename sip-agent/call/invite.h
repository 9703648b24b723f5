/*
 * INVITE in: who calls whom, and with what.
 */
#ifndef INVITE_H
#define INVITE_H

#include <re.h>

struct agent;

void invite_handle(struct agent *ag, const struct sip_msg *msg);

#endif
