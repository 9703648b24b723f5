/*
 * Patches: small where little has changed, and always right: random documents
 * are patched by an applier of the test's own and compared.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/arena.h"
#include "common/json_write.h"
#include "stream/bytes/json_patch.h"
#include "shared/body.h"

enum {
	MAX = 1 << 20,
	ROUNDS = 4000,
	NAME_MAX_LEN = 64,
};

static struct buf patch_of(const char *from, const char *to)
{
	struct buf b;

	buf_init(&b, MAX);
	json_patch(&b, from, strlen(from), to, strlen(to));
	assert_false(b.failed);
	return b;
}

static void check(const char *from, const char *to, const char *expected)
{
	struct buf b = patch_of(from, to);

	assert_string_equal(b.p, expected);
	buf_free(&b);
}

/* ---- an applier, of RFC 6902's add, remove and replace ---- */

static struct json *parse(struct arena *a, const char *text, size_t n)
{
	const struct json *v;

	assert_int_equal(body_parse_own(&v, a, text, n), 0);
	return (struct json *)(uintptr_t)v;
}

static const struct json *member(const struct json *v, const char *name)
{
	const struct json *m = body_get(v, name);

	assert_non_null(m);
	return m;
}

/* The next segment of a pointer, unescaped; its end is returned. */
static const char *segment(const char *p, char out[static NAME_MAX_LEN])
{
	size_t n = 0;

	assert_int_equal(*p++, '/');
	while (*p && *p != '/') {
		char c = *p++;

		if (c == '~') {
			assert_true(*p == '0' || *p == '1');
			c = *p++ == '1' ? '/' : '~';
		}
		assert_true(n + 1 < NAME_MAX_LEN);
		out[n++] = c;
	}
	out[n] = '\0';
	return p;
}

/* Where the pointer to a child is; at an array's end, the null there. */
static const struct json **place(struct json *parent, const char *name,
				 bool add)
{
	const struct json **at = (const struct json **)&parent->first;

	if (parent->type == JSON_ARRAY) {
		char *end;
		unsigned long i = strtoul(name, &end, 10);

		assert_true(*name && !*end && (*name != '0' || !name[1]));
		assert_true(add ? i <= parent->count : i < parent->count);
		for (; i; i--)
			at = (const struct json **)&(
				     (struct json *)(uintptr_t)*at)
				     ->next;
		return at;
	}
	assert_int_equal(parent->type, JSON_OBJECT);
	while (*at && strcmp((*at)->name, name))
		at = (const struct json **)&((struct json *)(uintptr_t)*at)
			     ->next;
	assert_true(add ? !*at : *at != NULL); /* ours adds what is not there */
	return at;
}

static void apply_op(struct arena *a, struct json **root, const struct json *o)
{
	const char *name = member(o, "op")->text, *p = member(o, "path")->text;
	bool add = !strcmp(name, "add"), removal = !strcmp(name, "remove");
	struct json *value = arena_alloc(a, sizeof(*value)), *parent = *root;
	char at[NAME_MAX_LEN];
	const struct json **slot;

	assert_true(add || removal || !strcmp(name, "replace"));
	if (!removal)
		*value = *member(o, "value");
	if (!*p) {
		assert_false(removal);
		*root = value;
		return;
	}
	for (p = segment(p, at); *p; p = segment(p, at))
		parent = (struct json *)(uintptr_t)*place(parent, at, false);
	slot = place(parent, at, add);
	value->name = arena_str(a, at);
	value->name_len = strlen(at);
	value->next = add ? *slot : (*slot)->next;
	*slot = removal ? (*slot)->next : value;
	parent->count += add;
	parent->count -= removal;
}

static bool equal(const struct json *a, const struct json *b)
{
	if (a->type != b->type || a->truth != b->truth ||
	    a->count != b->count || a->len != b->len ||
	    (a->len && memcmp(a->text, b->text, a->len)))
		return false;
	if (a->type == JSON_OBJECT) {
		for (const struct json *m = a->first; m; m = m->next) {
			const struct json *o = body_get(b, m->name);

			if (!o || !equal(m, o))
				return false;
		}
		return true;
	}
	for (a = a->first, b = b->first; a; a = a->next, b = b->next)
		if (!equal(a, b))
			return false;
	return true;
}

