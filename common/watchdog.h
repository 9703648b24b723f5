/*
 * To whoever has started this program and wants to know: that it serves, and
 * that its loop still turns (sd_notify(3), sd_watchdog_enabled(3)). To be
 * called from the loop's own turns: who hangs is silent, is killed for it and
 * started again.
 */
#ifndef WATCHDOG_H
#define WATCHDOG_H

#include <stdint.h>

/** @return after how many ms to say it again; 0: nobody wants to know */
uint64_t watchdog_period_ms(void);

/** The loop has turned, and so serves */
void watchdog_turn(void);

#endif
