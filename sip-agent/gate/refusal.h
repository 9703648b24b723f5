/*
 * An answer without state, and without libre, to a request that libre must
 * not see (RFC 3261 sections 8.2.6, 8.2.7 and 18.2).
 */
#ifndef REFUSAL_H
#define REFUSAL_H

#include <re.h>

struct sanity;

enum { REFUSAL_RETRY_AFTER_S = 1 };

int refusal_encode(struct mbuf **mbp, const struct sanity *m, const char *head,
		   const struct sa *src);
void refusal_dst(struct sa *dst, const struct sanity *m, const struct sa *src);

#endif
