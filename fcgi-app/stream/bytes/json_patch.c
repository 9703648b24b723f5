/*
 * json_patch.c: two trees are walked side by side (RFC 6902, RFC 6901).
 */
#include "stream/bytes/json_patch.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_write.h"
#include "shared/body_check.h"
#include "shared/body.h"

enum {
	KEYED_MAX = 1000, /* longer arrays are not matched by id */
};

static const char whole[] = "[{\"op\":\"replace\",\"path\":\"\",\"value\":";

struct diff {
	struct buf *out;
	struct arena *arena;
	struct buf path; /* RFC 6901 */
	size_t ops;
	bool twice; /* a name of an object: no path leads there */
};

static void diff_value(struct diff *d, const struct json *from,
		       const struct json *to);

/* ---- operations ---- */

static void op(struct diff *d, const char *name, const struct json *value)
{
	if (d->ops++)
		buf_char(d->out, ',');
	buf_str(d->out, "{\"op\":\"");
	buf_str(d->out, name);
	buf_str(d->out, "\",\"path\":");
	json_str(d->out, d->path.p ? d->path.p : "", d->path.len);
	if (value) {
		buf_str(d->out, ",\"value\":");
		body_write(d->out, value);
	}
	buf_char(d->out, '}');
	d->out->failed = d->out->failed || d->path.failed;
}

/* One step down the path; its return gives it back to path_up(). */
static size_t path_name(struct diff *d, const struct json *member)
{
	size_t len = d->path.len;

	body_pointer_add(&d->path, member->name, member->name_len);
	return len;
}

static size_t path_index(struct diff *d, size_t i)
{
	size_t len = d->path.len;

	buf_fmt(&d->path, "/%zu", i);
	return len;
}

static void path_up(struct diff *d, size_t len)
{
	if (!d->path.p)
		return;
	d->path.len = len;
	d->path.p[len] = '\0';
}

static void op_name(struct diff *d, const char *name, const struct json *member,
		    const struct json *value)
{
	size_t len = path_name(d, member);

	op(d, name, value);
	path_up(d, len);
}

static void op_index(struct diff *d, const char *name, size_t i,
		     const struct json *value)
{
	size_t len = path_index(d, i);

	op(d, name, value);
	path_up(d, len);
}

/* ---- comparing ---- */

static int compare_texts(const char *a, size_t a_len, const char *b,
			 size_t b_len)
{
	size_t n = a_len < b_len ? a_len : b_len;
	int order = n ? memcmp(a, b, n) : 0;

	return order ? order : (a_len > b_len) - (a_len < b_len);
}

static int compare_names(const void *a, const void *b)
{
	const struct json *x = *(const struct json *const *)a;
	const struct json *y = *(const struct json *const *)b;

	return compare_texts(x->name, x->name_len, y->name, y->name_len);
}

/* The children as an array, a null behind; null: no memory. */
static const struct json **children(struct diff *d, const struct json *v)
{
	const struct json **all = arena_alloc(d->arena,
					      (v->count + 1) * sizeof(*all));
	size_t n = 0;

	if (!all) {
		d->out->failed = true;
		return NULL;
	}
	for (const struct json *c = v->first; c; c = c->next)
		all[n++] = c;
	all[n] = NULL;
	return all;
}

static const struct json **members(struct diff *d, const struct json *v)
{
	const struct json **all = children(d, v);

	if (!all)
		return NULL;
	qsort(all, v->count, sizeof(*all), compare_names);
	for (size_t i = 1; i < v->count; i++)
		if (!compare_names(&all[i - 1], &all[i]))
			d->twice = true;
	return all;
}

/* Where only the order of members differs, "no" does no harm. */
static bool is_same(const struct json *a, const struct json *b)
{
	if (a->type != b->type || a->truth != b->truth || a->count != b->count)
		return false;
	if (compare_texts(a->text, a->len, b->text, b->len) ||
	    compare_texts(a->name, a->name_len, b->name, b->name_len))
		return false;
	a = a->first;
	b = b->first;
	for (; a && is_same(a, b); a = a->next)
		b = b->next;
	return !a;
}

/* ---- objects ---- */

static void diff_object(struct diff *d, const struct json *from,
			const struct json *to)
{
	const struct json **a = members(d, from), **b = members(d, to);

	while (a && b && (*a || *b)) {
		int order = !*a ? 1 : !*b ? -1 : compare_names(a, b);

		if (order < 0)
			op_name(d, "remove", *a++, NULL);
		else if (order > 0) {
			op_name(d, "add", *b, *b);
			b++;
		} else {
			size_t len = path_name(d, *a);

			diff_value(d, *a++, *b++);
			path_up(d, len);
		}
	}
}

/* ---- arrays whose elements have ids ---- */

static const struct json *id_of(const struct json *v)
{
	const struct json *id = v->type == JSON_OBJECT ? body_get(v, "id")
						       : NULL;

	return id && (id->type == JSON_STRING || id->type == JSON_NUMBER)
		       ? id
		       : NULL;
}

