/*
 * large.h: limits how many requests hold much in memory at once: mail of more
 * than 64 KiB, in or out. A few may; the others wait, and callers take turns.
 * One address never gets all the places.
 */
#ifndef RESTSIP_LARGE_H
#define RESTSIP_LARGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/turn.h"
#include "shared/loop.h"

enum {
	LARGE_MAX = 2,		 /* that hold at once */
	LARGE_SOURCE_MAX = 1,	 /* of those, of one caller or address */
	LARGE_QUEUE_MAX = 256,	 /* that wait, */
	LARGE_SOURCE_QUEUE = 32, /* of one address, */
	LARGE_CALLER_QUEUE = 8,	 /* of one caller */
	LARGE_WAIT_MS = 8000, /* less than nginx waits for a body to be read */
	LARGE_RETRY_MAX_S = 60,
};

struct larges;

/** @param held  false: it has waited too long, or gave way to another */
typedef void(large_h)(bool held, void *arg);

enum large_state {
	LARGE_NONE,
	LARGE_WAITS,
	LARGE_REFUSED, /**< it is told soon */
	LARGE_HOLDS,
};

/** A request for a place; zeroed before the first use, owned by the user. */
struct large {
	struct turn turn; /* first: turns_take() gives it */
	enum large_state state;
	uint64_t began_ms;
	struct large *next_refused;
	large_h *done;
	void *arg;
};

/** @return 0 or ENOMEM */
int larges_new(struct larges **out, struct loop *l);

/** Requests that still wait are never answered. */
void larges_free(struct larges *ls);

/**
 * Wait for a place.
 *
 * @param caller  whose turn it is
 * @param source  the address that it comes from
 * @param done    called once, from the loop, unless large_end() comes first
 * @return 0 (then state says whether it holds already, without a call of done),
 *         EBUSY, ENOMEM
 */
int large_begin(struct larges *ls, struct large *e, uint64_t caller,
		const char *source, large_h *done, void *arg);

/** It gives its place back, or waits no longer. */
void large_end(struct larges *ls, struct large *e);

/** How many wait. */
size_t larges_waiting(const struct larges *ls);

/** Seconds until it is worth asking again, as things are now. */
int larges_retry_s(const struct larges *ls);

#endif
