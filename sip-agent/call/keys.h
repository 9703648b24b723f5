/*
 * Keys that REST has pressed, as INFO (application/dtmf-relay).
 */
#ifndef KEYS_H
#define KEYS_H

#include "call/leg.h"

void keys_press(struct leg *l, int64_t number, const char *keys);
void keys_flow_lost(struct leg *l);

#endif
