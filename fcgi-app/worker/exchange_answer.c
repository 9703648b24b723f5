/*
 * exchange_answer.c: the ways in which a handler ends.
 */
#include <string.h>

#include "common/log.h"
#include "common/utf8.h"
#include "shared/negotiate.h"
#include "shared/reply.h"
#include "worker/exchange.h"

bool exchange_may_end(const struct exchange *x)
{
	if (x->phase != EXCHANGE_RUNS)
		log_error("second_answer", LOG_STR("request_id", x->req.id),
			  LOG_STR("path", x->req.path));
	return x->phase == EXCHANGE_RUNS;
}

void exchange_answer(struct exchange *x)
{
	if (exchange_may_end(x))
		x->phase = EXCHANGE_ANSWERED;
}

void exchange_hand_over(struct exchange *x)
{
	if (exchange_may_end(x))
		x->phase = EXCHANGE_HANDED_OVER;
}

void exchange_problem_full(struct exchange *x, struct problem p)
{
	if (!exchange_may_end(x))
		return;
	reply_problem(&x->res, &x->req, p);
	x->phase = EXCHANGE_ANSWERED;
}

void exchange_problem_at(struct exchange *x, int status, const char *slug,
			 const char *detail, const char *pointer)
{
	exchange_problem_full(x, (struct problem){
					 .status = status,
					 .slug = slug,
					 .detail = detail,
					 .pointer = pointer,
				 });
}

void exchange_problem(struct exchange *x, int status, const char *slug,
		      const char *detail)
{
	exchange_problem_at(x, status, slug, detail, NULL);
}

bool exchange_parameter(struct exchange *x, const char *name, const char *is)
{
	exchange_problem(x, 400, "invalid-parameter",
			 request_bad_query(&x->req, x->arena, name, is));

	return false;
}

void exchange_error(struct exchange *x, enum app_err err)
{
	exchange_problem_full(x, reply_of_error(err));
}

/* `"acceptable":["a/b","c/d"]` of `a/b, c/d`; no character is to be escaped */
static const char *acceptable(struct arena *a, const char *possible)
{
	const char *list = "\"acceptable\":[";

	while (list && possible && *possible) {
		const int n = (int)strcspn(possible, ",");

		list = arena_fmt(a, "%s\"%.*s\"%s", list, n, possible,
				 possible[n] ? "," : "");
		possible += n;
		possible += strspn(possible, ", ");
	}

	return list && possible ? arena_fmt(a, "%s]", list) : NULL;
}

static void problem_possible(struct exchange *x, enum app_err err,
			     const char *possible)
{
	const bool in = err == APP_UNSUPPORTED_TYPE;
	const char *header = in ? "Content-Type" : "Accept";
	const char *came = request_header(&x->req, header);
	const char *value = came && *came ? came : "missing";
	struct problem p = reply_of_error(err);

	p.detail = arena_fmt(x->arena, "%s is %.*s; %s %s.", header,
			     utf8_shown(value, REQUEST_SHOWN_MAX), value,
			     in ? "taken here are" : "to be had are",
			     possible ? possible : "");
	p.extra = acceptable(x->arena, possible);
	exchange_problem_full(x, p);
}

const char *exchange_accept(struct exchange *x, const char *const *types)
{
	const int i = negotiate_pick(request_header(&x->req, "Accept"), types);
	const char *possible = types[0];

	if (i < 0) {
		while (possible && *++types)
			possible = arena_fmt(x->arena, "%s, %s", possible,
					     *types);
		problem_possible(x, APP_NOT_ACCEPTABLE, possible);
	}
	response_header(&x->res, "Vary", "Accept");

	return i < 0 ? NULL : types[i];
}

void exchange_unsupported(struct exchange *x, const char *possible)
{
	problem_possible(x, APP_UNSUPPORTED_TYPE, possible);
	response_header(&x->res, "Accept", possible);
}

void exchange_answer_doc(struct exchange *x, const char *doc,
			 const char *version, bool settled)
{
	if (settled && response_not_modified(&x->req, version))
		response_empty(&x->res, 304);
	else
		response_json(&x->res, 200, doc);
	response_etag(&x->res, version);
	exchange_answer(x);
}
