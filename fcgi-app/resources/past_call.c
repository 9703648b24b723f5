/*
 * past_call.c: GET /user/{email}/calls: what calls its owner has had.
 */
#include "resources/handlers.h"
#include "worker/link.h"
#include "worker/page.h"

static const struct pg_stmt list_stmt = {
	.name = "past_call_list",
	.sql = "select version, n, doc, fits "
	       "from api.past_call_list($1, $2, $3, $4, $5)",
	.nparams = 5,
};

void past_call_list(struct exchange *x)
{
	const char *path = link_to(x->arena, "/user/", x->path.email, "/calls",
				   -1);
	const struct page *p = page_begin(x, path, "n", true);
	struct pg_args args;

	if (!p)
		return;
	exchange_args(x, &args);
	pg_arg_text(&args, x->path.email);
	if (p->after_n)
		pg_arg_int(&args, p->after_n);
	else
		pg_arg_null(&args);
	pg_arg_int(&args, p->limit);
	exchange_query(x, &list_stmt, &args, page_answer_version);
}
