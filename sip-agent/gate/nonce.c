/*
 * Nonces: time, random bytes and the algorithm, sealed by an HMAC whose key
 * lives as long as the process.  So a nonce costs nothing until somebody has
 * authenticated with it; from then on the counts that were used are kept.
 *
 * The HMAC covers the source that the nonce is for.  Over UDP anybody can write
 * any source on a datagram, but only a host that is really there receives our
 * challenge: an answer with a nonce for its source proves that the source is
 * true.
 *
 * As long as there is room for all, a nonce in use is only replaced by later
 * ones of the same account.
 */
#include "gate/nonce.h"

#include <errno.h>
#include <string.h>

#include "common/hex.h"
#include "common/secret.h"

enum {
	KEY_LEN = 32,
	TIME_LEN = 8,
	RANDOM_LEN = 8,
	PLAIN_LEN = TIME_LEN + RANDOM_LEN + 1,
	SOURCE_LEN = 8,
	SEAL_LEN = 16,
	RAW_LEN = PLAIN_LEN + SEAL_LEN,
	BUCKETS = 65536,
	OWNER_BUCKETS = 16384,
	WINDOW = 64, /* how far a count may lag behind the highest one */
};

struct nonce_pool {
	uint8_t key[KEY_LEN];
	struct hash *used; /* struct counted */
	struct list order; /* the same, oldest first use first */
	size_t counted, counted_max;
	struct hash *owners;			     /* struct owner */
	struct list by_count[NONCE_ACCOUNT_MAX + 1]; /* the same, by size */
	uint64_t floor_ms; /* made before: no longer remembered, so stale */
};

/* An account that has nonces in use */
struct owner {
	struct le he;
	struct le le; /* of by_count */
	int64_t account;
	struct list nonces; /* struct counted, by the time they were made */
	size_t count;
	uint64_t floor_ms; /* as the pool's, of this account */
};

struct counted {
	struct le he;
	struct le le;
	struct le own; /* of the owner's */
	struct owner *owner;
	uint8_t raw[RAW_LEN];
	uint64_t source;
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
	list_unlink(&c->own);
}

static void owner_destructor(void *arg)
{
	struct owner *o = arg;

	hash_unlink(&o->he);
	list_unlink(&o->le);
}

static void pool_destructor(void *arg)
{
	struct nonce_pool *np = arg;

	list_flush(&np->order);
	if (np->owners)
		hash_flush(np->owners);
	mem_deref(np->owners);
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
		err = hash_alloc(&np->owners, OWNER_BUCKETS);
	if (!err)
		err = random_bytes(np->key, KEY_LEN);

	if (err)
		mem_deref(np);
	else
		*npp = np;

	return err;
}

static int seal(const struct nonce_pool *np, uint8_t *dst, const uint8_t *plain,
		uint64_t source)
{
	uint8_t mac[SHA256_SIZE], text[PLAIN_LEN + SOURCE_LEN];

	memcpy(text, plain, PLAIN_LEN);
	memcpy(text + PLAIN_LEN, &source, SOURCE_LEN);
	if (hmac_sha256(mac, np->key, KEY_LEN, text, sizeof(text)))
		return EIO;
	memcpy(dst, mac, SEAL_LEN);

	return 0;
}

/**
 * Make a nonce
 *
 * @param text   Where it goes, NONCE_SIZE bytes
 * @param alg    The algorithm that is offered with it
 * @param source To whom, see source_key()
 * @param now_ms Monotonic clock
 */
int nonce_make(const struct nonce_pool *np, char *text, size_t size,
	       enum digest_alg alg, uint64_t source, uint64_t now_ms)
{
	uint8_t raw[RAW_LEN];

	if (size < NONCE_SIZE)
		return EOVERFLOW;

	for (int i = 0; i < TIME_LEN; i++)
		raw[i] = (uint8_t)(now_ms >> (56 - 8 * i));
	if (random_bytes(raw + TIME_LEN, RANDOM_LEN))
		return EIO;
	raw[TIME_LEN + RANDOM_LEN] = (uint8_t)alg;
	if (seal(np, raw + PLAIN_LEN, raw, source))
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

/* A nonce that is counted had the right seal when it first came */
static bool is_sealed(const struct nonce_pool *np, struct decoded *d,
		      uint64_t source)
{
	const struct counted *c = find(np, d);
	uint8_t mac[SEAL_LEN];

	if (c && c->source != source)
		return false;
	if (c)
		memcpy(mac, c->raw + PLAIN_LEN, SEAL_LEN);
	else if (seal(np, mac, d->raw, source))
		return false;

	return secret_equal(mac, d->raw + PLAIN_LEN, SEAL_LEN);
}

/**
 * Whether a nonce is one of this process for that source, and fresh.  Counts
 * nothing yet.
 *
 * @param alg Set to the algorithm that was offered with it, if good
 */
enum nonce_state nonce_check(const struct nonce_pool *np, const struct pl *text,
			     uint64_t source, enum digest_alg *alg,
			     uint64_t now_ms)
{
	struct decoded d;

	if (decode(&d, text))
		return NONCE_FOREIGN;

	if (!is_sealed(np, &d, source))
		return NONCE_STALE;

	if (d.made_ms > now_ms || now_ms - d.made_ms > NONCE_LIFE_MS)
		return NONCE_STALE;

	*alg = d.raw[TIME_LEN + RANDOM_LEN] == DIGEST_SHA256 ? DIGEST_SHA256
							     : DIGEST_MD5;

	return NONCE_GOOD;
}

/* --- whose ---------------------------------------------------------------- */

static uint32_t account_key(int64_t account)
{
	return hash_joaat((const uint8_t *)&account, sizeof(account));
}

static bool account_handler(struct le *le, void *arg)
{
	const struct owner *o = le->data;
	const int64_t *account = arg;

	return o->account == *account;
}

/* After its count has changed */
static void place(struct nonce_pool *np, struct owner *o)
{
	list_unlink(&o->le);
	list_append(&np->by_count[o->count], &o->le, o);
}

static struct owner *obtain(struct nonce_pool *np, int64_t account)
{
	struct owner *o = list_ledata(hash_lookup(
		np->owners, account_key(account), account_handler, &account));

