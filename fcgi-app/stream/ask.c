/*
 * ask.c: what a request asks for.
 */
#include "stream/ask.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shared/router.h"
#include "stream/many.h"

/* Every resource that can be read at all, so that 404 and 406 differ. */
static const struct route routes[] = {
	{.method = METHOD_GET, .pattern = "/login/{email}"},
	{.method = METHOD_GET, .pattern = "/login/{email}/{n}"},
	{.method = METHOD_GET, .pattern = "/call/{call}"},
	{.method = METHOD_GET, .pattern = "/call/{call}/{n}"},
	{.method = METHOD_GET, .pattern = "/user/{email}"},
	{.method = METHOD_GET, .pattern = "/user/{email}/messages"},
	{.method = METHOD_GET, .pattern = "/login"},
	{.method = METHOD_GET, .pattern = "/call"},
	{.method = METHOD_GET, .pattern = "/watch"},
	{.method = METHOD_GET, .pattern = "/user/{email}/messages/{n}"},
	{.method = METHOD_GET, .pattern = "/user/{email}/credential"},
	{.method = METHOD_GET, .pattern = "/user"},
	{.method = METHOD_GET, .pattern = "/health/live"},
	{.method = METHOD_GET, .pattern = "/health/ready"},
	{.method = METHOD_GET, .pattern = "/metrics"},
	{.method = METHOD_GET, .pattern = "/openapi.json"},
	{.method = METHOD_GET, .pattern = "/docs"},
	{.method = METHOD_GET, .pattern = "/problems/{slug}"},
	{.pattern = NULL},
};

/* Of the first of them: what the database calls it. */
static const char *const kinds[] = {
	"login",   "login", "call", "call",  "profile",
	"mailbox", "list",  "list", "watch",
};

static bool refuse(struct ask_problem *why, int status, const char *slug,
		   const char *detail)
{
	why->status = status;
	why->slug = slug;
	why->detail = detail;
	return false;
}

static bool find_resource(struct ask *ask, const struct request *req,
			  struct arena *a, struct ask_problem *why)
{
	const struct route *route;
	struct path_args path;
	size_t i;

	switch (router_find(routes, req, a, &route, &path, &why->allow)) {
	case ROUTE_FOUND:
		break;
	case ROUTE_NO_USER:
		return refuse(why, 404, "user-not-found",
			      "There is no such user.");
	case ROUTE_NO_METHOD:
	case ROUTE_OPTIONS:
		return refuse(why, 405, NULL, "That cannot be done here.");
	case ROUTE_NO_MEMORY:
		return refuse(why, 503, "busy", NULL);
	case ROUTE_NO_PATH:
	default:
		return refuse(why, 404, NULL, "There is no such thing.");
	}
	i = (size_t)(route - routes);
	if (i >= sizeof(kinds) / sizeof(*kinds))
		return refuse(why, 406, NULL,
			      "This resource is not to be had as a stream.");
	ask->kind = kinds[i];
	ask->n = path.n;
	ask->key = path.email;
	if (!strcmp(ask->kind, "list") || !strcmp(ask->kind, "watch"))
		ask->key = req->segment[0];
	if (path.call)
		ask->key = arena_fmt(a, "%lld", (long long)path.call);
	return ask->key || refuse(why, 503, "busy", NULL);
}

/* Whether Accept names the type, other than with q=0 (RFC 9110, 12.5.1). */
static bool accepts(const char *accept, const char *type)
{
	size_t len = strlen(type);

	while (*accept) {
		size_t n = strcspn(accept, ",");
		const char *q;

		accept += strspn(accept, " \t");
		n = strcspn(accept, ",");
		q = memchr(accept, ';', n);
		if (n >= len && !strncasecmp(accept, type, len) &&
		    (n == len || strchr("; \t", accept[len])))
			return !q ||
			       strncmp(q + 1 + strspn(q + 1, " "), "q=0", 3) ||
			       strcspn(q, "123456789") <
				       (size_t)(accept + n - q);
		accept += n + (accept[n] == ',');
	}
	return false;
}

