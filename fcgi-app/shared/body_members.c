/*
 * body_members.c: a body against a table of what an endpoint knows, and the
 * rest of it written out again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_write.h"
#include "shared/body.h"
#include "shared/body_check.h"

enum {
	/* an escape makes six bytes of one */
	WRITTEN_MAX = 6 * BODY_TEXT_MAX,
	INTEGER_MAX = 18, /* digits */
};

static const char *const wrong_type[] = {
	[JSON_BOOL] = "This is not true or false.",
	[JSON_NUMBER] = "This is not a number.",
	[JSON_STRING] = "This is not a string.",
	[JSON_ARRAY] = "This is not an array.",
	[JSON_OBJECT] = "This is not an object.",
	[JSON_INTEGER] = "This is not an integer.",
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

static const char *check_size(const struct body_member *m, const struct json *v)
{
	long long size = 0;

	if (m->max == 0)
		return NULL;
	switch (v->type) {
	case JSON_NUMBER:
		(void)body_integer(v, &size); /* its type was checked */
		return size < m->min   ? "This number is too small."
		       : size > m->max ? "This number is too large."
				       : NULL;
	case JSON_STRING:
		size = (long long)v->len;
		return size < m->min   ? "This is too short."
		       : size > m->max ? "This is too long."
				       : NULL;
	case JSON_ARRAY:
		size = (long long)v->count;
		return size < m->min   ? "These are too few."
		       : size > m->max ? "These are too many."
				       : NULL;
	default:
		return NULL;
	}
}

static const char *check_member(const struct body_member *m,
				const struct json *v)
{
	long long number;

	if (m->type == JSON_INTEGER && !body_integer(v, &number))
		return wrong_type[JSON_INTEGER];
	if (m->type != JSON_INTEGER && m->type != JSON_ANY &&
	    m->type != v->type)
		return wrong_type[m->type];

	return check_size(m, v);
}

static int refuse(struct body_error *e, const char *at, const char *name,
		  const char *detail)
{
	struct buf b;

	buf_init(&b, BODY_POINTER_MAX - 1);
	buf_str(&b, at);
	if (name)
		body_pointer_add(&b, name, strlen(name));
	memcpy(e->pointer, b.p ? b.p : "", b.len);
	e->pointer[b.len] = '\0';
	buf_free(&b);
	e->detail = detail;

	return EBADMSG;
}

int body_members(const struct json *object, const char *at,
		 const struct body_member *table, size_t n,
		 const struct json **found, struct body_error *e)
{
	if (object->type != JSON_OBJECT)
		return refuse(e, at, NULL, wrong_type[JSON_OBJECT]);
	for (size_t i = 0; i < n; i++) {
		const struct body_member *m = &table[i];
		const struct json *v = body_get(object, m->name);
		const char *detail;

		found[i] = NULL;
		if (v && v->type == JSON_NULL && m->nullable)
			v = NULL;
		if (!v && m->required)
			return refuse(e, at, m->name, "This is missing.");
		if (!v)
			continue;
		detail = check_member(m, v);
		if (detail)
			return refuse(e, at, m->name, detail);
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
