/*
 * Claims work while there is room, renews the leases, and settles what has
 * ended, however long that takes.  Everything is done at least once: a job that
 * is not settled when its lease runs out is claimed by another agent.
 *
 * Settling is fenced, so that a lease that was lost does no harm.  What ends
 * together is settled together, a few at a time, so that a storm of ends holds
 * up nobody.
 */
#include "work/claimer.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "common/json_write.h"
#include "pg/pgbatch.h"

enum {
	ITEM_MAX = 4096, /* of a settlement */
};

struct claimer {
	struct agent *ag;
	const struct claimer_kind *kind;
	void *arg;
	struct list active; /* struct job: under way */
	struct list ended;  /* struct job: not settled */
	struct pgbatch *settlements;
	size_t in_flight; /* of both */
	size_t body_len;  /* bytes of the active ones' bodies */
	struct tmr tmr_poll, tmr_renew, tmr_settle;
	size_t asked;	/* rows, of the last claim */
	unsigned empty; /* claims in a row that brought nothing */
	bool claiming, again, draining;
	bool more; /* the last claim got all that it asked for, or was told that
		      there will be more once a job has ended */
	bool lost; /* look for jobs whose claim was committed but whose answer
		      was lost */
	uint64_t renewed_ms; /* all leases; 0: not, or not known to be */
};

/* --- settling ----------------------------------------------------------- */

static void settle(struct claimer *cl, struct job *job);

static void settle_all(void *arg)
{
	struct claimer *cl = arg;
	struct le *le = list_head(&cl->ended);

	while (le) {
		struct job *job = le->data;

		le = le->next;
		if (!job->settling)
			settle(cl, job);
	}
}

static void settle_later(struct claimer *cl)
{
	if (!tmr_isrunning(&cl->tmr_settle))
		tmr_start(&cl->tmr_settle, CLAIMER_AGAIN_MS, settle_all, cl);
}

static void take_settled(struct job *job, const struct pg_answer *ans)
{
	struct claimer *cl = job->arg;

	job->settling = false;
	if (!job->le.list) {
		/* the claimer is gone */
	} else if (ans->end == PG_AWAY) {
		settle_later(cl);
	} else {
		if (cl->kind->settled)
			cl->kind->settled(job, ans, cl->arg);
		list_unlink(&job->le);
		mem_deref(job);
		cl->in_flight--;
		if (cl->more || cl->kind->is_series)
			claimer_kick(cl);
	}
	mem_deref(job);
}

static void on_settled_alone(const struct pg_answer *ans, void *arg)
{
	take_settled(arg, ans);
}

/* In a statement of its own: one an account at a time, however many wait */
static int settle_alone(struct claimer *cl, struct job *job)
{
	struct pgloop *pl = cl->ag->pl;
	struct buf items;
	struct pl json;
	int err;

	buf_init(&items, ITEM_MAX);
	buf_str(&items, "[{");
	json_member_int(&items, "i", 0);
	cl->kind->settle_item(&items, job);
	buf_str(&items, ",\"waits\":true}]");
	json = (struct pl){items.p, items.len};
	const struct pg_val valv[] = {pg_int(pgloop_agent(pl)), pg_pl(&json)};

	err = items.failed ? ENOMEM
			   : pgloop_query_in(pl, PG_SETTLE, job->whose,
					     cl->kind->settle, valv,
					     on_settled_alone, job);
	buf_free(&items);

	return err;
}

static void on_settled(const struct pg_answer *ans, int row, int rows,
		       void *arg)
{
	static const struct pg_answer away = {.end = PG_AWAY};
	struct job *job = arg;

	(void)row;
	if (ans->end != PG_OK || rows || !job->le.list)
		take_settled(job, ans);
	else if (settle_alone(job->arg, job))
		take_settled(job, &away);
}

static void settle(struct claimer *cl, struct job *job)
{
	struct buf item;
	int err;

	buf_init(&item, ITEM_MAX);
	cl->kind->settle_item(&item, job);
	buf_char(&item, '}');
	mem_ref(job);
	job->settling = true;
	err = pgbatch_ask(cl->settlements, &item, on_settled, job);
	buf_free(&item);
	if (!err)
		return;

	job->settling = false;
	mem_deref(job);
	settle_later(cl);
}

static void on_end(struct job *job, const struct sip_msg *msg, void *arg)
{
	struct claimer *cl = arg;

	cl->body_len -= job->req.body_len;
	cl->kind->ended(job, msg, cl->arg);
	list_unlink(&job->le);
	list_append(&cl->ended, &job->le, job);
	settle(cl, job);
}

