/*
 * Orders for legs that are not in memory: they are of the process before, or of
 * another agent now, or have overtaken the answer that makes them.
 */
#ifndef LATE_H
#define LATE_H

#include "call/order/order.h"

void late_load(const struct order *o);

#endif
