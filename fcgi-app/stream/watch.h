/*
 * watch.h: what hub.c, poll.c, resource.c, change.c, list.c, open.c, access.c,
 * viewer.c, catch_up.c, many.c and inbox.c share, and nobody else.
 *
 * A viewer keeps up as long as its queue is short: it gets what is read for
 * all. One that does not, or has just come, is behind: it reads for itself
 * from its own version (or inbox number) on, whenever its queue has become
 * short, until it has caught up. So nothing is lost and nothing piles up.
 *
 * A viewer that is told differences must have exactly the document that they
 * start from. That follows from the version alone: it is what the change log
 * has of it or, where the log has nothing, what the resource keeps as its base
 * while such viewers look at it. Who comes back with a version that the log
 * does not have begins with a state.
 */
#ifndef RESTSIP_STREAM_WATCH_H
#define RESTSIP_STREAM_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "stream/hub.h"
#include "stream/inbox.h"
#include "stream/open.h"
#include "stream/viewer.h"

enum {
	FRAME_MAX = 16 << 20, /* one event, a resource with all it has */
	WATCH_PAGE = 64,      /* changes a read */
};

/** An event that was rendered last, for the next who wants the same. */
struct frame {
	struct buf text;
	char id[RENDER_ID_SIZE];
	enum format format;
	uint64_t of; /* which event; see hub->events */
};

struct hub {
	struct loop *loop;
	struct stream_pool *pool;
	struct db *db; /* borrowed; null at the end */
	char *name;
	struct db_session session;
	bool started, draining;
	int process;	/* our number, when started */
	uint64_t epoch; /* counts the starts */
	struct loop_timer retry, poll;
	struct poll *polling;
	struct resource **table; /* by topic */
	size_t table_size, resources;
	struct resource *first, *polled; /* all of them; the next to poll */
	struct viewer *viewers;
	size_t nviewers;
	struct open_queue opens;
	uint64_t events; /* counts what is rendered */
	struct frame frame;
	struct buf patch;
	uint64_t patch_of; /* the event that patch is */
};

/** What makes a resource. Borrowed. */
struct view {
	const char *kind; /* a constant */
	const char *key;
	int64_t id;
	bool inside;
	int64_t n;
};

/** How a read was asked: what it stands for once it has come. */
enum lock {
	LOCK_NO,
	LOCK_ALL,  /* waited for who did not see the row */
	LOCK_MINE, /* the same for the owner's */
	LOCK_VAIN, /* waited, but there was no row yet */
};

/** What is watched, as some may see it: another view is another resource, but
 *  has the same row in the database. */
struct resource {
	struct hub *hub;
	struct resource *hash_next;
	struct resource *next, **prev; /* of all */
	const char *kind;
	int64_t id;
	char *topic; /* kind/key, as in the doorbell */
	bool inside; /* with what not everybody may see */
	int64_t n;   /* one item of it; 0: all */
	struct sub *subs;
	size_t nsubs, nmine, nlive; /* live: those that keep up */
	size_t ndiff;		    /* those that are told differences */
	int64_t version;	    /* that all have that keep up */
	char *base; /* as of base_version, for ndiff; may be null */
	int64_t base_version;
	struct pg_query *query;
	bool again;	/* it was rung since query was asked */
	uint32_t bells; /* counts them */
	unsigned busy;	/* it is being walked over: not to be freed */
	/* The row of the database: is there, is the owner's too; and a read
	   has waited since then for who was writing. */
	bool watched, watched_mine, locked, locked_mine;
	enum lock lock;	 /* of query */
	bool then_inbox; /* query is to be followed by the inbox */
	unsigned closes; /* watch_close under way */
	uint64_t closed_seq, closed_mine_seq;
	struct inbox *inbox; /* null until an owner comes */
	struct list *list;   /* null: it is no list */
};

/** That a viewer looks at a resource. */
struct sub {
	struct viewer *viewer;
	struct resource *resource; /* null: not yet, or no longer */
	struct sub *next, **prev;  /* of the resource */
	int64_t version;	   /* what the client has; 0: nothing */
	uint32_t bells;		   /* of the resource when it was read */
	bool behind;
	bool mine; /* counted as the owner's */
};

enum viewer_state {
	VIEWER_ASKING,	/* watch_open() is under way */
	VIEWER_LOADING, /* the first reads are */
	VIEWER_OPEN,	/* there is a stream */
	VIEWER_ENDING,	/* there is, and its end is on the way */
};

/** A message that is queued: written once sent has reached position. */
struct ack {
	uint64_t position;
	int64_t inbox;
};

