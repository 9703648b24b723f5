/*
 * call_trace.c: GET /call/{id}/trace: what has passed between us and the
 * phones of a call, for its owner: as JSON, as text, or as a picture.
 */
#include <stdint.h>
#include <string.h>

#include "common/pgres.h"
#include "resources/handlers.h"

static const char *const types[] = {"application/json", "text/plain",
				    "image/svg+xml", NULL};

static const struct pg_stmt trace_stmt = {
	.name = "call_trace",
	.sql = "select version, doc from api.call_trace($1, $2, $3, $4)",
	.nparams = 4,
};

static void traced(struct exchange *x, const struct pg_result *res)
{
	const char *type = x->state;

	response_header_add(&x->res, "Vary", "Authorization");
	response_json(&x->res, 200, pgres_text(res, 0, "doc"));
	if (!strcmp(type, types[1]))
		x->res.type = "text/plain; charset=utf-8";
	else if (!strcmp(type, types[2]))
		x->res.type = type;
	/* a picture, and no page of ours, even where it is opened as one */
	if (x->res.type == type)
		response_header(&x->res, "Content-Security-Policy",
				"default-src 'none'; style-src "
				"'unsafe-inline'; sandbox");
	exchange_answer(x);
}

void call_trace(struct exchange *x)
{
	const char *type = exchange_accept(x, types);
	struct pg_args args;

	if (!type)
		return;
	/* a constant of the table; state is only read */
	x->state = (void *)(uintptr_t)type;
	exchange_args(x, &args);
	pg_arg_int(&args, x->path.call);
	pg_arg_text(&args, type);
	exchange_query(x, &trace_stmt, &args, traced);
}
