/*
 * body_members.c: a body against a table of what an endpoint knows, and the
 * rest of it written out again.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_write.h"
#include "common/utf8.h"
#include "shared/body.h"
#include "shared/body_check.h"

enum {
	/* an escape makes six bytes of one */
	WRITTEN_MAX = 6 * BODY_TEXT_MAX,
	INTEGER_MAX = 18, /* digits */
	SHOWN_TEXT_MAX = 40,
};

/* What a member is to be. */
static const char *const type_name[] = {
	[JSON_BOOL] = "true or false",
	[JSON_NUMBER] = "a number",
	[JSON_STRING] = "a string",
	[JSON_ARRAY] = "an array",
	[JSON_OBJECT] = "an object",
	[JSON_INTEGER] = "an integer",
	[JSON_SECONDS] = "a number of seconds",
};

static bool is_name(const struct json *v, const char *name)
{
	return v->name_len == strlen(name) &&
	       !memcmp(v->name, name, v->name_len);
}

const struct json *body_get(const struct json *object, const char *name)
{
	for (const struct json *v = object->first; v; v = v->next) {
		if (is_name(v, name))
			return v;
	}

	return NULL;
}

bool body_integer(const struct json *v, long long *out)
{
	size_t from;

	if (v->type != JSON_NUMBER)
		return false;
	from = v->text[0] == '-';
	if (v->len - from > INTEGER_MAX ||
	    strspn(v->text + from, "0123456789") != v->len - from)
		return false;
	*out = strtoll(v->text, NULL, 10);

	return true;
}

/* As much of a text as is shown; no character is cut. */
static int shown_length(const char *p, size_t n)
{
	return (int)utf8_valid(p, n < SHOWN_TEXT_MAX ? n : SHOWN_TEXT_MAX);
}

const char *body_show(char out[static BODY_SHOWN_SIZE], const struct json *v)
{
	const bool secret = v->name && is_name(v, "password");
	const char *more = v->len > SHOWN_TEXT_MAX ? "\u2026" : "";

	switch (v->type) {
	case JSON_BOOL:
		(void)snprintf(out, BODY_SHOWN_SIZE, "%s",
			       v->truth ? "true" : "false");
		break;
	case JSON_NUMBER:
		(void)snprintf(out, BODY_SHOWN_SIZE, "%.*s%s",
			       secret ? 0 : shown_length(v->text, v->len),
			       v->text, secret ? "a number" : more);
		break;
	case JSON_STRING:
		(void)snprintf(out, BODY_SHOWN_SIZE, "the string \"%.*s%s\"",
			       secret ? 0 : shown_length(v->text, v->len),
			       v->text, secret ? "\u2026" : more);
		break;
	case JSON_ARRAY:
		(void)snprintf(out, BODY_SHOWN_SIZE, "an array of %zu",
			       v->count);
		break;
	case JSON_OBJECT:
		(void)snprintf(out, BODY_SHOWN_SIZE, "an object");
		break;
	default:
		(void)snprintf(out, BODY_SHOWN_SIZE, "null");
	}

	return out;
}

/* From min to max: of seconds, integers, bytes, or elements. */
static void say_range(char *out, size_t size, const struct body_member *m)
{
	static const struct {
		const char *is, *unit;
	} words[] = {
		[JSON_INTEGER] = {"is", ""},
		[JSON_SECONDS] = {"is", " seconds"},
		[JSON_STRING] = {"has", " bytes"},
		[JSON_ARRAY] = {"has", " elements"},
	};
	const char *is = words[m->type].is, *unit = words[m->type].unit;

	if (m->max == INT64_MAX)
		(void)snprintf(out, size, "`%s` %s at least %lld%s", m->name,
			       is, m->min, unit);
	else
		(void)snprintf(out, size, "`%s` %s %lld to %lld%s", m->name, is,
			       m->min, m->max, unit);
}

/* What there is to be measured. */
static long long size_of(const struct json *v)
{
	long long size = 0;

	if (v->type == JSON_STRING)
		return (long long)v->len;
	if (v->type == JSON_ARRAY)
		return (long long)v->count;
	(void)body_integer(v, &size); /* its type was checked */

	return size;
}

static bool has_type(const struct body_member *m, const struct json *v)
{
	long long number;

	if (m->type == JSON_INTEGER || m->type == JSON_SECONDS)
		return body_integer(v, &number);

	return m->type == JSON_ANY || m->type == v->type;
}

