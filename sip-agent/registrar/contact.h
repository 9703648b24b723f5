/*
 * The contacts of a REGISTER (RFC 3261 section 10.2.1, RFC 5626 section 4.2).
 */
#ifndef CONTACT_H
#define CONTACT_H

#include <re.h>

#include "common/buf.h"

struct settings;

enum {
	CONTACTS_MAX = 32,
};

/** What a REGISTER asks for */
struct contact_set {
	unsigned count;
	bool star;
	uint32_t min_s; /**< the shortest interval asked for, not 0 */
	uint32_t max_s; /**< the longest that is granted; 0: none is bound */
	uint32_t expires_s; /**< of the Expires header or the default */
	bool flow;	    /**< over a connection */
	bool keeps_alive;   /**< the phone supports outbound */
	bool outbound;	    /**< binds a flow of a device (RFC 5626) */
	bool plain;	    /**< binds one contact, without an instance */
	const struct settings *set;
	struct buf json; /**< for api.sip_register; owned */
};

int contact_set_decode(struct contact_set *cs, const struct sip_msg *msg,
		       const struct settings *set, const char **why);
void contact_set_close(struct contact_set *cs);

#endif
