/*
 * turn.c: one list in the order of turns, and what is known of each caller.
 */
#include "common/turn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/secret.h"

enum {
	BUCKETS = 4096,
	GUESS_US = 200,	  /* of a caller's first */
	GUESS_WEIGHT = 4, /* of all before it, against the last cost */
	USUAL_WEIGHT = 64,
};

/* A caller or a target. Nobody's place in the order changes with time, so a
 * key is forgotten once nothing of it is there and nothing is held against
 * it. */
struct turn_key {
	struct turn_key *next;
	uint64_t key;
	size_t waiting, running;
	size_t slow;	   /* of those that run */
	uint64_t place;	   /* of the next */
	uint64_t guess_us; /* what one costs, by those before */
	uint64_t slow_us;  /* held against it, as of at_ms */
	uint64_t at_ms;
	uint64_t rests_until_ms;
};

struct turns {
	struct turns_limits limits;
	struct turn *first, *last;
	size_t waiting;
	uint64_t place;	   /* of the last whose turn it was */
	uint64_t usual_us; /* what one costs of those who are not heavy */
	struct turn_key *bucket[BUCKETS];
	size_t keys;
};

int turns_new(struct turns **out, const struct turns_limits *limits)
{
	struct turns *t = calloc(1, sizeof(*t));

	if (!t)
		return ENOMEM;
	t->limits = *limits;
	*out = t;
	return 0;
}

void turns_free(struct turns *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		while (t->bucket[i]) {
			struct turn_key *k = t->bucket[i];

			t->bucket[i] = k->next;
			free(k);
		}
	free(t);
}

/* ---- keys ---- */

static uint64_t slow_now(struct turn_key *k, uint64_t now_ms)
{
	uint64_t made_up = (now_ms - k->at_ms) * 1000 / TURN_FORGIVE;

	if (k->slow_us && made_up) {
		k->slow_us = k->slow_us > made_up ? k->slow_us - made_up : 0;
		k->at_ms = now_ms;
	} else if (!k->slow_us)
		k->at_ms = now_ms;
	return k->slow_us;
}

static bool is_heavy(struct turn_key *k, uint64_t now_ms)
{
	return k && (k->slow || slow_now(k, now_ms) >= TURN_HEAVY_US);
}

static bool is_idle(const struct turns *t, struct turn_key *k, uint64_t now_ms)
{
	return !k->waiting && !k->running &&
	       ((k->place <= t->place && !slow_now(k, now_ms)) ||
		t->keys >= TURN_CALLERS_MAX);
}

/* The key's; made where it is not there. Null: no memory. */
static struct turn_key *key_get(struct turns *t, uint64_t key, uint64_t now_ms)
{
	struct turn_key **at = &t->bucket[key % BUCKETS], *found = NULL;

	while (*at) {
		struct turn_key *k = *at;

		if (k->key == key)
			found = k;
		else if (is_idle(t, k, now_ms)) {
			*at = k->next;
			free(k);
			t->keys--;
			continue;
		}
		at = &k->next;
	}
	if (found)
		return found;
	found = calloc(1, sizeof(*found));
	if (!found)
		return NULL;
	found->key = key;
	found->guess_us = GUESS_US;
	found->at_ms = now_ms;
	*at = found;
	t->keys++;
	return found;
}

uint64_t turn_key_of(char salt, const void *p, size_t n)
{
	const uint64_t h = table_hash((uint8_t)salt, p, n);

	return h ? h : 1;
}

uint64_t turn_key_of_source(const char *source)
{
	return turn_key_of('s', source, strlen(source));
}

/* ---- the list ---- */

/* Behind all whose place is not behind its own. */
static void list_add(struct turns *t, struct turn *e)
{
	struct turn *before = t->last;

	while (before && before->place > e->place)
		before = before->prev;
	e->prev = before;
	e->next = before ? before->next : t->first;
	if (e->next)
		e->next->prev = e;
	else
		t->last = e;
	if (before)
		before->next = e;
	else
		t->first = e;
	t->waiting++;
	if (e->caller)
		e->caller->waiting++;
	if (e->target)
		e->target->waiting++;
}

static void list_remove(struct turns *t, struct turn *e)
{
	if (e->prev)
		e->prev->next = e->next;
	else
		t->first = e->next;
	if (e->next)
		e->next->prev = e->prev;
	else
		t->last = e->prev;
	e->prev = e->next = NULL;
	t->waiting--;
	if (e->caller)
		e->caller->waiting--;
	if (e->target)
		e->target->waiting--;
}

static bool is_full(size_t n, size_t limit)
{
	return limit && n >= limit;
}

int turns_add(struct turns *t, struct turn *e, uint64_t caller, uint64_t target,
	      uint64_t now_ms)
{
	const struct turns_limits *limits = &t->limits;
	struct turn_key *c = NULL, *g = NULL;

	*e = (struct turn){.asked_ms = now_ms, .place = t->place};
	if (is_full(t->waiting, limits->waiting))
		return EBUSY;
	if (caller)
		c = key_get(t, caller, now_ms);
	/* so that it is not taken for idle while its target is looked for */
	if (c)
		c->running++;
	if (target)
		g = key_get(t, target, now_ms);
	if (c)
		c->running--;
	if ((caller && !c) || (target && !g))
		return ENOMEM;
	if ((c && is_full(c->waiting, limits->caller_waiting)) ||
	    (g && is_full(g->waiting, limits->target_waiting)))
		return EBUSY;
	e->caller = c;
	e->target = g;
	if (c) {
		if (c->place > e->place)
			e->place = c->place;
		e->guess_us = c->guess_us;
		c->place = e->place + e->guess_us;
	}
	list_add(t, e);
	return 0;
}

