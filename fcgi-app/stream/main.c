/*
 * main.c: restsip-stream, one process a host: reads settings, opens sockets,
 * serves, and on SIGTERM ends every stream, so that clients come back.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"
#include "common/log.h"
#include "common/version.h"
#include "shared/app.h"
#include "shared/auth.h"
#include "shared/db.h"
#include "shared/fcgi.h"
#include "shared/hasher.h"
#include "shared/loop.h"
#include "stream/bytes/stream_pool.h"
#include "stream/hub/hub.h"
#include "stream/serve.h"
#include "stream/viewer/viewers.h"

enum {
	DRAIN_MS = 5000, /* what is not out by then is cut off */
	READERS = 3,
	WRITERS = 3,
	NAME_SIZE = 512,
};

/* Made by main, in this order, and ended in the other. */
struct program {
	struct app app;
	struct config config;
	struct hub *hub;
	struct serve serve;
	struct loop_timer drain;
};

static void name_make(char name[NAME_SIZE], const struct config *config)
{
	char host[256] = "localhost";

	if (*config->stream.name) {
		(void)snprintf(name, NAME_SIZE, "%s", config->stream.name);
		return;
	}
	if (gethostname(host, sizeof(host)))
		log_warn("no_host_name", LOG_STR("error", strerror(errno)));
	host[sizeof(host) - 1] = '\0';
	(void)snprintf(name, NAME_SIZE, "%s %s", host, config->stream.listen);
}

static void stop_if_empty(void *arg)
{
	struct program *p = arg;

	if (!fcgi_server_busy(p->app.server) &&
	    !stream_pool_count(p->serve.pool))
		loop_stop(p->app.loop);
}

static void drain_timed_out(void *arg)
{
	struct program *p = arg;

	log_warn("drain_timed_out",
		 LOG_INT("streams", stream_pool_count(p->serve.pool)));
	loop_stop(p->app.loop);
}

static void on_term(void *arg)
{
	struct program *p = arg;

	log_info("stopping",
		 LOG_INT("streams", stream_pool_count(p->serve.pool)));
	loop_after(p->app.loop, &p->drain, DRAIN_MS, drain_timed_out, p);
	stream_pool_on_empty(p->serve.pool, stop_if_empty, p);
	viewers_drain(p->serve.viewers);
	fcgi_server_drain(p->app.server, stop_if_empty, p);
}

static int program_open(struct program *p)
{
	struct app *app = &p->app;
	struct db_config db = {
		.conninfo = p->config.database.conninfo,
		.user = "restsip_stream",
		.application = "restsip-stream",
		.readers = READERS,
		.writers = WRITERS,
		.read_ms = p->config.limits.read_ms,
		.write_ms = p->config.limits.write_ms,
	};
	char name[NAME_SIZE];
	int err;

	app->config = &p->config;
	p->serve.app = app;
	name_make(name, &p->config);
	err = loop_new(&app->loop);
	if (!err)
		err = hasher_new(&app->hasher, app->loop);
	if (!err)
		err = stream_pool_new(&p->serve.pool, app->loop);
	if (!err)
		err = hub_new(&p->hub, app->loop, p->serve.pool, name);
	if (!err)
		err = viewers_new(&p->serve.viewers, p->hub);
	if (err)
		return err;
	db.session = hub_session(p->hub);
	err = db_new(&app->db, app->loop, &db);
	if (!err)
		err = auth_new(&app->auth, app->loop, app->db, app->hasher);
	if (!err)
		err = fcgi_server_new(&app->server, app->loop,
				      p->config.stream.listen, serve_request,
				      &p->serve);
	if (err)
		return err;
	loop_upkeep(app->loop, HASHER_MEMORY);
	hub_use(p->hub, app->db);
	loop_on_term(app->loop, on_term, p);
	return 0;
}

static void program_close(struct program *p)
{
	struct app *app = &p->app;

	/* The database answers what is under way, so the rest is there. */
	db_free(app->db);
	if (p->hub)
		hub_use(p->hub, NULL);
	viewers_free(p->serve.viewers);
	hub_free(p->hub);
	stream_pool_free(p->serve.pool);
	fcgi_server_free(app->server);
	auth_free(app->auth);
	hasher_free(app->hasher);
	serve_end(&p->serve);
	if (app->loop)
		loop_cancel(app->loop, &p->drain);
	loop_free(app->loop);
	config_free(&p->config);
}

static int serve(const char *file)
{
	static struct program p; /* zeroed */
	char why[CONFIG_WHY_SIZE];
	int err;

	if (config_load(&p.config, file, why)) {
		log_error("settings", LOG_STR("why", why));
		config_free(&p.config);
		return 2;
	}
	log_init("restsip-stream", p.config.log.level);
	err = program_open(&p);
	if (!err) {
		log_info("started", LOG_STR("listen", p.config.stream.listen));
		err = loop_run(p.app.loop);
	}
	if (err)
		log_error("failed", LOG_STR("error", strerror(err)));
	else
		log_info("stopped");
	program_close(&p);
	return err ? 1 : 0;
}

int main(int argc, char **argv)
{
	log_init("restsip-stream", LOG_LEVEL_INFO);
	if (version_is_asked(argc, argv, "restsip-stream"))
		return 0;
	if (argc == 1)
		return serve(NULL);
	if (argc == 3 && !strcmp(argv[1], "-c"))
		return serve(argv[2]);
	(void)fputs("usage: restsip-stream [-c FILE | --version]\n", stderr);
	return 2;
}
