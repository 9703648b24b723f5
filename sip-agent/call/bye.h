/*
 * Requests of ours within the dialog of a leg; the last one is BYE (RFC 3261
 * section 15).
 */
#ifndef BYE_H
#define BYE_H

#include "call/leg.h"

void bye_send(struct leg *l, const char *reason);
void bye_lost(struct leg *l);
void bye_no_media(struct leg *l);
void bye_hang_up(struct leg *l, const char *reason);

#endif
