/*
 * router.h: from method and path to an endpoint. The endpoints are in
 * routes.def, one table.
 *
 * A pattern's segment is a word or one of
 *   {email}  `me`, or an address, in its normal form then; else 404
 *   {call}   a positive bigint, else 404
 *   {n}      a positive bigint, else 404
 *   {slug}   any text
 * `message` in a path stands for `messages`.
 */
#ifndef RESTSIP_ROUTER_H
#define RESTSIP_ROUTER_H

#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "shared/auth.h"
#include "shared/request.h"

/** What a request's body may be. */
enum body_kind {
	BODY_NONE, /* ignored */
	BODY_JSON, /* as negotiate_is_json() has it (415), or empty */
	BODY_ANY,  /* bytes of any type */
};

enum {
	BODY_JSON_MAX = 64 << 10,
	BODY_MAIL_MAX = 4 << 20,
};

struct route {
	enum method method;
	const char *pattern;
	enum auth_kind auth;
	enum body_kind body;
	size_t body_max;    /* bytes */
	const char *query;  /* its parameters' names, with blanks between */
	const char *live;   /* those of its streams, too */
	const char *stream; /* its kind for api.watch_open(); null: none */
	/* what a GET's document can be, JSON first and null at the end; null:
	   the handler knows */
	const char *const *types;
};

/** What a path named. Borrowed from the arena. */
struct path_args {
	const char *email; /* `me` or a normal form; null: none in the path */
	int64_t call;	   /* 0: none in the path */
	int64_t n;	   /* 0: none in the path */
	const char *slug;
};

enum route_result {
	ROUTE_FOUND,
	ROUTE_NO_PATH,	 /* 404 */
	ROUTE_NO_USER,	 /* 404 user-not-found: {email} is no address */
	ROUTE_NO_METHOD, /* 405 */
	ROUTE_OPTIONS,	 /* 204 with Allow */
	ROUTE_NO_MEMORY,
};

/**
 * Find the endpoint. HEAD finds GET's.
 *
 * @param table  routes, the last one without a pattern
 * @param out    the route, when ROUTE_FOUND
 * @param args   what the path named, when ROUTE_FOUND
 * @param allow  Allow of the path (in a), when ROUTE_NO_METHOD, ROUTE_OPTIONS
 */
enum route_result router_find(const struct route *table,
			      const struct request *req, struct arena *a,
			      const struct route **out, struct path_args *args,
			      const char **allow);

/**
 * A parameter of the query that the endpoint does not know. `_` is everybody's:
 * clients put it there to pass by a cache.
 *
 * @return a sentence about it, in a, or null: there is none (or no memory)
 */
const char *router_unknown_query(const struct route *route,
				 const struct request *req, struct arena *a);

/**
 * Which paths there are, for who has asked for one that leads nowhere: those
 * with the same first segment, or else the first segments.
 *
 * @return a sentence, in a, or null: there is no memory
 */
const char *router_no_path(const struct route *table, const struct request *req,
			   struct arena *a);

#endif
