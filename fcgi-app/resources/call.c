/*
 * call.c: /call and /call/{id}: conferences, and joining one. A participant
 * is participant.c's.
 */
#include <string.h>

#include "common/aor.h"
#include "common/pgres.h"
#include "resources/handlers.h"
#include "worker/body_form.h"
#include "worker/link.h"
#include "worker/page.h"
#include "worker/timestamp.h"

enum {
	SUBJECT_MAX_BYTES = 1000,
	TIMESTAMP_MAX_BYTES = 40,
	ADDRESS_MAX_BYTES = 4 * AOR_MAX,
};

/* The members that we know; a patch may take away what is nullable. */
enum {
	SUBJECT,
	STARTS_AT,
	OPEN,
	INVITED,
	MEMBERS,
};
static const struct body_member table[MEMBERS] = {
	[SUBJECT] = {"subject", JSON_STRING, false, 0, SUBJECT_MAX_BYTES, true},
	[STARTS_AT] = {"starts_at", JSON_STRING, false, 1, TIMESTAMP_MAX_BYTES,
		       true},
	[OPEN] = {"open", JSON_BOOL, false, 0, 0, true},
	[INVITED] = {"invited", JSON_ARRAY, false, 0, 0, true},
};

static const struct pg_stmt list_stmt = {
	.name = "call_list",
	.sql = "select id, doc, fits from api.call_list($1, $2, $3, $4)",
	.nparams = 4,
};
static const struct pg_stmt create_stmt = {
	.name = "call_create",
	.sql = "select id, doc, version, bell from api.call_create("
	       "$1, $2, $3, $4, $5, $6, $7, $8, $9)",
	.nparams = 9,
	.write = true,
};
static const struct pg_stmt get_stmt = {
	.name = "call_get",
	.sql = "select version, doc from api.call_get($1, $2, $3)",
	.nparams = 3,
};
static const struct pg_stmt get_as_stmt = {
	.name = "call_get_as",
	.sql = "select version, doc from api.call_get_as($1, $2, $3)",
	.nparams = 3,
};
static const struct pg_stmt patch_stmt = {
	.name = "call_patch",
	.sql = "select version, doc, bell from api.call_patch("
	       "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
	.nparams = 10,
	.write = true,
};
static const struct pg_stmt delete_stmt = {
	.name = "call_delete",
	.sql = "select bell from api.call_delete($1, $2, $3, $4)",
	.nparams = 4,
	.write = true,
};
static const struct pg_stmt join_stmt = {
	.name = "call_join",
	.sql = "select n, version, doc, bell, created from api.call_join("
	       "$1, $2, $3, $4, $5, $6, $7, $8)",
	.nparams = 8,
	.write = true,
};

void call_list(struct exchange *x)
{
	const struct page *p = page_begin(x, "/call", "id", true);
	struct pg_args args;

	if (!p)
		return;
	exchange_args(x, &args);
	pg_arg_int(&args, p->after_n);
	pg_arg_int(&args, p->limit);
	exchange_query(x, &list_stmt, &args, page_answer);
}

/* Emails in their normal form, as the database has them; false: answered. */
static bool read_invited(struct exchange *x, const struct json *invited,
			 const char **out)
{
	char email[AOR_BUF];
	size_t i = 0;
	struct buf b;

	*out = NULL;
	if (!invited)
		return true;
	buf_init(&b, invited->count * (AOR_BUF + 3) + 2);
	buf_char(&b, '[');
	for (const struct json *v = invited->first; v; v = v->next, i++) {
		if (v->type != JSON_STRING ||
		    aor_parse(email, v->text, v->len)) {
			body_form_refuse_value(
				x, arena_fmt(x->arena, "/invited/%zu", i),
				"an email such as alice@example.net", v);
			buf_free(&b);
			return false;
		}
		/* nothing in an email has to be escaped */
		buf_fmt(&b, "%s\"%s\"", i ? "," : "", email);
	}
	buf_char(&b, ']');
	*out = b.failed ? NULL : arena_mem(x->arena, b.p, b.len);
	buf_free(&b);
	if (!*out)
		body_form_no_memory(x);

	return *out != NULL;
}

/* Add p_subject, p_starts_at, p_open, p_invited; false: answered. */
static bool add_members(struct exchange *x, struct pg_args *args,
			const struct json *const *found)
{
	const char *starts_at = NULL, *invited;

	if (found[STARTS_AT]) {
		starts_at = timestamp_check(x->arena, found[STARTS_AT]->text);
		if (!starts_at) {
			body_form_refuse_value(
				x, "/starts_at",
				"a time such as 2030-01-31T09:00:00Z (RFC "
				"3339)",
				found[STARTS_AT]);
			return false;
		}
	}
	if (!read_invited(x, found[INVITED], &invited))
		return false;
	pg_arg_text(args, found[SUBJECT] ? found[SUBJECT]->text : NULL);
	pg_arg_text(args, starts_at);
	if (found[OPEN])
		pg_arg_bool(args, found[OPEN]->truth);
	else
		pg_arg_null(args);
	pg_arg_text(args, invited);

	return true;
}

static void created(struct exchange *x, const struct pg_result *res)
{
	response_header_fmt(&x->res, "Location", "/call/%s",
			    pgres_text(res, 0, "id"));
	response_etag(&x->res, pgres_text(res, 0, "version"));
	response_json(&x->res, 201, pgres_text(res, 0, "doc"));
	exchange_answer(x);
}

