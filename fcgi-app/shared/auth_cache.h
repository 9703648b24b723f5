/*
 * auth_cache.h: passwords that were right a minute ago, as keyed hashes, with
 * what crypt(3) made of them. The database still compares that every time.
 */
#ifndef RESTSIP_AUTH_CACHE_H
#define RESTSIP_AUTH_CACHE_H

#include <stdint.h>

enum {
	AUTH_CACHE_MAX = 1024, /* remembered passwords */
	AUTH_CACHE_S = 60,
};

struct auth_cache;

/** @return null: no memory, or no random bytes */
struct auth_cache *auth_cache_new(void);
void auth_cache_free(struct auth_cache *c);

/** The key of an email and a password from a source. @return 0 or EIO */
int auth_cache_key(const struct auth_cache *c, uint8_t key[32],
		   const char *email, const char *source, const char *password);

/** crypt(3)'s output, or null. Borrowed until the next call. */
const char *auth_cache_get(const struct auth_cache *c, const uint8_t key[32]);
void auth_cache_put(struct auth_cache *c, const uint8_t key[32],
		    const char *hash);
void auth_cache_remove(struct auth_cache *c, const uint8_t key[32]);

#endif