static struct turn_key *key_find(const struct turns *t, uint64_t key)
{
	struct turn_key *k = key ? t->bucket[key % BUCKETS] : NULL;

	while (k && k->key != key)
		k = k->next;
	return k;
}

struct turn *turns_make_room(struct turns *t, uint64_t caller, uint64_t target)
{
	const struct turn_key *c = key_find(t, caller);
	const struct turn_key *g = key_find(t, target);
	const size_t has = c ? c->waiting : 0;
	const bool is_target = g &&
			       is_full(g->waiting, t->limits.target_waiting);
	struct turn *e = t->last;

	if (is_full(has, t->limits.caller_waiting) ||
	    (!is_target && !is_full(t->waiting, t->limits.waiting)))
		return NULL;
	while (e && (!e->caller || e->caller->waiting <= has + 1 ||
		     (is_target && e->target != g)))
		e = e->prev;
	if (e)
		list_remove(t, e);
	return e;
}

static bool may_run(const struct turns *t, const struct turn *e,
		    enum turn_class class, uint64_t now_ms)
{
	const struct turns_limits *limits = &t->limits;

	if ((e->caller &&
	     (is_full(e->caller->running, limits->caller_running) ||
	      (e->rests && e->caller->rests_until_ms > now_ms))) ||
	    (e->target && is_full(e->target->running, limits->target_running)))
		return false;
	if (class == TURN_ANY)
		return true;
	return is_heavy(e->caller, now_ms) == (class == TURN_HEAVY);
}

struct turn *turns_take(struct turns *t, enum turn_class class, uint64_t now_ms)
{
	struct turn *e = t->first;

	while (e && !may_run(t, e, class, now_ms))
		e = e->next;
	if (!e)
		return NULL;
	list_remove(t, e);
	if (e->place > t->place)
		t->place = e->place;
	e->heavy = is_heavy(e->caller, now_ms);
	if (e->caller)
		e->caller->running++;
	if (e->target)
		e->target->running++;
	return e;
}

static void run_ends(struct turn *e)
{
	if (e->caller) {
		e->caller->running--;
		e->caller->slow -= e->slow;
	}
	e->slow = false;
	if (e->target)
		e->target->running--;
}

void turns_give_back(struct turns *t, struct turn *e)
{
	run_ends(e);
	list_add(t, e);
}

uint64_t turns_fair_us(const struct turns *t, size_t n)
{
	return TURN_QUICK_US + TURN_USUAL * t->usual_us * n;
}

/* What of a cost is held against its caller. */
static uint64_t slow_of(const struct turns *t, uint64_t cost_us)
{
	const uint64_t fair_us = turns_fair_us(t, 1);

	return cost_us > fair_us ? cost_us - fair_us : 0;
}

static void rest(struct turn_key *c, uint64_t slow_us, uint64_t now_ms)
{
	uint64_t ms = slow_us / 1000 * TURN_REST;

	if (!is_heavy(c, now_ms))
		return;
	if (ms > TURN_REST_MAX_MS)
		ms = TURN_REST_MAX_MS;
	if (c->rests_until_ms < now_ms + ms)
		c->rests_until_ms = now_ms + ms;
}

void turns_done(struct turns *t, struct turn *e, uint64_t cost_us,
		uint64_t now_ms)
{
	struct turn_key *c = e->caller;
	const uint64_t slow_us = slow_of(t, cost_us);

	if (!e->heavy)
		t->usual_us = (t->usual_us * (USUAL_WEIGHT - 1) + cost_us) /
			      USUAL_WEIGHT;
	run_ends(e);
	if (!c)
		return;
	if (cost_us > e->guess_us)
		c->place += cost_us - e->guess_us;
	c->guess_us = (c->guess_us * (GUESS_WEIGHT - 1) + cost_us) /
		      GUESS_WEIGHT;
	if (c->guess_us < GUESS_US)
		c->guess_us = GUESS_US;
	(void)slow_now(c, now_ms);
	c->slow_us += slow_us;
	if (e->rests)
		rest(c, slow_us, now_ms);
}

void turns_is_slow(struct turn *e)
{
	e->heavy = true;
	if (e->slow)
		return;
	e->slow = true;
	if (e->caller)
		e->caller->slow++;
}

void turns_remove(struct turns *t, struct turn *e)
{
	list_remove(t, e);
}

struct turn *turns_overdue(struct turns *t, uint64_t since_ms)
{
	struct turn *e = t->first;

	while (e && e->asked_ms > since_ms)
		e = e->next;
	return e;
}

struct turn *turns_first(const struct turns *t)
{
	return t->first;
}

size_t turns_waiting(const struct turns *t)
{
	return t->waiting;
}
