/*
 * The INVITE that calls a phone, as bytes.
 */
#ifndef CALLEE_ENCODE_H
#define CALLEE_ENCODE_H

#include "call/leg.h"

struct pg_answer;

int callee_encode(struct leg *l, const struct pg_answer *ans, int row);
int callee_encode_again(struct leg *l);
int callee_encode_body(struct leg *l, const struct pl *sdp);

#endif
