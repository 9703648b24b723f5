/*
 * body.c: yajl's events become a tree in the arena; values that jsonb could not
 * hold, or would not give back unchanged, are refused on the way.
 */
#include "shared/body.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "common/utf8.h"
#include "shared/body_check.h"

/* An array or object that is not finished. */
struct level {
	struct json *value;
	struct json *last; /* its latest child */
	const char *name;  /* an object's next member */
	size_t name_len;
};

struct reader {
	yajl_handle yajl;
	struct arena *arena;
	struct body_error *error; /* null: a text of our own, without rules */
	struct json *root;
	struct level level[BODY_OWN_DEPTH_MAX];
	size_t depth;
	size_t written;	 /* bytes of what is there so far, from jsonb */
	size_t bad_at;	 /* where body_scan() found something */
	const char *bad; /* what */
	bool refused;	 /* error is filled in */
	bool no_memory;
	bool too_large;
};

static int refuse(struct reader *r, const char *detail)
{
	struct buf b;

	if (r->refused)
		return 0;
	r->refused = true;
	if (!r->error)
		return 0;
	(void)snprintf(r->error->detail, BODY_DETAIL_SIZE, "%s", detail);
	buf_init(&b, BODY_POINTER_MAX - 1);
	for (size_t i = 0; i < r->depth; i++) {
		const struct level *l = &r->level[i];

		if (l->value->type == JSON_ARRAY)
			buf_fmt(&b, "/%zu", l->value->count);
		else if (l->name)
			body_pointer_add(&b, l->name, l->name_len);
	}
	/* a longer one is cut at a segment's end: it still is a place */
	memcpy(r->error->pointer, b.p ? b.p : "", b.len);
	r->error->pointer[b.len] = '\0';
	buf_free(&b);

	return 0;
}

static int out_of_memory(struct reader *r)
{
	r->no_memory = true;

	return 0;
}

/* Count what jsonb writes of a token. */
static bool is_room(struct reader *r, size_t n)
{
	r->written += n;
	r->too_large = r->error && r->written > BODY_WRITTEN_MAX;

	return !r->too_large;
}

/* The same for what stands at a byte of the text. */
static int refuse_at(struct reader *r, const char *detail, size_t at)
{
	char text[BODY_DETAIL_SIZE];

	(void)snprintf(text, sizeof(text), "%s (At byte %zu of the body.)",
		       detail, at);

	return refuse(r, text);
}

/* Whether the token that yajl is at, or one before it, is a bad one. */
static bool is_bad_yet(const struct reader *r)
{
	return r->bad && yajl_get_bytes_consumed(r->yajl) > r->bad_at;
}

static struct json *add_value(struct reader *r, enum json_type type)
{
	struct level *l = r->depth ? &r->level[r->depth - 1] : NULL;
	struct json *v;

	if (is_bad_yet(r)) {
		refuse_at(r, r->bad, r->bad_at);
		return NULL;
	}
	if (l && l->value->count && !is_room(r, strlen(", ")))
		return NULL;
	v = arena_alloc(r->arena, sizeof(*v));
	if (!v) {
		out_of_memory(r);
		return NULL;
	}
	v->type = type;
	if (!l) {
		r->root = v;
		return v;
	}
	v->name = l->name;
	v->name_len = l->name_len;
	if (l->last)
		l->last->next = v;
	else
		l->value->first = v;
	l->last = v;

	return v;
}

/* A value is complete: what comes next is the one after it. */
static int done(struct reader *r)
{
	if (r->depth) {
		struct level *l = &r->level[r->depth - 1];

		l->value->count++;
		l->name = NULL;
	}

	return 1;
}

static int on_null(void *arg)
{
	struct reader *r = arg;

	return is_room(r, strlen("null")) && add_value(r, JSON_NULL) ? done(r)
								     : 0;
}

static int on_bool(void *arg, int truth)
{
	struct reader *r = arg;
	struct json *v = add_value(r, JSON_BOOL);

	if (!v || !is_room(r, strlen(truth ? "true" : "false")))
		return 0;
	v->truth = truth != 0;

	return done(r);
}

static int set_text(struct reader *r, struct json *v, const void *p, size_t n)
{
	if (!v)
		return 0;
	v->text = arena_mem(r->arena, p, n);
	v->len = n;

	return v->text ? done(r) : out_of_memory(r);
}

static int on_number(void *arg, const char *p, size_t n)
{
	struct reader *r = arg;
	size_t written = 0;

	if (r->error && !body_number_fits(p, n, &written))
		return refuse(r, "This number has too many digits.");
	if (!is_room(r, written))
		return 0;

	return set_text(r, add_value(r, JSON_NUMBER), p, n);
}

static int on_string(void *arg, const unsigned char *p, size_t n)
{
	struct reader *r = arg;

	if (!is_room(r, body_string_written((const char *)p, n)))
		return 0;

	return set_text(r, add_value(r, JSON_STRING), p, n);
}

