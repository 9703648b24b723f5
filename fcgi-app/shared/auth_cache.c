/*
 * auth_cache.c: a fixed table, a few places a key.
 */
#include "shared/auth_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/secret.h"
#include "common/source.h"
#include "shared/hasher.h"

enum {
	WAYS = 4,
	SETS = AUTH_CACHE_MAX / WAYS,
	EMAIL_AND_PASSWORD_MAX = 1024 + SOURCE_SIZE,
};

struct entry {
	uint8_t key[32];
	char hash[HASHER_HASH_MAX];
	uint64_t until_ms; /* 0: free */
};

struct auth_cache {
	uint8_t secret[32]; /* of this process */
	struct entry entry[SETS][WAYS];
};

struct auth_cache *auth_cache_new(void)
{
	struct auth_cache *c = calloc(1, sizeof(*c));

	if (c && random_bytes(c->secret, sizeof(c->secret))) {
		free(c);
		return NULL;
	}
	return c;
}

void auth_cache_free(struct auth_cache *c)
{
	if (!c)
		return;
	secret_wipe(c, sizeof(*c));
	free(c);
}

int auth_cache_key(const struct auth_cache *c, uint8_t key[32],
		   const char *email, const char *source, const char *password)
{
	char text[EMAIL_AND_PASSWORD_MAX];
	size_t n = strlen(email) + 1, k = strlen(source) + 1,
	       m = strlen(password);
	int err;

	if (n + k + m > sizeof(text))
		return EIO;
	memcpy(text, email, n);
	memcpy(text + n, source, k);
	memcpy(text + n + k, password, m);
	err = hmac_sha256(key, c->secret, sizeof(c->secret), text, n + k + m);
	secret_wipe(text, sizeof(text));
	return err ? EIO : 0;
}

static struct entry *entries_of(const struct auth_cache *c, const uint8_t *key)
{
	size_t set = ((size_t)key[0] << 8 | key[1]) % SETS;

	return (struct entry *)c->entry[set];
}

static struct entry *entry_find(const struct auth_cache *c, const uint8_t *key)
{
	struct entry *e = entries_of(c, key);

	for (int i = 0; i < WAYS; i++)
		if (e[i].until_ms && secret_equal(e[i].key, key, 32))
			return &e[i];
	return NULL;
}

const char *auth_cache_get(const struct auth_cache *c, const uint8_t key[32])
{
	const struct entry *e = entry_find(c, key);

	return e && clock_ms() < e->until_ms ? e->hash : NULL;
}

/* A free place, or the one whose entry ends first. */
void auth_cache_put(struct auth_cache *c, const uint8_t key[32],
		    const char *hash)
{
	struct entry *e = entries_of(c, key), *to = &e[0];
	size_t n = strlen(hash);

	if (n >= sizeof(to->hash) || auth_cache_get(c, key))
		return;
	auth_cache_remove(c, key);
	for (int i = 1; i < WAYS; i++)
		if (e[i].until_ms < to->until_ms)
			to = &e[i];
	memcpy(to->key, key, 32);
	memcpy(to->hash, hash, n + 1);
	to->until_ms = clock_ms() + AUTH_CACHE_S * 1000;
}

void auth_cache_remove(struct auth_cache *c, const uint8_t key[32])
{
	struct entry *e = entry_find(c, key);

	if (e)
		secret_wipe(e, sizeof(*e));
}
