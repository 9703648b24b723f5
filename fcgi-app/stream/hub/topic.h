/*
 * topic.h: what is watched. A topic is watched once, however many look at it:
 * one row in the database, one read a change.
 *
 * Each viewer has a seat. A seat that keeps up is told what is read for all. A
 * seat that is behind is told nothing: its owner reads for itself from the
 * seat's version on, until it can join those that keep up.
 *
 * Seats are told in walks over them, so the list of seats may grow at any time,
 * but shrinks only in seat_detach(), which is called from the loop alone.
 */
#ifndef RESTSIP_STREAM_TOPIC_H
#define RESTSIP_STREAM_TOPIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "stream/hub/place.h"
#include "stream/hub/seat.h"

enum {
	TOPICS_FIRST = 256, /* slots of the table */
};

/** All of them, by name. */
struct topics {
	struct place *place;
	struct topic **table;
	size_t table_size, count;
	struct topic *first, *polled; /* the next to poll */
	struct buf patch;	      /* the last that was made, */
	uint64_t patch_of;	      /* of that event */
};

/** @return 0 or ENOMEM */
int topics_init(struct topics *all, struct place *place);
void topics_clear(struct topics *all);

/** The database has forgotten all rows; and then: free what nobody needs. */
void topics_forget(struct topics *all);
void topics_release(struct topics *all);

/** Those of a name, `kind/key`: several views, and a key may have had several
 *  owners. */
struct topic *topic_first(const struct topics *all, const char *name);
struct topic *topic_next(const struct topic *t);

/** Find or make. @return null without memory */
struct topic *topic_get(struct topics *all, const struct view *view);

struct view topic_view(const struct topic *t);
int64_t topic_id(const struct topic *t);

/** Look at t, from behind. Its ops have to be set. */
void seat_attach(struct seat *s, struct topic *t, bool mine);

/** The same, where there is nothing to be read. */
void seat_attach_live(struct seat *s, struct topic *t);
void seat_detach(struct seat *s);
void seat_fall_behind(struct seat *s);

/** From now on whole documents will do. */
void seat_take_whole(struct seat *s);

/** It is about to read: what is rung from now on it may miss. */
void seat_reads(struct seat *s);

/** It has read. @return whether it keeps up from now on */
bool seat_join(struct seat *s);

#endif
