/*
 * hub.h: the process's place in the database, and doorbells. A doorbell or a
 * poll says that something may have changed; what, is always read.
 */
#ifndef RESTSIP_STREAM_HUB_H
#define RESTSIP_STREAM_HUB_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/db.h"
#include "stream/hub/opening.h"
#include "stream/hub/place.h"

enum {
	HUB_RETRY_MS = 100, /* while another process has our name */
	HUB_BEAT_MS = 2000, /* after 10 s others take us for dead */
};

struct hub;

/** Functions of those who watch. */
struct hub_ops {
	/* The connection is lost: requests that wait for a first state must be
	   refused. */
	void (*lost)(void *arg);
	/* It is back: ask for all watches anew. @return how many look */
	size_t (*reopen)(void *arg);
};

/**
 * @param name  what this process is called in the database; copied
 * @return 0 or errno
 */
int hub_new(struct hub **out, struct loop *l, struct stream_pool *pool,
	    const char *name);
void hub_free(struct hub *hub);

/** Before hub_use(). ops: a constant. */
void hub_serve(struct hub *hub, const struct hub_ops *ops, void *arg);

/** For db_config: the connection that LISTENs is the hub's. */
const struct db_session *hub_session(const struct hub *hub);

/** The database, once it is there; borrowed. Null before its end. */
void hub_use(struct hub *hub, struct db *db);

/** Whether a stream can be opened: the database knows this process. */
bool hub_is_ready(const struct hub *hub);

/** Nothing is opened any more. */
void hub_drain(struct hub *hub);

/** What it shares with those who look. */
struct place *hub_place(struct hub *hub);
struct openings *hub_openings(struct hub *hub);

#endif
