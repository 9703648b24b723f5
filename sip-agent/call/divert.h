/*
 * A phone that sends its call on: the Contacts of a 3xx (RFC 3261 section
 * 8.1.3.4). Nothing goes to where we do not serve.
 */
#ifndef DIVERT_H
#define DIVERT_H

#include <re.h>

#include "parse/uri.h"

struct agent;

enum {
	DIVERTS_MAX = 4, /* accounts of an answer */
	DIVERT_SIZE = DIVERTS_MAX * (AOR_BUF + 1),
};

bool divert_read(char to[static DIVERT_SIZE], const struct agent *ag,
		 const struct sip_msg *msg);

#endif
