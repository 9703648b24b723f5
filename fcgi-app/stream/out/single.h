/*
 * single.h: a request for one resource: a stream of its own, or one answer.
 */
#ifndef RESTSIP_STREAM_SINGLE_H
#define RESTSIP_STREAM_SINGLE_H

#include "stream/out/outcome.h"
#include "stream/viewer/viewers.h"

/** Owned by who asks; it is needed until outcome's last call, and a stream goes
 *  on without it. */
struct single {
	const struct outcome_ops *outcome;
	void *arg;
	struct viewer *viewer; /* null: there is none, or no more */
};

/** @return 0, EAGAIN (the database is away), ENOMEM */
int single_ask(struct single *s, struct viewers *all,
	       const struct viewer_ask *ask, const struct outcome_ops *outcome,
	       void *arg);

/** The client has gone before outcome; nothing is called any more. */
void single_free(struct single *s);

#endif
