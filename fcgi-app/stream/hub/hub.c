/*
 * hub.c: the process's place in the database, and doorbells.
 */
#include "stream/hub/hub.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/pgres.h"
#include "shared/loop.h"
#include "stream/hub/composing.h"
#include "stream/hub/poll.h"
#include "stream/hub/sql.h"
#include "stream/hub/topic_parts.h"

struct hub {
	struct place place;
	struct topics topics;
	struct openings openings;
	struct poll *polling;
	const struct hub_ops *ops;
	void *arg;
	char *name;
	struct db_session session;
	struct loop_timer retry, poll, beat;
};

static const char *const channels[] = {"restsip_change", NULL};

static void hub_start(void *arg);
static void hub_beat(void *arg);

/* ---- being there ---- */

static void beat_later(struct hub *hub)
{
	loop_after(hub->place.loop, &hub->beat, HUB_BEAT_MS, hub_beat, hub);
}

/* Given up by others, what we watch was closed: it begins anew. */
static void on_beat(const struct pg_answer *a, void *arg)
{
	struct hub *hub = arg;

	if (!hub->place.started)
		return;
	if (a->end != PG_OK || pgres_bool(a->res, 0, "alive")) {
		beat_later(hub);
		return;
	}
	log_warn("stream_given_up", LOG_INT("process", hub->place.process));
	hub->place.started = false;
	openings_lost(&hub->openings);
	hub->ops->lost(hub->arg);
	hub_start(hub);
}

/* On the connection that listens: without an answer it is given up. */
static void hub_beat(void *arg)
{
	struct hub *hub = arg;
	struct pg_args args = {0};

	if (!hub->place.started || !hub->place.db)
		return;
	pg_arg_int(&args, hub->place.process);
	if (!db_ask(hub->place.db, &sql_stream_beat, &args, on_beat, hub))
		beat_later(hub);
}

/* ---- beginning ---- */

static void start_again(struct hub *hub)
{
	loop_after(hub->place.loop, &hub->retry, HUB_RETRY_MS, hub_start, hub);
}

static void hub_started(const struct pg_answer *a, void *arg)
{
	struct hub *hub = arg;
	struct place *place = &hub->place;

	if (a->end != PG_OK) {
		/* After a kill the database needs a moment to see it. */
		if (a->end == PG_REFUSED)
			log_debug("stream_waits", LOG_STR("why", a->slug));
		start_again(hub); /* which a connection that is lost ends */
		return;
	}
	place->process = (int)pgres_int(a->res, 0, "process");
	place->started = true;
	place->epoch++;
	/* Whatever was known of the database's rows is over. */
	topics_forget(&hub->topics);
	log_info("stream_started", LOG_STR("name", hub->name),
		 LOG_INT("process", place->process),
		 LOG_INT("viewers", hub->ops->reopen(hub->arg)));
	topics_release(&hub->topics);
	openings_pump(&hub->openings);
	beat_later(hub);
}

static void hub_start(void *arg)
{
	struct hub *hub = arg;
	struct pg_args args = {0};

	if (!hub->place.db)
		return;
	pg_arg_text(&args, hub->name);
	if (!db_ask(hub->place.db, &sql_stream_start, &args, hub_started, hub))
		start_again(hub);
}

static void on_connected(void *arg)
{
	struct hub *hub = arg;

	hub->place.started = false;
	loop_cancel(hub->place.loop, &hub->retry);
	hub_start(hub);
}

static void on_lost(void *arg)
{
	struct hub *hub = arg;

	loop_cancel(hub->place.loop, &hub->retry);
	loop_cancel(hub->place.loop, &hub->beat);
	hub->place.started = false;
	openings_lost(&hub->openings);
	hub->ops->lost(hub->arg);
}

static void on_notified(const char *channel, const char *payload, void *arg)
{
	struct hub *hub = arg;

	(void)channel; /* there is only one */
	if (!strncmp(payload, COMPOSING_BELL, strlen(COMPOSING_BELL))) {
		composing_told(&hub->topics, payload);
		return;
	}
	for (struct topic *t = topic_first(&hub->topics, payload); t;
	     t = topic_next(t))
		topic_ring(t);
}

static void hub_poll(void *arg)
{
	struct hub *hub = arg;

	poll_step(hub->polling);
	openings_pump(&hub->openings);
	loop_after(hub->place.loop, &hub->poll, POLL_STEP_MS, hub_poll, hub);
}

int hub_new(struct hub **out, struct loop *l, struct stream_pool *pool,
	    const char *name)
{
	struct hub *hub = calloc(1, sizeof(*hub));

	if (!hub)
		return ENOMEM;
	hub->place.loop = l;
	hub->place.pool = pool;
	hub->session = (struct db_session){
		.channels = channels,
		.connected = on_connected,
		.lost = on_lost,
		.notified = on_notified,
		.arg = hub,
	};
	hub->name = strdup(name);
	openings_init(&hub->openings, &hub->place, &hub->topics);
	if (topics_init(&hub->topics, &hub->place) || !hub->name ||
	    poll_new(&hub->polling, &hub->topics)) {
		hub_free(hub);
		return ENOMEM;
	}
	loop_after(l, &hub->poll, POLL_STEP_MS, hub_poll, hub);
	*out = hub;
	return 0;
}

void hub_free(struct hub *hub)
{
	if (!hub)
		return;
	hub->place.started = false;
	openings_clear(&hub->openings);
	topics_clear(&hub->topics);
	poll_free(hub->polling);
	loop_cancel(hub->place.loop, &hub->retry);
	loop_cancel(hub->place.loop, &hub->beat);
	loop_cancel(hub->place.loop, &hub->poll);
	free(hub->name);
	free(hub);
}

void hub_serve(struct hub *hub, const struct hub_ops *ops, void *arg)
{
	hub->ops = ops;
	hub->arg = arg;
}

const struct db_session *hub_session(const struct hub *hub)
{
	return &hub->session;
}

void hub_use(struct hub *hub, struct db *db)
{
	hub->place.db = db;
}

bool hub_is_ready(const struct hub *hub)
{
	return place_is_open(&hub->place) && !hub->place.draining;
}

void hub_drain(struct hub *hub)
{
	hub->place.draining = true;
	openings_lost(&hub->openings);
}

struct place *hub_place(struct hub *hub)
{
	return &hub->place;
}

struct openings *hub_openings(struct hub *hub)
{
	return &hub->openings;
}
