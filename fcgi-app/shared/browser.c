/*
 * browser.c: requests that a page has its browser make. Sec-Fetch-Site tells
 * where the page is from, and pages cannot forge it; browsers send it to https
 * and to loopback. Elsewhere we look at Origin, which browsers send with every
 * request that acts.
 */
#include "shared/browser.h"

#include <string.h>
#include <strings.h>

#include "shared/cors.h"

static bool is_safe(enum method m)
{
	return m == METHOD_GET || m == METHOD_HEAD || m == METHOD_OPTIONS;
}

static bool has_scheme(const char *authorization, const char *scheme)
{
	size_t n = strlen(scheme);

	return authorization && !strncasecmp(authorization, scheme, n) &&
	       (authorization[n] == ' ' || !authorization[n]);
}

/* How long host and port are without the port that the scheme has anyway. */
static size_t authority_len(const char *s, const char *port)
{
	size_t n = strlen(s), len = strlen(port);

	return n > len && !strcmp(s + n - len, port) ? n - len : n;
}

/* Whether Origin is where the request went (RFC 6454, section 5). */
static bool is_own(const struct request *req, const char *origin)
{
	const char *scheme = request_param(req, "REQUEST_SCHEME");
	const char *host = request_header(req, "Host");
	const char *port;
	size_t n;

	if (!scheme || !host)
		return false;
	n = strlen(scheme);
	if (strncasecmp(origin, scheme, n) || strncmp(origin + n, "://", 3))
		return false;
	origin += n + 3;
	port = !strcasecmp(scheme, "https") ? ":443" : ":80";
	n = authority_len(host, port);
	return n && n == authority_len(origin, port) &&
	       !strncasecmp(origin, host, n);
}

bool browser_is_cross_site(const struct request *req, const char *origins,
			   bool opens)
{
	const char *origin = request_header(req, "Origin");
	const char *site = request_header(req, "Sec-Fetch-Site");
	const char *who = request_header(req, "Authorization");

	if (is_safe(req->method) && !opens)
		return false;
	if (origin && origins &&
	    (cors_names(origins, origin) ||
	     (cors_allows(origins, origin) && !has_scheme(who, "Basic"))))
		return false;
	if (site)
		return strcmp(site, "same-origin") && strcmp(site, "none");
	return origin && !is_own(req, origin);
}

bool browser_may_ask(const struct request *req)
{
	const char *mode = request_header(req, "Sec-Fetch-Mode");

	if (mode)
		return !strcmp(mode, "navigate");
	return !has_scheme(request_header(req, "Authorization"), "Bearer") &&
	       !request_query(req, "ticket");
}
