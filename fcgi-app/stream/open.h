/*
 * open.h: asking the database for a watch, a few at a time, in order; for new
 * viewers, and for all there are after the connection was lost.
 */
#ifndef RESTSIP_STREAM_OPEN_H
#define RESTSIP_STREAM_OPEN_H

#include <stddef.h>
#include <stdint.h>

#include "shared/auth.h"
#include "shared/loop.h"

enum {
	OPEN_WINDOW = 64, /* asked at a time */
	OPEN_WAIT_MS = 5000,
};

struct hub;
struct opening;
struct proof;
struct view;
struct viewer;

struct open_queue {
	struct opening *first, *last;
	size_t asked;
	struct loop_timer soon;
	uint64_t seq; /* counts what goes over the session's connection */
};

/** Keep who calls. @return null without memory; one reference */
struct proof *proof_new(const struct principal *p);
struct proof *proof_ref(struct proof *p); /* null is fine */
void proof_free(struct proof *p);

/**
 * Queue a watch_open() for a viewer.
 *
 * @param view    kind, key and n
 * @param ticket  SHA-256, or null: then by the viewer's proof
 * @return 0 or ENOMEM
 */
int open_add(struct hub *hub, struct viewer *v, const struct view *view,
	     const uint8_t *ticket);

/** The viewer is being freed. */
void open_forget(struct opening *o);

/** Ask as many as may be. */
void open_pump(struct hub *hub);

/** The connection is gone: nothing that waits can be. */
void open_lost(struct hub *hub);

/** At the end: what waits is freed. */
void open_clear(struct hub *hub);

#endif