	if (o)
		return o;

	o = mem_zalloc(sizeof(*o), owner_destructor);
	if (!o)
		return NULL;
	o->account = account;
	hash_append(np->owners, account_key(account), &o->he, o);
	place(np, o);

	return o;
}

/* Those that are left are younger, so that the floor need not outlive them */
static void forget(struct nonce_pool *np, struct counted *c)
{
	struct owner *o = c->owner;
	uint64_t *floor_ms = o->count > 1 ? &o->floor_ms : &np->floor_ms;

	if (list_head(&o->nonces) == &c->own && c->made_ms > *floor_ms)
		*floor_ms = c->made_ms;
	mem_deref(c);
	np->counted--;
	if (--o->count)
		place(np, o);
	else
		mem_deref(o);
}

static void forget_expired(struct nonce_pool *np, uint64_t now_ms)
{
	struct counted *c;

	while ((c = list_ledata(list_head(&np->order))) &&
	       now_ms - c->made_ms > NONCE_LIFE_MS)
		forget(np, c);
}

/* When the pool is full: the oldest nonce of the account that has most */
static void make_room(struct nonce_pool *np)
{
	for (size_t n = NONCE_ACCOUNT_MAX; n > 0; n--) {
		const struct owner *o = list_ledata(
			list_head(&np->by_count[n]));

		if (o) {
			forget(np, list_ledata(list_head(&o->nonces)));
			return;
		}
	}
}

static void insert(struct owner *o, struct counted *c)
{
	struct le *le = list_tail(&o->nonces);

	while (le && ((struct counted *)le->data)->made_ms > c->made_ms)
		le = le->prev;
	if (le)
		list_insert_after(&o->nonces, le, &c->own, c);
	else
		list_prepend(&o->nonces, &c->own, c);
	c->owner = o;
	o->count++;
}

/* Whether this nonce may have been counted once and be forgotten since */
static bool is_too_old(const struct nonce_pool *np, const struct owner *o,
		       uint64_t made_ms)
{
	const struct counted *oldest = list_ledata(list_head(&o->nonces));

	return made_ms <= MAX(o->floor_ms, np->floor_ms) ||
	       (o->count >= NONCE_ACCOUNT_MAX && made_ms < oldest->made_ms);
}

static struct counted *remember(struct nonce_pool *np, struct decoded *d,
				uint64_t source, int64_t account,
				uint64_t now_ms)
{
	struct owner *o;
	struct counted *c;

	forget_expired(np, now_ms);
	if (np->counted >= np->counted_max)
		make_room(np);
	o = obtain(np, account);
	if (!o)
		return NULL;

	c = is_too_old(np, o, d->made_ms)
		    ? NULL
		    : mem_zalloc(sizeof(*c), counted_destructor);
	if (!c) {
		if (!o->count)
			mem_deref(o);
		return NULL;
	}
	if (o->count >= NONCE_ACCOUNT_MAX)
		forget(np, list_ledata(list_head(&o->nonces)));

	memcpy(c->raw, d->raw, RAW_LEN);
	c->source = source;
	c->made_ms = d->made_ms;
	hash_append(np->used, hash_joaat(c->raw, PLAIN_LEN), &c->he, c);
	list_append(&np->order, &c->le, c);
	insert(o, c);
	place(np, o);
	np->counted++;

	return c;
}

/**
 * Count one use of a nonce; to be called once the response was found right
 *
 * @param text    A nonce that nonce_check found good for that source
 * @param nc      The client's count, from 1
 * @param account The account that the response is of
 *
 * @return false where this count was used before (a replay)
 */
bool nonce_count(struct nonce_pool *np, const struct pl *text, uint32_t nc,
		 uint64_t source, int64_t account, uint64_t now_ms)
{
	struct decoded d;
	struct counted *c;
	uint32_t behind;

	if (!nc || decode(&d, text))
		return false;

	c = find(np, &d);
	if (!c)
		c = remember(np, &d, source, account, now_ms);
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
