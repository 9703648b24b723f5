/*
 * Tables in memory, each with a bound: addresses that have spoken, those that
 * have been asked and said nothing, and hosts with some of those.  An address
 * in none of them is unknown; one that had to make room becomes unknown again.
 */
#include "transaction/address.h"

#include <errno.h>

enum {
	BUCKETS = 16384,
	MS = 1000,
	EVERY_MS = ADDRESS_HOST_EVERY_S * MS,
	IN6_NETWORK = 8, /* bytes of the /64 that one site has */
};

struct table {
	struct hash *by_address;
	struct list order; /* struct known, the one renewed longest ago first */
	size_t count, max;
};

struct address_book {
	struct table proven, silent, hosts;
};

struct known {
	struct le he;
	struct le le;
	struct table *t;
	struct address address;
	uint64_t until_ms;
	/* of a silent one */
	unsigned tries;
	uint64_t alone_until_ms;
};

static void known_destructor(void *arg)
{
	struct known *k = arg;

	if (k->le.list)
		k->t->count--;
	hash_unlink(&k->he);
	list_unlink(&k->le);
}

static void destructor(void *arg)
{
	struct address_book *b = arg;

	list_flush(&b->proven.order);
	list_flush(&b->silent.order);
	list_flush(&b->hosts.order);
	mem_deref(b->proven.by_address);
	mem_deref(b->silent.by_address);
	mem_deref(b->hosts.by_address);
}

static int table_open(struct table *t, size_t max)
{
	t->max = max;

	return hash_alloc(&t->by_address, BUCKETS);
}

/**
 * Allocate
 *
 * @param bp         Set to the book, owned by the caller
 * @param proven_max How many addresses that have spoken are remembered
 * @param silent_max How many that have not
 */
int address_book_alloc(struct address_book **bp, size_t proven_max,
		       size_t silent_max)
{
	struct address_book *b = mem_zalloc(sizeof(*b), destructor);
	int err;

	if (!b)
		return ENOMEM;

	err = table_open(&b->proven, proven_max);
	if (!err)
		err = table_open(&b->silent, silent_max);
	if (!err)
		err = table_open(&b->hosts, ADDRESS_HOSTS_MAX);
	if (err)
		mem_deref(b);
	else
		*bp = b;

	return err;
}

/* --- finding -------------------------------------------------------------- */

uint32_t address_hash(const struct address *a)
{
	return sa_hash(&a->sa, SA_ALL) ^ (uint32_t)a->tp;
}

bool address_is_same(const struct address *a, const struct address *b)
{
	return a->tp == b->tp && a->refused == b->refused &&
	       sa_cmp(&a->sa, &b->sa, SA_ALL);
}

static bool same_handler(struct le *le, void *arg)
{
	const struct known *k = le->data;

	return address_is_same(&k->address, arg);
}

static struct known *find(const struct table *t, const struct address *a,
			  uint64_t now_ms)
{
	struct known *k = list_ledata(hash_lookup(
		t->by_address, address_hash(a), same_handler, (void *)a));

	if (k && k->until_ms <= now_ms)
		k = mem_deref(k);

	return k;
}

/* NULL where memory is short: the address is not remembered then */
static struct known *take(struct table *t, const struct address *a,
			  uint64_t now_ms)
{
	struct known *k = find(t, a, now_ms);

	if (k) {
		list_unlink(&k->le);
		list_append(&t->order, &k->le, k);
		return k;
	}

	if (t->count >= t->max)
		mem_deref(list_ledata(list_head(&t->order)));
	k = mem_zalloc(sizeof(*k), known_destructor);
	if (!k)
		return NULL;

	k->t = t;
	k->address = *a;
	hash_append(t->by_address, address_hash(a), &k->he, k);
	list_append(&t->order, &k->le, k);
	t->count++;

	return k;
}

/* --- asking --------------------------------------------------------------- */

/** Whether more than a question may be sent to an address */
bool address_is_proven(struct address_book *b, const struct address *a,
		       uint64_t now_ms)
{
	return find(&b->proven, a, now_ms) != NULL;
}

/** Whether an address has said nothing lately, or so often that it is not even
    asked */
bool address_is_suspended(struct address_book *b, const struct address *a,
			  uint64_t now_ms)
{
	const struct known *k = find(&b->silent, a, now_ms);

	return k && k->alone_until_ms > now_ms;
}

/* --- hosts ---------------------------------------------------------------- */

/* An IPv4 address or the /64 of an IPv6 one, whatever the port */
static struct address host_of(const struct address *a)
{
	struct address host = {.tp = SIP_TRANSP_NONE, .refused = a->refused};
	uint8_t in6[16] = {0}, full[16];

	if (sa_af(&a->sa) == AF_INET6) {
		sa_in6(&a->sa, full);
		for (size_t i = 0; i < IN6_NETWORK; i++)
			in6[i] = full[i];
		sa_set_in6(&host.sa, in6, 0);
	} else {
		sa_set_in(&host.sa, sa_in(&a->sa), 0);
	}

	return host;
}

/**
 * Whether an address may be asked, given how many ports of its host are silent;
 * if so, it counts as silent until it answers.
 *
 * A host is remembered until its allowance is full again.
 */
bool address_may_ask(struct address_book *b, const struct address *a,
		     uint64_t now_ms)
{
	const struct address host = host_of(a);
	struct known *k = find(&b->hosts, &host, now_ms);
	const uint64_t until_ms = (k ? k->until_ms : now_ms) + EVERY_MS;

	if (until_ms > now_ms + (uint64_t)ADDRESS_HOST_BURST * EVERY_MS)
		return false;
	k = take(&b->hosts, &host, now_ms);
	if (k)
		k->until_ms = until_ms;

	return true;
}

/** An address that was asked has answered: its host gets its allowance back */
void address_answered(struct address_book *b, const struct address *a,
		      uint64_t now_ms)
{
	const struct address host = host_of(a);
	struct known *k = find(&b->hosts, &host, now_ms);

	if (k)
		k->until_ms -= EVERY_MS;
	address_prove(b, a, ADDRESS_ANSWERED_S, now_ms);
}

/* --- what is known of an address ------------------------------------------ */

/**
 * An address has spoken: it has answered a request of ours, or a binding or
 * subscription that it asked for stands
 *
 * @param for_s How long that proves it; an earlier proof is not shortened
 */
void address_prove(struct address_book *b, const struct address *a,
		   uint32_t for_s, uint64_t now_ms)
{
	const uint64_t until_ms = now_ms + (uint64_t)for_s * MS;
	struct known *k;

	mem_deref(find(&b->silent, a, now_ms));
	k = take(&b->proven, a, now_ms);
	if (k && k->until_ms < until_ms)
		k->until_ms = until_ms;
}

/** The binding or subscription that an address had asked for has ended */
void address_forget(struct address_book *b, const struct address *a)
{
	mem_deref(find(&b->proven, a, 0));
}

/** An address was asked, and has not answered */
void address_silent(struct address_book *b, const struct address *a,
		    uint64_t now_ms)
{
	struct known *k = take(&b->silent, a, now_ms);

	if (!k)
		return;
	k->tries++;
	k->until_ms = now_ms + (uint64_t)ADDRESS_SUSPENDED_S * MS;
	k->alone_until_ms = k->tries < ADDRESS_TRIES
				    ? now_ms + (uint64_t)ADDRESS_PAUSE_S * MS
				    : k->until_ms;
}
