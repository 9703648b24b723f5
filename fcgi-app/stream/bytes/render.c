/*
 * render.c: events as text.
 */
#include "stream/bytes/render.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/json_write.h"
#include "common/utf8.h"

const char *render_type(enum format f)
{
	return f == FORMAT_SSE ? "text/event-stream" : "application/x-ndjson";
}

const char *render_prologue(enum format f)
{
	return f == FORMAT_SSE ? "retry: 1000\n\n" : "";
}

const char *render_heartbeat(enum format f)
{
	return f == FORMAT_SSE ? ": \n" : "\n";
}

void render_id(char out[static RENDER_ID_SIZE], int64_t version, int64_t inbox)
{
	if (inbox < 0)
		(void)snprintf(out, RENDER_ID_SIZE, "%" PRId64, version);
	else
		(void)snprintf(out, RENDER_ID_SIZE, "%" PRId64 ".%" PRId64,
			       version, inbox);
}

void render_place(char out[static RENDER_ID_SIZE], int64_t version,
		  int64_t upto, int64_t n)
{
	if (upto)
		(void)snprintf(out, RENDER_ID_SIZE,
			       "%" PRId64 ".%" PRId64 ".%" PRId64, version,
			       upto, n);
	else
		(void)snprintf(out, RENDER_ID_SIZE, "%" PRId64, version);
}

/* JSON text on one line: outside of strings a line's end is only white space,
   and inside of one it cannot be. */
static void add_line(struct buf *b, const char *p, size_t n)
{
	size_t from = 0;

	for (size_t i = 0; i < n; i++) {
		if (p[i] != '\n' && p[i] != '\r')
			continue;
		buf_add(b, p + from, i - from);
		buf_char(b, ' ');
		from = i + 1;
	}
	buf_add(b, p + from, n - from);
}

static void add_sse(struct buf *b, const char *name, const char *id,
		    const char *data, size_t n)
{
	buf_str(b, "event: ");
	buf_str(b, name);
	if (id) {
		buf_str(b, "\nid: ");
		buf_str(b, id);
	}
	buf_str(b, "\ndata: ");
	add_line(b, data, n);
	buf_str(b, "\n\n");
}

static void add_ndjson(struct buf *b, const char *name, const char *id,
		       const char *data, size_t n)
{
	buf_str(b, "{\"event\":\"");
	buf_str(b, name);
	if (id) {
		buf_str(b, "\",\"id\":\"");
		buf_str(b, id);
	}
	buf_str(b, "\",\"data\":");
	add_line(b, data, n);
	buf_str(b, "}\n");
}

void render_event(struct buf *b, enum format f, const char *name,
		  const char *id, const char *data, size_t n)
{
	if (f == FORMAT_SSE)
		add_sse(b, name, id, data, n);
	else
		add_ndjson(b, name, id, data, n);
}

static void add_base64(struct buf *b, const uint8_t *p, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i;
		uint32_t bits = (uint32_t)p[i] << 16;
		char four[4];

		if (left > 1)
			bits |= (uint32_t)p[i + 1] << 8;
		if (left > 2)
			bits |= p[i + 2];
		four[0] = digits[bits >> 18];
		four[1] = digits[bits >> 12 & 63];
		four[2] = left > 1 ? digits[bits >> 6 & 63] : '=';
		four[3] = left > 2 ? digits[bits & 63] : '=';
		buf_add(b, four, sizeof(four));
	}
}

static void add_body(struct buf *b, const void *p, size_t n)
{
	if (!n) {
		json_key(b, "body");
		json_cstr(b, "");
	} else if (!memchr(p, '\0', n) && utf8_valid(p, n) == n) {
		json_key(b, "body");
		json_str(b, p, n);
	} else {
		json_key(b, "body_base64");
		buf_char(b, '"');
		add_base64(b, p, n);
		buf_char(b, '"');
	}
}

void render_message(struct buf *b, const struct message *m)
{
	buf_char(b, '{');
	json_member_int(b, "id", m->n);
	json_member(b, "from", m->from);
	json_member(b, "content_type", m->content_type);
	json_member(b, "sent_at", m->sent_at);
	add_body(b, m->body, m->body_len);
	if (m->json) {
		json_key(b, "json");
		buf_str(b, m->json);
	}
	buf_char(b, '}');
}

void frame_init(struct frame *f)
{
	buf_init(&f->text, FRAME_MAX);
}

void frame_free(struct frame *f)
{
	buf_free(&f->text);
}

const struct buf *frame_event(struct frame *f, enum format format,
			      uint64_t number, const char *name, const char *id,
			      const char *data, size_t n)
{
	if (f->number == number && f->format == format && !strcmp(f->id, id))
		return &f->text;
	buf_reset(&f->text);
	render_event(&f->text, format, name, *id ? id : NULL, data, n);
	f->number = f->text.failed ? 0 : number;
	f->format = format;
	(void)snprintf(f->id, sizeof(f->id), "%s", id);
	return f->text.failed ? NULL : &f->text;
}
