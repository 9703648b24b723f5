/*
 * router.c: matching a path against the table's patterns.
 */
#include "shared/router.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/aor.h"
#include "common/buf.h"

enum match {
	MATCH_NO,
	MATCH_YES,
	MATCH_NO_USER, /* but for an {email} that is none */
	MATCH_NO_MEMORY,
};

enum {
	ALLOW_MAX = 128,
};

static enum match match_email(const char *s, struct arena *a,
			      struct path_args *args)
{
	char aor[AOR_BUF];

	if (!strcmp(s, "me"))
		args->email = "me";
	else if (aor_parse(aor, s, strlen(s)))
		return MATCH_NO_USER;
	else
		args->email = arena_str(a, aor);
	return args->email ? MATCH_YES : MATCH_NO_MEMORY;
}

/* Digits without a sign or a zero before them, within bigint. */
static enum match match_number(const char *s, int64_t *out)
{
	size_t n = strspn(s, "0123456789");
	long long value;

	if (n == 0 || s[n] || s[0] == '0')
		return MATCH_NO;
	errno = 0;
	value = strtoll(s, NULL, 10);
	if (errno)
		return MATCH_NO;
	*out = value;
	return MATCH_YES;
}

static enum match match_segment(const char *pattern, size_t n, const char *s,
				struct arena *a, struct path_args *args)
{
	if (n == 7 && !memcmp(pattern, "{email}", 7))
		return match_email(s, a, args);
	if (n == 6 && !memcmp(pattern, "{call}", 6))
		return match_number(s, &args->call);
	if (n == 3 && !memcmp(pattern, "{n}", 3))
		return match_number(s, &args->n);
	if (n == 6 && !memcmp(pattern, "{slug}", 6)) {
		args->slug = s;
		return MATCH_YES;
	}
	if (!strcmp(s, "message"))
		s = "messages";
	return strlen(s) == n && !memcmp(pattern, s, n) ? MATCH_YES : MATCH_NO;
}

static enum match match_path(const char *pattern, const struct request *req,
			     struct arena *a, struct path_args *args)
{
	enum match all = MATCH_YES;
	size_t i = 0;

	memset(args, 0, sizeof(*args));
	while (*pattern == '/') {
		size_t n = strcspn(++pattern, "/");
		enum match m;

		if (n == 0 && i == 0) /* the pattern `/` */
			break;
		if (i == req->segments)
			return MATCH_NO;
		m = match_segment(pattern, n, req->segment[i++], a, args);
		if (m == MATCH_NO || m == MATCH_NO_MEMORY)
			return m;
		if (m == MATCH_NO_USER)
			all = m;
		pattern += n;
	}
	return i == req->segments ? all : MATCH_NO;
}

static bool method_matches(const struct route *route, enum method m)
{
	return route->method == m ||
	       (route->method == METHOD_GET && m == METHOD_HEAD);
}

static void allow_add(struct buf *allow, const char *name)
{
	if (allow->len)
		buf_str(allow, ", ");
	buf_str(allow, name);
}

/* The methods of all routes that match the path. */
static const char *allow_of(const struct route *table,
			    const struct request *req, struct arena *a)
{
	bool there[METHOD_COUNT] = {false};
	struct path_args args;
	struct buf allow;
	const char *text;

	for (const struct route *r = table; r->pattern; r++)
		if (match_path(r->pattern, req, a, &args) == MATCH_YES)
			there[r->method] = true;
	there[METHOD_HEAD] = there[METHOD_GET];
	there[METHOD_OPTIONS] = true;
	buf_init(&allow, ALLOW_MAX);
	for (enum method m = METHOD_GET; m < METHOD_COUNT; m++)
		if (there[m])
			allow_add(&allow, method_name(m));
	text = allow.failed ? NULL : arena_str(a, allow.p);
	buf_free(&allow);
	return text;
}

enum route_result router_find(const struct route *table,
			      const struct request *req, struct arena *a,
			      const struct route **out, struct path_args *args,
			      const char **allow)
{
	enum match path = MATCH_NO;

	for (const struct route *r = table; r->pattern; r++) {
		enum match m = match_path(r->pattern, req, a, args);

		if (m == MATCH_NO_MEMORY)
			return ROUTE_NO_MEMORY;
		if (m == MATCH_YES && method_matches(r, req->method)) {
			*out = r;
			return ROUTE_FOUND;
		}
		if (m == MATCH_YES || (m == MATCH_NO_USER && path == MATCH_NO))
			path = m;
	}
	if (path == MATCH_NO)
		return ROUTE_NO_PATH;
	if (path == MATCH_NO_USER)
		return ROUTE_NO_USER;
	*allow = allow_of(table, req, a);
	if (!*allow)
		return ROUTE_NO_MEMORY;
	return req->method == METHOD_OPTIONS ? ROUTE_OPTIONS : ROUTE_NO_METHOD;
}

/* Whether a name is one of a list with blanks between. */
static bool is_listed(const char *list, const char *name)
{
	const size_t n = strlen(name);

	while (n && *list) {
		const size_t len = strcspn(list, " ");

		if (len == n && !memcmp(list, name, n))
			return true;
		list += len;
		list += strspn(list, " ");
	}
	return false;
}

const char *router_unknown_query(const struct route *route,
				 const struct request *req, struct arena *a)
{
	const char *own = route->query ? route->query : "";
	const char *live = route->live ? route->live : "";

	for (size_t i = 0; i < req->queries; i++) {
		const char *name = req->query[i].name;

		if (!strcmp(name, "_") || is_listed(own, name) ||
		    is_listed(live, name))
			continue;
		if (!*own && !*live)
			return arena_fmt(a,
					 "This takes no parameters; there is "
					 "`%s`.",
					 name);
		return arena_fmt(a,
				 "There is no parameter `%s` here; there are: "
				 "%s%s%s.",
				 name, own, *own && *live ? " " : "", live);
	}
	return NULL;
}

/* Bytes of a pattern's beginning: its first segment */
static size_t first_len(const char *pattern)
{
	return 1 + strcspn(pattern + 1, "/");
}

/* Whether no line above begins with the same n bytes; n 0: is the same */
static bool is_new(const struct route *table, const struct route *r, size_t n)
{
	for (const struct route *o = table; o != r; o++)
		if (n ? first_len(o->pattern) == n &&
				    !strncmp(o->pattern, r->pattern, n)
		      : !strcmp(o->pattern, r->pattern))
			return false;
	return true;
}

/* @param first  of the path; null: only what can be the first is told */
static const char *list_paths(const struct route *table, const char *first,
			      struct arena *a)
{
	const char *list = "";

	for (const struct route *r = table; r->pattern && list; r++) {
		size_t n = first_len(r->pattern);

		if (first && (strlen(first) != n - 1 ||
			      strncmp(r->pattern + 1, first, n - 1)))
			continue;
		if (is_new(table, r, first ? 0 : n))
			list = arena_fmt(a, "%s %.*s", list,
					 first ? (int)strlen(r->pattern)
					       : (int)n,
					 r->pattern);
	}
	return list;
}

const char *router_no_path(const struct route *table, const struct request *req,
			   struct arena *a)
{
	const char *list = list_paths(table,
				      req->segments ? req->segment[0] : "", a);

	if (list && !*list) {
		list = list_paths(table, NULL, a);
		return list ? arena_fmt(a,
					"There is nothing at this path; /docs "
					"lists all that there is, under%s.",
					list)
			    : NULL;
	}
	return list ? arena_fmt(a,
				"There is nothing at this path; there are:%s. "
				"{call} and {n} are numbers, {email} is an "
				"email or `me`.",
				list)
		    : NULL;
}
