/*
 * lane_parts.h: a lane as its two files see it.
 */
#ifndef PG_LANE_PARTS_H
#define PG_LANE_PARTS_H

#include "common/pg/lane_conf.h"

enum {
	LANE_NAME_SIZE = 16,
	LANE_STUCK_MS = 50, /* a write that counts as slow */
};

struct pg_lane;

/* In the queue, under way on a connection, or refused. */
struct pg_query {
	struct turn turn; /* first: turns_take() gives it */
	struct pg_job job;
	struct pg_lane *lane;
	void *data;
	unsigned moves; /* how often it was asked anew */
	bool refused;	/* who asked is told so soon */
	struct pg_query *next_refused;
};

struct lane_conn {
	struct pg_lane *lane;
	struct pg_conn *pg;
	char name[LANE_NAME_SIZE];
	bool careful; /* each read is answered before the next runs */
	bool heavy;   /* what it runs is of heavy callers, or slow */
	bool unsent;  /* it has what pg_conn_flush() is to send */
};

struct pg_lane {
	struct pg_lane_conf conf;
	struct lane_conn conn[PG_CONNS_MAX];
	size_t conns;
	struct turns *waiting;
	struct pg_query *refused; /* the last first */
	struct pg_room flush, tick;
	bool flushes;	     /* at the end of the turn */
	bool ticks;	     /* while anything waits or is under way */
	uint64_t careful_ms; /* until then: a read was slow */
	uint64_t looked_ms;  /* for what has waited too long */
	struct pg_lane_stats stats;
	bool closing;
};

static inline struct pg_query *query_of_turn(struct turn *e)
{
	return (struct pg_query *)(void *)e;
}

static inline struct pg_query *query_of_job(struct pg_job *job)
{
	return (struct pg_query *)(void *)((char *)job -
					   offsetof(struct pg_query, job));
}

/* ---- lane.c ---- */

/** Tell who asked, and be rid of it. */
void lane_query_end(struct pg_lane *lane, struct pg_query *q, enum app_err err);

/** Look at the end of the turn what can be sent. */
void lane_flush_later(struct pg_lane *lane);

/** Start a timer of the lane. */
void lane_after(struct pg_lane *lane, struct pg_room *timer, uint64_t ms,
		pg_timer_h *fired);

/* ---- lane_slow.c ---- */

/** Look after what is slow or has waited long, if there may be something. */
void lane_look_later(struct pg_lane *lane);

#endif
