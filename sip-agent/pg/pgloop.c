/*
 * The agent's connections to PostgreSQL, and which statement goes over which.
 *
 * Nobody stands behind one that waits for a lock: what may wait has one
 * statement a connection and one an account at a time, and one connection is
 * kept from accounts that have waited.  What shares a statement waits for
 * nobody: it gives up soon, and each of it is asked for alone.
 */
#include "pg/pgloop.h"

#include <errno.h>
#include <string.h>

#include "common/aor.h"
#include "pg/loop_re.h"

enum {
	QUEUE_MAX = 8192,	      /* statements of a line that wait */
	TURN_MS = 2 * PG_DEADLINE_MS, /* of the janitor */
	BOOT_SIZE = 17,
};

/* conns: 0 is as many as the settings say.  warm: what calls ask there, of
   nobody, for so many of the connections (the first ones have most to do; 0:
   for every other one): a phone that answers does not wait for plans */
static const struct {
	const char *name;
	size_t conns, depth;
	int limit_ms, lock_ms;
	const char *warm;
	size_t warms;
} shapes[PG_LINES] = {
	[PG_ASKED] = {"asked", 0, 64, PG_DEADLINE_MS, PG_TOGETHER_LOCK_MS,
		      "select (select count(*) from "
		      "api.sip_invite_many(0, '[]')), (select count(*) from "
		      "api.leg_answered_many(0, '[]'))",
		      0},
	[PG_ALONE] = {"alone", 0, 1, PG_DEADLINE_MS, PG_ALONE_LOCK_MS,
		      "select count(*) from api.leg_news(0, '[]')", 1},
	[PG_CLAIM] = {"claim", 1, 8, PG_DEADLINE_MS, PG_TOGETHER_LOCK_MS,
		      "select count(*) from api.leg_claim(0, 0)", 1},
	[PG_SETTLE] = {"settle", 2, 1, PG_DEADLINE_MS, PG_TOGETHER_LOCK_MS,
		       "select count(*) from api.leg_ended(0, '[]')", 1},
	[PG_JANITOR] = {"janitor", 1, 1, TURN_MS, 0, NULL, 0},
};

struct pgloop {
	struct pgloop_conf conf;
	struct pg_server server;
	struct pglisten *listener;
	struct pg_lane *linev[PG_LINES];
	struct pg_bells *bells;
	char boot[BOOT_SIZE];
	int agent;
	bool closing;
};

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

static void ring(const char *array, void *arg)
{
	const struct pg_val valv[] = {pg_text(array)};

	(void)pgloop_query(arg, &pg_stmt_ring, valv, on_rung, NULL);
}

/* --- statements --------------------------------------------------------- */

/** pg_ask() of one of the lines */
int pgloop_query_in(struct pgloop *pl, enum pg_line which, uint64_t whose,
		    const struct pg_stmt *stmt, const struct pg_val *valv,
		    pg_answer_h *h, void *arg)
{
	if (pl->closing)
		return ENOTCONN;

	return pg_ask(pl->linev[which], whose, stmt, valv, h, arg);
}

/** The same for what a phone waits for, and what waits for nobody */
int pgloop_query(struct pgloop *pl, const struct pg_stmt *stmt,
		 const struct pg_val *valv, pg_answer_h *h, void *arg)
{
	return pgloop_query_in(pl, PG_ASKED, 0, stmt, valv, h, arg);
}

/**
 * The same for what a phone waits for, and what may wait for others
 *
 * @param aor Whose rows it waits for, if it does
 */
int pgloop_query_alone(struct pgloop *pl, const char *aor,
		       const struct pg_stmt *stmt, const struct pg_val *valv,
		       pg_answer_h *h, void *arg)
{
	return pgloop_query_in(pl, PG_ALONE, pgloop_whose(aor), stmt, valv, h,
			       arg);
}

/** What tells an account's statements from those of others, however it is
    written */
uint64_t pgloop_whose(const char *aor)
{
	char key[AOR_BUF];

	if (!aor)
		return 0;
	str_ncpy(key, aor, sizeof(key));
	aor_fold(key);

	return turn_key_of('a', key, strlen(key));
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

static void on_dead(void *arg)
{
	const struct pgloop *pl = arg;

	pl->conf.fatal(pl->conf.arg);
}

static void destructor(void *arg)
{
	struct pgloop *pl = arg;

	pl->closing = true;
	for (int i = 0; i < PG_LINES; i++)
		pg_lane_free(pl->linev[i]);
	mem_deref(pl->listener);
	pg_bells_free(pl->bells);
	pg_server_close(&pl->server);
}

static int line_open(struct pgloop *pl, enum pg_line which)
{
	const size_t conns = shapes[which].conns ? shapes[which].conns
						 : (size_t)pl->conf.queries;
	const struct pg_lane_conf conf = {
		.server = &pl->server,
		.bells = pl->bells,
		.name = shapes[which].name,
		.conns = conns,
		.depth = shapes[which].depth,
		.warm = shapes[which].warm,
		.warms = shapes[which].warms ? shapes[which].warms : conns / 2,
		.hasty = true,
		.fair = shapes[which].depth == 1,
		.limit_ms = shapes[which].limit_ms,
		.lock_ms = shapes[which].lock_ms,
		.late_ms = PG_LATE_MS,
		.wait_ms = PG_DEADLINE_MS,
		.answer_ms = shapes[which].limit_ms,
		.turns = {.waiting = QUEUE_MAX, .target_running = 1},
	};

	return pg_lane_new(&pl->linev[which], &conf);
}

static int open_all(struct pgloop *pl)
{
	const struct pglisten_conf listen = {
		.server = &pl->server,
		.name = pl->conf.name,
		.addresses = pl->conf.addresses,
		.relays = pl->conf.relays,
		.boot = pl->boot,
		.ready = on_ready,
		.bell = on_bell,
		.dead = on_dead,
		.arg = pl,
	};
	int err;

	err = pg_server_open(&pl->server);
	if (!err)
		err = pg_bells_new(&pl->bells, &pl->server.loop, ring, pl);
	if (!err)
		err = pglisten_alloc(&pl->listener, &listen);
	for (int i = 0; !err && i < PG_LINES; i++)
		err = line_open(pl, i);

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
	pl->server = (struct pg_server){
		.loop = loop_re(),
		.conninfo = conf->conninfo,
		.user = "restsip_agent",
		.application = "restsip-agent",
		.wrong_version = conf->fatal,
		.arg = conf->arg,
	};
	(void)re_snprintf(pl->boot, sizeof(pl->boot), "%016llx", rand_u64());

	err = open_all(pl);
	if (err) {
		mem_deref(pl);
		return err;
	}

	*plp = pl;

	return 0;
}

/** Whether requests can be worked on: we know who we are, and are connected */
bool pgloop_is_ready(const struct pgloop *pl)
{
	return pl->agent && !pl->closing && pg_lane_is_up(pl->linev[PG_ASKED]);
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
