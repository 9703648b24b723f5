/*
 * login.c: /login, /login/{email} and /login/{email}/{n}: who is logged in,
 * and where.
 */
#include <string.h>

#include "common/json_write.h"
#include "common/pgres.h"
#include "resources/handlers.h"
#include "worker/contacts.h"
#include "worker/link.h"
#include "worker/page.h"

#define REGISTERED \
	"select n, email, created, expires, expires_at, version, bell "

static const struct pg_stmt list_stmt = {
	.name = "login_list",
	.sql = "select email, doc, fits from api.login_list($1, $2, $3, $4)",
	.nparams = 4,
};
static const struct pg_stmt get_stmt = {
	.name = "login_get",
	.sql = "select version, settled, doc from api.login_get($1, $2, $3)",
	.nparams = 3,
};
static const struct pg_stmt get_as_stmt = {
	.name = "login_get_as",
	.sql = "select version, settled, doc "
	       "from api.login_get_as($1, $2, $3, $4)",
	.nparams = 4,
};
static const struct pg_stmt item_stmt = {
	.name = "login_item",
	.sql = "select version, settled, doc "
	       "from api.login_item($1, $2, $3, $4)",
	.nparams = 4,
};
static const struct pg_stmt register_stmt = {
	.name = "login_register",
	.sql = REGISTERED "from api.login_register("
			  "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
	.nparams = 10,
	.write = true,
};
static const struct pg_stmt register_many_stmt = {
	.name = "login_register_many",
	.sql = REGISTERED "from api.login_register_many("
			  "$1, $2, $3, $4, $5, $6, $7, $8)",
	.nparams = 8,
	.write = true,
};
static const struct pg_stmt stream_stmt = {
	.name = "login_stream",
	.sql = REGISTERED "from api.login_stream($1, $2, $3, $4, $5, $6)",
	.nparams = 6,
	.write = true,
};
static const struct pg_stmt refresh_stmt = {
	.name = "login_refresh",
	.sql = REGISTERED "from api.login_refresh("
			  "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
	.nparams = 10,
	.write = true,
};
static const struct pg_stmt delete_stmt = {
	.name = "login_delete",
	.sql = "select removed, bell from api.login_delete($1, $2, $3, $4, $5)",
	.nparams = 5,
	.write = true,
};

void login_list(struct exchange *x)
{
	const struct page *p = page_begin(x, "/login", "email", false);
	struct pg_args args;

	if (!p)
		return;
	exchange_args(x, &args);
	pg_arg_text(&args, p->after);
	pg_arg_int(&args, p->limit);
	exchange_query(x, &list_stmt, &args, page_answer);
}

static void got(struct exchange *x, const struct pg_result *res)
{
	exchange_answer_doc(x, pgres_text(res, 0, "doc"),
			    pgres_text(res, 0, "version"),
			    pgres_bool(res, 0, "settled"));
}

static void got_as(struct exchange *x, const struct pg_result *res)
{
	const char *type = x->state;

	got(x, res);
	if (x->res.type)
		x->res.type = strcmp(type, "text/plain")
				      ? type
				      : "text/plain; charset=utf-8";
}

/* SQL's name of the form that is no JSON, null if it is. */
static const char *form_of(const char *type)
{
	static const char *const forms[][2] = {
		{"text/plain", "text"},
		{"text/uri-list", "uri-list"},
		{"application/reginfo+xml", "reginfo"},
		{"application/pidf+xml", "pidf"},
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++)
		if (!strcmp(forms[i][0], type))
			return forms[i][1];

	return NULL;
}

void login_get(struct exchange *x)
{
	const char *type = exchange_accept(x, x->route->types);
	const char *form = type ? form_of(type) : NULL;
	struct pg_args args;

	if (!type)
		return;
	exchange_args(x, &args);
	pg_arg_text(&args, x->path.email);
	if (!form) {
		exchange_query(x, &get_stmt, &args, got);
		return;
	}
	/* a constant of the table; state is only read */
	x->state = (void *)(uintptr_t)type;
	pg_arg_text(&args, form);
	exchange_query(x, &get_as_stmt, &args, got_as);
}

void login_item_get(struct exchange *x)
{
	struct pg_args args;

	exchange_args(x, &args);
	pg_arg_text(&args, x->path.email);
	pg_arg_int(&args, x->path.n);
	exchange_query(x, &item_stmt, &args, got);
}

/* One contact of an answer. */
static void add_registered(struct exchange *x, const struct pg_result *res,
			   int row)
{
	const char *email = pgres_text(res, row, "email");
	const int64_t n = pgres_int(res, row, "n");
	struct buf *b = &x->res.body;

	buf_char(b, '{');
	json_member(b, "url", link_to(x->arena, "/login/", email, NULL, 0));
	json_member_int(b, "id", n);
	json_member_int(b, "expires", pgres_int(res, row, "expires"));
	json_member(b, "expires_at", pgres_text(res, row, "expires_at"));
	json_member(b, "self", link_to(x->arena, "/login/", email, "/", n));
	buf_char(b, '}');
}

