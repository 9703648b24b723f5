/*
 * A session at a media relay, between a phone and the rest of its call, where
 * the one speaks WebRTC and the other plain RTP: what either says is told to
 * the other in its own words.
 */
#ifndef BRIDGE_H
#define BRIDGE_H

#include <re.h>

struct bridge;
struct ng;

enum {
	BRIDGE_MOVED_MAX = 8, /* streams that got other ports, of a session */
};

enum bridge_what {
	BRIDGE_OFFER,
	BRIDGE_ANSWER,
};

/**
 * What is to be told to the other side
 *
 * @param err 0; ETIMEDOUT, EBADMSG or ENOTSUP: the relay does not answer, not
 *            with SDP, or refuses; the same is true of what follows
 * @param sdp Borrowed
 */
typedef void(bridge_h)(int err, const struct pl *sdp, void *arg);

bool bridge_is_web(const struct pl *sdp);
bool bridge_is_plain(const struct pl *sdp);
int bridge_alloc(struct bridge **bp, struct ng *n, int64_t account,
		 const char *id, bool web);
int bridge_resume(struct bridge **bp, struct ng *n, int64_t account,
		  const char *relay, const char *id, bool web);
bool bridge_web(const struct bridge *b);
const char *bridge_relay(const struct bridge *b);
int bridge_say(struct bridge *b, enum bridge_what what, bool of_phone,
	       const struct pl *sdp, bridge_h *h, void *arg);
void bridge_hush(struct bridge *b);
void bridge_refused(struct bridge *b);
int bridge_look(struct bridge *b, void (*gone)(void *arg), void *arg);
void bridge_end(struct bridge *b);
void bridge_delete(struct ng *n, const char *relay, const char *id);
void bridge_delete_anywhere(struct ng *n, const char *id);
const char *bridge_why(int err);

#endif
