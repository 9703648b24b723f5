/*
 * cors.c: Access-Control-* headers by an allow-list.
 */
#include "shared/cors.h"

#include <string.h>

static const char exposed[] =
	"ETag, Link, Location, Retry-After, X-Request-Id, Content-Range";
static const char accepted[] =
	"Authorization, Content-Type, Accept, "
	"If-Match, If-None-Match, Idempotency-Key, Last-Event-ID, Range, "
	"X-HTTP-Method-Override";

/* Whether a word is one of the list. */
static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);
	const char *p = list;

	while (*p) {
		size_t n;

		p += strspn(p, ", \t");
		n = strcspn(p, ", \t");
		if (n && n == len && !memcmp(p, word, n))
			return true;
		p += n;
	}
	return false;
}

bool cors_allows(const char *origins, const char *origin)
{
	return has_word(origins, "*") || has_word(origins, origin);
}

/* Any page in a sandbox has the origin `null`. */
bool cors_names(const char *origins, const char *origin)
{
	return strcmp(origin, "*") != 0 && strcmp(origin, "null") != 0 &&
	       has_word(origins, origin);
}

void cors_headers(struct response *res, const struct request *req,
		  const char *origins, const char *allow)
{
	const char *origin = request_header(req, "Origin");

	if (!origins || !*origins)
		return;
	response_header_add(res, "Vary", "Origin");
	if (!origin || !cors_allows(origins, origin))
		return;
	response_header(res, "Access-Control-Allow-Origin", origin);
	if (!allow || !request_header(req, "Access-Control-Request-Method")) {
		response_header(res, "Access-Control-Expose-Headers", exposed);
		return;
	}
	response_header(res, "Access-Control-Allow-Methods", allow);
	response_header(res, "Access-Control-Allow-Headers", accepted);
	response_header(res, "Access-Control-Max-Age", "600");
}
