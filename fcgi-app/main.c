/*
 * main.c: restsip-api, one worker: reads settings, opens sockets, serves,
 * and on SIGTERM finishes what is under way.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/cidr.h"
#include "common/config.h"
#include "common/log.h"
#include "common/version.h"
#include "resources/handlers.h"
#include "shared/app.h"
#include "shared/auth.h"
#include "shared/db.h"
#include "shared/fcgi.h"
#include "shared/hasher.h"
#include "shared/loop.h"
#include "shared/routes.h"
#include "worker/exchange.h"
#include "worker/ice.h"
#include "worker/large.h"
#include "worker/metrics.h"

enum {
	DRAIN_MS = 20000, /* what takes longer is cut off */
};

/* Made by main, in this order, and ended in the other. */
struct worker {
	struct app app;
	struct config config;
	struct loop_timer drain;
};

static void drained(void *arg)
{
	struct worker *w = arg;

	loop_stop(w->app.loop);
}

static void drain_timed_out(void *arg)
{
	struct worker *w = arg;

	log_warn("drain_timed_out",
		 LOG_INT("requests", fcgi_server_busy(w->app.server)));
	loop_stop(w->app.loop);
}

static void on_term(void *arg)
{
	struct worker *w = arg;

	log_info("stopping",
		 LOG_INT("requests", fcgi_server_busy(w->app.server)));
	loop_after(w->app.loop, &w->drain, DRAIN_MS, drain_timed_out, w);
	fcgi_server_drain(w->app.server, drained, w);
}

/* Whoever could only say 503 leaves requests to workers who can do more. */
static void on_database(void *arg)
{
	struct worker *w = arg;

	if (w->app.server)
		fcgi_server_hold(w->app.server, !db_can_serve(w->app.db));
}

static int worker_open(struct worker *w)
{
	struct app *app = &w->app;
	const struct db_config db = {
		.conninfo = w->config.database.conninfo,
		.user = "restsip_api",
		.application = "restsip-api",
		.readers = w->config.api.readers,
		.writers = w->config.api.writers,
		.read_ms = w->config.limits.read_ms,
		.write_ms = w->config.limits.write_ms,
		.caller_max = DB_CALLER_MAX,
		.target_max = DB_TARGET_MAX,
		.health = true,
		.changed = on_database,
		.arg = w,
	};
	int err;

	app->config = &w->config;
	app->handlers = handlers_table();
	err = cidr_list_parse(&app->bind_deny, w->config.agent.bind_deny);
	if (!err)
		err = loop_new(&app->loop);
	if (!err)
		err = hasher_new(&app->hasher, app->loop);
	if (!err)
		err = db_new(&app->db, app->loop, &db);
	if (!err)
		err = auth_new(&app->auth, app->loop, app->db, app->hasher);
	if (!err)
		err = larges_new(&app->larges, app->loop);
	if (!err)
		err = fcgi_server_new(&app->server, app->loop,
				      w->config.api.listen, exchange_start,
				      app);
	if (!err)
		err = metrics_new(&app->metrics, app);
	if (err)
		return err;
	on_database(w);
	loop_upkeep(app->loop, HASHER_MEMORY);
	loop_on_term(app->loop, on_term, w);
	return 0;
}

static void worker_close(struct worker *w)
{
	struct app *app = &w->app;

	/* The database answers what is under way, so the rest is still there.
	 */
	db_free(app->db);
	metrics_free(app->metrics);
	fcgi_server_free(app->server);
	larges_free(app->larges);
	auth_free(app->auth);
	hasher_free(app->hasher);
	if (app->loop)
		loop_cancel(app->loop, &w->drain);
	loop_free(app->loop);
	cidr_list_free(app->bind_deny);
	config_free(&w->config);
}

static int serve(const char *file)
{
	static struct worker w; /* zeroed */
	char why[CONFIG_WHY_SIZE];
	int err;

	if (config_load(&w.config, file, why) || ice_check(&w.config, why)) {
		log_error("settings", LOG_STR("why", why));
		config_free(&w.config);
		return 2;
	}
	log_init("restsip-api", w.config.log.level);
	err = worker_open(&w);
	if (!err) {
		log_info("started", LOG_STR("listen", w.config.api.listen));
		err = loop_run(w.app.loop);
	}
	if (err)
		log_error("failed", LOG_STR("error", strerror(err)));
	else
		log_info("stopped");
	worker_close(&w);
	return err ? 1 : 0;
}

static int usage(void)
{
	(void)fputs("usage: restsip-api [-c FILE | --routes | --settings | "
		    "--version]\n",
		    stderr);
	return 2;
}

int main(int argc, char **argv)
{
	log_init("restsip-api", LOG_LEVEL_INFO);
	if (version_is_asked(argc, argv, "restsip-api"))
		return 0;
	if (argc == 1)
		return serve(NULL);
	if (argc == 3 && !strcmp(argv[1], "-c"))
		return serve(argv[2]);
	if (argc == 2 && !strcmp(argv[1], "--settings"))
		return config_example(stdout) ? 1 : 0;
	if (argc != 2 || strcmp(argv[1], "--routes") != 0)
		return usage();
	routes_print();
	return 0;
}
