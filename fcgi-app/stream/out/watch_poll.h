/*
 * watch_poll.h: one answer for many viewers: those that have moved.
 */
#ifndef RESTSIP_STREAM_WATCH_POLL_H
#define RESTSIP_STREAM_WATCH_POLL_H

#include "stream/out/watch_parts.h"

/** Of a viewer whose arg is its member. */
extern const struct outlet_ops watch_poll_outlet;

/** Answer with what has moved, or wait until something has, if all are known;
 *  from the loop. */
void watch_poll_look(struct watch *w);

#endif
