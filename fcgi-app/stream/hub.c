/*
 * hub.c: the process's place in the database, and doorbells.
 */
#include "stream/hub.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/pgres.h"
#include "stream/sql.h"
#include "stream/watch.h"

static const char *const channels[] = {"restsip_change", NULL};

static void hub_start(void *arg);

static void start_again(struct hub *hub)
{
	if (loop_after(hub->loop, &hub->retry, HUB_RETRY_MS, hub_start, hub))
		log_error("no_memory", LOG_STR("where", "hub start"));
}

/* Whatever was known of the database's rows is over: all is opened anew. */
static void hub_reopen(struct hub *hub)
{
	struct resource *r, *next_r;
	struct viewer *v, *next_v;

	for (r = hub->first; r; r = r->next) {
		r->watched = r->watched_mine = false;
		r->locked = r->locked_mine = false;
		if (r->query)
			db_forget(r->query);
		r->query = NULL;
		r->again = false;
	}
	for (v = hub->viewers; v; v = next_v) {
		next_v = v->next;
		viewer_reopen(v);
	}
	for (r = hub->first; r; r = next_r) {
		next_r = r->next;
		resource_release(r);
	}
	open_pump(hub);
}

static void hub_started(const struct pg_answer *a, void *arg)
{
	struct hub *hub = arg;

	if (a->end != PG_OK) {
		/* After a kill the database needs a moment to see it. */
		if (a->end == PG_REFUSED)
			log_debug("stream_waits", LOG_STR("why", a->slug));
		start_again(hub); /* which a connection that is lost ends */
		return;
	}
	hub->process = (int)pgres_int(a->res, 0, "process");
	hub->started = true;
	hub->epoch++;
	log_info("stream_started", LOG_STR("name", hub->name),
		 LOG_INT("process", hub->process),
		 LOG_INT("viewers", hub->nviewers));
	hub_reopen(hub);
}

static void hub_start(void *arg)
{
	struct hub *hub = arg;
	struct pg_args args = {0};

	if (!hub->db)
		return;
	pg_arg_text(&args, hub->name);
	if (!db_ask(hub->db, &sql_stream_start, &args, hub_started, hub))
		start_again(hub);
}

static void on_connected(void *arg)
{
	struct hub *hub = arg;

	hub->started = false;
	loop_cancel(hub->loop, &hub->retry);
	hub_start(hub);
}

static void on_lost(void *arg)
{
	struct hub *hub = arg;
	struct viewer *v, *next;

	loop_cancel(hub->loop, &hub->retry);
	hub->started = false;
	open_lost(hub);
	for (v = hub->viewers; v; v = next) {
		next = v->next;
		if (v->state == VIEWER_LOADING)
			viewer_refuse_unavailable(v);
	}
}

static void on_notified(const char *channel, const char *payload, void *arg)
{
	struct hub *hub = arg;
	struct resource *r, *next;

	(void)channel; /* there is only one */
	for (r = resource_first(hub, payload); r; r = next) {
		next = resource_next(r);
		if (resource_is_session(r)) {
			resource_recheck(r);
			continue;
		}
		resource_bell(r);
		if (r->inbox)
			inbox_bell(r->inbox);
	}
}

static void hub_poll(void *arg)
{
	struct hub *hub = arg;

	poll_step(hub);
	if (hub->started)
		open_pump(hub);
	if (loop_after(hub->loop, &hub->poll, HUB_POLL_STEP_MS, hub_poll, hub))
		log_error("no_memory", LOG_STR("where", "hub poll"));
}

int hub_new(struct hub **out, struct loop *l, struct stream_pool *pool,
	    const char *name)
{
	struct hub *hub = calloc(1, sizeof(*hub));

	if (!hub)
		return ENOMEM;
	hub->loop = l;
	hub->pool = pool;
	hub->session = (struct db_session){
		.channels = channels,
		.connected = on_connected,
		.lost = on_lost,
		.notified = on_notified,
		.arg = hub,
	};
	buf_init(&hub->frame.text, FRAME_MAX);
	buf_init(&hub->patch, FRAME_MAX);
	hub->name = strdup(name);
	hub->table = calloc(HUB_TABLE_FIRST, sizeof(struct resource *));
	hub->table_size = HUB_TABLE_FIRST;
	if (!hub->name || !hub->table || poll_new(hub) ||
	    loop_after(l, &hub->poll, HUB_POLL_STEP_MS, hub_poll, hub)) {
		hub_free(hub);
		return ENOMEM;
	}
	*out = hub;
	return 0;
}

void hub_free(struct hub *hub)
{
	if (!hub)
		return;
	hub->started = false;
	hub->draining = true;
	while (hub->viewers)
		viewer_free(hub->viewers);
	open_clear(hub);
	while (hub->first)
		resource_free(hub->first);
	loop_cancel(hub->loop, &hub->retry);
	loop_cancel(hub->loop, &hub->poll);
	loop_cancel(hub->loop, &hub->opens.soon);
	poll_free(hub);
	buf_free(&hub->frame.text);
	buf_free(&hub->patch);
	free(hub->table);
	free(hub->name);
	free(hub);
}

const struct db_session *hub_session(const struct hub *hub)
{
	return &hub->session;
}

void hub_use(struct hub *hub, struct db *db)
{
	hub->db = db;
}

bool hub_is_ready(const struct hub *hub)
{
	return hub->started && hub->db && !hub->draining;
}

size_t hub_count(const struct hub *hub)
{
	return hub->nviewers;
}

void hub_drain(struct hub *hub)
{
	struct viewer *v, *next;

	hub->draining = true;
	open_lost(hub);
	for (v = hub->viewers; v; v = next) {
		next = v->next;
		if (v->state == VIEWER_OPEN)
			viewer_end(v, "restart");
		else if (v->state != VIEWER_ENDING)
			viewer_refuse_unavailable(v);
	}
}
