/*
 * The table: sets of a few places each, found by a keyed hash of the address
 * (of its /64 for IPv6).  A source without a place has its full budget; where a
 * set is full, the source that is closest to its full budget loses its place.
 */
#include "gate/budget.h"

#include <errno.h>
#include <string.h>

#include "common/config.h"
#include "common/secret.h"
#include "common/source.h"
#include "logre.h"

enum {
	SETS = 4096, /* a power of two */
	WAYS = 4,
	UNIT = 1000, /* a token is so many; so a millisecond brings rate units
		      */
	REFUND = 2,  /* tokens: for the challenge and its request */
	KNOWN_MS = 60000,
	LOG_EVERY_MS = 10000,
	LINES_BURST = 20,
	LINE_MS = 200, /* one more after each */
};

struct place {
	uint64_t key; /* 0: nobody's */
	uint64_t at_ms;
	/* units left at at_ms */
	int64_t bad[BUDGET_PROOFS], unproven[BUDGET_PROOFS];
	uint64_t proven_ms; /* when it last said who it is; 0: never */
	uint64_t logged_ms;
	uint32_t dropped; /* since logged_ms */
	uint32_t counts[BUDGET_COUNTERS];
};

struct budget {
	struct budget_conf conf;
	uint64_t secret[2];
	uint32_t counts[BUDGET_COUNTERS];
	uint64_t lines_at_ms;
	uint32_t lines, suppressed;
	struct place rest; /* shared by all sources that have no place */
	struct place places[SETS][WAYS];
};

/** What the settings say that a source may get wrong, and hold */
void budget_conf_of(struct budget_conf *conf, const struct config *cfg)
{
	*conf = (struct budget_conf){
		.bad_burst = (uint32_t)cfg->agent.bad_burst,
		.bad_per_s = (uint32_t)cfg->agent.bad_per_s,
		.unproven_burst = (uint32_t)cfg->agent.unproven_burst,
		.unproven_per_s = (uint32_t)cfg->agent.unproven_per_s,
		.most = {[BUDGET_REQUESTS] =
				 (uint32_t)cfg->agent.source_requests,
			 [BUDGET_CONNECTIONS] =
				 (uint32_t)cfg->agent.source_connections,
			 [BUDGET_STRANGERS] = UINT32_MAX,
			 [BUDGET_HANDSHAKES] =
				 (uint32_t)cfg->limits.source_handshakes},
		.total = {[BUDGET_REQUESTS] = (uint32_t)cfg->agent.requests,
			  [BUDGET_CONNECTIONS] =
				  (uint32_t)cfg->agent.connections,
			  [BUDGET_STRANGERS] = UINT32_MAX,
			  [BUDGET_HANDSHAKES] =
				  (uint32_t)cfg->limits.handshakes},
	};
}

/** Whether a message's source is only claimed, as UDP has it, or shown */
enum budget_proof budget_proof_of(const struct sip_msg *msg)
{
	return msg->tp == SIP_TRANSP_UDP ? BUDGET_CLAIMED : BUDGET_SHOWN;
}

/**
 * Allocate; owned by the caller
 */
int budget_alloc(struct budget **bp, const struct budget_conf *conf)
{
	struct budget *b = mem_zalloc(sizeof(*b), NULL);
	int err;

	if (!b)
		return ENOMEM;

	b->conf = *conf;
	err = random_bytes(b->secret, sizeof(b->secret));
	if (err)
		mem_deref(b);
	else
		*bp = b;

	return err;
}

/* --- who ----------------------------------------------------------------- */

static uint64_t key_of(const struct sa *src)
{
	return source_key(&src->u.sa);
}

static int64_t filled(int64_t left, uint32_t per_s, uint32_t burst,
		      uint64_t elapsed_ms)
{
	const int64_t most = (int64_t)burst * UNIT;
	const uint64_t gap = (uint64_t)(most - left);

	if (elapsed_ms >= gap / (per_s ? per_s : 1) + 1)
		return per_s ? most : left;

	return left + (int64_t)(elapsed_ms * per_s);
}

