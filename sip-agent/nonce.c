/*
 * Nonces: time, random bytes and the algorithm, sealed by an HMAC whose key
 * lives as long as the process.  So a nonce costs nothing until somebody has
 * authenticated with it; from then on the counts that were used are kept.
 */
#include "nonce.h"

#include <errno.h>
#include <string.h>

#include "secret.h"

enum {
	KEY_LEN = 32,
	TIME_LEN = 8,
	RANDOM_LEN = 8,
	PLAIN_LEN = TIME_LEN + RANDOM_LEN + 1,
	SEAL_LEN = 16,
	RAW_LEN = PLAIN_LEN + SEAL_LEN,
	BUCKETS = 65536,
	WINDOW = 64, /* counts that may come late */
};

struct nonce_pool {
	uint8_t key[KEY_LEN];
	struct hash *used; /* struct counted */
	struct list order; /* the same, oldest first use first */
	size_t counted, counted_max;
	uint64_t floor_ms; /* made before: no longer remembered, so stale */
};

struct counted {
	struct le he;
	struct le le;
	uint8_t raw[RAW_LEN];
	uint64_t made_ms;
	uint32_t top;	 /* highest count seen */
	uint64_t window; /* bit i: top - i was seen */
};

struct decoded {
	uint8_t raw[RAW_LEN];
	uint64_t made_ms;
};

static void counted_destructor(void *arg)
{
	struct counted *c = arg;

	hash_unlink(&c->he);
	list_unlink(&c->le);
}

static void pool_destructor(void *arg)
{
	struct nonce_pool *np = arg;

	list_flush(&np->order);
	mem_deref(np->used);
	secret_wipe(np->key, sizeof(np->key));
}

/**
 * Allocate a pool with a fresh key
 *
 * @param npp         Set to the pool, owned by the caller
 * @param counted_max How many nonces in use are remembered at most
 */
int nonce_pool_alloc(struct nonce_pool **npp, size_t counted_max)
{
	struct nonce_pool *np = mem_zalloc(sizeof(*np), pool_destructor);
	int err;

	if (!np)
		return ENOMEM;

	np->counted_max = counted_max;
	err = hash_alloc(&np->used, BUCKETS);
	if (!err)
		err = random_bytes(np->key, KEY_LEN);

	if (err)
		mem_deref(np);
	else
		*npp = np;

	return err;
}

static int seal(const struct nonce_pool *np, uint8_t *dst, const uint8_t *plain)
{
	uint8_t mac[SHA256_SIZE];

	if (hmac_sha256(mac, np->key, KEY_LEN, plain, PLAIN_LEN))
		return EIO;
	memcpy(dst, mac, SEAL_LEN);

	return 0;
}

/**
 * Make a nonce
 *
 * @param text   Where it goes, NONCE_SIZE bytes
 * @param alg    The algorithm that is offered with it
 * @param now_ms Monotonic clock
 */
int nonce_make(const struct nonce_pool *np, char *text, size_t size,
	       enum digest_alg alg, uint64_t now_ms)
{
	uint8_t raw[RAW_LEN];

	if (size < NONCE_SIZE)
		return EOVERFLOW;

	for (int i = 0; i < TIME_LEN; i++)
		raw[i] = (uint8_t)(now_ms >> (56 - 8 * i));
	if (random_bytes(raw + TIME_LEN, RANDOM_LEN))
		return EIO;
	raw[TIME_LEN + RANDOM_LEN] = (uint8_t)alg;
	if (seal(np, raw + PLAIN_LEN, raw))
		return EIO;
	hex_encode(text, raw, RAW_LEN);

	return 0;
}

