/*
 * One table of fixed size for both: sets of a few places each, found by a keyed
 * hash.  Only a right digest gets a place; where a set is full, the one that
 * has been away for longest is replaced.
 *
 * An address and port is all that UDP tells.  An attacker who forges a victim's
 * address does not see its port and has to guess it.
 */
#include "gate/trust.h"

#include <errno.h>

#include "common/secret.h"
#include "common/source.h"

enum {
	SETS = 8192, /* a power of two */
	WAYS = 4,
	UNIT = 1000, /* a message is so many; a millisecond brings rate units */
	KINDS = 3,
};

enum kind { WHOLE_SOURCE, DATAGRAMS, STREAM };

struct place {
	uint64_t key; /* 0: nobody's */
	uint64_t proven_ms;
	uint64_t at_ms; /* of left */
	uint32_t left;	/* units; of a source: ports that have places */
};

struct trust {
	uint64_t secret[KINDS];
	struct place places[SETS][WAYS];
};

/** Allocate; owned by the caller */
int trust_alloc(struct trust **tp)
{
	struct trust *t = mem_zalloc(sizeof(*t), NULL);
	int err;

	if (!t)
		return ENOMEM;

	err = random_bytes(t->secret, sizeof(t->secret));
	if (err)
		mem_deref(t);
	else
		*tp = t;

	return err;
}

static uint64_t key_of(const struct trust *t, const struct sa *src,
		       enum kind kind)
{
	const uint64_t port = kind == WHOLE_SOURCE ? 0 : sa_port(src);
	const uint64_t key = source_mix(
		source_mix(source_key(&src->u.sa), t->secret[kind]), port);

	return key ? key : 1;
}

static bool is_over(const struct place *p, uint64_t now_ms)
{
	return now_ms - p->proven_ms >= TRUST_MS;
}

static struct place *find(const struct trust *t, uint64_t key, uint64_t now_ms)
{
	const struct place *set = t->places[key & (SETS - 1)];

	for (size_t i = 0; i < WAYS; i++) {
		if (set[i].key == key && !is_over(&set[i], now_ms))
			return (struct place *)&set[i];
	}

	return NULL;
}

static struct place *obtain(struct trust *t, uint64_t key, uint32_t left,
			    uint64_t now_ms)
{
	struct place *set = t->places[key & (SETS - 1)], *p = &set[0];

	for (size_t i = 1; i < WAYS; i++) {
		if (!p->key)
			break;
		if (!set[i].key || set[i].proven_ms < p->proven_ms)
			p = &set[i];
	}
	*p = (struct place){
		.key = key, .proven_ms = now_ms, .at_ms = now_ms, .left = left};

	return p;
}

/** A right digest came from this address */
void trust_add(struct trust *t, const struct sa *src, bool stream,
	       uint64_t now_ms)
{
	const uint64_t key = key_of(t, src, stream ? STREAM : DATAGRAMS),
		       whole = key_of(t, src, WHOLE_SOURCE);
	struct place *p = find(t, whole, now_ms);

	if (!p)
		p = obtain(t, whole, 0, now_ms);
	p->proven_ms = now_ms;

	if (find(t, key, now_ms)) {
		find(t, key, now_ms)->proven_ms = now_ms;
	} else if (p->left < TRUST_PORTS_MAX) {
		p->left++;
		(void)obtain(t, key, TRUST_BURST * UNIT, now_ms);
	}
}

/** Whether somebody at this source has proved who he is, within a day */
bool trust_has_source(const struct trust *t, const struct sa *src,
		      uint64_t now_ms)
{
	return find(t, key_of(t, src, WHOLE_SOURCE), now_ms) != NULL;
}

/** Whether this address and port has proved who it is and has a message left
 * of its share; takes one */
bool trust_spend(struct trust *t, const struct sa *src, bool stream,
		 uint64_t now_ms)
{
	struct place *p = find(t, key_of(t, src, stream ? STREAM : DATAGRAMS),
			       now_ms);
	uint64_t left;

	if (!p)
		return false;

	left = p->left + (now_ms - p->at_ms) * TRUST_PER_S;
	p->left = (uint32_t)MIN(left, (uint64_t)TRUST_BURST * UNIT);
	p->at_ms = now_ms;
	if (p->left < UNIT)
		return false;
	p->left -= UNIT;

	return true;
}
