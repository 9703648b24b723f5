/*
 * catch_up.h: versions of a resource that a viewer reads for itself: the first
 * state, what it missed, and what it was too slow for; and those that are read
 * for all, as long as it keeps up.
 */
#ifndef RESTSIP_STREAM_CATCH_UP_H
#define RESTSIP_STREAM_CATCH_UP_H

#include "stream/hub/versions.h"
#include "stream/viewer/state.h"

/** As reader and topic_ops. */
void catch_up_load(struct viewer *v);
void catch_up_id(char out[static RENDER_ID_SIZE], const struct viewer *v,
		 int64_t version);
void catch_up_changed(struct seat *s, const struct change *c);

/** It is known which message the client is at: the first state is written. */
void catch_up_numbered(struct viewer *v);

#endif