static int decode(struct decoded *d, const struct pl *text)
{
	if (text->l != 2 * RAW_LEN)
		return EBADMSG;

	for (size_t i = 0; i < text->l; i++) {
		const char c = text->p[i];
		uint8_t digit;

		if (c >= '0' && c <= '9')
			digit = (uint8_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			digit = (uint8_t)(c - 'a' + 10);
		else
			return EBADMSG;
		if (i % 2)
			d->raw[i / 2] = (uint8_t)(d->raw[i / 2] | digit);
		else
			d->raw[i / 2] = (uint8_t)(digit << 4);
	}

	d->made_ms = 0;
	for (int i = 0; i < TIME_LEN; i++)
		d->made_ms = d->made_ms << 8 | d->raw[i];

	return 0;
}

static bool same_handler(struct le *le, void *arg)
{
	const struct counted *c = le->data;
	const struct decoded *d = arg;

	return !memcmp(c->raw, d->raw, PLAIN_LEN);
}

static struct counted *find(const struct nonce_pool *np, struct decoded *d)
{
	return list_ledata(hash_lookup(np->used, hash_joaat(d->raw, PLAIN_LEN),
				       same_handler, d));
}

/* One that is counted had the right seal when it came first */
static bool is_sealed(const struct nonce_pool *np, struct decoded *d)
{
	const struct counted *c = find(np, d);
	uint8_t mac[SEAL_LEN];

	if (c)
		memcpy(mac, c->raw + PLAIN_LEN, SEAL_LEN);
	else if (seal(np, mac, d->raw))
		return false;

	return secret_equal(mac, d->raw + PLAIN_LEN, SEAL_LEN);
}

/**
 * Whether a nonce is one of this process and fresh.  Counts nothing yet.
 *
 * @param alg Set to the algorithm that was offered with it, if good
 */
enum nonce_state nonce_check(const struct nonce_pool *np, const struct pl *text,
			     enum digest_alg *alg, uint64_t now_ms)
{
	struct decoded d;

	if (decode(&d, text))
		return NONCE_FOREIGN;

	if (!is_sealed(np, &d))
		return NONCE_STALE;

	if (d.made_ms > now_ms || now_ms - d.made_ms > NONCE_LIFE_MS)
		return NONCE_STALE;

	*alg = d.raw[TIME_LEN + RANDOM_LEN] == DIGEST_SHA256 ? DIGEST_SHA256
							     : DIGEST_MD5;

	return NONCE_GOOD;
}

static void forget(struct nonce_pool *np, struct counted *c)
{
	if (c->made_ms > np->floor_ms)
		np->floor_ms = c->made_ms;
	np->counted--;
	mem_deref(c);
}

static struct counted *remember(struct nonce_pool *np, struct decoded *d,
				uint64_t now_ms)
{
	struct counted *c;

	while ((c = list_ledata(list_head(&np->order)))) {
		if (np->counted < np->counted_max &&
		    now_ms - c->made_ms <= NONCE_LIFE_MS)
			break;
		forget(np, c);
	}

	if (d->made_ms <= np->floor_ms)
		return NULL;

	c = mem_zalloc(sizeof(*c), counted_destructor);
	if (!c)
		return NULL;

	memcpy(c->raw, d->raw, RAW_LEN);
	c->made_ms = d->made_ms;
	hash_append(np->used, hash_joaat(c->raw, PLAIN_LEN), &c->he, c);
	list_append(&np->order, &c->le, c);
	np->counted++;

	return c;
}

/**
 * Count one use of a nonce; to be called once the response was found right
 *
 * @param text A nonce that nonce_check found good
 * @param nc   The client's count, from 1
 *
 * @return false where this count was used before (a replay)
 */
bool nonce_count(struct nonce_pool *np, const struct pl *text, uint32_t nc,
		 uint64_t now_ms)
{
	struct decoded d;
	struct counted *c;
	uint32_t behind;

	if (!nc || decode(&d, text))
		return false;

	c = find(np, &d);
	if (!c)
		c = remember(np, &d, now_ms);
	if (!c)
		return false;

	if (nc > c->top) {
		const uint32_t ahead = nc - c->top;

		c->window = ahead < WINDOW ? c->window << ahead : 0;
		c->window |= 1;
		c->top = nc;
		return true;
	}

	behind = c->top - nc;
	if (behind >= WINDOW || (c->window >> behind & 1))
		return false;
	c->window |= UINT64_C(1) << behind;

	return true;
}
