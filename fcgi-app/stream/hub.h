/*
 * hub.h: what is watched in this process. A resource is watched once, however
 * many look at it: one row in the database, one read a change, one rendering
 * a format. A doorbell or a poll says that something may have changed; what,
 * is always read.
 */
#ifndef RESTSIP_STREAM_HUB_H
#define RESTSIP_STREAM_HUB_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/db.h"
#include "shared/loop.h"
#include "stream/bytes/stream.h"

enum {
	HUB_POLL_S = 2,		  /* every resource is looked at in this time */
	HUB_POLL_STEP_MS = 50,	  /* some of them at a time, */
	HUB_POLL_STEP_MAX = 1000, /* by one query */
	HUB_RETRY_MS = 100,	  /* while another process has our name */
	HUB_TABLE_FIRST = 256,
};

struct hub;

/**
 * @param name  what this process is called in the database; copied
 * @return 0 or errno
 */
int hub_new(struct hub **out, struct loop *l, struct stream_pool *pool,
	    const char *name);

/** Ends without a word whatever is open. */
void hub_free(struct hub *hub);

/** For db_config: the connection that LISTENs is the hub's. */
const struct db_session *hub_session(const struct hub *hub);

/** The database, once it is there; borrowed. Null before its end. */
void hub_use(struct hub *hub, struct db *db);

/** Whether a stream can be opened: the database knows this process. */
bool hub_is_ready(const struct hub *hub);

/** Streams and requests that wait for one. */
size_t hub_count(const struct hub *hub);

/** End every stream, so that clients come back, to another process. */
void hub_drain(struct hub *hub);

#endif
