/*
 * seat.h: a viewer's seat at a topic: the types that topics, their readers and
 * viewers have in common.
 */
#ifndef RESTSIP_STREAM_SEAT_H
#define RESTSIP_STREAM_SEAT_H

#include <stdbool.h>
#include <stdint.h>

struct change;
struct inbox;
struct item;
struct list;
struct seat;
struct topic;

/** How topics of a kind are read. Members may be null. */
struct feed_ops {
	/* What a topic needs for it. Errno: there is no topic then. */
	int (*open)(struct topic *t);
	void (*close)(struct topic *t);
	bool (*is_idle)(const struct topic *t); /* it may be closed */
	/* Something may have changed: read for all that keep up. */
	void (*bell)(struct topic *t);
	/* The poll comes by: say again what could not be said. */
	void (*retry)(struct topic *t);
	/* The poll found another version; null: as a bell. */
	void (*moved)(struct topic *t, int64_t version);
	/* Whether what the seat has reaches what is read for all; null: by
	   its version. */
	bool (*may_join)(const struct topic *t, const struct seat *s);
	/* The first has joined: reading for all begins at t->version. */
	void (*begin)(struct topic *t);
	bool locks; /* the first read waits for writers under way */
	bool alone; /* the poll cannot ask for it with others */
};

/** A kind of resource: a constant. */
struct topic_kind {
	const char *name; /* what the database calls it */
	const struct feed_ops *feed;
	const struct feed_ops *mail;   /* messages, for its owner; null: none */
	const struct topic_kind *item; /* what an item that it lacks may be */
	bool renamed; /* its doorbell has another key than its URL */
	bool hides;   /* a change may end or widen what one may see */
	bool is_list;
};

/** How the owner of a seat is told; for some kinds of topics only some. */
struct topic_ops {
	void (*changed)(struct seat *s, const struct change *c);
	/* Of a list: an item; that a window of its log has ended; and that
	   what is read for all does not reach back to the seat's version. */
	void (*item)(struct seat *s, const struct item *item);
	void (*advanced)(struct seat *s, int64_t upto);
	void (*restart)(struct seat *s);
	/* Whether it may look has to be asked again. */
	void (*recheck)(struct seat *s);
	/* What could not be asked can be tried again. */
	void (*retry)(struct seat *s);
};

struct seat {
	const struct topic_ops *ops;
	struct topic *topic; /* null: not yet, or no longer */
	struct seat *next, **prev;
	int64_t version; /* what its owner has; 0: nothing */
	uint32_t bells;	 /* of the topic when that was read */
	bool behind;
	bool mine; /* counted as the owner's */
	bool diff; /* is told differences */
};

/** What makes a topic one of its own. Borrowed. */
struct view {
	const struct topic_kind *kind;
	const char *key;
	int64_t id;
	bool inside; /* with what not everybody may see */
	int64_t n;   /* one item of it; 0: all */
};

#endif