static int on_name(void *arg, const unsigned char *p, size_t n)
{
	struct reader *r = arg;
	struct level *l = &r->level[r->depth - 1];

	if (is_bad_yet(r))
		return refuse_at(r, r->bad, r->bad_at);
	if (!is_room(r, body_string_written((const char *)p, n) + strlen(": ")))
		return 0;
	l->name = arena_mem(r->arena, p, n);
	l->name_len = n;

	return l->name ? 1 : out_of_memory(r);
}

static int open_level(struct reader *r, enum json_type type)
{
	struct json *v;

	if (r->depth == (r->error ? BODY_DEPTH_MAX : BODY_OWN_DEPTH_MAX))
		return refuse(r, "This is nested too deeply: at most 32.");
	v = add_value(r, type);
	if (!v || !is_room(r, strlen("{}")))
		return 0;
	r->level[r->depth++] = (struct level){.value = v};

	return 1;
}

static int close_level(struct reader *r)
{
	r->depth--;

	return done(r);
}

static int on_object(void *arg)
{
	return open_level(arg, JSON_OBJECT);
}

static int on_array(void *arg)
{
	return open_level(arg, JSON_ARRAY);
}

static int on_object_end(void *arg)
{
	struct reader *r = arg;
	struct level *l = &r->level[r->depth - 1];
	const struct json *twice = NULL;
	int err = r->error ? body_find_twice(l->value, &twice) : 0;

	if (err)
		return out_of_memory(r);
	if (twice) {
		l->name = twice->name;
		l->name_len = twice->name_len;
		return refuse(r, "This member is there twice.");
	}

	return close_level(r);
}

static int on_array_end(void *arg)
{
	return close_level(arg);
}

static const yajl_callbacks callbacks = {
	.yajl_null = on_null,
	.yajl_boolean = on_bool,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_start_map = on_object,
	.yajl_map_key = on_name,
	.yajl_end_map = on_object_end,
	.yajl_start_array = on_array,
	.yajl_end_array = on_array_end,
};

/* What the parser found, in its words: `lexical error: invalid char in json
 * text.`, and where it stood. */
static void refuse_syntax(struct reader *r, const char *p, size_t n,
			  bool is_whole)
{
	unsigned char *words = yajl_get_error(r->yajl, 0, NULL, 0);
	const char *what = words ? (const char *)words : "";
	char text[BODY_DETAIL_SIZE];
	size_t blank = 0;

	while (blank < n && strchr(" \t\r\n", p[blank]) && p[blank])
		blank++;
	if (blank == n)
		(void)snprintf(text, sizeof(text),
			       "The body is empty; it is to be JSON.");
	else if (is_whole)
		(void)snprintf(
			text, sizeof(text),
			"This is not JSON: it ends too early, after %zu bytes.",
			n);
	else
		(void)snprintf(text, sizeof(text),
			       "This is not JSON, read up to byte %zu: %.*s.",
			       yajl_get_bytes_consumed(r->yajl),
			       (int)strcspn(what, ".\n"), what);
	yajl_free_error(r->yajl, words);
	refuse(r, text);
}

static int read_all(struct reader *r, const struct json **out, const char *p,
		    size_t n)
{
	yajl_status status;
	bool is_whole; /* all of it was read, and it wants more */

	r->yajl = yajl_alloc(&callbacks, NULL, r);
	if (!r->yajl)
		return ENOMEM;
	status = yajl_parse(r->yajl, (const unsigned char *)p, n);
	is_whole = status == yajl_status_ok;
	if (is_whole)
		status = yajl_complete_parse(r->yajl);
	if (status == yajl_status_error && r->error && !r->bad)
		refuse_syntax(r, p, n, is_whole);
	yajl_free(r->yajl);
	if (r->no_memory)
		return ENOMEM;
	if (r->too_large)
		return EMSGSIZE;
	if (status != yajl_status_ok || r->refused || r->bad || !r->root) {
		refuse_at(r, r->bad ? r->bad : "This is not JSON.", r->bad_at);
		return EBADMSG;
	}
	*out = r->root;

	return 0;
}

int body_parse(const struct json **out, struct arena *a, const char *p,
	       size_t n, struct body_error *e)
{
	struct reader r = {.arena = a, .error = e};
	size_t mark;

	*e = (struct body_error){.pointer = ""};
	if (n > BODY_TEXT_MAX)
		return EMSGSIZE;
	if (!p)
		p = "";
	mark = utf8_mark(p, n); /* RFC 8259, section 8.1 lets us */
	r.bad_at = body_scan(p + mark, n - mark, &r.bad);

	return read_all(&r, out, p + mark, n - mark);
}

int body_parse_own(const struct json **out, struct arena *a, const char *p,
		   size_t n)
{
	struct reader r = {.arena = a};

	return read_all(&r, out, p, n);
}
