/*
 * exchange_answer.c: the ways in which a handler ends.
 */
#include <string.h>

#include "common/log.h"
#include "shared/browser.h"
#include "worker/exchange.h"

void exchange_answer(struct exchange *x)
{
	if (x->answered || x->waiting)
		log_error("second_answer", LOG_STR("path", x->req.path));
	x->answered = true;
}

void exchange_problem_full(struct exchange *x, const struct problem *p)
{
	struct problem with_id = *p;

	if (x->answered || x->waiting) {
		log_error("second_answer", LOG_STR("path", x->req.path));
		return;
	}
	with_id.request_id = x->req.id;
	with_id.ask = browser_may_ask(&x->req);
	problem_answer(&x->res, &with_id);
	x->answered = true;
}

void exchange_problem_at(struct exchange *x, int status, const char *slug,
			 const char *detail, const char *pointer)
{
	const struct problem p = {
		.status = status,
		.slug = slug,
		.detail = detail,
		.pointer = pointer,
	};

	exchange_problem_full(x, &p);
}

void exchange_problem(struct exchange *x, int status, const char *slug,
		      const char *detail)
{
	exchange_problem_at(x, status, slug, detail, NULL);
}

void exchange_error(struct exchange *x, enum app_err err)
{
	const struct app_err_info *info = app_err_info(err);

	exchange_problem(x, info->status, info->slug, info->detail);
}

/* `"acceptable":["a/b","c/d"]` of `a/b, c/d`; no character is to be escaped */
static const char *acceptable(struct arena *a, const char *possible)
{
	const char *list = "\"acceptable\":[";

	while (list && *possible) {
		const int n = (int)strcspn(possible, ",");

		list = arena_fmt(a, "%s\"%.*s\"%s", list, n, possible,
				 possible[n] ? "," : "");
		possible += n;
		possible += strspn(possible, ", ");
	}

	return list ? arena_fmt(a, "%s]", list) : NULL;
}

static void problem_possible(struct exchange *x, enum app_err err,
			     const char *possible)
{
	const struct app_err_info *info = app_err_info(err);
	const struct problem p = {
		.status = info->status,
		.slug = info->slug,
		.detail = info->detail,
		.extra = acceptable(x->arena, possible),
	};

	exchange_problem_full(x, &p);
}

void exchange_not_acceptable(struct exchange *x, const char *possible)
{
	problem_possible(x, APP_NOT_ACCEPTABLE, possible);
	response_header(&x->res, "Vary", "Accept");
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
