/*
 * Which query goes on which connection.
 *
 * Reads that wait at the same time share a round trip, so a further reader is
 * only used where those before it have been busy for a while, or where a whole
 * batch waits. What takes long is lane_slow.c's.
 */
#include "common/pg/lane.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/pg/lane_parts.h"

enum {
	YOUNG_US = 5000, /* a batch that the next reads wait for */
};

/* ---- ends ---- */

void lane_query_end(struct pg_lane *lane, struct pg_query *q, enum app_err err)
{
	err = err ? pg_job_fail(&q->job, err) : pg_job_tell(&q->job);
	lane->stats.too_slow += err == APP_TOO_SLOW;
	lane->stats.busy += err == APP_BUSY;
	free(q->data);
	free(q);
}

/* Not at once: who is refused may be asked for by who asks now. */
static void refuse_soon(struct pg_lane *lane, struct pg_query *q)
{
	q->refused = true;
	q->next_refused = lane->refused;
	lane->refused = q;
	lane_flush_later(lane);
}

static void refused_end(struct pg_lane *lane)
{
	struct pg_query *q;

	while ((q = lane->refused)) {
		lane->refused = q->next_refused;
		lane_query_end(lane, q, APP_BUSY);
	}
}

static void waiting_end(struct pg_lane *lane)
{
	struct turn *e;

	while ((e = turns_first(lane->waiting))) {
		turns_remove(lane->waiting, e);
		lane_query_end(lane, query_of_turn(e), APP_UNAVAILABLE);
	}
}

static void on_done(struct pg_job *job, bool again, uint64_t cost_us, void *arg)
{
	struct lane_conn *c = arg;
	struct pg_lane *lane = c->lane;
	struct pg_query *q = query_of_job(job);

	lane_flush_later(lane);
	if (again && !lane->closing) {
		turns_give_back(lane->waiting, &q->turn);
		return;
	}
	turns_done(lane->waiting, &q->turn, cost_us, clock_ms());
	if (job->stmt->write && !job->err && lane->conf.bells)
		pg_bells_collect(lane->conf.bells, job->res);
	lane_query_end(lane, q, again ? APP_UNAVAILABLE : APP_OK);
}

static void on_up(void *arg)
{
	struct lane_conn *c = arg;
	const struct pg_conn_handlers *h = &c->lane->conf.h;

	c->heavy = false;
	if (h->up)
		h->up(h->arg);
	lane_flush_later(c->lane);
}

static void on_lost(void *arg)
{
	struct lane_conn *c = arg;
	const struct pg_conn_handlers *h = &c->lane->conf.h;

	if (c->lane->conf.hasty && !pg_lane_is_up(c->lane))
		waiting_end(c->lane);
	if (h->lost)
		h->lost(h->arg);
	lane_flush_later(c->lane);
}

static void on_synced(void *arg)
{
	struct lane_conn *c = arg;

	lane_flush_later(c->lane); /* there is room now */
}

static void on_notified(const char *channel, const char *payload, void *arg)
{
	const struct lane_conn *c = arg;
	const struct pg_conn_handlers *h = &c->lane->conf.h;

	if (h->notified)
		h->notified(channel, payload, h->arg);
}

/* ---- whose turn it is, and where ---- */

static bool is_busy(const struct lane_conn *c)
{
	return pg_pipe_is_busy(pg_conn_pipe(c->pg));
}

/* What is put behind one that waits for a lock waits with it. */
static bool is_stuck(const struct lane_conn *c, uint64_t now_us)
{
	return c->lane->conns > 1 &&
	       pg_pipe_age_us(pg_conn_pipe(c->pg), now_us) >=
		       LANE_STUCK_MS * 1000;
}

/* Reads go where nothing is under way, others where the least is. */
static struct lane_conn *conn_choose(struct pg_lane *lane)
{
	struct lane_conn *best = NULL;
	size_t least = lane->conf.reads ? 1 : lane->conf.depth;
	const uint64_t now_us = clock_us();