/* @return the patch's length */
static size_t check_applied(const char *from, const char *to)
{
	struct arena *a = arena_new();
	struct buf patch = patch_of(from, to);
	struct json *doc = parse(a, from, strlen(from));
	const struct json *ops = parse(a, patch.p, patch.len);
	size_t n = patch.len;

	assert_int_equal(ops->type, JSON_ARRAY);
	for (const struct json *o = ops->first; o; o = o->next)
		apply_op(a, &doc, o);
	if (!equal(doc, parse(a, to, strlen(to))))
		fail_msg("from %s\nto %s\nby %s", from, to, patch.p);
	buf_free(&patch);
	arena_free(a);
	return n;
}

/* ---- what a patch looks like ---- */

static void nothing_changed(void **state)
{
	(void)state;
	check("{\"a\":[1,{\"b\":null}]}", "{ \"a\": [1, {\"b\": null}] }",
	      "[]");
	check("{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", "[]");
	check("[]", "[]", "[]");
}

#define PAD \
	"\"pad\":\"0123456789012345678901234567890123456789" \
	"01234567890123456789012345678901234567890123456789012345678901234567\""

static void members_come_change_and_go(void **state)
{
	(void)state;
	check("{\"a\":1,\"c\":[true]," PAD "}",
	      "{" PAD ",\"c\":[false],\"d\":null}",
	      "[{\"op\":\"remove\",\"path\":\"/a\"},"
	      "{\"op\":\"replace\",\"path\":\"/c/0\",\"value\":false},"
	      "{\"op\":\"add\",\"path\":\"/d\",\"value\":null}]");
}

static void numbers_are_as_they_are_written(void **state)
{
	(void)state;
	check("{\"n\":1.0," PAD "}", "{\"n\":1.00," PAD "}",
	      "[{\"op\":\"replace\",\"path\":\"/n\",\"value\":1.00}]");
	check("{\"n\":12345678901234567890123," PAD "}",
	      "{\"n\":12345678901234567890124," PAD "}",
	      "[{\"op\":\"replace\",\"path\":\"/n\",\"value\":"
	      "12345678901234567890124}]");
}

static void names_are_escaped(void **state)
{
	(void)state;
	check("{\"a/b~c\\\"\":{\"\":0}," PAD "}",
	      "{\"a/b~c\\\"\":{\"\":1}," PAD "}",
	      "[{\"op\":\"replace\",\"path\":\"/a~1b~0c\\\"/\",\"value\":1}]");
}

#define C(n, more) \
	"{\"id\":" #n ",\"contact\":\"sip:c" #n "@192.0.2.1\"" more "}"

static void a_contact_is_matched_by_its_id(void **state)
{
	(void)state;
	check("[" C(1, "") "," C(2, "") "," C(3, "") "]",
	      "[" C(2, ",\"x\":1") "," C(3, "") "]",
	      "[{\"op\":\"remove\",\"path\":\"/0\"},"
	      "{\"op\":\"add\",\"path\":\"/0/x\",\"value\":1}]");
	check("[" C(1, "") "," C(2, "") "]",
	      "[" C(1, "") "," C(2, "") "," C(3, "") "]",
	      "[{\"op\":\"add\",\"path\":\"/2\",\"value\":" C(3, "") "}]");
	check("[" C(1, "") "," C(2, "") "," C(3, "") "]",
	      "[" C(2, "") "," C(3, "") "," C(1, "") "]",
	      "[{\"op\":\"remove\",\"path\":\"/0\"},"
	      "{\"op\":\"add\",\"path\":\"/2\",\"value\":" C(1, "") "}]");
}

static void what_is_small_is_replaced(void **state)
{
	(void)state;
	check("[1]", "{}", "[{\"op\":\"replace\",\"path\":\"\",\"value\":{}}]");
	check("[1,2,3]", "[]",
	      "[{\"op\":\"replace\",\"path\":\"\",\"value\":[]}]");
}

static void what_cannot_be_compared_is_replaced(void **state)
{
	static const char whole[] =
		"[{\"op\":\"replace\",\"path\":\"\",\"value\":{\"a\":1}}]";
	char deep[4 * BODY_OWN_DEPTH_MAX + 1] = "";

	(void)state;
	check("{", "{\"a\":1}", whole);
	check("", "{\"a\":1}", whole);
	check("{\"a\":1,\"a\":1}", "{\"a\":1}", whole);
	memset(deep, '[', 2 * BODY_OWN_DEPTH_MAX);
	memset(deep + 2 * BODY_OWN_DEPTH_MAX, ']', 2 * BODY_OWN_DEPTH_MAX);
	check(deep, "{\"a\":1}", whole);
}

