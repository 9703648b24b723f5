/*
 * The agent's connections to PostgreSQL, and which statement goes over which:
 * each line has connections of its own, which take statements in order of
 * asking, the least busy first.  So a settlement that waits for a lock holds
 * up no phone that waits for its answer.  Doorbells that answers carry (their
 * column bell) are rung together, at most every 5 ms.
 */
#include "pg/pgloop.h"

#include <errno.h>
#include <string.h>

#include "pg/bells.h"
#include "pg/pglisten.h"

enum {
	WORKERS_MAX = 4,
	RING_MS = 5,
	TICK_MS = 250,
	BOOT_SIZE = 17,
};

/** Connections, and what waits for one of them */
struct line {
	struct pgconn *workerv[WORKERS_MAX];
	struct list queue; /* struct pg_job */
	size_t queued;
	size_t load_max; /* statements in flight, each */
};

static const struct {
	const char *name;
	unsigned workers;
	size_t load_max;
} shapes[PG_LINES] = {
	[PG_ASKED] = {"asked", 4, 64},
	[PG_CLAIM] = {"claim", 1, 8},
	[PG_SETTLE] = {"settle", 2, 8},
};

struct pgloop {
	struct pgloop_conf conf;
	struct pglisten *listener;
	struct line linev[PG_LINES];
	struct bells *bells;
	struct tmr tmr_ring;
	struct tmr tmr_tick;
	char boot[BOOT_SIZE];
	int agent;
	bool closing;
};

static const struct pg_stmt stmt_ring = {"ring", "select api.ring($1::text[])",
					 1, 0};

/** How many rows an answer has */
int pg_rows(const struct pg_answer *ans)
{
	return ans->res ? PQntuples(ans->res) : 0;
}

/* --- doorbells ---------------------------------------------------------- */

static void on_rung(const struct pg_answer *ans, void *arg)
{
	(void)ans; /* a lost bell is harmless: everyone polls */
	(void)arg;
}

static void ring(void *arg)
{
	struct pgloop *pl = arg;
	const char *bells = bells_text(pl->bells);
	const struct pg_val valv[] = {pg_text(bells)};

	if (bells)
		(void)pgloop_query(pl, &stmt_ring, valv, on_rung, pl);
	bells_clear(pl->bells);
}

static void collect_bells(struct pgloop *pl, const struct pg_answer *ans)
{
	const char *last = NULL;

	if (ans->end != PG_OK)
		return;

	for (int i = 0; i < pg_rows(ans); i++) {
		const char *bell = pgres_text(ans->res, i, "bell");

		if (!bell || (last && !strcmp(bell, last)))
			continue;
		bells_add(pl->bells, bell);
		last = bell;
	}

	if (bells_text(pl->bells) && !tmr_isrunning(&pl->tmr_ring))
		tmr_start(&pl->tmr_ring, RING_MS, ring, pl);
}

/* --- statements --------------------------------------------------------- */

/* Stands between the asker and the job, to see the bells */
struct asked {
	struct pgloop *pl;
	pg_answer_h *h;
	void *arg;
};

static void on_answer(const struct pg_answer *ans, void *arg)
{
	struct asked *asked = arg;

	if (!asked->pl->closing)
		collect_bells(asked->pl, ans);
	asked->h(ans, asked->arg);
	mem_deref(asked);
}

static struct pgconn *free_worker(const struct line *line, bool *any_up)
{
	struct pgconn *best = NULL;
	size_t least = line->load_max;

	*any_up = false;
	for (int i = 0; i < WORKERS_MAX; i++) {
		struct pgconn *pc = line->workerv[i];

		if (!pc || !pgconn_is_up(pc))
			continue;
		*any_up = true;
		if (pgconn_load(pc) < least) {
			best = pc;
			least = pgconn_load(pc);
		}
	}

	return best;
}

static void unqueue(struct line *line, struct pg_job *job)
{
	pg_job_unlink(job);
	line->queued--;
}

static void fail_queue(struct line *line, const char *why)
{
	struct pg_job *job;

	while ((job = list_ledata(list_head(&line->queue)))) {
		unqueue(line, job);
		pg_job_fail(job, why);
		mem_deref(job);
	}
}

static void dispatch(struct line *line)
{
	struct pgconn *pc;
	struct pg_job *job;
	bool any_up;

	while ((job = list_ledata(list_head(&line->queue)))) {
		pc = free_worker(line, &any_up);
		if (!pc && any_up)
			return;
		if (!pc) {
			fail_queue(line, "no connection");
			return;
		}
		unqueue(line, job);
		if (pgconn_send(pc, job))
			pg_job_fail(job, "connection lost");
		mem_deref(job);
	}
}

/**
 * Run a statement on one of the connections of a line
 *
 * @param which The line
 * @param stmt Statement, const and static
 * @param valv Its parameters, copied
 * @param h    Called exactly once if 0 is returned, never within this call
 * @param arg  Handler argument
 *
 * @return 0; ENOTCONN where the database is away; ENOBUFS where too much
 *         waits already; EILSEQ where a text is not UTF-8; ENOMEM
 */
int pgloop_query_in(struct pgloop *pl, enum pg_line which,
		    const struct pg_stmt *stmt, const struct pg_val *valv,
		    pg_answer_h *h, void *arg)
{
	struct line *line = &pl->linev[which];
	struct pgconn *pc;
	struct asked *asked;
	struct pg_job *job;
	bool any_up;
	int err;

	pc = free_worker(line, &any_up);
	if (!any_up || pl->closing)
		return ENOTCONN;
	if (!pc && line->queued >= PG_QUEUE_MAX)
		return ENOBUFS;

	asked = mem_zalloc(sizeof(*asked), NULL);
	if (!asked)
		return ENOMEM;
	asked->pl = pl;
	asked->h = h;
	asked->arg = arg;

	err = pg_job_alloc(&job, stmt, valv, tmr_jiffies() + PG_DEADLINE_MS,
			   on_answer, asked);
	if (err) {
		mem_deref(asked);
		return err;
	}

	if (pc && !line->queued) {
		err = pgconn_send(pc, job);
		if (err) {
			pg_job_disown(job);
			mem_deref(asked);
		}
		mem_deref(job);
		return err;
	}

	pg_job_append(&line->queue, job);
	line->queued++;

	return 0;
}

