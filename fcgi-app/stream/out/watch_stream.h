/*
 * watch_stream.h: one stream that many viewers share.
 */
#ifndef RESTSIP_STREAM_WATCH_STREAM_H
#define RESTSIP_STREAM_WATCH_STREAM_H

#include "stream/out/watch_parts.h"

/** Of a viewer whose arg is its member. */
extern const struct outlet_ops watch_stream_outlet;

/** All may be seen: begin; from the loop. */
void watch_stream_begin(struct watch *w);

#endif
