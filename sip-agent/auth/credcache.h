/*
 * Credentials that have just been right, so that the next request of the same
 * user from the same source costs no question.  Without it, a registration
 * costs agent and database a third more of the processor (bench/register's
 * load).
 *
 * What is kept here proves nothing by itself: the statement that does what a
 * request asks for checks the credential again, so that one that was deleted
 * or changed is refused at once.  And it only ever says yes: a response that
 * does not fit is looked up anew, where guesses are counted.
 */
#ifndef CREDCACHE_H
#define CREDCACHE_H

#include <re.h>

#include "common/aor.h"
#include "parse/digest.h"

enum {
	CREDCACHE_MAX = 32768, /* entries */
	CREDCACHE_LIFE_MS = 300 * 1000,
	CREDCACHE_KEY_SIZE = 640,
};

struct credcache;

struct credcache_entry {
	int64_t credential, account;
	enum digest_alg alg;
	char ha1[DIGEST_HEX_SIZE];
	char email[AOR_BUF];
};

int credcache_alloc(struct credcache **cp, size_t max);
const struct credcache_entry *credcache_find(struct credcache *c,
					     const char *key, uint64_t now_ms);
void credcache_keep(struct credcache *c, const char *key,
		    const struct credcache_entry *entry, uint64_t now_ms);
void credcache_drop(struct credcache *c, const char *key);

#endif