/* --- leases ------------------------------------------------------------- */

static void on_renewed(const struct pg_answer *ans, void *arg)
{
	struct claimer *cl = arg;

	if (ans->end != PG_OK)
		cl->renewed_ms = 0;
	mem_deref(cl);
}

static void renew_ids(struct claimer *cl, struct mbuf *ids)
{
	struct pgloop *pl = cl->ag->pl;
	const struct pl text = {(const char *)ids->buf, ids->end};
	const struct pg_val valv[] = {
		pg_int(pgloop_agent(pl)),
		pg_pl(&text),
		pg_int(CLAIMER_LEASE_S),
	};

	if (pgloop_query_in(pl, PG_CLAIM, 0, cl->kind->renew, valv, on_renewed,
			    cl))
		cl->renewed_ms = 0;
	else
		mem_ref(cl);
}

/* A statement for each CLAIMER_RENEW_MAX of a list */
static void renew_list(struct claimer *cl, const struct list *list)
{
	struct le *le = list_head(list);

	while (le) {
		struct mbuf *ids = mbuf_alloc(256);
		int err = ids ? 0 : ENOMEM;
		unsigned n = 0;

		for (; le && n < CLAIMER_RENEW_MAX && !err; le = le->next) {
			const struct job *job = le->data;

			err = mbuf_printf(ids, "%c%lld", n++ ? ',' : '{',
					  job->id);
		}
		if (!err)
			err = mbuf_write_str(ids, "}");
		if (!err)
			renew_ids(cl, ids);
		mem_deref(ids);
		if (err) {
			cl->renewed_ms = 0;
			return;
		}
	}
}

static void renew_all(struct claimer *cl)
{
	cl->renewed_ms = tmr_jiffies();
	renew_list(cl, &cl->active);
	renew_list(cl, &cl->ended);
}

static void renew(void *arg)
{
	struct claimer *cl = arg;

	tmr_start(&cl->tmr_renew, CLAIMER_RENEW_MS, renew, cl);
	if (!pgloop_is_ready(cl->ag->pl))
		return;

	renew_all(cl);
}

/* --- claiming ----------------------------------------------------------- */

/* A job that cannot be done has failed for good, unless memory was short */
static void refuse(struct job *job, int err)
{
	job_end(job, err == ENOMEM ? 0 : 400,
		err == EINVAL ? "Cannot be written as a header"
			      : "Cannot be delivered",
		NULL);
}

static void take_row(struct claimer *cl, const struct pg_answer *ans, int row)
{
	struct job *job = job_alloc(cl->kind->job_size, on_end, cl);
	int err;

	if (!job)
		return; /* its lease will run out */

	job->id = pgres_int(ans->res, row, cl->kind->id);
	list_append(&cl->active, &job->le, job);
	cl->in_flight++;
	err = cl->kind->read(job, ans, row, cl->arg);
	cl->body_len += job->req.body_len;
	if (err)
		refuse(job, err);
	else if (cl->draining)
		job_end(job, 0, "", NULL);
	else if (cl->kind->start)
		cl->kind->start(job, cl->arg);
	else
		job_send(job, cl->ag);
}

static void take_rows(struct claimer *cl, const struct pg_answer *ans)
{
	int rows = ans->end == PG_OK ? pg_rows(ans) : 0;
	bool held = false, again = false;

	if (rows) {
		held = pgres_null(ans->res, rows - 1, cl->kind->id);
		again = held && pgres_bool(ans->res, rows - 1, "again");
		if (cl->kind->claimed)
			cl->kind->claimed(ans, rows - 1, cl->arg);
	}
	if (held)
		rows--;
	cl->empty = rows ? 0 : cl->empty + 1;
	cl->more = held || (size_t)rows == cl->asked;
	for (int i = 0; i < rows; i++)
		take_row(cl, ans, i);

	if ((size_t)rows == cl->asked ||
	    (again && cl->empty < CLAIMER_EMPTY_MAX) || cl->again)
		claimer_kick(cl);
}

static void on_claimed(const struct pg_answer *ans, void *arg)
{
	struct claimer *cl = arg;

	cl->claiming = false;
	take_rows(cl, ans);
	mem_deref(cl);
}