static void answer_registered(struct exchange *x, const struct pg_result *res,
			      bool created, const char *location)
{
	x->res.status = created ? 201 : 200;
	x->res.type = "application/json";
	response_etag(&x->res, pgres_text(res, 0, "version"));
	if (created && location)
		response_location(&x->res, location);
	exchange_answer(x);
}

static void registered(struct exchange *x, const struct pg_result *res)
{
	add_registered(x, res, 0);
	answer_registered(x, res, pgres_bool(res, 0, "created"),
			  link_to(x->arena, "/login/",
				  pgres_text(res, 0, "email"), "/",
				  pgres_int(res, 0, "n")));
}

static void registered_many(struct exchange *x, const struct pg_result *res)
{
	struct buf *b = &x->res.body;
	bool created = false;

	buf_char(b, '[');
	for (int i = 0; i < PQntuples(res); i++) {
		if (i)
			buf_char(b, ',');
		add_registered(x, res, i);
		created = created || pgres_bool(res, i, "created");
	}
	buf_char(b, ']');
	answer_registered(x, res, created,
			  link_to(x->arena, "/login/",
				  pgres_text(res, 0, "email"), NULL, 0));
}

static void add_expires(struct pg_args *args, const struct contact *c)
{
	if (c->expires_s)
		pg_arg_int(args, c->expires_s);
	else
		pg_arg_null(args);
}

/* Idempotency-Key is POST's; a PUT is idempotent by itself. */
static bool add_idempotency(struct exchange *x, struct pg_args *args)
{
	if (x->req.method == METHOD_POST)
		return exchange_idempotency(x, args);
	pg_arg_null(args);
	pg_arg_null(args);

	return true;
}

static void register_one(struct exchange *x, const struct contact *c)
{
	struct pg_args args;

	exchange_args(x, &args);
	pg_arg_text(&args, x->path.email);
	pg_arg_text(&args, c->uri);
	pg_arg_text(&args, c->key);
	add_expires(&args, c);
	pg_arg_text(&args, c->extra);
	if (exchange_if_match(x, &args) && add_idempotency(x, &args))
		exchange_query(x, &register_stmt, &args, registered);
}

static void register_many(struct exchange *x, const struct contacts *c)
{
	struct pg_args args;

	exchange_args(x, &args);
	pg_arg_text(&args, x->path.email);
	pg_arg_text(&args, contacts_json(c, x->arena));
	pg_arg_bool(&args, x->req.method == METHOD_PUT);
	if (exchange_if_match(x, &args) && add_idempotency(x, &args))
		exchange_query(x, &register_many_stmt, &args, registered_many);
}

static void register_stream(struct exchange *x, const struct contact *c)
{
	struct pg_args args;

	exchange_args(x, &args);
	pg_arg_text(&args, x->path.email);
	pg_arg_text(&args, c->extra);
	if (add_idempotency(x, &args))
		exchange_query(x, &stream_stmt, &args, registered);
}

static void register_login(struct exchange *x)
{
	struct contacts contacts;

	if (!contacts_read(x, CONTACTS_NEW, &contacts))
		return;
	if (contacts.stream)
		register_stream(x, contacts.list);
	else if (contacts.many)
		register_many(x, &contacts);
	else
		register_one(x, contacts.list);
}

void login_post(struct exchange *x)
{
	register_login(x);
}

void login_put(struct exchange *x)
{
	register_login(x);
}

void login_item_put(struct exchange *x)
{
	struct contacts contacts;
	struct pg_args args;

	if (!contacts_read(x, CONTACTS_REFRESH, &contacts))
		return;
	exchange_args(x, &args);
	pg_arg_text(&args, x->path.email);
	pg_arg_int(&args, x->path.n);
	pg_arg_text(&args, contacts.list->uri);
	pg_arg_text(&args, contacts.list->key);
	add_expires(&args, contacts.list);
	pg_arg_text(&args, contacts.list->extra);
	if (!exchange_if_match(x, &args))
		return;
	pg_arg_bool(&args, contacts.merge);
	exchange_query(x, &refresh_stmt, &args, registered);
}

static void deleted(struct exchange *x, const struct pg_result *res)
{
	(void)res; /* the number does not matter: no contact is left */
	response_empty(&x->res, 204);
	exchange_answer(x);
}

static void delete_contacts(struct exchange *x)
{
	struct pg_args args;

	exchange_args(x, &args);
	pg_arg_text(&args, x->path.email);
	if (x->path.n)
		pg_arg_int(&args, x->path.n);
	else
		pg_arg_null(&args);
	if (exchange_if_match(x, &args))
		exchange_query(x, &delete_stmt, &args, deleted);
}

void login_delete(struct exchange *x)
{
	delete_contacts(x);
}

void login_item_delete(struct exchange *x)
{
	delete_contacts(x);
}
