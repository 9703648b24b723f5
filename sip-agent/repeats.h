/*
 * Requests that are being served or have been answered, for when they come
 * again: the server's side of transactions but those of INVITE, which are
 * libre's (RFC 3261 sections 8.2.2.2 and 17.2.2).
 */
#ifndef REPEATS_H
#define REPEATS_H

#include <re.h>

struct repeat;
struct repeats;

enum {
	/* answers that are kept at a time; the oldest makes room */
	REPEATS_KEPT_MAX = 65536,
	REPEATS_KEPT_MS = 32000, /* timer J: 64 times T1 */
};

enum repeats_verdict {
	REPEATS_NEW,
	REPEATS_SAME,	/* was sent again: answered again, or being served */
	REPEATS_MERGED, /* has come by another way already: 482 */
};

int repeats_alloc(struct repeats **rp);
enum repeats_verdict repeats_look(struct repeats *r, struct sip *sip,
				  const struct sip_msg *msg, uint64_t now_ms);
bool repeats_has(const struct repeats *r, const struct sip_msg *cancel);
int repeats_begin(struct repeat **rep, struct repeats *r,
		  const struct sip_msg *msg);
void repeat_keep(struct repeat *rep, struct mbuf *answer, const struct sa *dst,
		 uint64_t now_ms);

#endif