struct viewer {
	struct hub *hub;
	struct viewer *next, **prev; /* of the hub */
	const struct viewer_ops *ops;
	void *arg;
	struct stream *stream; /* of many: theirs */
	struct many *many;     /* null: it has one of its own */
	struct sub sub;
	struct sub session;	/* of who calls: when it ends we look again */
	int64_t caller;		/* the account */
	int64_t checked;	/* of a call: the version as of which it may */
	struct list_view *list; /* null: it looks at no list */
	char *key;		/* as asked; null: as in the topic */
	struct proof *proof;	/* null: a ticket, not yet used */
	struct opening *opening;
	struct pg_query *query;
	enum lock lock;	 /* of query */
	char *first_doc; /* read, until the first event can be written */
	uint32_t ends_s; /* when the session does; 0: never */
	uint8_t state;
	uint8_t format;
	bool once;
	bool diff;
	bool quiet;   /* no messages: it does not stay */
	bool recheck; /* to be opened anew when it has been */
	bool mine;
	/* the owner's */
	bool inbox_behind;
	bool inbox_new; /* it came without a number: gets what is undelivered */
	uint32_t inbox_since_s; /* when it came */
	bool inbox_check;	/* what k says is there may not be marked so */
	struct viewer *inbox_next, **inbox_prev;
	struct inbox *inbox;
	uint32_t inbox_bells; /* of the inbox when it was read */
	int64_t inbox_at;     /* the client has all up to this; negative: ? */
	struct ack *acks;
	uint32_t nacks, acks_size;
};

/** Of one that looks at a list. */
struct list_view {
	int64_t upto, n; /* midway in a window that begins at its version */
	int limit;	 /* of the first page */
	char *after;	 /* null: from the beginning */
	/* What did not fit into the first page: how many there are to come,
	   0: none, and the key of the last that was shown. */
	int missing;
	char *last;
};

/** One version of a resource, as watch_read() gives it. Borrowed. */
struct change {
	int64_t version; /* 0: none */
	int64_t prior;
	bool fresh; /* not a step from the version before it */
	bool gone;
	const char *doc;
	const char *from;    /* that of prior; null: not known */
	const char *recheck; /* whose access changes, `{7,8}`; null: nobody's */
	uint64_t event, patch_event; /* of hub->events */
};

/* poll.c */

int poll_new(struct hub *hub);
void poll_free(struct hub *hub);

/** Look whether some of all resources have moved: what a bell has missed. */
void poll_step(struct hub *hub);

/* many.c, many_write.c, many_poll.c: of a viewer that is one of many */

/** The first may have brought a proof for all. */
void many_opened(struct viewer *v);

/** Whether it may read its first state now; else it is stepped when it may. */
bool many_may_load(struct viewer *v);

/** As viewer_begin(). @return false: not yet, it reads again then */
bool many_begin(struct viewer *v);

/** Whether messages come with another of them. */
bool many_has_inbox(struct viewer *v);

/** An event, which says whose it is; with_id: and where that stands. */
void many_event(struct viewer *v, const char *name, bool with_id,
		const char *data, size_t n);

/** The next event will be the resource's last. */
void many_member_gone(struct viewer *v);

/** One ends, or all do. data: {"reason"} */
void many_member_end(struct viewer *v, const char *reason, const char *data,
		     size_t n);
void many_end(struct many *m, const char *reason);

/* list.c */

struct list *list_new(struct resource *r);
void list_free(struct list *list);
struct list_view *list_view_new(const struct viewer_ask *ask);
void list_view_free(struct list_view *view);

/** Where it stands, as the id of an event. */
void list_id(char out[static RENDER_ID_SIZE], const struct viewer *v);

/** Whether there is more to come of its first page. */
bool list_is_partial(const struct viewer *v);

/** Whether what it has read reaches what is read for all. */
bool list_can_catch_up(const struct viewer *v);

/** What is read for all begins at the resource's version. */
void list_begin(struct list *list);

/** Read for all who keep up. */
void list_bell(struct resource *r);

/** Read for one that is behind. */
void list_load(struct viewer *v);

/* resource.c */

/** Those of a topic: several views, and a name may have had several owners. */
struct resource *resource_first(struct hub *hub, const char *topic);
struct resource *resource_next(const struct resource *r);

/** Find or make. @return null without memory */
struct resource *resource_get(struct hub *hub, const struct view *view);

/** Whether a row that was opened as `seq` has been closed since. */
bool resource_was_closed(const struct resource *r, uint64_t seq, bool mine);

/** Something may have changed: read. */
void resource_bell(struct resource *r);

/** Whether it is an account's session, which is not read. */
bool resource_is_session(const struct resource *r);

/** All that look at it are to be checked. */
void resource_recheck(struct resource *r);

/** There is a row in the database: who has been there longer reads again. */
void resource_opened(struct resource *r, bool mine);

