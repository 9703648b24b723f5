/*
 * What refuses a bad request before anything else looks at it.
 */
#ifndef GUARD_H
#define GUARD_H

#include <re.h>

enum {
	GUARD_OK = 0,
	GUARD_DROP = -1, /* answer nothing: it would go where it must not */
};

/** @return GUARD_OK, GUARD_DROP or the SIP code to refuse with */
int guard_request(const struct sip_msg *msg, const char **why);
bool guard_source(const struct sa *src);
bool guard_via(const struct sip_msg *msg);
size_t guard_body_len(const struct sip_msg *msg);

#endif
