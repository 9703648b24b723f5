/*
 * Sessions are refreshed, or are over (RFC 4028 sections 7.4 and 10); phones
 * that know nothing of that are asked.
 */
#ifndef TIMER_H
#define TIMER_H

#include "call/leg.h"

void timer_due(struct leg *l);
void timer_ask(struct leg *l);

#endif
