/*
 * Session-Expires and Min-SE (RFC 4028 sections 4 and 5).
 */
#ifndef SESSION_TIMER_H
#define SESSION_TIMER_H

#include <re.h>

/** Who refreshes a session: of the two sides of one transaction */
enum refresher {
	REFRESHER_ANY, /**< it is not said */
	REFRESHER_UAC,
	REFRESHER_UAS,
};

struct session_timer {
	uint32_t s;	/**< how long a session is good; 0: it is not said */
	uint32_t min_s; /**< less is not taken; 0: it is not said */
	enum refresher refresher;
};

int session_timer_read(struct session_timer *st, const struct sip_msg *msg);

#endif
