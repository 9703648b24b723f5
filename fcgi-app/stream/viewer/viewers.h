/*
 * viewers.h: all viewers of the process, and how one comes.
 */
#ifndef RESTSIP_STREAM_VIEWERS_H
#define RESTSIP_STREAM_VIEWERS_H

#include <stdbool.h>
#include <stdint.h>

#include "stream/bytes/render.h"
#include "stream/hub/hub.h"
#include "stream/viewer/viewer.h"

struct principal;
struct viewers;

/** What a request asks for. Borrowed until viewer_new() returns. */
struct viewer_ask {
	const struct topic_kind *kind; /* a constant */
	const char *key;
	int64_t n;		     /* one item of it; 0: all */
	const struct principal *who; /* null with a ticket, or a proof */
	struct proof *proof;	     /* instead of who */
	const uint8_t *ticket;	     /* SHA-256, or null */
	enum format format;
	bool once;   /* no stream: one answer, of what is not `version` */
	bool diff;   /* JSON Patch instead of whole documents */
	bool quiet;  /* it does not stay: no messages, nobody in a call */
	bool resume; /* version is what the client has */
	int64_t version;
	int64_t inbox; /* the same; negative: none */
	/* Of a list: midway (0: not), and its first page. */
	int64_t upto, after_n;
	int limit;
	const char *after; /* null: from the beginning */
};

/** @return 0 or ENOMEM */
int viewers_new(struct viewers **out, struct hub *hub);

/** Ends without a word whatever is open; before the hub is freed. */
void viewers_free(struct viewers *all);

/** End every stream, so that clients come back, to another process. */
void viewers_drain(struct viewers *all);

struct hub *viewers_hub(const struct viewers *all);

/**
 * Ask for a resource.
 *
 * @param outlet  how its client is told; whether once is for the caller to see
 * @return 0, EAGAIN (the database is away), ENOMEM
 */
int viewer_new(struct viewer **out, struct viewers *all,
	       const struct viewer_ask *ask, const struct outlet_ops *outlet,
	       void *arg);

#endif
