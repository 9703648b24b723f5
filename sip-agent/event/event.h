/*
 * Event packages (RFC 6665 section 7.2): presence (RFC 3856), reg (RFC 3680),
 * message-summary (RFC 3842), dialog (RFC 4235), conference (RFC 4575); and the
 * headers Event and Accept.
 */
#ifndef EVENT_H
#define EVENT_H

#include <re.h>

enum {
	EVENT_ID_MAX = 128,
};

struct event_package {
	const char *name;
	const char *type, *subtype; /**< of its documents */
};

/** What a request's Event says; borrows from the request */
struct event {
	const struct event_package *package;
	struct pl id; /**< not set: there is none */
};

int event_decode(struct event *ev, const struct sip_msg *msg);
bool event_is_acceptable(const struct event_package *package,
			 const struct sip_msg *msg);

#endif