/** The same for what a phone waits for */
int pgloop_query(struct pgloop *pl, const struct pg_stmt *stmt,
		 const struct pg_val *valv, pg_answer_h *h, void *arg)
{
	return pgloop_query_in(pl, PG_ASKED, stmt, valv, h, arg);
}

static void check_line(struct line *line, uint64_t now)
{
	struct pg_job *job;

	for (int i = 0; i < WORKERS_MAX; i++) {
		if (line->workerv[i])
			pgconn_check(line->workerv[i], now);
	}

	while ((job = list_ledata(list_head(&line->queue))) &&
	       pg_job_deadline(job) < now) {
		unqueue(line, job);
		pg_job_fail(job, "deadline");
		mem_deref(job);
	}
}

static void tick(void *arg)
{
	struct pgloop *pl = arg;
	const uint64_t now = tmr_jiffies();

	tmr_start(&pl->tmr_tick, TICK_MS, tick, pl);

	for (int i = 0; i < PG_LINES; i++)
		check_line(&pl->linev[i], now);
	pglisten_check(pl->listener, now);
}

static void worker_up(struct pgconn *pc, void *arg)
{
	(void)pc;
	dispatch(arg);
}

static void worker_down(struct pgconn *pc, void *arg)
{
	(void)pc;
	dispatch(arg); /* to another, or to nobody */
}

static void worker_room(struct pgconn *pc, void *arg)
{
	struct line *line = arg;

	(void)pc;
	if (line->queued)
		dispatch(line);
}

/* --- life --------------------------------------------------------------- */

static void on_ready(int agent, void *arg)
{
	struct pgloop *pl = arg;

	pl->agent = agent;
	pl->conf.ready(agent, pl->conf.arg);
}

static void on_bell(const char *payload, void *arg)
{
	struct pgloop *pl = arg;

	pl->conf.bell(payload, pl->conf.arg);
}

static void on_fatal(void *arg)
{
	struct pgloop *pl = arg;

	pl->conf.fatal(pl->conf.arg);
}

static void line_close(struct line *line)
{
	for (int i = 0; i < WORKERS_MAX; i++)
		line->workerv[i] = mem_deref(line->workerv[i]);
}

static int line_open(struct line *line, const char *conninfo,
		     enum pg_line which)
{
	const struct pgconn_handlers work = {worker_up, worker_down,
					     worker_room, NULL, line};
	int err = 0;

	line->load_max = shapes[which].load_max;
	for (unsigned i = 0; !err && i < shapes[which].workers; i++) {
		char name[16];

		(void)re_snprintf(name, sizeof(name), "%s%u",
				  shapes[which].name, i + 1);
		err = pgconn_alloc(&line->workerv[i], name, conninfo, &work);
	}

	return err;
}

static void destructor(void *arg)
{
	struct pgloop *pl = arg;

	pl->closing = true;
	tmr_cancel(&pl->tmr_ring);
	tmr_cancel(&pl->tmr_tick);
	for (int i = 0; i < PG_LINES; i++)
		fail_queue(&pl->linev[i], "closing");
	for (int i = 0; i < PG_LINES; i++)
		line_close(&pl->linev[i]);
	pl->listener = mem_deref(pl->listener);
	mem_deref(pl->bells);
}

static int open_all(struct pgloop *pl)
{
	const struct pglisten_conf listen = {
		.conninfo = pl->conf.conninfo,
		.name = pl->conf.name,
		.addresses = pl->conf.addresses,
		.boot = pl->boot,
		.ready = on_ready,
		.bell = on_bell,
		.fatal = on_fatal,
		.arg = pl,
	};
	int err;

	err = pglisten_alloc(&pl->listener, &listen);
	for (int i = 0; !err && i < PG_LINES; i++)
		err = line_open(&pl->linev[i], pl->conf.conninfo, i);

	return err;
}

/**
 * Allocate all connections; they open when the loop runs
 *
 * @param plp  Set to the object, owned by the caller
 * @param conf Copied; its strings must outlive the object
 */
int pgloop_alloc(struct pgloop **plp, const struct pgloop_conf *conf)
{
	struct pgloop *pl = mem_zalloc(sizeof(*pl), destructor);
	int err;

	if (!pl)
		return ENOMEM;

	pl->conf = *conf;
	(void)re_snprintf(pl->boot, sizeof(pl->boot), "%016llx", rand_u64());

	err = bells_alloc(&pl->bells);
	if (!err)
		err = open_all(pl);
	if (err) {
		mem_deref(pl);
		return err;
	}

	tmr_start(&pl->tmr_tick, TICK_MS, tick, pl);
	*plp = pl;

	return 0;
}

/** Whether requests can be worked on: we know who we are, and are connected */
bool pgloop_is_ready(const struct pgloop *pl)
{
	bool any_up;

	if (!pl->agent || pl->closing)
		return false;

	(void)free_worker(&pl->linev[PG_ASKED], &any_up);

	return any_up;
}

/** This agent's id in the database, 0 before the first start */
int pgloop_agent(const struct pgloop *pl)
{
	return pl->agent;
}

/** Names this process among all that ever had its name */
const char *pgloop_boot(const struct pgloop *pl)
{
	return pl->boot;
}
