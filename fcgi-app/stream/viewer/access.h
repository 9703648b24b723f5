/*
 * access.h: what a viewer may see: asked for when it comes, and again when a
 * session, a password or the sight of a call may have ended.
 */
#ifndef RESTSIP_STREAM_ACCESS_H
#define RESTSIP_STREAM_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "stream/hub/versions.h"
#include "stream/viewer/state.h"

/**
 * Ask for the first time. The viewer is ASKING.
 *
 * @param view    kind, key and n
 * @param ticket  SHA-256, or null: then by the viewer's proof
 * @return 0 or ENOMEM
 */
int access_ask(struct viewer *v, const struct view *view,
	       const uint8_t *ticket);

/** Ask again for what it looks at: the database has forgotten it. */
void access_reopen(struct viewer *v);

/** Ask again whether it may look; it sees nothing until that is known. */
void access_recheck(struct viewer *v);

/** As topic_ops of its resource's seat. */
void access_seat_recheck(struct seat *s);
void access_seat_retry(struct seat *s);

/** The same of its session's. */
extern const struct topic_ops access_session;

/** The account of the viewer's caller. */
int64_t access_caller(const struct viewer *v);

/** Whether an array, `{7,8}`, has the number. */
bool array_has(const char *s, int64_t n);

/** Whether c may end or widen what v may see, and that is not looked at yet;
 *  then it is from now on. */
bool access_must_recheck(struct viewer *v, const struct change *c);

#endif
