/*
 * credential.c: /user/{email}/credential: what SIP devices sign in with. The
 * password is made here and shown once, with lines to paste into a phone.
 */
#include <string.h>

#include "common/aor.h"
#include "common/json_write.h"
#include "common/password.h"
#include "common/pgres.h"
#include "resources/handlers.h"
#include "worker/body_form.h"

enum {
	LABEL_MAX_BYTES = 200,
	ALGORITHM_MAX_BYTES = 20,
};

static const struct pg_stmt create_stmt = {
	.name = "credential_create",
	.sql = "select n, email, username, realm, doc, server "
	       "from api.credential_create($1, $2, $3, $4, $5, $6)",
	.nparams = 6,
	.write = true,
};
static const struct pg_stmt list_stmt = {
	.name = "credential_list",
	.sql = "select n, doc from api.credential_list($1, $2, $3)",
	.nparams = 3,
};
static const struct pg_stmt delete_stmt = {
	.name = "credential_delete",
	.sql = "select gone, bell from api.credential_delete($1, $2, $3, $4)",
	.nparams = 4,
	.write = true,
};

/* What can be pasted into phones that Debian has. The domain's name alone does
 * not lead them to us where DNS does not say so: our address does. */
static void add_phones(struct exchange *x, const struct pg_result *res,
		       const char *password)
{
	const char *email = pgres_text(res, 0, "email");
	const char *username = pgres_text(res, 0, "username");
	const char *server = pgres_text(res, 0, "server");
	const char *proxy = server ? arena_fmt(x->arena, "sip:%s", server)
				   : NULL;
	struct buf *b = &x->res.body;

	json_member(b, "baresip",
		    arena_fmt(x->arena,
			      "<sip:%s>;auth_user=%s;auth_pass=%s%s%s%s", email,
			      username, password, proxy ? ";outbound=\"" : "",
			      proxy ? proxy : "", proxy ? "\"" : ""));
	json_key(b, "linphone");
	buf_char(b, '{');
	json_member(b, "address", arena_fmt(x->arena, "sip:%s", email));
	json_member(b, "username", username);
	json_member(b, "domain", pgres_text(res, 0, "realm"));
	json_member(b, "password", password);
	json_member(b, "proxy", proxy);
	buf_char(b, '}');
}

static void created(struct exchange *x, const struct pg_result *res)
{
	const char *password = x->state;
	const char *doc = pgres_text(res, 0, "doc");
	struct buf path, *b = &x->res.body;

	buf_init(&path, RESPONSE_HEAD_MAX);
	buf_str(&path, "/user/");
	uri_encode(&path, pgres_text(res, 0, "email"));
	buf_fmt(&path, "/credential/%s", pgres_text(res, 0, "n"));
	response_location(&x->res, path.p);
	buf_free(&path);
	response_secret(&x->res);
	x->res.status = 201;
	x->res.type = "application/json";
	buf_add(b, doc, strlen(doc) - 1);
	json_member(b, "password", password);
	add_phones(x, res, password);
	buf_char(b, '}');
	exchange_answer(x);
}

void credential_create(struct exchange *x)
{
	static const struct body_member table[] = {
		{"label", JSON_STRING, false, 0, LABEL_MAX_BYTES, true},
		{"algorithm", JSON_STRING, false, 1, ALGORITHM_MAX_BYTES, true},
	};
	const struct json *found[2];
	char password[PASSWORD_SIZE];
	struct pg_args args;

	if (!body_form_or_empty(x, table, 2, found, NULL))
		return;
	if (password_make(password) ||
	    !(x->state = arena_str(x->arena, password))) {
		body_form_no_memory(x);
		return;
	}
	exchange_args(x, &args);
	pg_arg_text(&args, x->path.email);
	pg_arg_text(&args, found[0] ? found[0]->text : NULL);
	pg_arg_text(&args, found[1] ? found[1]->text : NULL);
	pg_arg_text(&args, x->state);
	exchange_query(x, &create_stmt, &args, created);
}

static void listed(struct exchange *x, const struct pg_result *res)
{
	struct buf *b = &x->res.body;

	buf_char(b, '[');
	for (int i = 0; i < PQntuples(res); i++) {
		if (i)
			buf_char(b, ',');
		buf_str(b, pgres_text(res, i, "doc"));
	}
	buf_char(b, ']');
	x->res.type = "application/json";
	exchange_answer(x);
}

/* An account has few: the one that was asked for is among them. */
static void got(struct exchange *x, const struct pg_result *res)
{
	for (int i = 0; i < PQntuples(res); i++) {
		if (pgres_int(res, i, "n") != x->path.n)
			continue;
		response_json(&x->res, 200, pgres_text(res, i, "doc"));
		exchange_answer(x);
		return;
	}
	exchange_problem(x, 404, "credential-not-found",
			 "There is no such credential.");
}

static void ask_list(struct exchange *x, exchange_result_h *on_result)
{
	struct pg_args args;

	exchange_args(x, &args);
	pg_arg_text(&args, x->path.email);
	exchange_query(x, &list_stmt, &args, on_result);
}

void credential_list(struct exchange *x)
{
	ask_list(x, listed);
}

void credential_get(struct exchange *x)
{
	ask_list(x, got);
}

static void deleted(struct exchange *x, const struct pg_result *res)
{
	(void)res; /* true: what is not there was refused */
	response_empty(&x->res, 204);
	exchange_answer(x);
}

void credential_delete(struct exchange *x)
{
	struct pg_args args;

	exchange_args(x, &args);
	pg_arg_text(&args, x->path.email);
	pg_arg_int(&args, x->path.n);
	exchange_query(x, &delete_stmt, &args, deleted);
}
