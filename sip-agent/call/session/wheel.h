/*
 * Legs that wait, many and long: of timers of libre each would be passed by
 * all that are started for less.
 */
#ifndef WHEEL_H
#define WHEEL_H

#include "call/leg.h"

struct wheel;

/** Its turn has come; it waits no more */
typedef void(wheel_h)(struct leg *l);

int wheel_alloc(struct wheel **wp, wheel_h *h);
void wheel_put(struct wheel *w, struct leg *l, uint64_t wait_ms);

#endif
