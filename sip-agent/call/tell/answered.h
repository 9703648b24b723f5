/*
 * Whether a phone that has answered is the first of its call.
 */
#ifndef ANSWERED_H
#define ANSWERED_H

#include "call/leg.h"
#include "call/tell/ends.h"

int answered_open(struct agent *ag);
int answered_ask(struct leg *l, const struct pl *sdp, told_done_h *h);

#endif
