/*
 * watch_member.h: what the members of a watch do alike, for a stream or for one
 * answer.
 */
#ifndef RESTSIP_STREAM_WATCH_MEMBER_H
#define RESTSIP_STREAM_WATCH_MEMBER_H

#include "stream/out/watch_parts.h"

/** From the loop alone. */
void watch_destroy(struct watch *w);

/** Have w->turn called, from the loop. */
void watch_soon(struct watch *w);

/** Refuse all, soon; o: because of that one, or null. */
void watch_refuse(struct watch *w, const struct member *o, int status,
		  const char *slug, const char *detail);

/** Whether each may be seen or, once, is known; or has ended. */
bool watch_all_ready(const struct watch *w);
bool watch_all_ended(const struct watch *w);

/** As outlet_ops. The first may have brought a proof for all. */
void member_opened(struct viewer *v);
bool member_has_inbox(struct viewer *v);
bool member_may_load(struct viewer *v);

/** The first state of one is there, or not wanted any more. */
void member_loaded(struct member *o);

/** Have the next of those that wait for their turn read. */
void watch_load(struct watch *w);

/** Whether it may be a message that was sent to that login. */
bool member_try_send(struct member *o, const struct pg_answer *why);

/** Whether it is one that the client has seen, which is no more, or may not be
 *  seen: that is to be told, and does not end the others. */
bool member_has_gone(struct member *o, const struct pg_answer *why);

#endif
