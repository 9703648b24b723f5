/*
 * db_lane.c: which query goes on which connection, and what is done about
 * those that take long.
 *
 * Reads that wait at the same time share a round trip, so a further reader is
 * only used where those before it have been busy for a while, or where a whole
 * batch waits. Which of a batch is slow cannot be told from outside, for the
 * server sends its rows together: then all are asked again elsewhere, and for
 * a while each read's rows are sent before the next runs, so that only those
 * behind a slow one are. That costs a quarter more, and is not done always.
 * One connection of each lane is kept free of callers whose work is slow.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "shared/db_conn.h"

enum {
	TICK_MS = 10,
	YOUNG_MS = 5,  /* a batch that the next reads wait for */
	LOOK_MS = 100, /* for what has waited too long */
	STUCK_MS = 50, /* a write that counts as slow */
};

static bool is_busy(const struct db_conn *c)
{
	return c->inflight.first || c->syncs;
}

static bool is_of(const struct db_conn *c, enum db_lane lane)
{
	return c->lane == lane && c->state == CONN_UP && !c->broken;
}

static uint64_t age_ms(const struct db_conn *c, uint64_t now_us)
{
	return is_busy(c) && now_us > c->head_us ? (now_us - c->head_us) / 1000
						 : 0;
}

/* One that is idle; what belongs to the session is sent at once. */
static struct db_conn *conn_choose(struct db *db, enum db_lane lane)
{
	for (size_t i = 0; i < db->conns; i++) {
		struct db_conn *c = &db->conn[i];

		if (!is_of(c, lane))
			continue;
		if (lane == LANE_SESSION ? c->inflight.n < DB_INFLIGHT_MAX
					 : !is_busy(c))
			return c;
	}
	return NULL;
}

/* Whether one more connection may be used for that class now. */
static bool may_carry(const struct db *db, enum db_lane lane,
		      enum turn_class class)
{
	const bool heavy = class == TURN_HEAVY;
	const uint64_t now_us = clock_us();
	size_t carrying = 0;
	bool young = false;

	for (size_t i = 0; i < db->conns; i++) {
		const struct db_conn *c = &db->conn[i];

		if (!is_of(c, lane) || !is_busy(c) || c->heavy != heavy)
			continue;
		carrying++;
		young |= age_ms(c, now_us) < YOUNG_MS;
	}
	if (heavy && carrying && carrying + 1 >= db->lane_conns[lane])
		return false;
	return lane != LANE_READ || !young ||
	       turns_waiting(db->waiting[lane]) >= DB_BATCH_MAX;
}

static struct db_query *query_take(struct db *db, enum db_lane lane)
{
	struct turns *t = db->waiting[lane];
	bool light = true, heavy = true;

	if (lane == LANE_READ || lane == LANE_WRITE) {
		light = may_carry(db, lane, TURN_LIGHT);
		heavy = may_carry(db, lane, TURN_HEAVY);
	}
	if (!light && !heavy)
		return NULL;
	return (struct db_query *)(void *)turns_take(t,
						     light && heavy ? TURN_ANY
						     : light	    ? TURN_LIGHT
							     : TURN_HEAVY,
						     clock_ms());
}

static struct db_query *query_take_like(struct db *db, enum db_lane lane,
					const struct db_query *q)
{
	return (struct db_query *)(void *)turns_take(
		db->waiting[lane], q->turn.heavy ? TURN_HEAVY : TURN_LIGHT,
		clock_ms());
}

/* Fill a connection. @return whether there was something for it */
static bool conn_fill(struct db *db, struct db_conn *c)
{
	struct db_query *q = query_take(db, c->lane), *next;
	size_t n = c->lane == LANE_READ ? DB_BATCH_MAX : 1;

	if (!q)
		return false;
	c->heavy = q->turn.heavy;
	c->careful = db->careful_ms > clock_ms();
	c->unsent = true;
	for (; q; q = next) {
		next = --n ? query_take_like(db, c->lane, q) : NULL;
		if (!db_conn_put(c, q, !next))
			continue;
		turns_give_back(db->waiting[c->lane], &q->turn);
		if (next)
			turns_give_back(db->waiting[c->lane], &next->turn);
		break;
	}
	return true;
}