void call_create(struct exchange *x)
{
	const struct json *found[MEMBERS];
	const char *extra;
	struct pg_args args;

	if (!body_form_or_empty(x, table, MEMBERS, found, &extra))
		return;
	exchange_args(x, &args);
	if (!add_members(x, &args, found))
		return;
	pg_arg_text(&args, extra);
	if (exchange_idempotency(x, &args))
		exchange_query(x, &create_stmt, &args, created);
}

static void got(struct exchange *x, const struct pg_result *res)
{
	/* sessions are shown to some and not to others */
	response_header_add(&x->res, "Vary", "Authorization");
	exchange_answer_doc(x, pgres_text(res, 0, "doc"),
			    pgres_text(res, 0, "version"), true);
	if (x->res.type && x->state)
		x->res.type = x->state;
}

void call_get(struct exchange *x)
{
	const char *type = exchange_accept(x, x->route->types);
	const bool json = type && !strcmp(type, "application/json");
	struct pg_args args;

	if (!type)
		return;
	/* a constant of the table; state is only read */
	x->state = json ? NULL : (void *)(uintptr_t)type;
	exchange_args(x, &args);
	pg_arg_int(&args, x->path.call);
	exchange_query(x, json ? &get_stmt : &get_as_stmt, &args, got);
}

/* Names of the members that the body has, null or not, as text[]. */
static const char *members_given(struct exchange *x, const struct json *object)
{
	const char *list = "";

	for (size_t i = 0; i < MEMBERS && list; i++) {
		if (body_get(object, table[i].name))
			list = arena_fmt(x->arena, "%s%s%s", list,
					 *list ? "," : "", table[i].name);
	}

	return list ? arena_fmt(x->arena, "{%s}", list) : NULL;
}

static void patched(struct exchange *x, const struct pg_result *res)
{
	response_etag(&x->res, pgres_text(res, 0, "version"));
	response_json(&x->res, 200, pgres_text(res, 0, "doc"));
	exchange_answer(x);
}

void call_patch(struct exchange *x)
{
	const struct json *object, *found[MEMBERS];
	const char *extra, *given;
	struct pg_args args;

	if (!body_form_value(x, &object) ||
	    !body_form_members(x, object, "", table, MEMBERS, found, &extra))
		return;
	given = members_given(x, object);
	if (!given) {
		body_form_no_memory(x);
		return;
	}
	exchange_args(x, &args);
	pg_arg_int(&args, x->path.call);
	pg_arg_text(&args, given);
	if (!add_members(x, &args, found))
		return;
	pg_arg_text(&args, extra);
	if (exchange_if_match(x, &args))
		exchange_query(x, &patch_stmt, &args, patched);
}

static void deleted(struct exchange *x, const struct pg_result *res)
{
	(void)res; /* only a doorbell */
	response_empty(&x->res, 204);
	exchange_answer(x);
}

void call_delete(struct exchange *x)
{
	struct pg_args args;

	exchange_args(x, &args);
	pg_arg_int(&args, x->path.call);
	if (exchange_if_match(x, &args))
		exchange_query(x, &delete_stmt, &args, deleted);
}

static void joined(struct exchange *x, const struct pg_result *res)
{
	response_header_fmt(&x->res, "Location", "/call/%lld/%s",
			    (long long)x->path.call, pgres_text(res, 0, "n"));
	response_etag(&x->res, pgres_text(res, 0, "version"));
	response_json(&x->res, pgres_bool(res, 0, "created") ? 201 : 200,
		      pgres_text(res, 0, "doc"));
	exchange_answer(x);
}

/* The email of the one who joins, in its normal form: given as such, or as a
   login's URL. */
static const char *read_who(struct exchange *x, const struct json *url,
			    const struct json *email)
{
	static const char under[] = "/login/";
	const struct json *v = email ? email : url;
	const char *pointer = email ? "/email" : "/url";
	char aor[AOR_BUF];
	const char *text;

	if (!v)
		return "me";
	text = v->text;
	if (!email) {
		text = strncmp(text, under, strlen(under))
			       ? NULL
			       : link_unescape(x->arena, text + strlen(under));
	}
	if (text && !strcmp(text, "me"))
		return "me";
	if (!text || aor_parse(aor, text, strlen(text))) {
		body_form_refuse_value(
			x, pointer,
			email ? "an email such as alice@example.net"
			      : "a login such as /login/alice@example.net",
			v);
		return NULL;
	}
	text = arena_str(x->arena, aor);
	if (!text)
		body_form_no_memory(x);

	return text;
}

void call_join(struct exchange *x)
{
	static const struct body_member members[] = {
		{"url", JSON_STRING, false, 1, ADDRESS_MAX_BYTES, true},
		{"email", JSON_STRING, false, 1, ADDRESS_MAX_BYTES, true},
		{"session", JSON_ANY, false, 0, 0, false},
	};
	const struct json *found[3];
	const char *extra, *who, *session = NULL;
	struct pg_args args;

	if (!body_form_or_empty(x, members, 3, found, &extra))
		return;
	who = read_who(x, found[0], found[1]);
	if (!who)
		return;
	if (found[2]) {
		session = body_text(found[2], x->arena);
		if (!session) {
			body_form_no_memory(x);
			return;
		}
	}
	exchange_args(x, &args);
	pg_arg_int(&args, x->path.call);
	pg_arg_text(&args, who);
	pg_arg_text(&args, session);
	pg_arg_text(&args, extra);
	if (exchange_idempotency(x, &args))
		exchange_query(x, &join_stmt, &args, joined);
}
