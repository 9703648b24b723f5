/*
 * session.c: /session and /session/ticket: bearer tokens for a password, and
 * tickets for a token. Each is shown once; the database keeps its SHA-256. Who
 * is signed in reads which ICE servers there are for media.
 */
#include "common/json_write.h"
#include "common/pgres.h"
#include "common/secret.h"
#include "resources/handlers.h"
#include "worker/body_form.h"
#include "worker/ice.h"

enum {
	EXPIRES_MIN_S = 60,
	EXPIRES_MAX_S = 30 * 24 * 3600,
};

/* What is made: shown in the answer, hashed in the call. */
struct made {
	char token[TOKEN_SIZE];
	uint8_t hash[SHA256_SIZE];
};

static const struct pg_stmt create_stmt = {
	.name = "session_create",
	.sql = "select email, expires, expires_at, bell "
	       "from api.session_create($1, $2, $3, $4)",
	.nparams = 4,
	.write = true,
};
static const struct pg_stmt get_stmt = {
	.name = "session_get",
	.sql = "select email, expires_at, ice_expires, ice_expires_at "
	       "from api.session_get($1, $2)",
	.nparams = 2,
};
static const struct pg_stmt delete_stmt = {
	.name = "session_delete",
	.sql = "select ended, bell from api.session_delete($1, $2)",
	.nparams = 2,
	.write = true,
};
static const struct pg_stmt ticket_stmt = {
	.name = "ticket_create",
	.sql = "select expires, expires_at "
	       "from api.ticket_create($1, $2, $3)",
	.nparams = 3,
	.write = true,
};

static struct made *make(struct exchange *x)
{
	struct made *m = arena_alloc(x->arena, sizeof(*m));

	if (!m || random_token(m->token) ||
	    sha256(m->hash, m->token, TOKEN_SIZE - 1)) {
		body_form_no_memory(x);
		return NULL;
	}
	x->state = m;

	return m;
}

static void answer(struct exchange *x, const struct pg_result *res)
{
	struct buf *b = &x->res.body;

	json_member_int(b, "expires", pgres_int(res, 0, "expires"));
	json_member(b, "expires_at", pgres_text(res, 0, "expires_at"));
	buf_char(b, '}');
	x->res.status = 201;
	x->res.type = "application/json";
	response_secret(&x->res);
	exchange_answer(x);
}

static void session_created(struct exchange *x, const struct pg_result *res)
{
	const struct made *m = x->state;
	struct buf *b = &x->res.body;

	buf_char(b, '{');
	json_member(b, "token", m->token);
	json_member(b, "token_type", "Bearer");
	json_member(b, "email", pgres_text(res, 0, "email"));
	answer(x, res);
}

void session_create(struct exchange *x)
{
	static const struct body_member table[] = {
		{"expires", JSON_SECONDS, false, EXPIRES_MIN_S, EXPIRES_MAX_S,
		 true},
	};
	const struct json *expires;
	long long expires_s;
	struct pg_args args;
	const struct made *m;

	if (!body_form_or_empty(x, table, 1, &expires, NULL))
		return;
	m = make(x);
	if (!m)
		return;
	exchange_args(x, &args);
	pg_arg_bytea(&args, m->hash, sizeof(m->hash));
	if (expires && body_integer(expires, &expires_s))
		pg_arg_int(&args, expires_s);
	else
		pg_arg_null(&args);
	exchange_query(x, &create_stmt, &args, session_created);
}

static void session_shown(struct exchange *x, const struct pg_result *res)
{
	const char *email = pgres_text(res, 0, "email");
	struct buf *b = &x->res.body;

	buf_char(b, '{');
	json_member(b, "email", email);
	json_member(b, "expires_at", pgres_text(res, 0, "expires_at"));
	json_key(b, "ice_servers");
	if (ice_write(b, x->app->config, email,
		      pgres_int(res, 0, "ice_expires"))) {
		exchange_error(x, APP_INTERNAL);
		return;
	}
	json_member(b, "ice_expires_at", pgres_text(res, 0, "ice_expires_at"));
	buf_char(b, '}');
	x->res.type = "application/json";
	response_secret(&x->res);
	exchange_answer(x);
}

void session_get(struct exchange *x)
{
	struct pg_args args;

	exchange_args(x, &args);
	exchange_query(x, &get_stmt, &args, session_shown);
}

static void session_deleted(struct exchange *x, const struct pg_result *res)
{
	(void)res; /* the number of sessions that ended is not told */
	response_empty(&x->res, 204);
	exchange_answer(x);
}

void session_delete(struct exchange *x)
{
	struct pg_args args;

	exchange_args(x, &args);
	exchange_query(x, &delete_stmt, &args, session_deleted);
}

static void ticket_created(struct exchange *x, const struct pg_result *res)
{
	const struct made *m = x->state;

	buf_char(&x->res.body, '{');
	json_member(&x->res.body, "ticket", m->token);
	answer(x, res);
}

void ticket_create(struct exchange *x)
{
	const struct made *m = make(x);
	struct pg_args args;

	if (!m)
		return;
	exchange_args(x, &args);
	pg_arg_bytea(&args, m->hash, sizeof(m->hash));
	exchange_query(x, &ticket_stmt, &args, ticket_created);
}