	for (size_t i = 0; i < lane->conns; i++) {
		struct lane_conn *c = &lane->conn[i];
		size_t load = pg_pipe_load(pg_conn_pipe(c->pg));

		if (!pg_conn_is_up(c->pg) || load >= least ||
		    (lane->conf.reads ? is_busy(c) : is_stuck(c, now_us)))
			continue;
		best = c;
		least = load;
	}
	return best;
}

/* Whether one more connection may be used for that class now. */
static bool may_carry(const struct pg_lane *lane, enum turn_class class)
{
	const bool heavy = class == TURN_HEAVY;
	const uint64_t now_us = clock_us();
	size_t carrying = 0;
	bool young = false;

	for (size_t i = 0; i < lane->conns; i++) {
		const struct lane_conn *c = &lane->conn[i];

		if (!pg_conn_is_up(c->pg) || !is_busy(c) || c->heavy != heavy)
			continue;
		carrying++;
		young |= pg_pipe_age_us(pg_conn_pipe(c->pg), now_us) < YOUNG_US;
	}
	if (heavy && carrying && carrying + 1 >= lane->conns)
		return false;
	return !lane->conf.reads || !young ||
	       turns_waiting(lane->waiting) >= lane->conf.depth;
}

static struct pg_query *query_take(struct pg_lane *lane)
{
	bool light = true, heavy = true;

	if (lane->conf.fair) {
		light = may_carry(lane, TURN_LIGHT);
		heavy = may_carry(lane, TURN_HEAVY);
	}
	if (!light && !heavy)
		return NULL;
	return query_of_turn(turns_take(lane->waiting,
					light && heavy ? TURN_ANY
					: light	       ? TURN_LIGHT
						       : TURN_HEAVY,
					clock_ms()));
}

static struct pg_query *query_take_like(struct pg_lane *lane,
					const struct pg_query *q)
{
	return query_of_turn(turns_take(lane->waiting,
					q->turn.heavy ? TURN_HEAVY : TURN_LIGHT,
					clock_ms()));
}

/* Fill a connection. @return whether there was something for it */
static bool conn_fill(struct pg_lane *lane, struct lane_conn *c)
{
	struct pg_query *q = query_take(lane), *next;
	size_t n = lane->conf.reads ? lane->conf.depth : 1;

	if (!q)
		return false;
	c->heavy = q->turn.heavy;
	c->careful = lane->careful_ms > clock_ms();
	c->unsent = true;
	for (; q; q = next) {
		next = --n ? query_take_like(lane, q) : NULL;
		if (!pg_conn_put(c->pg, &q->job,
				 !next	      ? PG_THEN_SYNC
				 : c->careful ? PG_THEN_FLUSH
					      : PG_THEN_MORE))
			continue;
		turns_give_back(lane->waiting, &q->turn);
		if (next)
			turns_give_back(lane->waiting, &next->turn);
		break;
	}
	return true;
}

void lane_after(struct pg_lane *lane, struct pg_room *timer, uint64_t ms,
		pg_timer_h *fired)
{
	const struct pg_loop *loop = &lane->conf.server->loop;

	loop->after(loop->loop, timer, ms, fired, lane);
}

/* The turn is over: all that was asked in it leaves together. */
static void turn_over(void *arg)
{
	struct pg_lane *lane = arg;
	struct lane_conn *c;

	lane->flushes = false;
	refused_end(lane);
	while (turns_waiting(lane->waiting) && (c = conn_choose(lane)) &&
	       conn_fill(lane, c))
		;
	for (size_t i = 0; i < lane->conns; i++) {
		if (lane->conn[i].unsent)
			pg_conn_flush(lane->conn[i].pg);
		lane->conn[i].unsent = false;
	}
	lane_look_later(lane);
}

void lane_flush_later(struct pg_lane *lane)
{
	if (lane->closing || lane->flushes)
		return;
	lane->flushes = true;
	lane_after(lane, &lane->flush, 0, turn_over);
}

/* ---- asking ---- */

bool pg_lane_is_up(const struct pg_lane *lane)
{
	for (size_t i = 0; i < lane->conns; i++)
		if (pg_conn_is_up(lane->conn[i].pg))
			return true;
	return !lane->conns;
}

