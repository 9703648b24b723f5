/*
 * send.c: SEND and CANCEL, and what stands for them: any body of any type to
 * a user's contacts, and taking back what has not been sent yet. A receipt is
 * no message: it moves the one that it names (RFC 5438). Nor is that somebody
 * is writing: who is there is told (RFC 3994).
 */
#include <errno.h>
#include <string.h>

#include "common/arena.h"
#include "common/notice/composing.h"
#include "common/notice/imdn.h"
#include "common/pgres.h"
#include "common/utf8.h"
#include "resources/handlers.h"
#include "shared/negotiate.h"
#include "worker/body_form.h"
#include "worker/link.h"
#include "worker/timestamp.h"

static const struct pg_stmt post_stmt = {
	.name = "send_post",
	.sql = "select n, email, version, doc, bell from api.send_post("
	       "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
	.nparams = 12,
	.write = true,
};
static const struct pg_stmt receipt_stmt = {
	.name = "send_receipt",
	.sql = "select bell from api.send_receipt($1, $2, $3, $4, $5)",
	.nparams = 5,
	.write = true,
};
static const struct pg_stmt composing_stmt = {
	.name = "send_composing",
	.sql = "select bell from api.send_composing($1, $2, $3, $4)",
	.nparams = 4,
	.write = true,
};
static const struct pg_stmt cancel_stmt = {
	.name = "send_cancel",
	.sql = "select status, version, doc, recipients, bell "
	       "from api.send_cancel($1, $2, $3, $4)",
	.nparams = 4,
	.write = true,
};
static const struct pg_stmt trace_stmt = {
	.name = "send_trace",
	.sql = "select version, settled, doc "
	       "from api.send_trace($1, $2, $3, $4)",
	.nparams = 4,
};

/* How it is to be sent. */
struct options {
	const char *type;
	const char *send_at; /* null: now */
	bool offline;	     /* store it where nobody is */
};

static void sent(struct exchange *x, const struct pg_result *res)
{
	const char *location = link_to(x->arena, "/login/",
				       pgres_text(res, 0, "email"), "/",
				       pgres_int(res, 0, "n"));

	if (location)
		response_location(&x->res, location);
	response_etag(&x->res, pgres_text(res, 0, "version"));
	response_json(&x->res, 202, pgres_text(res, 0, "doc"));
	exchange_answer(x);
}

/* @return false: a problem has been answered */
static bool read_query(struct exchange *x, struct options *o)
{
	const char *offline = request_query(&x->req, "offline");
	const char *send_at = request_query(&x->req, "send_at");

	o->offline = true;
	if (offline && !strcmp(offline, "no"))
		o->offline = false;
	else if (offline && strcmp(offline, "yes") != 0)
		return exchange_parameter(x, "offline", "yes or no");
	if (!send_at)
		return true;
	o->send_at = timestamp_check(x->arena, send_at);

	return o->send_at ||
	       exchange_parameter(x, "send_at",
				  "a time such as 2030-01-31T09:00:00Z (RFC "
				  "3339)");
}

/* What the body is; curl says of any -d that it were a form. */
static const char *type_of(struct exchange *x)
{
	const char *type = request_param(&x->req, "CONTENT_TYPE");
	enum json_type json;

	if (!type || !*type)
		return "application/octet-stream";
	if (strcmp(request_media_type(&x->req, x->arena),
		   "application/x-www-form-urlencoded") != 0)
		return type;
	/* A lone number is a code that somebody is told. */
	json = body_form_type(x);
	if (json == JSON_OBJECT || json == JSON_ARRAY)
		return "application/json";

	return utf8_valid(x->body.p ? x->body.p : "", x->body.len) ==
			       x->body.len
		       ? "text/plain; charset=utf-8"
		       : "application/octet-stream";
}

static bool read_options(struct exchange *x, struct options *o)
{
	if (!read_query(x, o))
		return false;
	o->type = type_of(x);
	if (negotiate_type_is_sound(o->type))
		return true;
	exchange_problem(x, 400, "invalid-header",
			 arena_fmt(x->arena,
				   "Content-Type is a media type such as "
				   "text/plain; this is `%.*s`.",
				   utf8_shown(o->type, REQUEST_SHOWN_MAX),
				   o->type));

	return false;
}

