/*
 * cors.c: Access-Control-* headers by an allow-list.
 */
#include "cors.h"

#include <string.h>

static const char exposed[] =
	"ETag, Link, Location, Retry-After, X-Request-Id, Content-Range";
static const char accepted[] =
	"Authorization, Content-Type, Accept, "
	"If-Match, If-None-Match, Idempotency-Key, Last-Event-ID, Range, "
	"X-HTTP-Method-Override";

bool cors_allows(const char *origins, const char *origin)
{
	size_t len = strlen(origin);
	const char *p = origins;

	while (*p) {
		size_t n;

		p += strspn(p, ", \t");
		n = strcspn(p, ", \t");
		if ((n == 1 && *p == '*') ||
		    (n && n == len && !memcmp(p, origin, n)))
			return true;
		p += n;
	}
	return false;
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