static bool is_keyed(const struct json *v)
{
	if (v->count > KEYED_MAX)
		return false;
	for (const struct json *c = v->first; c; c = c->next)
		if (!id_of(c))
			return false;
	return true;
}

static bool has_same_id(const struct json *a, const struct json *b)
{
	const struct json *x = id_of(a), *y = id_of(b);

	return x->type == y->type && x->len == y->len &&
	       !memcmp(x->text, y->text, x->len);
}

/* Where it is in a list of n, from a place on; n: nowhere. */
static size_t find(const struct json *const *list, size_t from, size_t n,
		   const struct json *v)
{
	while (from < n && !has_same_id(list[from], v))
		from++;
	return from;
}

static void list_drop(struct diff *d, const struct json **list, size_t *n,
		      size_t i)
{
	op_index(d, "remove", i, NULL);
	--*n;
	memmove(list + i, list + i + 1, (*n - i) * sizeof(*list));
}

/* list, which has room, becomes what `to` is, step by step with the client's
   array: up to i they are alike. */
static void diff_keyed(struct diff *d, const struct json **list, size_t n,
		       const struct json *const *to, size_t to_n)
{
	for (size_t i = n; i-- > 0;) {
		if (find(to, i < to_n ? i : 0, to_n, list[i]) == to_n &&
		    find(to, 0, to_n, list[i]) == to_n)
			list_drop(d, list, &n, i);
	}
	for (size_t i = 0; i < to_n; i++) {
		size_t at = find(list, i, n, to[i]);
		size_t len;

		/* The one before it goes out here, to come in later. */
		if (at == i + 1 && at < n) {
			list_drop(d, list, &n, i);
			at = i;
		}
		if (at == i && at < n) {
			len = path_index(d, i);
			diff_value(d, list[i], to[i]);
			path_up(d, len);
			continue;
		}
		if (at < n)
			list_drop(d, list, &n, at);
		op_index(d, "add", i, to[i]);
		memmove(list + i + 1, list + i, (n - i) * sizeof(*list));
		list[i] = to[i];
		n++;
	}
	while (n > to_n)
		list_drop(d, list, &n, n - 1);
}

/* ---- other arrays ---- */

/* What is alike at both ends stays; between, one by one. */
static void diff_plain(struct diff *d, const struct json *const *from, size_t n,
		       const struct json *const *to, size_t to_n)
{
	size_t i = 0;

	while (i < n && i < to_n && is_same(from[i], to[i]))
		i++;
	while (n > i && to_n > i && is_same(from[n - 1], to[to_n - 1])) {
		n--;
		to_n--;
	}
	for (; i < n && i < to_n; i++) {
		size_t len = path_index(d, i);

		diff_value(d, from[i], to[i]);
		path_up(d, len);
	}
	while (n > to_n)
		op_index(d, "remove", --n, NULL);
	for (; i < to_n; i++)
		op_index(d, "add", i, to[i]);
}

static void diff_array(struct diff *d, const struct json *from,
		       const struct json *to)
{
	const struct json **a, **b = children(d, to);
	/* room for the list of diff_keyed() to grow */
	struct json room = {.first = from->first,
			    .count = from->count + to->count};

	a = children(d, &room);
	if (!a || !b)
		return;
	if (is_keyed(from) && is_keyed(to))
		diff_keyed(d, a, from->count, b, to->count);
	else
		diff_plain(d, a, from->count, b, to->count);
}

/* ---- all ---- */

static void diff_value(struct diff *d, const struct json *from,
		       const struct json *to)
{
	bool same = from->type == to->type;

	if (d->out->failed)
		return;
	if (same && to->type == JSON_OBJECT) {
		diff_object(d, from, to);
		return;
	}
	if (same && to->type == JSON_ARRAY) {
		diff_array(d, from, to);
		return;
	}
	if (same && to->type == JSON_BOOL)
		same = from->truth == to->truth;
	else if (same && to->type != JSON_NULL)
		same = !compare_texts(from->text, from->len, to->text, to->len);
	if (!same)
		op(d, "replace", to);
}

/* @return whether there is a patch, and it is worth it */
static bool diff_texts(struct diff *d, const char *from, size_t from_len,
		       const char *to, size_t to_len)
{
	const struct json *a, *b;

	if (body_parse_own(&a, d->arena, from, from_len) ||
	    body_parse_own(&b, d->arena, to, to_len))
		return false;
	diff_value(d, a, b);
	return !d->out->failed && !d->twice &&
	       (!d->ops || d->out->len <= to_len + sizeof(whole));
}

void json_patch(struct buf *b, const char *from, size_t from_len,
		const char *to, size_t to_len)
{
	struct buf ops;
	struct diff d = {.out = &ops, .arena = arena_new()};

	buf_init(&ops, b->max);
	buf_init(&d.path, b->max);
	if (d.arena && diff_texts(&d, from, from_len, to, to_len)) {
		buf_char(b, '[');
		buf_add(b, ops.p, ops.len);
		buf_char(b, ']');
	} else {
		buf_str(b, whole);
		buf_add(b, to, to_len);
		buf_str(b, "}]");
	}
	buf_free(&d.path);
	buf_free(&ops);
	arena_free(d.arena);
}
