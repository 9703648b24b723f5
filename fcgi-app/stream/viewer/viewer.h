/*
 * viewer.h: one client that looks at a resource: from its request, over what
 * it missed, to every change, as long as it stays. How it is told is its
 * outlet's: on a stream of its own, on one that it shares, or in one answer.
 */
#ifndef RESTSIP_STREAM_VIEWER_H
#define RESTSIP_STREAM_VIEWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/db.h"
#include "stream/bytes/render.h"
#include "stream/bytes/stream.h"

struct place;
struct proof;
struct viewer;

/**
 * How a viewer's client is told; a constant. None is called by a function that
 * makes or frees a viewer, nor after refuse, answer, or an error of begin.
 * Members may be null but for once's answer and wait, or begin, event, gone and
 * end; and refuse.
 */
struct outlet_ops {
	bool once; /* one answer, no stream */
	/* Whether it may read its first state now; else it is told to go on
	   by viewer_next() when it may. */
	bool (*may_load)(struct viewer *v);
	/* It may look; viewer_proof() is known. */
	void (*opened)(struct viewer *v);
	/* Whether messages come with another viewer. */
	bool (*has_inbox)(struct viewer *v);
	/**
	 * The first event can be written: viewer_set_stream().
	 *
	 * @param resumed  there may be nothing to say for a while
	 * @return 0, EAGAIN (not yet: it is to be read once more), or errno:
	 *         there is no stream, nor will there be
	 */
	int (*begin)(struct viewer *v, bool resumed);
	/* With where the viewer stands as id, or without one.
	   number: of place->events */
	void (*event)(struct viewer *v, const char *name, bool with_id,
		      const char *data, size_t n, uint64_t number);
	/* The resource is no more: an event, and the end. version 0: no id */
	void (*gone)(struct viewer *v, int64_t version, uint64_t number);
	/* Why it ends; it looks at nothing after this. */
	void (*end)(struct viewer *v, const char *reason);
	/* It cannot be; the viewer is dead after this. */
	void (*refuse)(struct viewer *v, const struct pg_answer *why);
	/* once: the resource, or a patch that makes it of what the client
	   has; the viewer is dead after this. */
	void (*answer)(struct viewer *v, int64_t version, const char *doc,
		       bool patch);
	/* once: the client has what there is; an answer may come later. Not
	   after ends_s seconds, when the session does; UINT32_MAX: never. */
	void (*wait)(struct viewer *v, uint32_t ends_s);
};

/** The client has gone, or begun nothing; the outlet is not called again. */
void viewer_free(struct viewer *v);

/** Take the next step, if there is one. */
void viewer_next(struct viewer *v);

/* ---- for outlets ---- */

void *viewer_arg(const struct viewer *v);

/** Who calls, as the database knows by now: with a ticket null, until that is
 *  used up. Borrowed. */
struct proof *viewer_proof(const struct viewer *v);
struct place *viewer_place(const struct viewer *v);
enum format viewer_format(const struct viewer *v);

/** Where it writes, as far as queues and times go. Borrowed; null: nowhere. */
void viewer_set_stream(struct viewer *v, struct stream *stream);
struct stream *viewer_stream(const struct viewer *v);

/** When its session ends, of stream_now_s(); 0: never. */
uint32_t viewer_ends_s(const struct viewer *v);

/** The last event that was rendered for any viewer. */
struct frame *viewer_frame(const struct viewer *v);

/** Whether it gets messages. */
bool viewer_has_inbox(const struct viewer *v);

/**
 * Where it stands, as the id of an event.
 *
 * @param version  0: as it has it
 */
void viewer_id(char out[static RENDER_ID_SIZE], const struct viewer *v,
	       int64_t version);

/** The same, where somebody could come back with it. @return false: there is
 *  none, and the client's own place, or none, holds */
bool viewer_place_id(char out[static RENDER_ID_SIZE], const struct viewer *v);

/** The same, with messages alone, which may be written before its state is. */
bool viewer_inbox_id(char out[static RENDER_ID_SIZE], const struct viewer *v);

/** Bytes have gone out; the stream has closed. */
void viewer_moved(struct viewer *v);
void viewer_closed(struct viewer *v);

/** Last event, with a reason, where there is a stream. */
void viewer_end(struct viewer *v, const char *reason);

/** It looks at nothing any more; what is queued goes out. */
void viewer_leave(struct viewer *v);

#endif
