/*
 * exchange_body.c: the body of a request: how large it may be, and what is
 * refused before a handler sees it.
 */
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "shared/negotiate.h"
#include "shared/reply.h"
#include "worker/exchange.h"

static bool is_json(const struct exchange *x)
{
	return negotiate_is_json(request_param(&x->req, "CONTENT_TYPE"),
				 x->route->method == METHOD_PATCH);
}

/* Bodies are kept and parsed as they come: none is decoded. */
static bool is_coded(const struct exchange *x)
{
	const char *coding = request_header(&x->req, "Content-Encoding");

	return coding && *coding && strcasecmp(coding, "identity") != 0;
}

/* A large body is for those who have said who they are. */
static size_t body_max(const struct exchange *x)
{
	const size_t max = x->route->body_max;

	return x->who.proof || max < BODY_JSON_MAX ? max : BODY_JSON_MAX;
}

bool exchange_is_large(const struct exchange *x)
{
	const char *length = request_param(&x->req, "CONTENT_LENGTH");

	return body_max(x) > BODY_JSON_MAX && length &&
	       strtoull(length, NULL, 10) > BODY_JSON_MAX;
}

static void answer_too_long(struct exchange *x)
{
	const char *length = request_param(&x->req, "CONTENT_LENGTH");
	const bool chunked = !length || !*length;
	struct problem p = reply_of_error(APP_LENGTH);

	p.detail = arena_fmt(
		x->arena, "A body has at most %zu bytes here%s; this has %s.",
		body_max(x),
		body_max(x) < x->route->body_max ? " (4194304 with credentials)"
						 : "",
		chunked ? "more" : length);
	exchange_problem_full(x, p);
}

/* RFC 9110, section 15.5.16 */
static void answer_coded(struct exchange *x)
{
	struct problem p = reply_of_error(APP_UNSUPPORTED_TYPE);

	p.detail = "No Content-Encoding is decoded here: send it without.";
	exchange_problem_full(x, p);
	response_header(&x->res, "Accept-Encoding", "identity");
}

bool exchange_read_body(struct exchange *x)
{
	int err = fcgi_read_body(x->fcgi, &x->body, body_max(x));

	if (err == EMSGSIZE)
		answer_too_long(x);
	else if (err == ENOMEM)
		exchange_error(x, APP_BUSY);
	else if (err)
		exchange_problem(x, 400, NULL,
				 "The body ended before it had the bytes that "
				 "Content-Length says.");
	else if (x->body.len && is_coded(x))
		answer_coded(x);
	else if (x->route->body == BODY_JSON && x->body.len && !is_json(x))
		exchange_unsupported(x, "application/json");
	return x->phase == EXCHANGE_RUNS;
}
