/*
 * The border of a leg whose phone speaks another kind of media than the other
 * side of its call: all SDP that crosses it is translated by a media relay.
 */
#ifndef BORDER_H
#define BORDER_H

#include <re.h>

#include "media/bridge.h"

struct border;
struct leg;
struct ng;

/**
 * What the relay has made of what was said
 *
 * @param err 0; ECANCELED: there is no relay any more; else that of bridge.h
 * @param sdp Borrowed
 */
typedef void(border_h)(struct leg *l, int err, const struct pl *sdp, void *arg);

int border_open(struct border **bp, struct leg *l, struct ng *n,
		int64_t account, bool web, const char *tag);
int border_resume(struct border **bp, struct leg *l, struct ng *n,
		  int64_t account, const char *relay, bool web,
		  const char *tag);
const char *border_relay(const struct border *b);
bool border_web(const struct border *b);
int border_say(struct border *b, enum bridge_what what, bool of_phone,
	       const struct pl *sdp, border_h *h, void *arg);
bool border_asks(const struct border *b);
void border_forget(struct border *b);
void border_refused(struct border *b);
void border_watch(struct border *b, void (*goneh)(struct leg *l));
void border_close(struct border **bp);

#endif
