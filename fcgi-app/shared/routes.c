/*
 * routes.c: what the lines of routes.def stand for.
 */
#include "shared/routes.h"

#include <stdio.h>

/* Who may call. */
#define NOBODY AUTH_NONE
#define ANYONE AUTH_OPTIONAL
#define SIGNED AUTH_REQUIRED
#define BASIC AUTH_BASIC

/* The body that it takes. */
#define NO_BODY .body = BODY_NONE
#define JSON .body = BODY_JSON, .body_max = BODY_JSON_MAX
#define BYTES .body = BODY_ANY, .body_max = BODY_JSON_MAX
#define MAIL .body = BODY_ANY, .body_max = BODY_MAIL_MAX

/* What a GET gives: JSON, or as its handler says; a stream and JSON; a stream
   and the types below; a stream and nothing else. */
#define ONCE .stream = NULL
#define LIVE(kind) STREAM(kind), .types = types_json
#define LIVE_AS(kind) STREAM(kind), .types = types_##kind
#define LIVE_ONLY(kind) STREAM(kind), .types = types_none
#define STREAM(kind) \
	.stream = #kind, .live = "stream wait updates since lastEventId ticket"

static const char *const types_json[] = {"application/json", NULL};
static const char *const types_login[] = {
	"application/json",	   "text/plain",	   "text/uri-list",
	"application/reginfo+xml", "application/pidf+xml", NULL,
};
static const char *const types_call[] = {
	"application/json",
	"application/conference-info+xml",
	NULL,
};
static const char *const types_none[] = {NULL};

#define ROUTE(verb, path, handler, who, content, names) \
	{.method = METHOD_##verb, \
	 .pattern = path, \
	 .auth = who, \
	 .query = names, \
	 content},

static const struct route table[] = {
#include "shared/routes.def"
	{.pattern = NULL},
};

const struct route *routes_table(void)
{
	return table;
}

void routes_print(void)
{
	for (const struct route *r = table; r->pattern; r++)
		printf("%s %s %s %s\n", method_name(r->method), r->pattern,
		       r->query, r->live ? r->live : "");
}