static void claim(struct claimer *cl)
{
	struct pgloop *pl = cl->ag->pl;
	struct pg_val valv[PG_ARGS_MAX] = {
		pg_int(pgloop_agent(pl)),
		pg_int((int64_t)cl->asked),
		pg_int(CLAIMER_LEASE_S),
	};
	bool lost = false;

	/* Our own jobs must not look lost: the line, which keeps order, renews
	   them first. */
	if (cl->lost && tmr_jiffies() - cl->renewed_ms >= 2 * CLAIMER_RENEW_MS)
		renew_all(cl);
	lost = cl->lost && cl->renewed_ms;
	valv[CLAIMER_VALUES_FIRST - 1] = pg_bool(lost);

	if (cl->kind->claim_values &&
	    cl->kind->claim_values(valv + CLAIMER_VALUES_FIRST, cl->arg))
		return;

	cl->again = false;
	if (!pgloop_query_in(pl, PG_CLAIM, 0, cl->kind->claim, valv, on_claimed,
			     cl)) {
		cl->claiming = true;
		cl->lost = cl->lost && !lost;
		mem_ref(cl);
	}
}

/** There may be work: claim as much as there is room for */
void claimer_kick(struct claimer *cl)
{
	if (cl->claiming || cl->draining) {
		cl->again = true;
		return;
	}
	if (cl->in_flight >= CLAIMER_MAX || cl->body_len >= CLAIMER_BODY_MAX ||
	    !pgloop_is_ready(cl->ag->pl))
		return;

	cl->asked = CLAIMER_MAX - cl->in_flight;
	if (cl->asked > cl->kind->rows_max)
		cl->asked = cl->kind->rows_max;
	claim(cl);
}

static void poll(void *arg)
{
	struct claimer *cl = arg;

	tmr_start(&cl->tmr_poll, CLAIMER_POLL_MS, poll, cl);
	cl->lost = true;
	claimer_kick(cl);
}

/* --- life --------------------------------------------------------------- */

/**
 * The database is there, maybe again: leases may have run out meanwhile, and
 * doorbells have not been heard.  Statements of a line run in order, so that no
 * job that we hold is claimed anew
 */
void claimer_ready(struct claimer *cl)
{
	renew(cl);
	claimer_kick(cl);
}

/**
 * A connection has closed: what was sent over it will not be answered
 *
 * @param flow Its name
 */
void claimer_flow_lost(struct claimer *cl, const char *flow)
{
	struct le *le = list_head(&cl->active);

	while (le) {
		struct job *job = le->data;

		le = le->next;
		if (job->req.flow && !strcmp(job->req.flow, flow))
			job_flow_failed(job);
	}
}

/** Claim nothing more; @return how many jobs are in flight */
size_t claimer_drain(struct claimer *cl)
{
	cl->draining = true;

	return cl->in_flight + cl->claiming;
}

/** Give back the jobs that have no answer yet: another agent, or the next
 * process, does them again */
void claimer_give_back(struct claimer *cl)
{
	struct le *le;

	cl->draining = true;
	while ((le = list_head(&cl->active)))
		job_end(le->data, 0, "", NULL);
}

static void destructor(void *arg)
{
	struct claimer *cl = arg;

	tmr_cancel(&cl->tmr_poll);
	tmr_cancel(&cl->tmr_renew);
	tmr_cancel(&cl->tmr_settle);
	list_flush(&cl->active);
	list_flush(&cl->ended);
	mem_deref(cl->settlements);
}

/**
 * Allocate
 *
 * @param clp  Set to the claimer, owned by the caller
 * @param kind Constant
 * @param arg  Of the kind's functions
 */
int claimer_alloc(struct claimer **clp, struct agent *ag,
		  const struct claimer_kind *kind, void *arg)
{
	struct claimer *cl = mem_zalloc(sizeof(*cl), destructor);
	const struct pgbatch_conf settlements = {
		.stmt = kind->settle,
		.line = PG_SETTLE,
		.at_once = CLAIMER_SETTLES_AT_ONCE,
		.items = CLAIMER_SETTLE_MAX,
	};
	int err;

	if (!cl)
		return ENOMEM;

	cl->ag = ag;
	cl->kind = kind;
	cl->arg = arg;
	err = pgbatch_alloc(&cl->settlements, ag->pl, &settlements);
	if (err) {
		mem_deref(cl);
		return err;
	}
	tmr_start(&cl->tmr_poll, CLAIMER_POLL_MS, poll, cl);
	tmr_start(&cl->tmr_renew, CLAIMER_RENEW_MS, renew, cl);
	*clp = cl;

	return 0;
}