static void refuse(struct exchange *x, int err, const char *why)
{
	if (err == EBADMSG)
		exchange_problem(x, 400, "invalid-body",
				 arena_fmt(x->arena, "%s.", why));
	else
		body_form_no_memory(x);
}

static void noted(struct exchange *x, const struct pg_result *res)
{
	(void)res; /* whom it has reached is nobody's business */
	response_empty(&x->res, 204);
	exchange_answer(x);
}

static void tell_composing(struct exchange *x, const struct composing *c)
{
	struct pg_args args;

	exchange_args(x, &args);
	pg_arg_text(&args, x->path.email);
	pg_arg_text(&args,
		    arena_fmt(x->arena, "%s %d", c->active ? "active" : "idle",
			      c->refresh_s));
	exchange_query(x, &composing_stmt, &args, noted);
}

static void note_receipt(struct exchange *x, const struct imdn *imdn)
{
	struct pg_args args;

	exchange_args(x, &args);
	pg_arg_text(&args, x->path.email);
	pg_arg_text(&args, arena_str(x->arena, imdn->message_id));
	pg_arg_text(&args, imdn->status);
	exchange_query(x, &receipt_stmt, &args, noted);
}

/* What is no message is done with here. @return whether it is one */
static bool is_message(struct exchange *x, struct imdn *imdn, const char *type)
{
	const char *body = x->body.p ? x->body.p : "";
	const size_t type_len = strlen(type);
	struct composing composing;
	const char *why = "";
	int err;

	err = composing_read(&composing, type, type_len, body, x->body.len,
			     &why);
	if (!err) {
		tell_composing(x, &composing);
		return false;
	}
	if (err == ENOENT)
		err = imdn_read(imdn, type, type_len, body, x->body.len, &why);
	if (err)
		refuse(x, err, why);
	else if (imdn->is_receipt)
		note_receipt(x, imdn);

	return !err && !imdn->is_receipt;
}

void send_post(struct exchange *x)
{
	struct options o = {.offline = true};
	struct imdn imdn;
	struct pg_args args;

	if (!read_options(x, &o) || !is_message(x, &imdn, o.type))
		return;
	exchange_args(x, &args);
	pg_arg_text(&args, x->path.email);
	if (x->path.n)
		pg_arg_int(&args, x->path.n);
	else
		pg_arg_null(&args);
	pg_arg_text(&args, o.type);
	pg_arg_bytea(&args, x->body.len ? x->body.p : "", x->body.len);
	pg_arg_bool(&args, o.offline);
	pg_arg_text(&args, o.send_at);
	pg_arg_text(&args, x->req.id);
	if (!exchange_idempotency(x, &args))
		return;
	pg_arg_text(&args, arena_str(x->arena, imdn.message_id));
	exchange_query(x, &post_stmt, &args, sent);
}

static void cancelled(struct exchange *x, const struct pg_result *res)
{
	struct problem p = {
		.status = 409,
		.slug = "message-not-cancellable",
		.detail = "It was on its way already, to some at least; the "
			  "rest have been stopped.",
	};

	if (pgres_int(res, 0, "status") == 200) {
		response_etag(&x->res, pgres_text(res, 0, "version"));
		response_json(&x->res, 200, pgres_text(res, 0, "doc"));
		exchange_answer(x);
		return;
	}
	p.extra = arena_fmt(x->arena, "\"recipients\":%s",
			    pgres_text(res, 0, "recipients"));
	exchange_problem_full(x, p);
}

void send_cancel(struct exchange *x)
{
	struct pg_args args;

	exchange_args(x, &args);
	pg_arg_text(&args, x->path.email);
	pg_arg_int(&args, x->path.n);
	exchange_query(x, &cancel_stmt, &args, cancelled);
}

static void traced(struct exchange *x, const struct pg_result *res)
{
	exchange_answer_doc(x, pgres_text(res, 0, "doc"),
			    pgres_text(res, 0, "version"),
			    pgres_bool(res, 0, "settled"));
}

void send_trace(struct exchange *x)
{
	struct pg_args args;

	exchange_args(x, &args);
	pg_arg_text(&args, x->path.email);
	pg_arg_int(&args, x->path.n);
	exchange_query(x, &trace_stmt, &args, traced);
}
