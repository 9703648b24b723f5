/*
 * What a delivery looks like on the wire.
 */
#ifndef MESSAGE_ENCODE_H
#define MESSAGE_ENCODE_H

#include <re.h>

/** All is borrowed */
struct message_parts {
	int64_t delivery;
	const char *call_id; /**< the database's: receipts name it */
	const char *contact;
	const char *path;		/**< NULL: none */
	const char *sender, *recipient; /**< AORs */
	const char *content_type;
	const char *sent_at;	/**< RFC 3339, UTC */
	const char *request_id; /**< NULL: none */
	const uint8_t *body;
	size_t body_len;
};

int message_encode(struct mbuf **mbp, const struct message_parts *w);

#endif
