/*
 * The registrar (RFC 3261 section 10.3).
 */
#ifndef REGISTRAR_H
#define REGISTRAR_H

#include <re.h>

struct agent;

int registrar_open(struct agent *ag);
void registrar_handle(struct agent *ag, const struct sip_msg *msg);

#endif