void db_lane_flush(struct db *db, enum db_lane lane)
{
	struct db_conn *c;

	while (turns_waiting(db->waiting[lane]) &&
	       (c = conn_choose(db, lane)) && conn_fill(db, c))
		;
}

/* ---- what takes long ---- */

/* In the place of one that is asked again elsewhere. */
static struct db_query *ghost_of(const struct db_query *q)
{
	struct db_query *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->db = q->db;
	g->st = q->st;
	g->serial = q->serial;
	g->steps = q->steps;
	g->preparing = q->preparing;
	g->synced = q->synced;
	g->sent = true;
	g->retried = true;
	return g;
}

/* @return what stands in the list now */
static struct db_query *move(struct db_conn *c, struct db_query *last,
			     struct db_query *q)
{
	struct db_query *g = q->answered ? ghost_of(q) : NULL;

	if (!g)
		return q;
	g->next = q->next;
	if (last)
		last->next = g;
	else
		c->inflight.first = g;
	if (c->inflight.last == q)
		c->inflight.last = g;
	c->db->stats.moved++;
	db_ask_again(c->db, q);
	return g;
}

/* A read takes long: nobody else is to wait for it. */
static void read_is_slow(struct db_conn *c)
{
	struct db_query *first = c->inflight.first;

	if (first->next && !c->careful) {
		c->db->careful_ms = clock_ms() + DB_CAREFUL_MS;
		first = move(c, NULL, first);
	}
	for (struct db_query *last = first; last->next;)
		last = move(c, last, last->next);
	turns_is_slow(&first->turn);
}

static void conn_look(struct db_conn *c, uint64_t now_us)
{
	struct db *db = c->db;
	const uint64_t ms = age_ms(c, now_us);

	if (c->state != CONN_UP || !is_busy(c) || c->lane == LANE_SESSION)
		return;
	if (ms >= (uint64_t)db->limit_ms[c->lane] +
			  (c->lane == LANE_HEALTH ? 0 : DB_LATE_MS)) {
		db_conn_hangs(c);
		return;
	}
	if (!c->inflight.first || ms < DB_SLOW_MS)
		return;
	if (c->lane == LANE_READ)
		read_is_slow(c);
	else if (ms >= STUCK_MS)
		turns_is_slow(&c->inflight.first->turn);
	else
		return;
	c->heavy = true;
}

static void waiting_look(struct db *db)
{
	const uint64_t now_ms = clock_ms();

	if (now_ms - db->looked_ms < LOOK_MS)
		return;
	db->looked_ms = now_ms;
	for (int lane = 0; lane < LANE_COUNT; lane++) {
		const uint64_t wait_ms = lane == LANE_HEALTH ? DB_HEALTH_MS
							     : DB_WAIT_MS;
		struct turns *t = db->waiting[lane];
		struct turn *e;

		while (now_ms > wait_ms &&
		       (e = turns_overdue(t, now_ms - wait_ms))) {
			turns_remove(t, e);
			db_query_answer((struct db_query *)(void *)e,
					db_lane_is_up(db, (enum db_lane)lane)
						? DB_BUSY
						: DB_UNAVAILABLE);
		}
	}
}

static void tick(void *arg)
{
	struct db *db = arg;
	const uint64_t now_us = clock_us();

	for (size_t i = 0; i < db->conns; i++)
		conn_look(&db->conn[i], now_us);
	waiting_look(db);
	db_flush_later(db); /* which sees whether there is more to look for */
}

void db_tick_later(struct db *db)
{
	bool needed = false;

	for (int lane = 0; lane < LANE_COUNT; lane++)
		needed |= turns_waiting(db->waiting[lane]) > 0;
	for (size_t i = 0; i < db->conns; i++)
		needed |= db->conn[i].state == CONN_UP && is_busy(&db->conn[i]);
	if (!needed || db->closing || loop_pending(&db->tick))
		return;
	if (loop_after(db->loop, &db->tick, TICK_MS, tick, db))
		log_error("no_memory", LOG_STR("where", "db tick"));
}
