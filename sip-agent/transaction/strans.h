/*
 * Server transactions of all methods but INVITE, whose are libre's (RFC 3261
 * sections 8.2.2.2 and 17.2.2): recognises a request that comes again, and
 * repeats its answer.
 */
#ifndef STRANS_H
#define STRANS_H

#include <re.h>

struct strans;
struct strans_table;

enum {
	/* answers that are kept at a time; the oldest makes room */
	STRANS_KEPT_MAX = 65536,
	STRANS_KEPT_MS = 32000, /* timer J: 64 times T1 */
};

enum strans_verdict {
	STRANS_NEW,
	STRANS_SAME,   /* answered again, or still being served */
	STRANS_MERGED, /* the same request came by another way already: 482 */
};

int strans_alloc(struct strans_table **rp);
enum strans_verdict strans_look(struct strans_table *r, struct sip *sip,
				const struct sip_msg *msg, uint64_t now_ms);
bool strans_has(const struct strans_table *r, const struct sip_msg *cancel);
int strans_begin(struct strans **rep, struct strans_table *r,
		 const struct sip_msg *msg);
void strans_keep(struct strans *rep, struct mbuf *answer, const struct sa *dst,
		 uint64_t now_ms);

#endif