static void refill(const struct budget *b, struct place *pl, uint64_t now_ms)
{
	const struct budget_conf *c = &b->conf;
	const uint64_t elapsed = now_ms > pl->at_ms ? now_ms - pl->at_ms : 0;

	for (size_t i = 0; i < BUDGET_PROOFS; i++) {
		pl->bad[i] = filled(pl->bad[i], c->bad_per_s, c->bad_burst,
				    elapsed);
		pl->unproven[i] = filled(pl->unproven[i], c->unproven_per_s,
					 c->unproven_burst, elapsed);
	}
	pl->at_ms = now_ms;
}

static struct place *set_of(struct budget *b, uint64_t key)
{
	const uint64_t h = source_mix(source_mix(key, b->secret[0]),
				      b->secret[1]);

	return b->places[h & (SETS - 1)];
}

static struct place *find(struct budget *b, const struct sa *src,
			  uint64_t now_ms)
{
	const uint64_t key = key_of(src);
	struct place *set = set_of(b, key);

	for (size_t i = 0; i < WAYS; i++) {
		if (set[i].key == key) {
			refill(b, &set[i], now_ms);
			return &set[i];
		}
	}

	return NULL;
}

static bool is_counted(const struct place *pl)
{
	for (size_t i = 0; i < BUDGET_COUNTERS; i++) {
		if (pl->counts[i])
			return true;
	}

	return false;
}

static int64_t sum(const int64_t *left)
{
	return left[BUDGET_CLAIMED] + left[BUDGET_SHOWN];
}

/* The place whose loss does the least harm, NULL where all are in use */
static struct place *victim(const struct budget *b, struct place *set,
			    uint64_t now_ms)
{
	struct place *best = NULL;

	for (size_t i = 0; i < WAYS; i++) {
		if (!set[i].key)
			return &set[i];
		if (is_counted(&set[i]))
			continue;
		refill(b, &set[i], now_ms);
		if (!best || sum(set[i].bad) > sum(best->bad) ||
		    (sum(set[i].bad) == sum(best->bad) &&
		     sum(set[i].unproven) > sum(best->unproven)))
			best = &set[i];
	}

	return best;
}

static struct place *obtain(struct budget *b, const struct sa *src,
			    uint64_t now_ms)
{
	struct place *pl = find(b, src, now_ms);

	if (pl)
		return pl;

	pl = victim(b, set_of(b, key_of(src)), now_ms);
	if (!pl) {
		pl = &b->rest;
		if (pl->key) {
			refill(b, pl, now_ms);
			return pl;
		}
	}

	*pl = (struct place){
		.key = key_of(src),
		.at_ms = now_ms,
	};
	for (size_t i = 0; i < BUDGET_PROOFS; i++) {
		pl->bad[i] = (int64_t)b->conf.bad_burst * UNIT;
		pl->unproven[i] = (int64_t)b->conf.unproven_burst * UNIT;
	}

	return pl;
}

/* --- lines --------------------------------------------------------------- */

/**
 * Whether a line about a stranger's message may be logged now
 *
 * @param suppressed Set to how many lines were left out since the last one
 */
bool budget_may_log(struct budget *b, uint64_t now_ms, uint32_t *suppressed)
{
	const uint64_t back = (now_ms - b->lines_at_ms) / LINE_MS;

	if (back) {
		b->lines = back < b->lines ? b->lines - (uint32_t)back : 0;
		b->lines_at_ms = now_ms;
	}
	if (b->lines >= LINES_BURST) {
		b->suppressed++;
		return false;
	}
	b->lines++;
	*suppressed = b->suppressed;
	b->suppressed = 0;

	return true;
}

/* --- charges ------------------------------------------------------------- */

/* At most one line a source in LOG_EVERY_MS */
static void log_dropped(struct budget *b, struct place *pl,
			const struct sa *src, uint64_t now_ms)
{
	uint32_t suppressed;

	pl->dropped++;
	if ((pl->logged_ms && now_ms - pl->logged_ms < LOG_EVERY_MS) ||
	    !budget_may_log(b, now_ms, &suppressed))
		return;

	log_info("source_limited", LOG_SA("source", src),
		 LOG_INT("dropped", (int64_t)pl->dropped),
		 LOG_INT("suppressed", suppressed));
	pl->logged_ms = now_ms;
	pl->dropped = 0;
}

