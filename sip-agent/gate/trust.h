/*
 * Where phones have lately proved who they are: sources, and single addresses
 * with their port, which have a share of their own that no stranger can spend.
 */
#ifndef TRUST_H
#define TRUST_H

#include <re.h>

struct trust;

enum {
	TRUST_MS = 86400 * 1000, /* for a day */
	TRUST_PORTS_MAX = 1024,	 /* of a source */
	/* messages of an address and port that come through while its source
	   is not listened to otherwise */
	TRUST_BURST = 32,
	TRUST_PER_S = 4,
};

int trust_alloc(struct trust **tp);
void trust_add(struct trust *t, const struct sa *src, bool stream,
	       uint64_t now_ms);
bool trust_has_source(const struct trust *t, const struct sa *src,
		      uint64_t now_ms);
bool trust_spend(struct trust *t, const struct sa *src, bool stream,
		 uint64_t now_ms);

#endif