static void a_patch_has_a_limit(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 8);
	json_patch(&b, "{}", 2, "{\"a\":1}", 7);
	assert_true(b.failed);
	buf_free(&b);
}

/* ---- any documents ---- */

static uint64_t seed = 0x9e3779b97f4a7c15u;

static unsigned dice(unsigned sides)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 33) % sides;
}

static void random_value(struct buf *b, int depth);

static void random_scalar(struct buf *b)
{
	static const char *const some[] = {
		"null",
		"true",
		"false",
		"0",
		"-1.50",
		"1e400",
		"\"\"",
		"\"x\"",
		"\"~/\"",
		"\"\\u0001\"",
		"123456789012345678901",
	};

	buf_str(b, some[dice(sizeof(some) / sizeof(*some))]);
}

/* Items with ids, in some order, perhaps one twice or none at all. */
static void random_items(struct buf *b, int depth)
{
	unsigned n = dice(9), odd = dice(4) ? 99 : dice(9);

	buf_char(b, '[');
	for (unsigned i = 0; i < n; i++) {
		buf_str(b, i ? "," : "");
		if (i == odd)
			buf_str(b, "{\"x\":1}");
		else {
			buf_fmt(b,
				dice(8) ? "{\"id\":%u,\"v\":"
					: "{\"id\":\"%u\",\"v\":",
				dice(12));
			random_value(b, depth - 1);
			buf_char(b, '}');
		}
	}
	buf_char(b, ']');
}

static void random_object(struct buf *b, int depth)
{
	static const char *const names[] = {
		"", "a", "b", "a/b", "~", "~1", "id", "ab", "\\\"", "0", "-"};
	bool first = true;

	buf_char(b, '{');
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (dice(3))
			continue;
		buf_fmt(b, "%s\"%s\":", first ? "" : ",", names[i]);
		first = false;
		random_value(b, depth - 1);
	}
	buf_char(b, '}');
}

static void random_array(struct buf *b, int depth)
{
	unsigned n = dice(6);

	buf_char(b, '[');
	for (unsigned i = 0; i < n; i++) {
		buf_str(b, i ? "," : "");
		random_value(b, depth - 1);
	}
	buf_char(b, ']');
}

static void random_value(struct buf *b, int depth)
{
	switch (depth > 0 ? dice(6) : 0) {
	case 1:
	case 2:
		random_items(b, depth);
		break;
	case 3:
	case 4:
		random_object(b, depth);
		break;
	case 5:
		random_array(b, depth);
		break;
	default:
		random_scalar(b);
		break;
	}
}

static void any_two_documents(void **state)
{
	struct buf from, to;

	(void)state;
	buf_init(&from, MAX);
	buf_init(&to, MAX);
	for (int i = 0; i < ROUNDS; i++) {
		buf_reset(&from);
		buf_reset(&to);
		random_value(&from, 4);
		random_value(&to, 4);
		check_applied(from.p, to.p);
		check_applied(to.p, from.p);
		assert_int_equal(check_applied(to.p, to.p), 2);
	}
	buf_free(&from);
	buf_free(&to);
}

/* So that the whole is never the shorter way, and each operation is tried. */
static void lists_within_a_large_document(void **state)
{
	struct buf from, to;

	(void)state;
	buf_init(&from, MAX);
	buf_init(&to, MAX);
	for (int i = 0; i < ROUNDS; i++) {
		struct buf *both[] = {&from, &to};

		for (int k = 0; k < 2; k++) {
			buf_reset(both[k]);
			buf_fmt(both[k], "{\"pad\":\"%04000d\",\"list\":", 0);
			if (i % 2)
				random_items(both[k], 2);
			else
				random_array(both[k], 2);
			buf_char(both[k], '}');
		}
		check_applied(from.p, to.p);
	}
	buf_free(&from);
	buf_free(&to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_changed),
		cmocka_unit_test(members_come_change_and_go),
		cmocka_unit_test(numbers_are_as_they_are_written),
		cmocka_unit_test(names_are_escaped),
		cmocka_unit_test(a_contact_is_matched_by_its_id),
		cmocka_unit_test(what_is_small_is_replaced),
		cmocka_unit_test(what_cannot_be_compared_is_replaced),
		cmocka_unit_test(a_patch_has_a_limit),
		cmocka_unit_test(any_two_documents),
		cmocka_unit_test(lists_within_a_large_document),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