/** After a sub left, or a query ended: close and free what nobody needs. */
void resource_release(struct resource *r);
void resource_free(struct resource *r);

/** Look at r, from behind. */
void sub_attach(struct sub *s, struct resource *r, bool mine);
void sub_detach(struct sub *s);
void sub_fall_behind(struct sub *s);

/** It was read. @return whether it keeps up from now on */
bool sub_catch_up(struct sub *s);

/** Whether no read has waited yet for who was writing when the row came. */
bool resource_must_lock(const struct resource *r);

/** What the next read has to be, and that it has come. */
enum lock resource_lock(const struct resource *r);
void resource_locked(struct resource *r, enum lock lock);

/**
 * Ask watch_read().
 *
 * @param since  0: for the whole
 * @param diff   for differences
 * @param limit  rows; 0: the last alone and, diff, what it starts from
 * @return null: not now
 */
struct pg_query *resource_ask(struct resource *r, int64_t since, bool diff,
			      int limit, enum lock lock, pg_answer_h *answered,
			      void *arg);

/* change.c */

/**
 * What viewers that are told differences have at that version, or will have,
 * since nobody has it yet.
 *
 * @return doc or, instead of it, what others have; borrowed
 */
const char *resource_base(struct resource *r, int64_t version, const char *doc);

/** A row of watch_read(). */
void change_read(struct change *c, struct hub *hub, const struct pg_result *res,
		 int row);

/** From c->from to c->doc. @return null: no memory, or too large; borrowed */
const struct buf *change_patch(struct hub *hub, const struct change *c);

/** Nobody has it any more, or it may not be what they have. */
void resource_drop_base(struct resource *r);

/** Rows of watch_read(), to all who keep up. */
void resource_pass_on(struct resource *r, const struct pg_result *res,
		      int rows);

/* access.c */

/** Opened, for the first time or anew, perhaps to another view: attach r, and
 *  the session of who calls. */
void viewer_opened(struct viewer *v, struct resource *r,
		   struct resource *session, bool mine);

/** Ask again for what it looks at: the database has forgotten it. */
void viewer_reopen(struct viewer *v);

/** Ask again whether it may look; it sees nothing until that is known. */
void viewer_recheck(struct viewer *v);

/** Whether an array, `{7,8}`, has the number. */
bool array_has(const char *s, int64_t n);

/** Whether c may end or widen what v may see, and that is not looked at yet;
 *  then it is from now on. */
bool viewer_must_recheck(struct viewer *v, const struct change *c);

/* viewer.c */

/** Before there is a stream; else it ends. */
void viewer_refuse(struct viewer *v, const struct pg_answer *why);

/** A change of its resource, while it keeps up. */
void viewer_change(struct viewer *v, const struct change *c);

/**
 * Write a message.
 *
 * @param data   JSON
 * @param event  of hub->events
 * @return false: its queue is full
 */
bool viewer_message(struct viewer *v, int64_t inbox, const char *data, size_t n,
		    uint64_t event);

/** It looks at nothing any more; what is queued goes out. */
void viewer_leave(struct viewer *v);

/** Free one of many; the stream goes by itself. */
void viewer_drop(struct viewer *v);

/** Bytes have gone out. */
void viewer_acknowledge(struct viewer *v);
void viewer_moved(struct viewer *v);

/** What it has, as the id of an event. */
void viewer_id(char out[static RENDER_ID_SIZE], const struct viewer *v);

/** Last event, with a reason, and the end. */
void viewer_end(struct viewer *v, const char *reason);

/** It cannot be now: 503, where there is no stream yet. */
void viewer_refuse_unavailable(struct viewer *v);

/**
 * The stream may begin.
 *
 * @param resumed  without a state: there may be nothing to say for a while
 * @return false: it could not, and v is freed
 */
bool viewer_begin(struct viewer *v, bool resumed);

/** Write a version, as a state, a change or a difference. */
void viewer_put(struct viewer *v, const struct change *c);

/** once: the client has what there is. */
void viewer_wait(struct viewer *v);

/** once: the answer, and the end of v. */
void viewer_answer(struct viewer *v, const struct change *c);

/** Whether it has to fall behind. */
bool viewer_is_full(const struct viewer *v);

/** Write an event, by its number; version 0: it has no id. */
void viewer_write(struct viewer *v, const char *name, int64_t version,
		  const char *data, size_t n, uint64_t event);

/** What it looks at is no more. */
void viewer_gone(struct viewer *v, const struct change *c);

/* catch_up.c */

/** An inbox number that the client may come back with. @return false: freed */
bool viewer_inbox_known(struct viewer *v, int64_t at);

/** Go on catching up, if there is anything to catch up with. */
void viewer_step(struct viewer *v);

#endif
