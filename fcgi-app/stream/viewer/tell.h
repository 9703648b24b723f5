/*
 * tell.h: what becomes of a viewer's client, by way of its outlet.
 */
#ifndef RESTSIP_STREAM_TELL_H
#define RESTSIP_STREAM_TELL_H

#include "stream/hub/versions.h"
#include "stream/viewer/state.h"
#include "stream/viewer/viewer.h"

/** An answer to v->query has come. @return false: a failure, which has been
 *  dealt with */
bool viewer_answered(struct viewer *v, const struct pg_answer *a);

/** The stream may begin. @return whether it has: then it is BEHIND */
bool viewer_begin(struct viewer *v, bool resumed);

/** Whether it has to fall behind. */
bool viewer_is_full(const struct viewer *v);

/** Refuse it, before there is a stream; else end it. */
void viewer_refuse(struct viewer *v, const struct pg_answer *why);
void viewer_refuse_unavailable(struct viewer *v);

/** Write an event; number: of place->events. */
void viewer_write(struct viewer *v, const char *name, bool with_id,
		  const char *data, size_t n, uint64_t number);

/** Write a version, as a state, a change or a difference. */
void viewer_put(struct viewer *v, const struct change *c);

/** What it looks at is no more. */
void viewer_gone(struct viewer *v, const struct change *c);

/** once: the answer, and the end of v; and that there is none yet. */
void viewer_answer(struct viewer *v, const struct change *c);
void viewer_hold(struct viewer *v);

#endif
