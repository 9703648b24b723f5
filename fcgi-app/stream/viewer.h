/*
 * viewer.h: one client that looks at a resource: from its request, over what
 * it missed, to every change, as long as it stays.
 */
#ifndef RESTSIP_STREAM_VIEWER_H
#define RESTSIP_STREAM_VIEWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/auth.h"
#include "shared/db.h"
#include "stream/bytes/render.h"
#include "stream/bytes/stream.h"
#include "stream/hub.h"

struct many;
struct proof;
struct viewer;

/** What a request asks for. Borrowed until viewer_new() returns. */
struct viewer_ask {
	const char *kind; /* a constant */
	const char *key;
	int64_t n;		     /* one item of it; 0: all */
	const struct principal *who; /* null with a ticket, or a proof */
	struct proof *proof;	     /* instead of who */
	struct many *many;	     /* null: it has a stream of its own */
	const uint8_t *ticket;	     /* SHA-256, or null */
	enum format format;
	bool once;   /* no stream: one answer, of what is not `version` */
	bool diff;   /* JSON Patch instead of whole documents */
	bool quiet;  /* it does not stay: no messages */
	bool resume; /* version is what the client has */
	int64_t version;
	int64_t inbox; /* the same; negative: none */
	/* Of a list: midway (0: not), and its first page. */
	int64_t upto, after_n;
	int limit;
	const char *after; /* null: from the beginning */
};

/** Exactly one of refused, open and the answers is called, once; never by
 *  viewer_new(). */
struct viewer_ops {
	/* It cannot be; the viewer is freed after this. */
	void (*refused)(const struct pg_answer *why, void *arg);
	/* It can be: make the stream. Errno: the viewer is freed after it. */
	int (*open)(struct stream **out, const struct stream_ops *ops,
		    void *stream_arg, void *arg);
	/* once: the resource, or a patch that makes it of what the client
	   has; the viewer is freed after this. */
	void (*answer)(int64_t version, const char *doc, bool patch, void *arg);
	/* once: the client has what there is; an answer may come later. Not
	   after ends_s seconds, when the session does; UINT32_MAX: never. */
	void (*waits)(uint32_t ends_s, void *arg);
	/* once, of many: those that have moved; see many.h. */
	void (*answer_many)(const char *id, const char *docs, size_t n,
			    void *arg);
};

/**
 * Ask for a resource.
 *
 * @return 0, EAGAIN (the database is away), ENOMEM
 */
int viewer_new(struct viewer **out, struct hub *hub,
	       const struct viewer_ask *ask, const struct viewer_ops *ops,
	       void *arg);

/** Who calls, as the database knows by now: with a ticket null, until that is
 *  used up. Borrowed. */
struct proof *viewer_proof(const struct viewer *v);

/** The client has gone before ops; nothing is called any more. */
void viewer_free(struct viewer *v);

#endif
