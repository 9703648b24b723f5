/*
 * participant.c: /call/{id}/{n}: one who is in a call.
 */
#include "common/pgres.h"
#include "resources/handlers.h"
#include "worker/body_form.h"

static const struct pg_stmt get_stmt = {
	.name = "participant_get",
	.sql = "select version, doc from api.participant_get($1, $2, $3, $4)",
	.nparams = 4,
};
static const struct pg_stmt put_stmt = {
	.name = "participant_put",
	.sql = "select version, doc, bell, pending from api.participant_put("
	       "$1, $2, $3, $4, $5, $6, $7)",
	.nparams = 7,
	.write = true,
};
static const struct pg_stmt delete_stmt = {
	.name = "participant_delete",
	.sql = "select version, bell "
	       "from api.participant_delete($1, $2, $3, $4, $5)",
	.nparams = 5,
	.write = true,
};

static void begin(struct exchange *x, struct pg_args *args)
{
	exchange_args(x, args);
	pg_arg_int(args, x->path.call);
	pg_arg_int(args, x->path.n);
}

static void got(struct exchange *x, const struct pg_result *res)
{
	/* a session is shown to some and not to others */
	response_header_add(&x->res, "Vary", "Authorization");
	exchange_answer_doc(x, pgres_text(res, 0, "doc"),
			    pgres_text(res, 0, "version"), true);
}

void participant_get(struct exchange *x)
{
	struct pg_args args;

	begin(x, &args);
	exchange_query(x, &get_stmt, &args, got);
}

static void changed(struct exchange *x, const struct pg_result *res)
{
	response_etag(&x->res, pgres_text(res, 0, "version"));
	/* a phone has been offered it */
	response_json(&x->res, pgres_bool(res, 0, "pending") ? 202 : 200,
		      pgres_text(res, 0, "doc"));
	exchange_answer(x);
}

void participant_put(struct exchange *x)
{
	static const struct body_member table[] = {
		{"session", JSON_ANY, false, 0, 0, false},
	};
	const struct json *found;
	const char *extra, *session;
	struct pg_args args;

	if (!body_form(x, table, 1, &found, &extra) ||
	    !body_form_text(x, found, &session))
		return;
	begin(x, &args);
	pg_arg_text(&args, session);
	pg_arg_text(&args, extra);
	if (exchange_if_match(x, &args))
		exchange_query(x, &put_stmt, &args, changed);
}

static void deleted(struct exchange *x, const struct pg_result *res)
{
	(void)res; /* only a doorbell */
	response_empty(&x->res, 204);
	exchange_answer(x);
}

void participant_delete(struct exchange *x)
{
	struct pg_args args;

	begin(x, &args);
	if (exchange_if_match(x, &args))
		exchange_query(x, &delete_stmt, &args, deleted);
}
