/*
 * topic_parts.h: a topic as hub/ sees it, and the row that it has in the
 * database.
 */
#ifndef RESTSIP_STREAM_TOPIC_PARTS_H
#define RESTSIP_STREAM_TOPIC_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "stream/hub/seat.h"

/** How a read was asked: what it stands for once it has come. */
enum lock {
	LOCK_NO,
	LOCK_ALL,  /* has waited for writers that did not see the row */
	LOCK_MINE, /* the same for the owner's */
	LOCK_VAIN, /* waited, but there was no row yet */
};

/** What is watched, as some may see it: another view is another topic, but has
 *  the same row in the database. */
struct topic {
	struct topics *all;
	const struct topic_kind *kind;
	struct topic *hash_next;
	struct topic *next, **prev; /* of all */
	struct topic **place;	    /* in the poll under way; null: not there */
	char *name;
	int64_t id, n;
	struct seat *seats;
	uint32_t nseats, nmine, nlive; /* live: those that keep up */
	uint32_t ndiff;		       /* those that are told differences */
	int64_t version;	       /* that all have that keep up */
	char *base; /* as of base_version, for ndiff; may be null */
	int64_t base_version;
	struct pg_query *query; /* for all */
	uint32_t bells;		/* counts them */
	uint32_t closes;	/* watch_close() under way */
	uint64_t closed_seq, closed_mine_seq;
	struct inbox *inbox; /* null until an owner comes */
	struct list *list;   /* null: it is no list */
	bool inside;
	bool again; /* it was rung since query was asked */
	/* The row of the database: is there, is the owner's too; and a read
	   has waited since then for who was writing. */
	bool watched, watched_mine, locked, locked_mine;
	uint8_t lock;	/* of query */
	bool then_mail; /* query is to be followed by the inbox */
};

/** Whether a row that was opened as `seq` has been closed since. */
bool topic_was_closed(const struct topic *t, uint64_t seq, bool mine);

/** There is a row in the database: who has been there longer reads again. */
void topic_opened(struct topic *t, bool mine);

/** Close and free topics that nobody needs; from the loop alone. */
void topic_release(struct topic *t);

/** Something may have changed: read. */
void topic_bell(struct topic *t);

/** The same, and messages may have come. */
void topic_ring(struct topic *t);

/** Whether no read has waited yet for who was writing when the row came. */
bool topic_must_lock(const struct topic *t);

/** What the next read has to be, and that it has come. */
enum lock topic_lock(const struct topic *t);
void topic_locked(struct topic *t, enum lock lock);

#endif
