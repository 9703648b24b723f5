/*
 * Which query goes on which connection, and what is done about those that take
 * long.
 *
 * Reads that wait at the same time share a round trip, so a further reader is
 * only used where those before it have been busy for a while, or where a whole
 * batch waits. Which of a batch is slow cannot be told from outside, for the
 * server sends its rows together: then all are asked again elsewhere, and for
 * a while each read's rows are sent before the next runs, so that only those
 * behind a slow one are. That costs a quarter more, and is not done always.
 */
#include "common/pg/lane.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"

enum {
	TICK_MS = 10,
	YOUNG_MS = 5,  /* a batch that the next reads wait for */
	LOOK_MS = 100, /* for what has waited too long */
	STUCK_MS = 50, /* a write that counts as slow */
	NAME_SIZE = 16,
};

/* In the queue, or under way on a connection. */
struct pg_query {
	struct turn turn; /* first: turns_take() gives it */
	struct pg_job job;
	struct pg_lane *lane;
	void *data;
};

struct lane_conn {
	struct pg_lane *lane;
	struct pg_conn *pg;
	char name[NAME_SIZE];
	bool careful; /* each read is answered before the next runs */
	bool heavy;   /* what it runs is of heavy callers, or slow */
	bool unsent;  /* it has what pg_conn_flush() is to send */
};

struct pg_lane {
	struct pg_lane_conf conf;
	struct lane_conn conn[PG_CONNS_MAX];
	size_t conns;
	struct turns *waiting;
	struct pg_room flush, tick;
	bool flushes;	     /* at the end of the turn */
	bool ticks;	     /* while anything waits or is under way */
	uint64_t careful_ms; /* until then: a read was slow */
	uint64_t looked_ms;  /* for what has waited too long */
	struct pg_lane_stats stats;
	bool closing;
};

static struct pg_query *query_of_turn(struct turn *e)
{
	return (struct pg_query *)(void *)e;
}

static struct pg_query *query_of_job(struct pg_job *job)
{
	return (struct pg_query *)(void *)((char *)job -
					   offsetof(struct pg_query, job));
}

/* ---- ends ---- */

static void flush_later(struct pg_lane *lane);

/* Tell who asked, and be rid of it. */
static void query_end(struct pg_lane *lane, struct pg_query *q,
		      enum app_err err)
{
	err = err ? pg_job_fail(&q->job, err) : pg_job_tell(&q->job);
	lane->stats.too_slow += err == APP_TOO_SLOW;
	lane->stats.busy += err == APP_BUSY;
	free(q->data);
	free(q);
}

static void waiting_end(struct pg_lane *lane)
{
	struct turn *e;

	while ((e = turns_first(lane->waiting))) {
		turns_remove(lane->waiting, e);
		query_end(lane, query_of_turn(e), APP_UNAVAILABLE);
	}
}

static void on_done(struct pg_job *job, bool again, uint64_t cost_us, void *arg)
{
	struct lane_conn *c = arg;
	struct pg_lane *lane = c->lane;
	struct pg_query *q = query_of_job(job);

	flush_later(lane);
	if (again && !lane->closing) {
		turns_give_back(lane->waiting, &q->turn);
		return;
	}
	turns_done(lane->waiting, &q->turn, cost_us, clock_ms());
	if (job->stmt->write && !job->err && lane->conf.bells)
		pg_bells_collect(lane->conf.bells, job->res);
	query_end(lane, q, again ? APP_UNAVAILABLE : APP_OK);
}

static void on_up(void *arg)
{
	struct lane_conn *c = arg;
	const struct pg_conn_handlers *h = &c->lane->conf.h;

	c->heavy = false;
	if (h->up)
		h->up(h->arg);
	flush_later(c->lane);
}

static void on_lost(void *arg)
{
	struct lane_conn *c = arg;
	const struct pg_conn_handlers *h = &c->lane->conf.h;

	if (c->lane->conf.hasty && !pg_lane_is_up(c->lane))
		waiting_end(c->lane);
	if (h->lost)
		h->lost(h->arg);
	flush_later(c->lane);
}

