/*
 * A rung of a call's ladder: one message, as people are shown it.
 */
#ifndef RUNG_H
#define RUNG_H

#include <re.h>

#include "common/buf.h"

/** A message as it is on the wire; borrowed */
struct rung {
	bool out; /**< we send it */
	enum sip_transp tp;
	const struct sa *peer;
	const char *p;
	size_t len;
};

bool rung_call_id(struct pl *call_id, const char *p, size_t len);
void rung_write(struct buf *b, const struct rung *r, uint64_t ms);

#endif
