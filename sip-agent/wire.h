/*
 * What a delivery looks like on the wire.
 */
#ifndef WIRE_H
#define WIRE_H

#include <re.h>

/** All is borrowed */
struct wire {
	int64_t delivery;
	const char *contact;
	const char *path;		/**< NULL: none */
	const char *sender, *recipient; /**< AORs */
	const char *content_type;
	const char *sent_at;	/**< RFC 3339, UTC */
	const char *request_id; /**< NULL: none */
	const uint8_t *body;
	size_t body_len;
};

int wire_encode(struct mbuf **mbp, const struct wire *w);
int wire_request_uri(char **urip, const char *contact);

#endif
