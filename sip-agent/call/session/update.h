/*
 * UPDATE within the dialog of a leg (RFC 3311).
 */
#ifndef UPDATE_H
#define UPDATE_H

#include "call/leg.h"

struct buf;
struct uas;

enum {
	UPDATE_ANSWER_MS = 25 * 1000, /* its phone waits for 32 s (timer F) */
};

bool update_is(const struct uas *u);
bool update_serve(struct leg *l, struct uas *u);
void update_accept(struct leg *l, struct uas *u, const struct buf *sdp);

#endif
