/*
 * libre's timers, on a wheel in the place of its list.
 */
#ifndef TIMERS_H
#define TIMERS_H

#include <stdbool.h>

bool timers_check(void);

#endif
