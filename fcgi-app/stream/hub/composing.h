/*
 * composing.h: that somebody is writing (RFC 3994), told to the owner's
 * streams by a bell alone. It is kept nowhere.
 */
#ifndef RESTSIP_STREAM_COMPOSING_H
#define RESTSIP_STREAM_COMPOSING_H

#include "stream/hub/topic.h"

#define COMPOSING_BELL "composing/"

/** payload: the bell's, `composing/TO FROM STATE SECONDS`. */
void composing_told(const struct topics *all, const char *payload);

#endif