/* Where there is no place for it, one of who has most waiting is refused. */
static int query_add(struct pg_lane *lane, struct pg_query *q,
		     const struct pg_ask *ask)
{
	struct turns *t = lane->waiting;
	const uint64_t now_ms = clock_ms();
	struct turn *e = NULL;
	int err = turns_add(t, &q->turn, ask->caller, ask->target, now_ms);

	if (err == EBUSY && (e = turns_make_room(t, ask->caller, ask->target)))
		err = turns_add(t, &q->turn, ask->caller, ask->target, now_ms);
	q->turn.rests = ask->rests;
	if (e)
		refuse_soon(lane, query_of_turn(e));
	return err;
}

int pg_lane_ask(struct pg_query **out, struct pg_lane *lane,
		const struct pg_ask *ask)
{
	struct pg_query *q = calloc(1, sizeof(*q));
	int err;

	if (!q)
		return ENOMEM;
	q->lane = lane;
	q->job.stmt = ask->stmt;
	pg_args_copy(&q->job.args, ask->args);
	q->job.h = ask->h;
	q->job.arg = ask->arg;
	err = query_add(lane, q, ask);
	if (err) {
		lane->stats.busy++;
		free(q);
		return err;
	}
	q->data = ask->data;
	lane_flush_later(lane);
	if (out)
		*out = q;
	return 0;
}

bool pg_query_forget(struct pg_query *q)
{
	struct pg_lane *lane = q->lane;

	q->job.h = NULL;
	if (q->job.sent)
		return false;
	if (q->refused)
		return true;
	lane->stats.forgotten++;
	turns_remove(lane->waiting, &q->turn);
	free(q->data);
	free(q);
	return true;
}

size_t pg_lane_waiting(const struct pg_lane *lane)
{
	return turns_waiting(lane->waiting);
}

const struct pg_lane_stats *pg_lane_stats(const struct pg_lane *lane)
{
	return &lane->stats;
}

/* ---- life ---- */

static int conn_add(struct pg_lane *lane)
{
	struct lane_conn *c = &lane->conn[lane->conns];
	const struct pg_conn_conf conf = {
		.server = lane->conf.server,
		.name = c->name,
		.channels = lane->conf.channels,
		.warm = lane->conns < lane->conf.warms ? lane->conf.warm : NULL,
		.limit_ms = lane->conf.limit_ms,
		.lock_ms = lane->conf.lock_ms,
		.late_ms = lane->conf.late_ms,
		.depth = lane->conf.depth,
		.reads = lane->conf.reads,
		.h = {on_up, on_lost, on_done, on_synced, on_notified, c},
	};
	int err;

	c->lane = lane;
	(void)snprintf(c->name, sizeof(c->name), "%s%zu", lane->conf.name,
		       lane->conns + 1);
	err = pg_conn_new(&c->pg, &conf);
	if (!err)
		lane->conns++;
	return err;
}

int pg_lane_new(struct pg_lane **out, const struct pg_lane_conf *conf)
{
	struct pg_lane *lane = calloc(1, sizeof(*lane));
	int err;

	if (!lane)
		return ENOMEM;
	lane->conf = *conf;
	err = turns_new(&lane->waiting, &conf->turns);
	for (size_t i = 0; !err && i < conf->conns && i < PG_CONNS_MAX; i++)
		err = conn_add(lane);
	if (err)
		pg_lane_free(lane);
	else
		*out = lane;
	return err;
}

void pg_lane_free(struct pg_lane *lane)
{
	const struct pg_loop *loop;

	if (!lane)
		return;
	loop = &lane->conf.server->loop;
	lane->closing = true;
	for (size_t i = 0; i < lane->conns; i++)
		pg_conn_free(lane->conn[i].pg);
	refused_end(lane);
	if (lane->waiting)
		waiting_end(lane);
	turns_free(lane->waiting);
	loop->cancel(loop->loop, &lane->flush);
	loop->cancel(loop->loop, &lane->tick);
	free(lane);
}
