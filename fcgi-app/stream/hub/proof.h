/*
 * proof.h: a caller's credentials, kept for as long as he watches.
 */
#ifndef RESTSIP_STREAM_PROOF_H
#define RESTSIP_STREAM_PROOF_H

#include "shared/auth.h"

struct proof;

/** @return null without memory; one reference */
struct proof *proof_new(const struct principal *p);
struct proof *proof_ref(struct proof *p); /* null is fine */
void proof_free(struct proof *p);

/** As parameters of a statement: who, null with a token, and the proof. */
void proof_args(struct pg_args *args, const struct proof *p);

#endif
