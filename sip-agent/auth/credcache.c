#include "auth/credcache.h"

#include <errno.h>
#include <string.h>

#include "common/secret.h"

enum { BUCKETS = 16384 };

struct credcache {
	struct hash *by_key;
	struct list order; /* struct kept, the one kept longest first */
	size_t count, max;
};

struct kept {
	struct le he;
	struct le le;
	struct credcache *c;
	struct credcache_entry entry;
	uint64_t until_ms;
	char *key;
};

static void kept_destructor(void *arg)
{
	struct kept *k = arg;

	if (k->he.list)
		k->c->count--;
	hash_unlink(&k->he);
	list_unlink(&k->le);
	secret_wipe(k->entry.ha1, sizeof(k->entry.ha1));
	mem_deref(k->key);
}

static void destructor(void *arg)
{
	struct credcache *c = arg;

	list_flush(&c->order);
	mem_deref(c->by_key);
}

/**
 * Allocate
 *
 * @param cp  Set to the cache, owned by the caller
 * @param max How many entries; the oldest makes room
 */
int credcache_alloc(struct credcache **cp, size_t max)
{
	struct credcache *c = mem_zalloc(sizeof(*c), destructor);
	int err;

	if (!c)
		return ENOMEM;

	c->max = max;
	err = hash_alloc(&c->by_key, BUCKETS);
	if (err)
		mem_deref(c);
	else
		*cp = c;

	return err;
}

static bool key_handler(struct le *le, void *arg)
{
	const struct kept *k = le->data;

	return !strcmp(k->key, arg);
}

static struct kept *find(const struct credcache *c, const char *key)
{
	return list_ledata(hash_lookup(c->by_key, hash_joaat_str(key),
				       key_handler, (void *)key));
}

/**
 * What was right for a user from a source
 *
 * @return The entry, borrowed until the next call; NULL where there is none
 */
const struct credcache_entry *credcache_find(struct credcache *c,
					     const char *key, uint64_t now_ms)
{
	struct kept *k = find(c, key);

	if (k && k->until_ms < now_ms)
		k = mem_deref(k);

	return k ? &k->entry : NULL;
}

/**
 * Keep what was right
 *
 * @param key   Names user, realm and source; copied
 * @param entry Copied
 */
void credcache_keep(struct credcache *c, const char *key,
		    const struct credcache_entry *entry, uint64_t now_ms)
{
	struct kept *k;

	credcache_drop(c, key);
	if (c->count >= c->max)
		mem_deref(list_ledata(list_head(&c->order)));

	k = mem_zalloc(sizeof(*k), kept_destructor);
	if (!k)
		return;

	k->c = c;
	k->entry = *entry;
	k->until_ms = now_ms + CREDCACHE_LIFE_MS;
	if (str_dup(&k->key, key)) {
		mem_deref(k);
		return;
	}
	hash_append(c->by_key, hash_joaat_str(key), &k->he, k);
	list_append(&c->order, &k->le, k);
	c->count++;
}

void credcache_drop(struct credcache *c, const char *key)
{
	mem_deref(find(c, key));
}