static void on_synced(void *arg)
{
	struct lane_conn *c = arg;

	flush_later(c->lane); /* there is room now */
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

static uint64_t age_ms(const struct lane_conn *c, uint64_t now_us)
{
	return pg_pipe_age_ms(pg_conn_pipe(c->pg), now_us);
}

/* Reads go where nothing is under way, others where the least is. */
static struct lane_conn *conn_choose(struct pg_lane *lane)
{
	struct lane_conn *best = NULL;
	size_t least = lane->conf.reads ? 1 : lane->conf.depth;

	for (size_t i = 0; i < lane->conns; i++) {
		struct lane_conn *c = &lane->conn[i];
		size_t load = pg_pipe_load(pg_conn_pipe(c->pg));

		if (!pg_conn_is_up(c->pg) || load >= least ||
		    (lane->conf.reads && is_busy(c)))
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
		young |= age_ms(c, now_us) < YOUNG_MS;
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

/* @return whether it was started */
static bool after(struct pg_lane *lane, struct pg_room *timer, uint64_t ms,
		  pg_timer_h *fired)
{
	const struct pg_loop *loop = &lane->conf.server->loop;

	if (!loop->after(loop->loop, timer, ms, fired, lane))
		return true;
	log_error("no_memory", LOG_STR("where", "lane"));
	return false;
}

static void tick(void *arg);

/* Look after what is slow or has waited long, if there may be something. */
static void tick_later(struct pg_lane *lane)
{
	bool needed = turns_waiting(lane->waiting) > 0;

	for (size_t i = 0; i < lane->conns; i++)
		needed |= pg_conn_is_up(lane->conn[i].pg) &&
			  is_busy(&lane->conn[i]);
	if (needed && !lane->closing && !lane->ticks)
		lane->ticks = after(lane, &lane->tick, TICK_MS, tick);
}

/* The turn is over: all that was asked in it leaves together. */
static void turn_over(void *arg)
{
	struct pg_lane *lane = arg;
	struct lane_conn *c;

	lane->flushes = false;
	while (turns_waiting(lane->waiting) && (c = conn_choose(lane)) &&
	       conn_fill(lane, c))
		;
	for (size_t i = 0; i < lane->conns; i++) {
		if (lane->conn[i].unsent)
			pg_conn_flush(lane->conn[i].pg);
		lane->conn[i].unsent = false;
	}
	tick_later(lane);
}

static void flush_later(struct pg_lane *lane)
{
	if (lane->closing || lane->flushes)
		return;
	lane->flushes = after(lane, &lane->flush, 0, turn_over);
	if (!lane->flushes)
		turn_over(lane); /* no memory: then at once */
}

/* ---- what takes long ---- */

/* A read takes long: nobody else is to wait for it. */
static void read_is_slow(struct pg_lane *lane, struct lane_conn *c)
{
	const struct pg_pipe *pipe = pg_conn_pipe(c->pg);
	const size_t n = pg_pipe_load(pipe);
	const bool unclear = n > 1 && !c->careful; /* which of them it is */
	struct pg_job *job;

	if (unclear)
		lane->careful_ms = clock_ms() + PG_CAREFUL_MS;
	for (size_t i = unclear ? 0 : 1; i < n; i++) {
		job = pg_conn_job(c->pg, i);
		if (!job || !job->h)
			continue;
		pg_conn_take(c->pg, job);
		job->sent = false;
		lane->stats.moved++;
		turns_give_back(lane->waiting, &query_of_job(job)->turn);
	}
	job = pg_conn_job(c->pg, 0);
	if (job)
		turns_is_slow(&query_of_job(job)->turn);
}

static void conn_look(struct pg_lane *lane, struct lane_conn *c,
		      uint64_t now_us)
{
	const struct pg_pipe *pipe = pg_conn_pipe(c->pg);
	const uint64_t ms = age_ms(c, now_us);
	struct pg_job *job;

	if (pg_conn_look(c->pg, now_us) || !pg_conn_is_up(c->pg) ||
	    !pg_pipe_load(pipe) || ms < PG_SLOW_MS || !lane->conf.fair)
		return;
	if (lane->conf.reads)
		read_is_slow(lane, c);
	else if (ms < STUCK_MS)
		return;
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
		query_end(lane, q, APP_OUTCOME_UNKNOWN);
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
		query_end(lane, query_of_turn(e),
			  pg_lane_is_up(lane) ? APP_BUSY : APP_UNAVAILABLE);
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
	flush_later(lane); /* which sees whether there is more to look for */
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
		query_end(lane, query_of_turn(e), APP_BUSY);
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
	flush_later(lane);
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
		.limit_ms = lane->conf.limit_ms,
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
	if (lane->waiting)
		waiting_end(lane);
	turns_free(lane->waiting);
	loop->cancel(loop->loop, &lane->flush);
	loop->cancel(loop->loop, &lane->tick);
	free(lane);
}
