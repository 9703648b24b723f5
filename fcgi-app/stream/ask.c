/*
 * ask.c: what a request asks for.
 */
#include "stream/ask.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/secret.h"
#include "shared/negotiate.h"
#include "shared/routes.h"
#include "stream/hub/kinds.h"

static bool refuse(struct ask_problem *why, int status, const char *slug,
		   const char *detail)
{
	why->problem.status = status;
	why->problem.slug = slug;
	why->problem.detail = detail;
	return false;
}

static bool is_list(const struct viewer_ask *ask)
{
	return ask->kind && ask->kind->is_list;
}

/* /watch is no resource itself: it watches many. */
static bool is_watch(const struct viewer_ask *ask)
{
	return !ask->kind;
}

/* @param route  where it was found */
static bool find_resource(struct viewer_ask *ask, const struct request *req,
			  struct arena *a, const struct route **route,
			  struct ask_problem *why)
{
	struct path_args path;
	const char *unknown;

	switch (router_find(routes_table(), req, a, route, &path,
			    &why->allow)) {
	case ROUTE_FOUND:
		break;
	case ROUTE_NO_USER:
		return refuse(why, 404, "user-not-found",
			      "Users are named by emails such as "
			      "alice@example.net, or `me`.");
	case ROUTE_NO_METHOD:
	case ROUTE_OPTIONS:
		return refuse(why, 405, NULL, "That cannot be done here.");
	case ROUTE_NO_MEMORY:
		return refuse(why, 503, "busy", NULL);
	case ROUTE_NO_PATH:
	default:
		return refuse(why, 404, NULL,
			      router_no_path(routes_table(), req, a));
	}
	if (!(*route)->stream)
		return refuse(why, 406, NULL,
			      "This resource is not to be had as a stream.");
	unknown = router_unknown_query(*route, req, a);
	if (unknown)
		return refuse(why, 400, "invalid-parameter", unknown);
	ask->kind = kind_find((*route)->stream);
	ask->n = path.n;
	ask->key = path.email;
	if (is_list(ask) || is_watch(ask))
		ask->key = req->segment[0];
	if (path.call)
		ask->key = arena_fmt(a, "%lld", (long long)path.call);
	return ask->key || refuse(why, 503, "busy", NULL);
}

static bool find_format(struct ask *ask, const struct request *req,
			struct arena *a, const struct route *route,
			struct ask_problem *why)
{
	const enum form form = negotiate_form_of(req, route->types);
	const char *updates = request_query(req, "updates");
	long long wait_s = 0;
	int err = request_query_int(req, "wait", 0, ASK_WAIT_MAX_S, &wait_s);

	if (err == EINVAL)
		return refuse(
			why, 400, "invalid-parameter",
			request_bad_query(req, a, "wait", "0 to 300 seconds"));
	ask->one.diff = updates && !strcmp(updates, "diff");
	if (updates && !ask->one.diff && strcmp(updates, "full") != 0)
		return refuse(
			why, 400, "invalid-parameter",
			request_bad_query(req, a, "updates", "full or diff"));
	ask->one.once = !err;
	ask->wait_s = (int)wait_s;
	ask->one.format = form == FORM_SSE ? FORMAT_SSE : FORMAT_NDJSON;
	ask->one.quiet = req->method == METHOD_HEAD;
	return form != FORM_DOCUMENT ||
	       refuse(why, 406, NULL,
		      "As a stream it is text/event-stream or "
		      "application/x-ndjson.");
}

/* Only the ticket's hash is kept. */
static bool find_ticket(struct ask *ask, const struct request *req,
			struct arena *a, struct ask_problem *why)
{
	const char *ticket = request_query(req, "ticket");
	uint8_t *hash = ticket ? arena_alloc(a, SHA256_SIZE) : NULL;

	ask->one.ticket = hash;
	return !ticket || (hash && !sha256(hash, ticket, strlen(ticket))) ||
	       refuse(why, 503, "busy", NULL);
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

/* What the URL says of where the client is. lastEventId is for pages, whose
   EventSource has no headers of theirs. @param name  the parameter's */
static const char *since_of(const struct request *req, const char **name)
{
	const char *since = request_query(req, "since");

	*name = since ? "since" : "lastEventId";
	return since ? since : request_query(req, *name);
}

/* A long poll may give its version by If-None-Match, as any GET. */
static const char *etag_of(const struct request *req, struct arena *a)
{
	const char *s = request_header(req, "If-None-Match");
	size_t n = s ? strlen(s) : 0;

	return n > 2 && s[0] == '"' && s[n - 1] == '"'
		       ? arena_mem(a, s + 1, n - 2)
		       : NULL;
}

static bool parse_since(struct viewer_ask *ask, const char *s)
{
	return is_list(ask) ? !ask_parse_place(s, &ask->version, &ask->upto,
					       &ask->after_n)
			    : !ask_parse_id(s, &ask->version, &ask->inbox);
}

/* A list's first page. */
static bool find_page(struct viewer_ask *ask, const struct request *req,
		      struct arena *a, struct ask_problem *why)
{
	long long limit = ASK_LIMIT_DEFAULT;

