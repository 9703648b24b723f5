/*
 * user.c: /user and /user/{email}: accounts and their profiles.
 */
#include <string.h>

#include "common/aor.h"
#include "common/config.h"
#include "common/json_write.h"
#include "common/password.h"
#include "common/pgres.h"
#include "resources/handlers.h"
#include "worker/body_form.h"
#include "worker/page.h"

enum {
	NAME_MAX_BYTES = 4 * AOR_MAX, /* before IDNA */
};

/* A sign-up or a change while its password is hashed. */
struct change {
	const char *email;
	const char *extra;
	const char *password; /* in clear, until it is hashed */
	bool made;	      /* by us: to be shown */
	bool merge, revoke;
};

static const struct pg_stmt take_stmt = {
	.name = "signup_take",
	.sql = "select api.signup_take($1, $2)",
	.nparams = 2,
	.write = true,
};
static const struct pg_stmt create_stmt = {
	.name = "user_create",
	.sql = "select email, doc, version, bell "
	       "from api.user_create($1, $2, $3)",
	.nparams = 3,
	.write = true,
};
static const struct pg_stmt list_stmt = {
	.name = "user_list",
	.sql = "select email, doc, fits from api.user_list($1, $2, $3, $4)",
	.nparams = 4,
};
static const struct pg_stmt get_stmt = {
	.name = "user_get",
	.sql = "select doc, version from api.user_get($1, $2, $3)",
	.nparams = 3,
};
static const struct pg_stmt put_stmt = {
	.name = "user_put",
	.sql = "select doc, version, bell "
	       "from api.user_put($1, $2, $3, $4, $5, $6, $7, $8, $9)",
	.nparams = 9,
	.write = true,
};
static const struct pg_stmt delete_stmt = {
	.name = "user_delete",
	.sql = "select bell from api.user_delete($1, $2, $3, $4)",
	.nparams = 4,
	.write = true,
};

static void created(struct exchange *x, const struct pg_result *res)
{
	const struct change *change = x->state;
	const char *doc = pgres_text(res, 0, "doc");
	struct buf path, *b = &x->res.body;

	buf_init(&path, RESPONSE_HEAD_MAX);
	buf_str(&path, "/user/");
	uri_encode(&path, pgres_text(res, 0, "email"));
	response_location(&x->res, path.p);
	buf_free(&path);
	response_etag(&x->res, pgres_text(res, 0, "version"));
	if (!change->made) {
		response_json(&x->res, 201, doc);
		exchange_answer(x);
		return;
	}
	response_secret(&x->res);
	x->res.status = 201;
	x->res.type = "application/json";
	buf_add(b, doc, strlen(doc) - 1);
	json_member(b, "password", change->password);
	buf_char(b, '}');
	exchange_answer(x);
}

static void create_hashed(struct exchange *x, const char *hash)
{
	const struct change *change = x->state;
	struct pg_args args = {.n = 0};

	pg_arg_text(&args, change->email);
	pg_arg_text(&args, arena_str(x->arena, hash));
	pg_arg_text(&args, change->extra);
	exchange_query(x, &create_stmt, &args, created);
}

/* Hashing is dear: it is done for those who may have an account. */
static void create_taken(struct exchange *x, const struct pg_result *res)
{
	const struct change *change = x->state;

	(void)res; /* nothing: who may not was refused */
	exchange_hash(x, change->password, create_hashed);
}

/* @return false: a problem has been answered */
static bool check_password(struct exchange *x, const struct json *v)
{
	const size_t n = password_characters(v->text, v->len);

	if (n >= PASSWORD_MIN)
		return true;
	body_form_refuse(x, "/password",
			 arena_fmt(x->arena,
				   "A password has at least %d characters; "
				   "this has %zu.",
				   PASSWORD_MIN, n));
	return false;
}

/* Before the @ it is ASCII, which every phone can write, and in which no name
   looks like another's. A domain may be any (RFC 5891). */
static const char *email_wanted(const struct json *v)
{
	for (size_t i = 0; i < v->len && v->text[i] != '@'; i++)
		if ((unsigned char)v->text[i] >= 0x80)
			return "an email such as alice@example.net, with "
			       "nothing but ASCII before the @";

	return "an email such as alice@example.net";
}

/* The email of a sign-up in its normal form, or null: answered. */
static const char *check_email(struct exchange *x, const struct json *v)
{
	char email[AOR_BUF];
	const char *copy;

	if (aor_parse(email, v->text, v->len)) {
		body_form_refuse_value(x, "/email", email_wanted(v), v);
		return NULL;
	}
	if (!config_hosts(x->app->config, aor_domain(email))) {
		exchange_problem_at(
			x, 403, "domain-not-hosted",
			arena_fmt(x->arena,
				  "Accounts are made here for these domains: "
				  "%s; this is for %s.",
				  x->app->config->http.domains,
				  aor_domain(email)),
			"/email");
		return NULL;
	}
	copy = arena_str(x->arena, email);
	if (!copy)
		body_form_no_memory(x);

	return copy;
}

