/*
 * Nonces for digest challenges: made, recognised and counted by one process
 * (RFC 7616 sections 3.3, 3.4 and 5.4).
 */
#ifndef NONCE_H
#define NONCE_H

#include <re.h>

#include "parse/digest.h"

enum {
	NONCE_SIZE = 67,	     /* hex text with its NUL */
	NONCE_LIFE_MS = 3600 * 1000, /* older is stale */
	NONCE_COUNTED_MAX = 131072,  /* nonces in use at once */
	NONCE_ACCOUNT_MAX = 64,	     /* of them, of one account */
};

enum nonce_state {
	NONCE_GOOD,
	NONCE_STALE,  /* too old, or made for another source or by another boot
		       */
	NONCE_FOREIGN /* no agent makes such */
};

struct nonce_pool;

int nonce_pool_alloc(struct nonce_pool **np, size_t counted_max);
int nonce_make(const struct nonce_pool *np, char *text, size_t size,
	       enum digest_alg alg, uint64_t source, uint64_t now_ms);
enum nonce_state nonce_check(const struct nonce_pool *np, const struct pl *text,
			     uint64_t source, enum digest_alg *alg,
			     uint64_t now_ms);
bool nonce_count(struct nonce_pool *np, const struct pl *text, uint32_t nc,
		 uint64_t source, int64_t account, uint64_t now_ms);

#endif
