/*
 * The listener's steps after every connect: agent_start (which takes the
 * lock), LISTEN, and only then ready: so nothing that is queued after the
 * reading can be missed.
 *
 * From then on it says every two seconds that it is there. That no answer comes
 * is how a connection that has died without a word is noticed; the answer, how
 * we hear that others have given us up. Then we end: what we think to have,
 * they have. So we do where another process has become this agent.
 */
#include "pg/pglisten.h"

#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "common/pgres.h"
#include "pg/pgask.h"

enum {
	RESTART_MS = 500, /* another process still holds our lock */
	BEAT_MS = 2000,	  /* after 10 s others take us for dead */
	LISTEN_SIZE = 96,
	DEPTH = 8,
};

struct pglisten {
	struct pglisten_conf conf;
	struct pg_lane *lane; /* of one connection */
	struct tmr tmr, tmr_beat;
	char listen_sql[LISTEN_SIZE];
	struct pg_stmt listen_own;
	int agent;
	bool was; /* that agent, since this process began */
	bool closing;
};

static const struct pg_stmt stmt_start = {
	.name = "agent_start",
	.sql = "select * from api.agent_start($1, $2, $3, $4, $5)",
	.nparams = 5,
	.write = true,
};

static const struct pg_stmt stmt_beat = {
	.name = "agent_beat",
	.sql = "select api.agent_beat($1, $2) as alive",
	.nparams = 2,
	.write = true,
};

static void start(void *arg);
static void beat(void *arg);

/* --- being there ---------------------------------------------------------- */

static void given_up(const struct pglisten *pl)
{
	log_error("given_up", LOG_INT("agent", pl->agent),
		  LOG_STR("why", "the database had not heard of it for 30 s: "
				 "others do its work, it begins anew"));
	pl->conf.dead(pl->conf.arg);
}

static void on_beat(const struct pg_answer *ans, void *arg)
{
	struct pglisten *pl = arg;

	if (pl->closing)
		return;
	if (ans->end == PG_OK && !pgres_bool(ans->res, 0, "alive"))
		given_up(pl);
	else if (pg_lane_is_up(pl->lane))
		tmr_start(&pl->tmr_beat, BEAT_MS, beat, pl);
}

static void beat(void *arg)
{
	struct pglisten *pl = arg;
	const struct pg_val valv[] = {pg_int(pl->agent),
				      pg_text(pl->conf.boot)};

	if (pg_ask(pl->lane, 0, &stmt_beat, valv, on_beat, pl))
		tmr_start(&pl->tmr_beat, BEAT_MS, beat, pl);
}

/* --- beginning ------------------------------------------------------------ */

static void replaced(const struct pglisten *pl)
{
	log_error("replaced", LOG_INT("agent", pl->agent),
		  LOG_STR("name", pl->conf.name),
		  LOG_STR("why", "another process has become that agent, "
				 "this one begins anew"));
	pl->conf.dead(pl->conf.arg);
}

static void start_failed(struct pglisten *pl, const struct pg_answer *ans)
{
	if (pl->closing)
		return;

	if (ans->end == PG_REFUSED && !strcmp(ans->slug, "agent-replaced")) {
		replaced(pl);
		return;
	}
	if (ans->end == PG_REFUSED)
		log_warn_often(1, "agent_start_refused",
			       LOG_STR("why", ans->slug),
			       LOG_STR("name", pl->conf.name));
	tmr_start(&pl->tmr, RESTART_MS, start, pl);
}

static void on_listening(const struct pg_answer *ans, void *arg)
{
	struct pglisten *pl = arg;

	if (ans->end != PG_OK) {
		start_failed(pl, ans);
		return;
	}

	log_info("ready", LOG_INT("agent", pl->agent),
		 LOG_STR("name", pl->conf.name),
		 LOG_STR("boot", pl->conf.boot));
	tmr_start(&pl->tmr_beat, 0, beat, pl);
	pl->conf.ready(pl->agent, pl->conf.arg);
}

static void on_started(const struct pg_answer *ans, void *arg)
{
	struct pglisten *pl = arg;
	const char *channel = pgres_text(ans->res, 0, "channel");

	if (ans->end != PG_OK) {
		start_failed(pl, ans);
		return;
	}
	if (!channel) {
		/* what the process before has left is not cleared up yet */
		tmr_start(&pl->tmr, 0, start, pl);
		return;
	}

	pl->agent = (int)pgres_int(ans->res, 0, "agent");
	pl->was = true;
	if (pgres_bool(ans->res, 0, "dead")) {
		given_up(pl);
		return;
	}

	(void)re_snprintf(pl->listen_sql, sizeof(pl->listen_sql),
			  "listen \"%s\"", channel);
	if (pg_ask(pl->lane, 0, &pl->listen_own, NULL, on_listening, pl))
		start_failed(pl, ans);
}

static void start(void *arg)
{
	struct pglisten *pl = arg;
	const struct pg_val valv[] = {
		pg_text(pl->conf.name), pg_text(pl->conf.boot),
		pg_text(pl->conf.addresses), pg_bool(pl->was),
		pg_bool(pl->conf.relays)};

	/* a listener that is down starts over when it is up again */
	if (pg_lane_is_up(pl->lane) &&
	    pg_ask(pl->lane, 0, &stmt_start, valv, on_started, pl))
		tmr_start(&pl->tmr, RESTART_MS, start, pl);
}

static void on_up(void *arg)
{
	struct pglisten *pl = arg;

	tmr_start(&pl->tmr, 0, start, pl);
}

static void on_lost(void *arg)
{
	struct pglisten *pl = arg;

	tmr_cancel(&pl->tmr);
	tmr_cancel(&pl->tmr_beat);
}

static void on_notified(const char *channel, const char *payload, void *arg)
{
	struct pglisten *pl = arg;

	(void)channel; /* both say: there is work */
	pl->conf.bell(payload, pl->conf.arg);
}

static void destructor(void *arg)
{
	struct pglisten *pl = arg;

	pl->closing = true;
	tmr_cancel(&pl->tmr);
	tmr_cancel(&pl->tmr_beat);
	pg_lane_free(pl->lane);
}

/**
 * Allocate the listener; it connects when the loop runs
 *
 * @param plp  Set to the listener, owned by the caller
 * @param conf Copied; its strings must outlive the object
 */
int pglisten_alloc(struct pglisten **plp, const struct pglisten_conf *conf)
{
	static const char *const channels[] = {"restsip_job", NULL};
	struct pglisten *pl = mem_zalloc(sizeof(*pl), destructor);
	const struct pg_lane_conf lane = {
		.server = conf->server,
		.name = "listener",
		.conns = 1,
		.depth = DEPTH,
		.hasty = true,
		.limit_ms = PG_DEADLINE_MS,
		.late_ms = PG_LATE_MS,
		.wait_ms = PG_DEADLINE_MS,
		.channels = channels,
		.h = {.up = on_up,
		      .lost = on_lost,
		      .notified = on_notified,
		      .arg = pl},
	};
	int err;

	if (!pl)
		return ENOMEM;

	pl->conf = *conf;
	pl->listen_own = (struct pg_stmt){
		.name = "listen_own",
		.sql = pl->listen_sql,
	};
	err = pg_lane_new(&pl->lane, &lane);
	if (err)
		mem_deref(pl);
	else
		*plp = pl;

	return err;
}
