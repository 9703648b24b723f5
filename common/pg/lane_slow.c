/*
 * What takes long: who waits behind it, and for how long anybody waits.
 *
 * Which of a batch of reads is slow cannot be told from outside, for the
 * server sends its rows together: then all are asked again elsewhere, and for
 * a while each read's rows are sent before the next runs, so that only those
 * behind a slow one are. That costs a quarter more, and is not done always.
 * None is asked again more often than those two ways need: where the whole
 * server is slow, that helps nobody.
 */
#include "common/clock.h"
#include "common/pg/lane.h"
#include "common/pg/lane_parts.h"

enum {
	TICK_MS = 10,
	LOOK_MS = 100, /* for what has waited too long */
	MOVES_MAX = 2,
};

/* Ask one elsewhere. */
static void move(struct pg_lane *lane, struct lane_conn *c, struct pg_job *job)
{
	struct pg_query *q = job ? query_of_job(job) : NULL;

	if (!q || !job->h || q->moves >= MOVES_MAX)
		return;
	pg_conn_take(c->pg, job);
	job->sent = false;
	q->moves++;
	lane->stats.moved++;
	turns_give_back(lane->waiting, &q->turn);
}

/* A read takes long: nobody else is to wait for it. */
static void read_is_slow(struct pg_lane *lane, struct lane_conn *c)
{
	const struct pg_pipe *pipe = pg_conn_pipe(c->pg);
	const size_t n = pg_pipe_load(pipe);
	const bool unclear = n > 1 && !c->careful; /* which of them it is */
	struct pg_job *job;

	if (unclear)
		lane->careful_ms = clock_ms() + PG_CAREFUL_MS;
	for (size_t i = unclear ? 0 : 1; i < n; i++)
		move(lane, c, pg_conn_job(c->pg, i));
	job = pg_conn_job(c->pg, 0);
	if (job)
		turns_is_slow(&query_of_job(job)->turn);
}

/* Where all wait for the machine, none of them is to blame. */
static bool is_slow(const struct pg_lane *lane, const struct lane_conn *c,
		    uint64_t us)
{
	const size_t n = c->careful ? 1 : pg_pipe_load(pg_conn_pipe(c->pg));

	if (!lane->conf.reads)
		return us >= LANE_STUCK_MS * 1000;
	return us >= PG_SLOW_MS * 1000 && us > turns_fair_us(lane->waiting, n);
}

static void conn_look(struct pg_lane *lane, struct lane_conn *c,
		      uint64_t now_us)
{
	const struct pg_pipe *pipe = pg_conn_pipe(c->pg);
	struct pg_job *job;

	if (pg_conn_look(c->pg, now_us) || !pg_conn_is_up(c->pg) ||
	    !pg_pipe_load(pipe) || !lane->conf.fair ||
	    !is_slow(lane, c, pg_pipe_age_us(pipe, now_us)))
		return;
	if (lane->conf.reads)
		read_is_slow(lane, c);
	else if ((job = pg_conn_job(c->pg, 0)))
		turns_is_slow(&query_of_job(job)->turn);
	c->heavy = true;
}

/* Who asked does not wait for those under way any longer, either. */
static void answers_look(struct pg_lane *lane, struct lane_conn *c,
			 uint64_t now_ms)
{
	const struct pg_pipe *pipe = pg_conn_pipe(c->pg);

	for (size_t i = 0; i < pg_pipe_load(pipe); i++) {
		struct pg_job *job = pg_conn_job(c->pg, i);
		struct pg_query *q = job ? query_of_job(job) : NULL;

		if (!q ||
		    now_ms - q->turn.asked_ms < (uint64_t)lane->conf.answer_ms)
			continue;
		pg_conn_take(c->pg, job);
		turns_done(lane->waiting, &q->turn, 0, now_ms);
		lane_query_end(lane, q, APP_OUTCOME_UNKNOWN);
	}
}

static void waiting_look(struct pg_lane *lane)
{
	const uint64_t wait_ms = (uint64_t)lane->conf.wait_ms;
	const uint64_t now_ms = clock_ms();
	struct turn *e;

	if (now_ms - lane->looked_ms < LOOK_MS)
		return;
	lane->looked_ms = now_ms;
	while (now_ms > wait_ms &&
	       (e = turns_overdue(lane->waiting, now_ms - wait_ms))) {
		turns_remove(lane->waiting, e);
		lane_query_end(lane, query_of_turn(e),
			       pg_lane_is_up(lane) ? APP_BUSY
						   : APP_UNAVAILABLE);
	}
	for (size_t i = 0; lane->conf.answer_ms && i < lane->conns; i++)
		answers_look(lane, &lane->conn[i], now_ms);
}

static void tick(void *arg)
{
	struct pg_lane *lane = arg;
	const uint64_t now_us = clock_us();

	lane->ticks = false;
	for (size_t i = 0; i < lane->conns; i++)
		conn_look(lane, &lane->conn[i], now_us);
	waiting_look(lane);
	lane_flush_later(lane); /* which sees whether there is more to do */
}

void lane_look_later(struct pg_lane *lane)
{
	bool needed = turns_waiting(lane->waiting) > 0;

	for (size_t i = 0; i < lane->conns; i++)
		needed |= pg_conn_is_up(lane->conn[i].pg) &&
			  pg_pipe_is_busy(pg_conn_pipe(lane->conn[i].pg));
	if (!needed || lane->closing || lane->ticks)
		return;
	lane->ticks = true;
	lane_after(lane, &lane->tick, TICK_MS, tick);
}
