/*
 * past_call.c: GET /user/{email}/calls: what calls its owner has had.
 */
#include "resources/handlers.h"
#include "worker/page.h"

static const struct pg_stmt list_stmt = {
	.name = "past_call_list",
	.sql = "select version, n, doc, fits "
	       "from api.past_call_list($1, $2, $3, $4, $5)",
	.nparams = 5,
};

void past_call_list(struct exchange *x)
{
	page_of_account(x, "/calls", &list_stmt);
}