static bool find_format(struct ask *ask, const struct request *req,
			struct ask_problem *why)
{
	const char *accept = request_header(req, "Accept");
	const char *updates = request_query(req, "updates");
	long long wait_s = 0;
	int err = request_query_int(req, "wait", 0, ASK_WAIT_MAX_S, &wait_s);

	if (err == EINVAL)
		return refuse(why, 400, "invalid-parameter",
			      "wait is a number of seconds, up to 300.");
	ask->diff = updates && !strcmp(updates, "diff");
	if (updates && !ask->diff && strcmp(updates, "full") != 0)
		return refuse(why, 400, "invalid-parameter",
			      "updates is full or diff.");
	ask->once = !err;
	ask->wait_s = (int)wait_s;
	if (accept && accepts(accept, "text/event-stream"))
		ask->format = FORMAT_SSE;
	else if (ask->once || request_query(req, "stream") ||
		 !strcmp(ask->kind, "watch") ||
		 (accept && accepts(accept, "application/x-ndjson")))
		ask->format = FORMAT_NDJSON;
	else
		return refuse(why, 406, NULL,
			      "As a stream it is text/event-stream or "
			      "application/x-ndjson.");
	return true;
}

static bool parse_number(const char **s, int64_t *out)
{
	size_t n = strspn(*s, "0123456789");

	if (n == 0 || n > 18)
		return false;
	*out = strtoll(*s, NULL, 10);
	*s += n;
	return true;
}

int ask_parse_place(const char *s, int64_t *version, int64_t *upto, int64_t *n)
{
	int64_t part[3] = {0};
	size_t i = 0;

	do {
		if (i == 3 || !parse_number(&s, &part[i++]))
			return EINVAL;
	} while (*s++ == '.');
	if (s[-1] || i == 2)
		return EINVAL;
	*version = part[0];
	*upto = part[1];
	*n = part[2];
	return 0;
}

int ask_parse_id(const char *s, int64_t *version, int64_t *inbox)
{
	int64_t v, k = -1;

	if (!parse_number(&s, &v))
		return EINVAL;
	if (*s == '.') {
		s++;
		if (!parse_number(&s, &k))
			return EINVAL;
	}
	if (*s)
		return EINVAL;
	*version = v;
	*inbox = k;
	return 0;
}

/* A long poll may say what it has as for any GET. */
static const char *etag_of(const struct request *req, struct arena *a)
{
	const char *s = request_header(req, "If-None-Match");
	size_t n = s ? strlen(s) : 0;

	return n > 2 && s[0] == '"' && s[n - 1] == '"'
		       ? arena_mem(a, s + 1, n - 2)
		       : NULL;
}

static bool parse_since(struct ask *ask, const char *s)
{
	return !strcmp(ask->kind, "list")
		       ? !ask_parse_place(s, &ask->version, &ask->upto,
					  &ask->after_n)
		       : !ask_parse_id(s, &ask->version, &ask->inbox);
}

/* A list's first page. */
static bool find_page(struct ask *ask, const struct request *req,
		      struct ask_problem *why)
{
	long long limit = ASK_LIMIT_DEFAULT;

	if (strcmp(ask->kind, "list") != 0)
		return true;
	ask->diff = false; /* items come whole */
	ask->after = request_query(req, "after");
	if (request_query_int(req, "limit", 1, ASK_LIMIT_MAX, &limit) == EINVAL)
		return refuse(why, 400, "invalid-parameter",
			      "limit is a number from 1 to 1000.");
	ask->limit = (int)limit;
	return true;
}

/* One of many: what it is. */
static bool find_one(struct ask_one *one, const char *path, struct arena *a,
		     struct ask_problem *why)
{
	struct request req;
	const char *detail = NULL;

