/*
 * state.h: a viewer as viewer/ sees it: its states, and the function that
 * changes them.
 */
#ifndef RESTSIP_STREAM_STATE_H
#define RESTSIP_STREAM_STATE_H

#include <stddef.h>

#include "stream/bytes/render.h"
#include "stream/hub/inbox.h"
#include "stream/hub/opening.h"
#include "stream/hub/topic.h"
#include "stream/hub/versions.h"

struct hub;
struct outlet_ops;
struct viewer;

enum viewer_state {
	VIEWER_ASKING,	/* whether it may look; nothing is shown yet */
	VIEWER_TURN,	/* it may; not its turn to read, or it could not ask */
	VIEWER_LOADING, /* the first state is being read */
	VIEWER_NUMBER,	/* that has come; which message it is at, has not */
	VIEWER_HELD,	/* one answer: the client has what there is */
	/* From here on the client has a stream. */
	VIEWER_BEHIND,	  /* has to read, once its queue is short */
	VIEWER_READING,	  /* reads for itself */
	VIEWER_LIVE,	  /* keeps up with what is read for all */
	VIEWER_REOPENING, /* the database had forgotten it; told as before */
	VIEWER_CHECKING,  /* whether it still may look; told nothing */
	/* From here on it looks at nothing. */
	VIEWER_ENDING, /* the end is on its way */
	VIEWER_DEAD,   /* waits for the reaper */
	VIEWER_STATES,
};

/** A kind of viewer: how it is told by its topic, and how it reads for itself.
 *  A constant; topic comes first, so that a seat's ops are it. */
struct reader {
	struct topic_ops topic;
	struct inbox_ops inbox;
	/* Read: v->query, null where it cannot be now. */
	void (*load)(struct viewer *v);
	void (*load_inbox)(struct viewer *v);
	void (*id)(char out[static RENDER_ID_SIZE], const struct viewer *v,
		   int64_t version);
	/* Of a list: whether its first page is not all there; may be null. */
	bool (*is_partial)(const struct viewer *v);
	/* Messages may have gone out. */
	void (*sent)(struct viewer *v);
};

/** A message that is queued: written once sent has reached position. */
struct ack {
	uint64_t position;
	int64_t inbox;
};

/** Of the owner of a login: messages. */
struct mail {
	struct inbox_seat seat;
	struct viewer *viewer;
	char *first_doc; /* of VIEWER_NUMBER */
	struct ack *acks;
	uint32_t nacks, acks_size;
};

/** Of one that looks at a list. */
struct page {
	int64_t upto, n; /* midway in a window that begins at its version */
	int limit;	 /* of the first page */
	char *after;	 /* null: from the beginning */
	/* What did not fit into the first page: how many there are to come,
	   0: none, and the key of the last that was shown. */
	int missing;
	char *last;
};

/** What all viewers share. */
struct viewers {
	struct hub *hub;
	struct place *place;
	struct openings *openings;
	struct viewer *first;
	size_t count;
	struct viewer *leaving; /* for the reaper */
	struct loop_timer reap;
	struct frame frame;
};

struct viewer {
	struct viewers *all;
	struct viewer *next, **prev; /* of all */
	struct viewer *leaving_next;
	const struct outlet_ops *outlet;
	void *arg;
	struct stream *stream; /* the outlet's */
	struct seat seat;
	struct seat session; /* the caller's: access is asked for at its end */
	struct seat *part;   /* who stays by it, see struct opened; or null */
	int64_t checked;     /* of a call: the version as of which it may */
	struct page *page;   /* null: it looks at no list */
	struct mail *mail;   /* null: it gets no messages */
	char *key;	     /* as asked; null: as in the topic */
	struct proof *proof; /* null: a ticket, not yet used */
	struct opening *opening;
	struct pg_query *query;
	int64_t inbox_at; /* that the client came with; negative: none */
	uint32_t ends_s;  /* when the session does; 0: never */
	uint8_t state;
	uint8_t format;
	uint8_t lock; /* of query */
	bool quiet;   /* it does not stay: no messages, nobody is in a call */
	bool leaving; /* is in that list */
};

static inline struct viewer *viewer_of(struct seat *s)
{
	return (struct viewer *)((char *)s - offsetof(struct viewer, seat));
}

static inline const struct reader *reader_of(const struct viewer *v)
{
	return (const struct reader *)v->seat.ops;
}

static inline bool viewer_has_begun(const struct viewer *v)
{
	return v->state >= VIEWER_BEHIND && v->state < VIEWER_ENDING;
}

/** Put it into another state; the only place that does. Where that means that
 *  nothing is to be told, or no answer is wanted, it sees to that. A step that
 *  may not be is logged, and not done. */
void viewer_move(struct viewer *v, enum viewer_state to);

/** It keeps nobody there any more. */
void viewer_part(struct viewer *v);

/** Free it at once: one that has not begun, or all at the end. */
void viewer_destroy(struct viewer *v);

/** It cannot use what is read for all, or its queue is full. */
void viewer_fall_behind(struct viewer *v);

/** It has read its resource to the end: it keeps up, or reads once more. */
void viewer_join(struct viewer *v);

#endif
