/*
 * call.c: /call and /call/{id}: conferences. Who joins one is call_join.c's,
 * who is in one participant.c's.
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
	INVITE_MAX = 10,
};

/* The members that we know; a patch may take away what is nullable. */
enum {
	SUBJECT,
	STARTS_AT,
	OPEN,
	INVITED,
	INVITE,
	MEMBERS,
	/* of a new one alone */
	SESSION = MEMBERS,
	MEMBERS_OF_NEW,
};
static const struct body_member table[MEMBERS_OF_NEW] = {
	[SUBJECT] = {"subject", JSON_STRING, false, 0, SUBJECT_MAX_BYTES, true},
	[STARTS_AT] = {"starts_at", JSON_STRING, false, 1, TIMESTAMP_MAX_BYTES,
		       true},
	[OPEN] = {"open", JSON_BOOL, false, 0, 0, true},
	[INVITED] = {"invited", JSON_ARRAY, false, 0, 0, true},
	[INVITE] = {"invite", JSON_ARRAY, false, 1, INVITE_MAX, true},
	[SESSION] = {"session", JSON_ANY, false, 0, 0, false},
};

static const struct pg_stmt list_stmt = {
	.name = "call_list",
	.sql = "select id, doc, fits from api.call_list($1, $2, $3, $4, $5)",
	.nparams = 5,
};
static const struct pg_stmt create_stmt = {
	.name = "call_create",
	.sql = "select id, doc, version, bell from api.call_create("
	       "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
	.nparams = 11,
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
	       "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
	.nparams = 11,
	.write = true,
};
static const struct pg_stmt delete_stmt = {
	.name = "call_delete",
	.sql = "select bell from api.call_delete($1, $2, $3, $4)",
	.nparams = 4,
	.write = true,
};
/* Only those of a state. @return false: answered */
static bool read_state(struct exchange *x, struct page *p, const char *state)
{
	if (!state)
		return true;
	if (strcmp(state, "active") != 0 && strcmp(state, "scheduled") != 0)
		return exchange_parameter(x, "state", "active or scheduled");
	p->also = arena_fmt(x->arena, "state=%s", state);
	if (!p->also)
		body_form_no_memory(x);

	return p->also != NULL;
}

void call_list(struct exchange *x)
{
	const char *state = request_query(&x->req, "state");
	struct page *p = page_begin(x, "/call", "id", true);
	struct pg_args args;

	if (!p || !read_state(x, p, state))
		return;
	exchange_args(x, &args);
	pg_arg_int(&args, p->after_n);
	pg_arg_int(&args, p->limit);
	pg_arg_text(&args, state);
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
				"a time such as 2030-01-31T09:00:00Z, with "
				"its zone, Z or +01:00 (RFC 3339)",
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

/* The email of a login's URL, or as such, and "me" of /login/me, which the
   database knows; false: it is none of these */
static bool read_login(struct exchange *x, const struct json *v,
		       char email[static AOR_BUF])
{
	static const char under[] = "/login/";
	const size_t n = sizeof(under) - 1;
	const char *text = v->type == JSON_STRING ? v->text : NULL;

	if (text && !strcmp(text, "/login/me")) {
		memcpy(email, "me", sizeof("me"));
		return true;
	}
	if (text && !strncmp(text, under, n))
		text = link_unescape(x->arena, text + n);
	else if (text && *text == '/')
		return false;

	return text && !aor_parse(email, text, strlen(text));
}

/* Who is rung at once, as emails; false: answered */
static bool read_invite(struct exchange *x, const struct json *invite,
			const char **out)
{
	char email[AOR_BUF];
	size_t i = 0;
	struct buf b;

	*out = NULL;
	if (!invite)
		return true;
	buf_init(&b, invite->count * (AOR_BUF + 3) + 2);
	for (const struct json *v = invite->first; v; v = v->next, i++) {
		if (!read_login(x, v, email)) {
			body_form_refuse_value(
				x, arena_fmt(x->arena, "/invite/%zu", i),
				"a login such as /login/alice@example.net", v);
			buf_free(&b);
			return false;
		}
		buf_fmt(&b, "%s\"%s\"", i ? "," : "[", email);
	}
	buf_char(&b, ']');
	*out = b.failed ? NULL : arena_mem(x->arena, b.p, b.len);
	buf_free(&b);
	if (!*out)
		body_form_no_memory(x);

	return *out != NULL;
}

void call_create(struct exchange *x)
{
	const struct json *found[MEMBERS_OF_NEW];
	const char *extra, *invite, *session;
	struct pg_args args;

	if (!body_form_or_empty(x, table, MEMBERS_OF_NEW, found, &extra))
		return;
	if (!body_form_text(x, found[SESSION], &session))
		return;
	exchange_args(x, &args);
	if (!read_invite(x, found[INVITE], &invite) ||
	    !add_members(x, &args, found))
		return;
	pg_arg_text(&args, extra);
	if (!exchange_idempotency(x, &args))
		return;
	pg_arg_text(&args, session);
	pg_arg_text(&args, invite);
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
	const char *extra, *given, *invite;
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
	if (!read_invite(x, found[INVITE], &invite) ||
	    !add_members(x, &args, found))
		return;
	pg_arg_text(&args, extra);
	if (!exchange_if_match(x, &args))
		return;
	pg_arg_text(&args, invite);
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