/** Whether a source is listened to at all: asked before anything is parsed */
bool budget_may_speak(struct budget *b, enum budget_proof proof,
		      const struct sa *src, uint64_t now_ms)
{
	struct place *pl = find(b, src, now_ms);

	if (!pl || pl->bad[proof] >= UNIT)
		return true;
	log_dropped(b, pl, src, now_ms);

	return false;
}

/** The source sent something malformed, or failed to prove who it is */
void budget_bad(struct budget *b, enum budget_proof proof, const struct sa *src,
		uint64_t now_ms)
{
	struct place *pl = obtain(b, src, now_ms);

	pl->bad[proof] -= pl->bad[proof] >= UNIT ? UNIT : 0;
}

/**
 * The source sent a request without credentials
 *
 * @return Whether the request is to be served
 */
bool budget_unproven(struct budget *b, enum budget_proof proof,
		     const struct sa *src, uint64_t now_ms)
{
	struct place *pl = obtain(b, src, now_ms);

	if (pl->unproven[proof] < UNIT) {
		log_dropped(b, pl, src, now_ms);
		return false;
	}
	pl->unproven[proof] -= UNIT;

	return true;
}

/** Whether budget_unproven() would let one more through; takes nothing */
bool budget_has_unproven(struct budget *b, enum budget_proof proof,
			 const struct sa *src, uint64_t now_ms)
{
	const struct place *pl = find(b, src, now_ms);

	return !pl || pl->unproven[proof] >= UNIT;
}

/** It proved who it is */
void budget_proven(struct budget *b, enum budget_proof proof,
		   const struct sa *src, uint64_t now_ms)
{
	const int64_t most = (int64_t)b->conf.unproven_burst * UNIT;
	struct place *pl = find(b, src, now_ms);

	if (!pl)
		return;
	pl->proven_ms = now_ms;
	pl->unproven[proof] = MIN(pl->unproven[proof] + REFUND * UNIT, most);
	pl->bad[proof] = MIN(pl->bad[proof] + UNIT,
			     (int64_t)b->conf.bad_burst * UNIT);
}

/** Whether the source has proved who it is within KNOWN_MS */
bool budget_is_known(struct budget *b, const struct sa *src, uint64_t now_ms)
{
	const struct place *pl = find(b, src, now_ms);

	return pl && pl->proven_ms && now_ms - pl->proven_ms < KNOWN_MS;
}

/**
 * Count what is held for a source
 *
 * @return false where there is too much of it, of this source or in all
 */
bool budget_open(struct budget *b, enum budget_counter c, const struct sa *src,
		 uint64_t now_ms)
{
	struct place *pl = obtain(b, src, now_ms);

	if (pl->counts[c] >= b->conf.most[c] ||
	    b->counts[c] >= b->conf.total[c]) {
		log_dropped(b, pl, src, now_ms);
		return false;
	}
	pl->counts[c]++;
	b->counts[c]++;

	return true;
}

/** Whether there is as much of it as there may be in all */
bool budget_is_full(const struct budget *b, enum budget_counter c)
{
	return b->counts[c] >= b->conf.total[c];
}

/** How much of it is held for a source now */
uint32_t budget_count(struct budget *b, enum budget_counter c,
		      const struct sa *src, uint64_t now_ms)
{
	const struct place *pl = find(b, src, now_ms);

	return pl ? pl->counts[c] : 0;
}

/** Undo budget_open(): once for each time that it returned true */
void budget_close(struct budget *b, enum budget_counter c, const struct sa *src)
{
	const uint64_t key = key_of(src);
	struct place *set = set_of(b, key);

	if (b->counts[c])
		b->counts[c]--;
	for (size_t i = 0; i < WAYS; i++) {
		if (set[i].key == key && set[i].counts[c]) {
			set[i].counts[c]--;
			return;
		}
	}
	if (b->rest.counts[c])
		b->rest.counts[c]--;
}
