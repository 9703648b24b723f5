/*
 * What is to be done from time to time: the database's own janitor, and flows
 * that have ended, which could not be told yet.
 */
#include "work/janitor.h"

#include <errno.h>

#include <re.h>

#include "agent.h"
#include "common/log.h"
#include "pg/pgloop.h"
#include "pg/pgval.h"
#include "transaction/flow.h"

struct janitor {
	struct agent *ag;
	struct tmr tmr;
	struct list lost; /* struct lost_flow, told or not */
	size_t lost_count;
	bool telling; /* a flow's end is on its way to the database */
	bool asking;
};

struct lost_flow {
	struct le le;
	struct janitor *j;
	char flow[FLOW_TEXT_SIZE];
	uint64_t next_ms; /* not before, for somebody holds what it needs */
};

static const struct pg_stmt stmt_janitor = {
	.name = "janitor",
	.sql = "select * from api.janitor($1)",
	.nparams = 1,
	.write = true,
};
static const struct pg_stmt stmt_flow_lost = {
	.name = "flow_lost",
	.sql = "select * from api.flow_lost($1, $2)",
	.nparams = 2,
	.write = true,
};

static void lost_destructor(void *arg)
{
	struct lost_flow *lf = arg;

	list_unlink(&lf->le);
}

static void tell_next(struct janitor *j);

/* A flow has the bindings of many accounts: of some a statement.  Where none
   could be dealt with now, they are told again in a second. */
static void on_flow_lost(const struct pg_answer *ans, void *arg)
{
	struct lost_flow *lf = arg;
	struct janitor *j = lf->le.list ? lf->j : NULL; /* or it is gone */
	const bool ok = ans->end == PG_OK;

	if (j) {
		j->telling = false;
		list_unlink(&lf->le);
		if (ok && !pgres_bool(ans->res, 0, "more")) {
			j->lost_count--;
			mem_deref(lf);
		} else { /* it is told again, behind the others */
			if (!ok || !pgres_int(ans->res, 0, "removed"))
				lf->next_ms = tmr_jiffies() + JANITOR_MS;
			list_append(&j->lost, &lf->le, lf);
		}
		if (ok)
			tell_next(j);
	}
	mem_deref(lf);
}

static int tell(struct lost_flow *lf)
{
	struct pgloop *pl = lf->j->ag->pl;
	const struct pg_val valv[] = {pg_int(pgloop_agent(pl)),
				      pg_text(lf->flow)};
	int err;

	err = pgloop_query_in(pl, PG_SETTLE, 0, &stmt_flow_lost, valv,
			      on_flow_lost, lf);
	if (err)
		return err;
	mem_ref(lf);
	lf->j->telling = true;

	return 0;
}

static bool is_due(struct le *le, void *arg)
{
	const struct lost_flow *lf = le->data;
	const uint64_t *now = arg;

	return lf->next_ms <= *now;
}

/* One at a time: it may wait for its accounts, and leaves settlements another
   connection meanwhile */
static void tell_next(struct janitor *j)
{
	uint64_t now = tmr_jiffies();
	struct le *le;

	if (j->telling || !pgloop_is_ready(j->ag->pl))
		return;
	le = list_apply(&j->lost, true, is_due, &now);
	if (le)
		(void)tell(le->data);
}

/**
 * A connection with bindings is gone; the database is told until it knows
 *
 * @param flow Its name
 */
void janitor_flow_lost(struct janitor *j, const char *flow)
{
	struct lost_flow *lf;

	if (j->lost_count >= JANITOR_LOST_MAX)
		return; /* they expire */

	lf = mem_zalloc(sizeof(*lf), lost_destructor);
	if (!lf)
		return;

	lf->j = j;
	str_ncpy(lf->flow, flow, sizeof(lf->flow));
	list_append(&j->lost, &lf->le, lf);
	j->lost_count++;
	tell_next(j);
}

static void ask(struct janitor *j);

/* One turn of one duty is done, in a transaction of its own */
static void on_janitor(const struct pg_answer *ans, void *arg)
{
	struct janitor *j = arg;

	/* failures are logged, and the next second comes */
	j->asking = false;
	if (ans->end == PG_OK && tmr_isrunning(&j->tmr) &&
	    pgres_bool(ans->res, 0, "more"))
		ask(j);
	mem_deref(j);
}

static void ask(struct janitor *j)
{
	struct pgloop *pl = j->ag->pl;
	const struct pg_val valv[] = {pg_int(pgloop_agent(pl))};

	if (j->asking || !pgloop_is_ready(pl))
		return;
	mem_ref(j);
	j->asking = true;
	if (pgloop_query_in(pl, PG_JANITOR, 0, &stmt_janitor, valv, on_janitor,
			    j)) {
		j->asking = false;
		mem_deref(j);
	}
}

static void run(void *arg)
{
	struct janitor *j = arg;

	tmr_start(&j->tmr, JANITOR_MS, run, j);
	tell_next(j);
	ask(j);
}

static void destructor(void *arg)
{
	struct janitor *j = arg;

	tmr_cancel(&j->tmr);
	list_flush(&j->lost);
}

/** Allocate the janitor; owned by the caller */
int janitor_alloc(struct janitor **jp, struct agent *ag)
{
	struct janitor *j = mem_zalloc(sizeof(*j), destructor);

	if (!j)
		return ENOMEM;

	j->ag = ag;
	tmr_start(&j->tmr, JANITOR_MS, run, j);
	*jp = j;

	return 0;
}
