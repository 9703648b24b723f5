/*
 * An answer without state, and without libre, to a request that libre must
 * not see (RFC 3261 sections 8.2.6, 8.2.7 and 18.2).
 */
#ifndef RAWANSWER_H
#define RAWANSWER_H

#include <re.h>

struct rawmsg;

int rawanswer_encode(struct mbuf **mbp, const struct rawmsg *m,
		     const char *head, const struct sa *src);
void rawanswer_dst(struct sa *dst, const struct rawmsg *m,
		   const struct sa *src);

#endif
