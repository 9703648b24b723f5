/*
 * render.h: events as text: server-sent events (WHATWG HTML, 9.2) and
 * newline-delimited JSON.
 */
#ifndef RESTSIP_STREAM_RENDER_H
#define RESTSIP_STREAM_RENDER_H

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

enum {
	RENDER_ID_SIZE = 64,  /* three numbers, with the NUL */
	FRAME_MAX = 16 << 20, /* bytes: one event, a resource with all it has */
};

enum format {
	FORMAT_SSE,
	FORMAT_NDJSON,
};

/** A message that is sent to an account. All is borrowed. */
struct message {
	int64_t n; /* as in /login/{email}/{n} */
	const char *from;
	const char *content_type;
	const char *sent_at;
	const void *body;
	size_t body_len;
	const char *json; /* the body as JSON on one line; null: it is none */
};

/** The media type of a stream in that format. */
const char *render_type(enum format f);

/** What a stream begins with: for SSE, to come back after a second. */
const char *render_prologue(enum format f);

/** What is sent when there is nothing to say. */
const char *render_heartbeat(enum format f);

/**
 * Write an event's id.
 *
 * @param inbox  negative: the stream has no inbox
 */
void render_id(char out[static RENDER_ID_SIZE], int64_t version, int64_t inbox);

/** A place in a list's log: `version`, or `version.upto.n` midway. */
void render_place(char out[static RENDER_ID_SIZE], int64_t version,
		  int64_t upto, int64_t n);

/**
 * Add one event.
 *
 * @param id    null: none
 * @param data  JSON text
 */
void render_event(struct buf *b, enum format f, const char *name,
		  const char *id, const char *data, size_t n);

/**
 * Add a message as JSON: its body as a string where it is UTF-8 without NUL,
 * else in base64 (RFC 4648, section 4).
 */
void render_message(struct buf *b, const struct message *m);

/** The event that was rendered last, for the next who wants the same. */
struct frame {
	struct buf text;
	char id[RENDER_ID_SIZE];
	enum format format;
	uint64_t number;
};

void frame_init(struct frame *f);
void frame_free(struct frame *f);

/**
 * Render an event, if it is not there already.
 *
 * @param number  not 0; the same for the same name and data
 * @param id      "": none
 * @return null: too large, or no memory; borrowed
 */
const struct buf *frame_event(struct frame *f, enum format format,
			      uint64_t number, const char *name, const char *id,
			      const char *data, size_t n);

#endif