	if (!is_list(ask))
		return true;
	if (request_query(req, "state"))
		return refuse(why, 400, "invalid-parameter",
			      "`state` picks from the pages of /call; a stream "
			      "tells of all calls, each with its `state`.");
	ask->diff = false; /* items come whole */
	ask->after = request_query(req, "after");
	if (request_query_int(req, "limit", 1, ASK_LIMIT_MAX, &limit) == EINVAL)
		return refuse(why, 400, "invalid-parameter",
			      request_bad_query(req, a, "limit",
						"a number from 1 to 1000"));
	ask->limit = (int)limit;
	return true;
}

/* One of many: what it is. */
static bool find_one(struct watch_one *one, const char *path, struct arena *a,
		     struct ask_problem *why)
{
	const struct route *route;
	struct request req;
	const char *detail = NULL;

	one->name = path;
	if (request_parse_path(&req, a, path, &detail))
		return refuse(why, 400, "invalid-parameter", detail);
	if (!find_resource(&one->ask, &req, a, &route, why))
		return false;
	if (is_watch(&one->ask))
		return refuse(why, 406, NULL,
			      "A watch is no resource to be watched.");
	return find_page(&one->ask, &req, a, why);
}

/* Where they stand: a part for each, see watch.h. */
static bool parse_places(struct ask *ask, const char *s, struct arena *a)
{
	bool some = false;

	for (size_t i = 0; i < ask->nmany; i++) {
		struct watch_one *one = &ask->many[i];
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

/* The resources of a watch, each `r=` of its query */
static bool find_resources(struct ask *ask, const struct request *req,
			   struct arena *a, struct ask_problem *why)
{
	const size_t size = sizeof(*ask->many);

	ask->many = arena_alloc(a, WATCH_MAX * size);
	if (!ask->many)
		return refuse(why, 503, "busy", NULL);
	memset(ask->many, 0, WATCH_MAX * size);
	for (size_t i = 0; i < req->queries; i++) {
		if (strcmp(req->query[i].name, "r") != 0)
			continue;
		if (ask->nmany == WATCH_MAX)
			return refuse(why, 400, "invalid-parameter",
				      "A watch has at most 100 resources.");
		why->problem.pointer = arena_fmt(a, "/r/%zu", ask->nmany);
		ask->many[ask->nmany].ask = ask->one;
		if (!find_one(&ask->many[ask->nmany++], req->query[i].value, a,
			      why))
			return false;
	}
	why->problem.pointer = NULL;
	if (!ask->nmany)
		return refuse(why, 400, "invalid-parameter",
			      "`r` names a resource to watch, such as "
			      "r=/login/me; there is none.");

	return true;
}

static bool find_many(struct ask *ask, const struct request *req,
		      struct arena *a, struct ask_problem *why)
{
	const char *last = request_header(req, "Last-Event-ID");
	const char *name, *since = since_of(req, &name);

	if (!is_watch(&ask->one))
		return true;
	if (ask->one.once && !last && !since)
		last = etag_of(req, a);
	if (!find_resources(ask, req, a, why))
		return false;
	if (last && parse_places(ask, last, a))
		return true;
	if (!last && since && !parse_places(ask, since, a))
		return refuse(
			why, 400, "invalid-parameter",
			request_bad_query(req, a, name,
					  "the id of an event of this watch"));
	for (size_t i = 0; last && i < ask->nmany; i++)
		ask->many[i].ended = ask->many[i].ask.resume = false;
	return true;
}

static bool find_place(struct viewer_ask *ask, const struct request *req,
		       struct arena *a, struct ask_problem *why)
{
	const char *last = request_header(req, "Last-Event-ID");
	const char *name, *since = since_of(req, &name);
	const char *tag = ask->once ? etag_of(req, a) : NULL;

	/* Last-Event-ID, which is newer, goes before the URL's version. */
	if (last && parse_since(ask, last))
		ask->resume = true;
	else if (since && !parse_since(ask, since))
		return refuse(
			why, 400, "invalid-parameter",
			request_bad_query(req, a, name, "the id of an event"));
	else
		ask->resume = since || (tag && parse_since(ask, tag));
	return true;
}

int ask_parse(struct ask *ask, const struct request *req, struct arena *a,
	      struct ask_problem *why)
{
	const struct route *route = NULL;

	memset(ask, 0, sizeof(*ask));
	ask->one.inbox = -1;
	memset(why, 0, sizeof(*why));
	return find_resource(&ask->one, req, a, &route, why) &&
			       find_format(ask, req, a, route, why) &&
			       find_ticket(ask, req, a, why) &&
			       find_many(ask, req, a, why) &&
			       find_page(&ask->one, req, a, why) &&
			       (ask->many || find_place(&ask->one, req, a, why))
		       ? 0
		       : EINVAL;
}
