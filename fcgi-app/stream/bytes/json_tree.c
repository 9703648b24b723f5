/*
 * json_tree.c: yajl's events become a tree in the arena.
 */
#include "stream/bytes/json_tree.h"

#include <errno.h>
#include <stdbool.h>
#include <yajl/yajl_parse.h>

struct level {
	struct json *value;
	struct json *last; /* its latest child */
	const char *name;  /* an object's next member */
	size_t name_len;
};

struct tree {
	struct arena *arena;
	struct json *root;
	struct level level[JSON_TREE_DEPTH_MAX];
	size_t depth;
	bool no_memory;
};

static struct json *add_value(struct tree *t, enum json_type type)
{
	struct level *l = t->depth ? &t->level[t->depth - 1] : NULL;
	struct json *v = arena_alloc(t->arena, sizeof(*v));

	if (!v) {
		t->no_memory = true;
		return NULL;
	}
	*v = (struct json){.type = type};
	if (!l) {
		t->root = v;
		return v;
	}
	v->name = l->name;
	v->name_len = l->name_len;
	if (l->last)
		l->last->next = v;
	else
		l->value->first = v;
	l->last = v;
	l->value->count++;
	return v;
}

static int add_text(struct tree *t, enum json_type type, const void *p,
		    size_t n)
{
	struct json *v = add_value(t, type);

	if (!v)
		return 0;
	v->text = arena_mem(t->arena, p, n);
	v->len = n;
	t->no_memory = !v->text;
	return v->text != NULL;
}

static int on_null(void *arg)
{
	return add_value(arg, JSON_NULL) != NULL;
}

static int on_bool(void *arg, int truth)
{
	struct json *v = add_value(arg, JSON_BOOL);

	if (v)
		v->truth = truth != 0;
	return v != NULL;
}

static int on_number(void *arg, const char *p, size_t n)
{
	return add_text(arg, JSON_NUMBER, p, n);
}

static int on_string(void *arg, const unsigned char *p, size_t n)
{
	return add_text(arg, JSON_STRING, p, n);
}

static int on_name(void *arg, const unsigned char *p, size_t n)
{
	struct tree *t = arg;
	struct level *l = &t->level[t->depth - 1];

	l->name = arena_mem(t->arena, p, n);
	l->name_len = n;
	t->no_memory = !l->name;
	return l->name != NULL;
}

static int open_level(struct tree *t, enum json_type type)
{
	struct json *v;

	if (t->depth == JSON_TREE_DEPTH_MAX)
		return 0;
	v = add_value(t, type);
	if (v)
		t->level[t->depth++] = (struct level){.value = v};
	return v != NULL;
}

static int on_object(void *arg)
{
	return open_level(arg, JSON_OBJECT);
}

static int on_array(void *arg)
{
	return open_level(arg, JSON_ARRAY);
}

static int on_end(void *arg)
{
	struct tree *t = arg;

	t->depth--;
	return 1;
}

static const yajl_callbacks callbacks = {
	.yajl_null = on_null,
	.yajl_boolean = on_bool,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_start_map = on_object,
	.yajl_map_key = on_name,
	.yajl_end_map = on_end,
	.yajl_start_array = on_array,
	.yajl_end_array = on_end,
};

int json_tree(const struct json **out, struct arena *a, const char *p, size_t n)
{
	struct tree t = {.arena = a};
	yajl_handle yajl = yajl_alloc(&callbacks, NULL, &t);
	yajl_status status;

	if (!yajl)
		return ENOMEM;
	status = yajl_parse(yajl, (const unsigned char *)p, n);
	if (status == yajl_status_ok)
		status = yajl_complete_parse(yajl);
	yajl_free(yajl);
	if (t.no_memory)
		return ENOMEM;
	if (status != yajl_status_ok || !t.root)
		return EBADMSG;
	*out = t.root;
	return 0;
}