void user_create(struct exchange *x)
{
	static const struct body_member table[] = {
		{"email", JSON_STRING, true, 1, NAME_MAX_BYTES, false},
		{"password", JSON_STRING, false, 1, PASSWORD_MAX, true},
	};
	const struct json *found[2];
	struct change *change = arena_alloc(x->arena, sizeof(*change));
	char made[PASSWORD_SIZE];
	struct pg_args args = {.n = 0};

	if (!x->app->config->http.signup_open) {
		exchange_problem(x, 403, "signup-closed",
				 "Here an operator makes the accounts "
				 "(restsipctl user add).");
		return;
	}
	if (!change) {
		body_form_no_memory(x);
		return;
	}
	x->state = change;
	if (!body_form(x, table, 2, found, &change->extra))
		return;
	change->email = check_email(x, found[0]);
	if (!change->email || (found[1] && !check_password(x, found[1])))
		return;
	change->made = !found[1];
	if (found[1])
		change->password = found[1]->text;
	else if (password_make(made) ||
		 !(change->password = arena_str(x->arena, made))) {
		body_form_no_memory(x);
		return;
	}
	pg_arg_text(&args, change->email);
	pg_arg_text(&args, x->who.source);
	exchange_query(x, &take_stmt, &args, create_taken);
}

void user_list(struct exchange *x)
{
	const struct page *p = page_begin(x, "/user", "email", false);
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
	/* the owner sees more than others */
	response_header_add(&x->res, "Vary", "Authorization");
	exchange_answer_doc(x, pgres_text(res, 0, "doc"),
			    pgres_text(res, 0, "version"), true);
}

void user_get(struct exchange *x)
{
	struct pg_args args;

	exchange_args(x, &args);
	pg_arg_text(&args, x->path.email);
	exchange_query(x, &get_stmt, &args, got);
}

static void changed(struct exchange *x, const struct pg_result *res)
{
	response_etag(&x->res, pgres_text(res, 0, "version"));
	response_json(&x->res, 200, pgres_text(res, 0, "doc"));
	exchange_answer(x);
}

static void change_hashed(struct exchange *x, const char *hash)
{
	const struct change *change = x->state;
	struct pg_args args;

	exchange_args(x, &args);
	pg_arg_text(&args, x->path.email);
	pg_arg_text(&args, change->extra);
	pg_arg_bool(&args, change->merge);
	pg_arg_text(&args, hash ? arena_str(x->arena, hash) : NULL);
	if (!exchange_if_match(x, &args))
		return;
	pg_arg_bool(&args, change->revoke);
	pg_arg_text(&args, x->who.source);
	exchange_query(x, &put_stmt, &args, changed);
}

/* Both go together: to revoke without a new password would be no more than to
   delete the credentials. */
static bool check_change(struct exchange *x, const struct json *password,
			 const struct json *revoke)
{
	if (password)
		return check_password(x, password);
	if (!revoke)
		return true;
	body_form_refuse(x, "/revoke",
			 "`revoke` goes with a new `password`; there is none.");
	return false;
}

static void change_user(struct exchange *x, bool merge)
{
	static const struct body_member table[] = {
		{"password", JSON_STRING, false, 1, PASSWORD_MAX, false},
		{"revoke", JSON_BOOL, false, 0, 0, false},
	};
	const struct json *found[2];
	struct change *change = arena_alloc(x->arena, sizeof(*change));

	if (!change) {
		body_form_no_memory(x);
		return;
	}
	x->state = change;
	change->merge = merge;
	if (!body_form(x, table, 2, found, &change->extra) ||
	    !check_change(x, found[0], found[1]))
		return;
	change->revoke = found[1] && found[1]->truth;
	if (!found[0])
		change_hashed(x, NULL);
	else if (x->who.who)
		exchange_hash(x, found[0]->text, change_hashed);
	else
		change_hashed(x, ""); /* will be refused: with a token alone */
}

void user_put(struct exchange *x)
{
	change_user(x, false);
}

void user_patch(struct exchange *x)
{
	change_user(x, true);
}

static void deleted(struct exchange *x, const struct pg_result *res)
{
	(void)res; /* only a doorbell */
	response_empty(&x->res, 204);
	exchange_answer(x);
}

void user_delete(struct exchange *x)
{
	struct pg_args args;

	exchange_args(x, &args);
	pg_arg_text(&args, x->path.email);
	if (exchange_if_match(x, &args))
		exchange_query(x, &delete_stmt, &args, deleted);
}
