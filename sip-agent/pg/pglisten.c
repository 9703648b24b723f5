/*
 * The listener's steps after every connect: the schema's version, agent_start
 * (which takes the lock), LISTEN, and only then ready: so nothing that is
 * queued after the reading can be missed.
 */
#include "pg/pglisten.h"

#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "common/pgres.h"
#include "common/schema.h"
#include "pg/pgloop.h"

enum {
	RESTART_MS = 500, /* another process still holds our lock */
	LISTEN_SIZE = 96,
};

struct pglisten {
	struct pglisten_conf conf;
	struct pgconn *conn;
	struct tmr tmr;
	char listen_sql[LISTEN_SIZE];
	struct pg_stmt listen_own;
	int agent;
	bool closing;
};

static const struct pg_stmt stmt_version = {
	"schema_version", "select api.schema_version() as version", 0, 0};
static const struct pg_stmt stmt_start = {
	"agent_start", "select * from api.agent_start($1, $2, $3)", 3, 0};
static const struct pg_stmt stmt_listen = {"listen", "listen restsip_job", 0,
					   0};

static void start(void *arg);

static int ask(struct pglisten *pl, const struct pg_stmt *stmt,
	       const struct pg_val *valv, pg_answer_h *h)
{
	struct pg_job *job;
	int err;

	err = pg_job_alloc(&job, stmt, valv, tmr_jiffies() + PG_DEADLINE_MS, h,
			   pl);
	if (err)
		return err;

	err = pgconn_send(pl->conn, job);
	if (err)
		pg_job_disown(job);
	mem_deref(job);

	return err;
}

static void start_failed(struct pglisten *pl, const struct pg_answer *ans)
{
	if (pl->closing)
		return;

	if (ans->end == PG_REFUSED)
		log_warn("agent_start_refused", LOG_STR("name", pl->conf.name),
			 LOG_STR("why", ans->slug));
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
	pl->conf.ready(pl->agent, pl->conf.arg);
}

static void on_common(const struct pg_answer *ans, void *arg)
{
	(void)ans; /* on_listening tells */
	(void)arg;
}

static void on_started(const struct pg_answer *ans, void *arg)
{
	struct pglisten *pl = arg;
	const char *channel = pgres_text(ans->res, 0, "channel");

	if (ans->end != PG_OK || !channel) {
		start_failed(pl, ans);
		return;
	}

	pl->agent = (int)pgres_int(ans->res, 0, "agent");
	(void)re_snprintf(pl->listen_sql, sizeof(pl->listen_sql),
			  "listen \"%s\"", channel);
	if (ask(pl, &stmt_listen, NULL, on_common) ||
	    ask(pl, &pl->listen_own, NULL, on_listening))
		start_failed(pl, ans);
}

static void on_version(const struct pg_answer *ans, void *arg)
{
	struct pglisten *pl = arg;
	const int64_t version = pgres_int(ans->res, 0, "version");
	const struct pg_val valv[] = {pg_text(pl->conf.name),
				      pg_text(pl->conf.boot),
				      pg_text(pl->conf.addresses)};

	if (ans->end != PG_OK) {
		start_failed(pl, ans);
		return;
	}

	if (version != SCHEMA_VERSION && version != SCHEMA_VERSION + 1) {
		log_error("schema_version", LOG_INT("found", version),
			  LOG_INT("needed", SCHEMA_VERSION),
			  LOG_STR("mend", "run sql/migrate CONNINFO"));
		pl->conf.fatal(pl->conf.arg);
		return;
	}

	if (ask(pl, &stmt_start, valv, on_started))
		start_failed(pl, ans);
}

static void start(void *arg)
{
	struct pglisten *pl = arg;

	/* a listener that is down starts over when it is up again */
	if (pgconn_is_up(pl->conn))
		(void)ask(pl, &stmt_version, NULL, on_version);
}

static void on_up(struct pgconn *pc, void *arg)
{
	struct pglisten *pl = arg;

	(void)pc;
	tmr_cancel(&pl->tmr);
	tmr_start(&pl->tmr, 0, start, pl);
}

static void on_down(struct pgconn *pc, void *arg)
{
	struct pglisten *pl = arg;

	(void)pc;
	tmr_cancel(&pl->tmr);
}

static void on_room(struct pgconn *pc, void *arg)
{
	(void)pc;
	(void)arg;
}

static void on_notify(const char *channel, const char *payload, void *arg)
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
	mem_deref(pl->conn);
}

/**
 * Allocate the listener; it connects when the loop runs
 *
 * @param plp  Set to the listener, owned by the caller
 * @param conf Copied; its strings must outlive the object
 */
int pglisten_alloc(struct pglisten **plp, const struct pglisten_conf *conf)
{
	struct pglisten *pl = mem_zalloc(sizeof(*pl), destructor);
	const struct pgconn_handlers hv = {on_up, on_down, on_room, on_notify,
					   pl};
	int err;

	if (!pl)
		return ENOMEM;

	pl->conf = *conf;
	pl->listen_own = (struct pg_stmt){"listen_own", pl->listen_sql, 0, 0};
	err = pgconn_alloc(&pl->conn, "listener", conf->conninfo, &hv);
	if (err)
		mem_deref(pl);
	else
		*plp = pl;

	return err;
}

/** As pgconn_check */
void pglisten_check(struct pglisten *pl, uint64_t now_ms)
{
	pgconn_check(pl->conn, now_ms);
}
