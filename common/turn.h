/*
 * turn.h: whose turn it is, where many callers wait for few servers. It knows
 * of no clock, no socket and no thread: its user says what time it is.
 *
 * Callers come in turn by what they have cost (start-time fair queueing): who
 * asks for much waits behind his own, and who asks once is next. A caller
 * whose work was slow lately is heavy, until as much time has passed as makes
 * up for it; a user keeps servers free of those who are.
 *
 * Slow is what takes longer than TURN_QUICK_US, and longer than a few times
 * what is usual now: where all wait for the machine, nobody is to blame.
 */
#ifndef TURN_H
#define TURN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TURN_QUICK_US = 5000,	    /* what takes longer is slow */
	TURN_HEAVY_US = 200 * 1000, /* slow work of one caller until heavy */
	TURN_FORGIVE = 40,	    /* one second of it is forgotten in 40 */
	TURN_USUAL = 4,		    /* times the usual cost is not slow yet */
	TURN_REST = 7, /* times what was slow, before a heavy one's next */
	TURN_REST_MAX_MS = 1000,
	TURN_CALLERS_MAX = 16384, /* that are remembered */
};

struct turns;
struct turn_key;

/** What waits or runs; a member of the user's own struct. */
struct turn {
	struct turn *prev, *next;
	struct turn_key *caller, *target; /* null: nobody's */
	uint64_t place;			  /* in the order of turns */
	uint64_t asked_ms;
	uint64_t guess_us; /* what it was taken to cost */
	bool heavy;	   /* of a caller who was, when its turn came */
	bool slow;	   /* as turns_is_slow() said */
	/* The user's to set once it is added: that after what was slow its
	 * heavy caller rests before the next such, even if nobody else waits,
	 * for the server behind has others to serve. */
	bool rests;
};

/** 0: no limit. */
struct turns_limits {
	size_t waiting;
	size_t caller_waiting, target_waiting;
	size_t caller_running, target_running;
};

enum turn_class {
	TURN_ANY,
	TURN_LIGHT,
	TURN_HEAVY,
};

/** @return 0 or ENOMEM */
int turns_new(struct turns **out, const struct turns_limits *limits);

/** What still waits is the user's. */
void turns_free(struct turns *t);

/**
 * Wait for a turn.
 *
 * @param caller, target  keys; 0: nobody, whose turn is at once
 * @return 0, EBUSY (no place is left for it), ENOMEM
 */
int turns_add(struct turns *t, struct turn *e, uint64_t caller, uint64_t target,
	      uint64_t now_ms);

/**
 * Where there is no place: the last that waits of somebody who has more
 * waiting than this caller will, so that nobody fills it for others. It does
 * not wait any more.
 *
 * @return null: there is a place, or nobody has more than the caller
 */
struct turn *turns_make_room(struct turns *t, uint64_t caller, uint64_t target);

/** Whose turn it is: it runs from now on. Null: of those who may, nobody. */
struct turn *turns_take(struct turns *t, enum turn_class class,
			uint64_t now_ms);

/** It did not run: back to its place. */
void turns_give_back(struct turns *t, struct turn *e);

/** It ran, and took that long. */
void turns_done(struct turns *t, struct turn *e, uint64_t cost_us,
		uint64_t now_ms);

/** What so many may take one after the other, as things are now, before any of
 * them counts as slow. */
uint64_t turns_fair_us(const struct turns *t, size_t n);

/** It runs, and slowly: its caller is heavy at least until it is done. */
void turns_is_slow(struct turn *e);

/** It does not wait any more. */
void turns_remove(struct turns *t, struct turn *e);

/** One that has waited since then or longer; null: none. */
struct turn *turns_overdue(struct turns *t, uint64_t since_ms);

/** Any that waits; null: none. */
struct turn *turns_first(const struct turns *t);

size_t turns_waiting(const struct turns *t);

/** A key of text or bytes, never 0; salt: what sort of thing it is. */
uint64_t turn_key_of(char salt, const void *p, size_t n);

/** A key of a source as source.h writes it. */
uint64_t turn_key_of_source(const char *source);

#endif