/* @return whether a member is as it is to be; if not, why */
static bool check_member(const struct body_member *m, const struct json *v,
			 char why[static BODY_DETAIL_SIZE])
{
	char shown[BODY_SHOWN_SIZE];
	const long long size = size_of(v);
	const bool measured = v->type == JSON_STRING || v->type == JSON_ARRAY;
	char range[BODY_DETAIL_SIZE / 2];

	if (!has_type(m, v)) {
		(void)snprintf(why, BODY_DETAIL_SIZE, "`%s` is %s; this is %s.",
			       m->name, type_name[m->type],
			       body_show(shown, v));
		return false;
	}
	if (m->max == 0 || (size >= m->min && size <= m->max))
		return true;
	say_range(range, sizeof(range), m);
	(void)snprintf(why, BODY_DETAIL_SIZE, "%s; this %s %lld.", range,
		       measured ? "has" : "is", size);

	return false;
}

static int refuse(struct body_error *e, const char *at, const char *name)
{
	struct buf b;

	buf_init(&b, BODY_POINTER_MAX - 1);
	buf_str(&b, at);
	if (name)
		body_pointer_add(&b, name, strlen(name));
	memcpy(e->pointer, b.p ? b.p : "", b.len);
	e->pointer[b.len] = '\0';
	buf_free(&b);

	return EBADMSG;
}

static int refuse_missing(struct body_error *e, const char *at,
			  const struct body_member *m)
{
	(void)snprintf(e->detail, BODY_DETAIL_SIZE, "`%s` is missing: %s.",
		       m->name, type_name[m->type]);

	return refuse(e, at, m->name);
}

int body_members(const struct json *object, const char *at,
		 const struct body_member *table, size_t n,
		 const struct json **found, struct body_error *e)
{
	char shown[BODY_SHOWN_SIZE];

	if (object->type != JSON_OBJECT) {
		(void)snprintf(e->detail, BODY_DETAIL_SIZE,
			       "This is to be an object, {\"name\": value}; it "
			       "is %s.",
			       body_show(shown, object));
		return refuse(e, at, NULL);
	}
	for (size_t i = 0; i < n; i++) {
		const struct body_member *m = &table[i];
		const struct json *v = body_get(object, m->name);

		found[i] = NULL;
		if (v && v->type == JSON_NULL && m->nullable)
			v = NULL;
		if (!v && m->required)
			return refuse_missing(e, at, m);
		if (!v)
			continue;
		if (!check_member(m, v, e->detail))
			return refuse(e, at, m->name);
		found[i] = v;
	}

	return 0;
}

static void write_scalar(struct buf *b, const struct json *v)
{
	switch (v->type) {
	case JSON_BOOL:
		buf_str(b, v->truth ? "true" : "false");
		break;
	case JSON_NUMBER:
		buf_add(b, v->text, v->len);
		break;
	case JSON_STRING:
		json_str(b, v->text, v->len);
		break;
	default:
		buf_str(b, "null");
	}
}

/* Recursive; body_parse() has bounded the depth. */
static void write_value(struct buf *b, const struct json *v)
{
	const bool object = v->type == JSON_OBJECT;

	if (!object && v->type != JSON_ARRAY) {
		write_scalar(b, v);
		return;
	}
	buf_char(b, object ? '{' : '[');
	for (const struct json *c = v->first; c; c = c->next) {
		if (c != v->first)
			buf_char(b, ',');
		if (object) {
			json_str(b, c->name, c->name_len);
			buf_char(b, ':');
		}
		write_value(b, c);
	}
	buf_char(b, object ? '}' : ']');
}

void body_write(struct buf *b, const struct json *v)
{
	write_value(b, v);
}

static const char *finish(struct buf *b, struct arena *a)
{
	const char *text = b->failed ? NULL : arena_mem(a, b->p, b->len);

	buf_free(b);

	return text;
}

const char *body_text(const struct json *v, struct arena *a)
{
	struct buf b;

	buf_init(&b, WRITTEN_MAX);
	write_value(&b, v);

	return finish(&b, a);
}

static bool is_known(const struct json *v, const struct body_member *table,
		     size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (is_name(v, table[i].name))
			return true;
	}

	return false;
}

const char *body_extra(const struct json *object, struct arena *a,
		       const struct body_member *table, size_t n)
{
	struct buf b;

	buf_init(&b, WRITTEN_MAX);
	buf_char(&b, '{');
	for (const struct json *v = object->first; v; v = v->next) {
		if (is_known(v, table, n))
			continue;
		if (b.len > 1)
			buf_char(&b, ',');
		json_str(&b, v->name, v->name_len);
		buf_char(&b, ':');
		write_value(&b, v);
	}
	buf_char(&b, '}');

	return finish(&b, a);
}