	one->name = path;
	one->ask.inbox = -1;
	if (request_parse_path(&req, a, path, &detail))
		return refuse(why, 400, "invalid-parameter", detail);
	if (!find_resource(&one->ask, &req, a, why))
		return false;
	if (!strcmp(one->ask.kind, "watch"))
		return refuse(why, 406, NULL,
			      "A watch is no resource to be watched.");
	return find_page(&one->ask, &req, why);
}

/* Where they stand: a part for each, see many.h. */
static bool parse_places(struct ask *ask, const char *s, struct arena *a)
{
	bool some = false;

	for (size_t i = 0; i < ask->nmany; i++) {
		struct ask_one *one = &ask->many[i];
		size_t n = strcspn(s, ",");
		const char *part = arena_mem(a, s, n);

		if (!part || (s[n] == ',') != (i + 1 < ask->nmany))
			return false;
		one->ended = !strcmp(part, "-");
		some = some || !one->ended;
		one->ask.resume = n && !one->ended;
		if (one->ask.resume && !parse_since(&one->ask, part))
			return false;
		s += n + 1;
	}
	return some;
}

static bool find_many(struct ask *ask, const struct request *req,
		      struct arena *a, struct ask_problem *why)
{
	const char *last = request_header(req, "Last-Event-ID");
	const char *since = request_query(req, "since");
	size_t size = sizeof(*ask->many);

	if (strcmp(ask->kind, "watch") != 0)
		return true;
	if (ask->once && !last && !since)
		last = etag_of(req, a);
	ask->many = arena_alloc(a, MANY_MAX * size);
	if (!ask->many)
		return refuse(why, 503, "busy", NULL);
	memset(ask->many, 0, MANY_MAX * size);
	for (size_t i = 0; i < req->queries; i++) {
		if (strcmp(req->query[i].name, "r") != 0)
			continue;
		if (ask->nmany == MANY_MAX)
			return refuse(why, 400, "invalid-parameter",
				      "A watch has at most 100 resources.");
		why->pointer = arena_fmt(a, "/r/%zu", ask->nmany);
		if (!find_one(&ask->many[ask->nmany++], req->query[i].value, a,
			      why))
			return false;
	}
	why->pointer = NULL;
	if (!ask->nmany)
		return refuse(why, 400, "invalid-parameter",
			      "r names a resource to watch.");
	if (last && parse_places(ask, last, a))
		return true;
	if (!last && since && !parse_places(ask, since, a))
		return refuse(why, 400, "invalid-parameter",
			      "since is the id of an event of this watch.");
	for (size_t i = 0; last && i < ask->nmany; i++)
		ask->many[i].ended = ask->many[i].ask.resume = false;
	return true;
}

static bool find_place(struct ask *ask, const struct request *req,
		       struct arena *a, struct ask_problem *why)
{
	const char *last = request_header(req, "Last-Event-ID");
	const char *since = request_query(req, "since");

	ask->inbox = -1;
	if (ask->many)
		return true;
	/* What the client has heard since goes before what its URL says. */
	if (last && parse_since(ask, last))
		ask->resume = true;
	else if (since) {
		if (!parse_since(ask, since))
			return refuse(why, 400, "invalid-parameter",
				      "since is the id of an event.");
		ask->resume = true;
	} else if (ask->once) {
		const char *tag = etag_of(req, a);

		ask->resume = tag && parse_since(ask, tag);
	}
	return true;
}

int ask_parse(struct ask *ask, const struct request *req, struct arena *a,
	      struct ask_problem *why)
{
	memset(ask, 0, sizeof(*ask));
	memset(why, 0, sizeof(*why));
	ask->ticket = request_query(req, "ticket");
	return find_resource(ask, req, a, why) && find_format(ask, req, why) &&
			       find_many(ask, req, a, why) &&
			       find_page(ask, req, why) &&
			       find_place(ask, req, a, why)
		       ? 0
		       : EINVAL;
}
