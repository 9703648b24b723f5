/*
 * The last checks of a decoded request, before its method is looked at.
 */
#ifndef RECHECK_H
#define RECHECK_H

#include <re.h>

enum {
	RECHECK_OK = 0,
	RECHECK_DROP = -1, /* send no answer: it would go to others */
};

/** @return RECHECK_OK, RECHECK_DROP or the SIP code to refuse with */
int recheck_request(const struct sip_msg *msg, const char **why);
bool recheck_via(const struct sip_msg *msg);

#endif
