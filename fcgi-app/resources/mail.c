/*
 * mail.c: /user/{email}/messages: what anybody may leave and only the owner
 * may read. The content of one is mail_content.c's.
 */
#include <string.h>
#include <strings.h>

#include "common/pgres.h"
#include "common/utf8.h"
#include "resources/handlers.h"
#include "worker/body_form.h"
#include "worker/link.h"
#include "shared/negotiate.h"
#include "worker/page.h"

enum {
	URL_MAX_BYTES = 2048,
	TYPE_MAX_BYTES = 20,
};

/* A message to be left: by its URL or with its content. */
struct letter {
	const char *type; /* voice, video or text */
	const char *url;
	const char *content_type;
	const char *content; /* null: it has a URL */
	size_t len;
	const char *extra;
};

static const struct pg_stmt post_stmt = {
	.name = "mail_post",
	.sql = "select n, email, doc, bell from api.mail_post("
	       "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
	.nparams = 11,
	.write = true,
};
static const struct pg_stmt list_stmt = {
	.name = "mail_list",
	.sql = "select version, n, doc, fits "
	       "from api.mail_list($1, $2, $3, $4, $5)",
	.nparams = 5,
};
static const struct pg_stmt patch_stmt = {
	.name = "mail_patch",
	.sql = "select version, doc, bell from api.mail_patch("
	       "$1, $2, $3, $4, $5, $6, $7)",
	.nparams = 7,
	.write = true,
};
static const struct pg_stmt delete_stmt = {
	.name = "mail_delete",
	.sql = "select bell from api.mail_delete($1, $2, $3, $4, $5)",
	.nparams = 5,
	.write = true,
};

static const char text_plain[] = "text/plain; charset=utf-8";

/* What people may be led to: a browser would run `javascript:`. */
static const char *const schemes[] = {
	"http:", "https:", "sip:", "sips:", "rtsp:", "tel:"};

static bool has_scheme(const char *url)
{
	for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++) {
		const size_t n = strlen(schemes[i]);

		if (!strncasecmp(url, schemes[i], n) && url[n])
			return true;
	}

	return false;
}

/* A URL of a scheme that is known, or a path of ours; `//` begins another's
 * host, and a browser takes a backslash for a slash. */
static bool is_url(const struct json *v)
{
	for (size_t i = 0; i < v->len; i++) {
		if ((unsigned char)v->text[i] <= ' ' || v->text[i] == 0x7f ||
		    v->text[i] == '\\')
			return false;
	}
	if (v->text[0] == '/')
		return v->text[1] != '/';

	return has_scheme(v->text);
}

static bool is_type(const char *s)
{
	return !strcmp(s, "voice") || !strcmp(s, "video") || !strcmp(s, "text");
}

static bool read_url(struct exchange *x, struct letter *l,
		     const struct json *url, const struct json *type)
{
	l->url = url->text;
	l->type = type ? type->text : "voice";
	if (!is_url(url))
		body_form_refuse_value(x, "/url",
				       "a URL of http, https, sip, sips, rtsp "
				       "or tel, or a path of ours",
				       url);
	else if (!is_type(l->type))
		body_form_refuse_value(x, "/type", "voice, video or text",
				       type);
	else
		return true;

	return false;
}

static bool read_json(struct exchange *x, struct letter *l)
{
	static const struct body_member table[] = {
		{"url", JSON_STRING, false, 1, URL_MAX_BYTES, true},
		{"text", JSON_STRING, false, 1, BODY_TEXT_MAX, true},
		{"type", JSON_STRING, false, 1, TYPE_MAX_BYTES, true},
	};
	const struct json *found[3];

	if (!body_form(x, table, 3, found, &l->extra))
		return false;
	if (found[0] && found[1]) {
		body_form_refuse(x, "/text",
				 "A message has a `url` or a `text`; there "
				 "are both.");
		return false;
	}
	if (!found[0] && !found[1]) {
		body_form_refuse(x, "/url",
				 "A message has a `url` or a `text`; there is "
				 "neither.");
		return false;
	}
	if (found[0])
		return read_url(x, l, found[0], found[2]);
	l->type = "text";
	l->content_type = text_plain;
	l->content = found[1]->text;
	l->len = found[1]->len;

	return true;
}

static const char *type_of(const char *media)
{
	if (!strncmp(media, "audio/", 6))
		return "voice";
	if (!strncmp(media, "video/", 6))
		return "video";

	return strcmp(media, "text/plain") ? NULL : "text";
}

/* @return true: and it has been answered */
static bool is_empty(struct exchange *x)
{
	if (x->body.len == 0)
		exchange_problem(x, 400, "invalid-body",
				 "The body is empty; it is to be the "
				 "message.");

	return x->body.len == 0;
}

static bool read_content(struct exchange *x, struct letter *l,
			 const char *media)
{
	const char *type = request_param(&x->req, "CONTENT_TYPE");

	l->type = type_of(media);
	if (!l->type || !negotiate_type_is_sound(type)) {
		exchange_unsupported(
			x, "application/json, text/plain, audio/*, video/*");
		return false;
	}
	if (is_empty(x))
		return false;
	l->content_type = type;
	l->content = x->body.p;
	l->len = x->body.len;

	return true;
}

static bool read_text(struct exchange *x, struct letter *l)
{
	if (is_empty(x))
		return false;
	l->type = "text";
	l->content_type = text_plain;
	l->content = x->body.p;
	l->len = x->body.len;
	if (utf8_valid(l->content, l->len) == l->len)
		return true;
	exchange_problem(x, 400, "invalid-body",
			 "This is no UTF-8 text; say in Content-Type what it "
			 "is.");

	return false;
}

static bool read_letter(struct exchange *x, struct letter *l)
{
	const char *media = request_media_type(&x->req, x->arena);

	if (!media) {
		body_form_no_memory(x);
		return false;
	}
	/* what curl says of any -d: also of a text that is to be left */
	if (!strcmp(media, "application/x-www-form-urlencoded") &&
	    body_form_type(x) != JSON_OBJECT)
		return read_text(x, l);
	if (negotiate_is_json(request_param(&x->req, "CONTENT_TYPE"), false))
		return read_json(x, l);

	return read_content(x, l, media);
}

static void posted(struct exchange *x, const struct pg_result *res)
{
	const char *location = link_to(x->arena, "/user/",
				       pgres_text(res, 0, "email"),
				       "/messages/", pgres_int(res, 0, "n"));

	if (location)
		response_location(&x->res, location);
	response_json(&x->res, 201, pgres_text(res, 0, "doc"));
	exchange_answer(x);
}

void mail_post(struct exchange *x)
{
	struct letter l = {.type = NULL};
	struct pg_args args;

	if (!read_letter(x, &l))
		return;
	exchange_args(x, &args);
	pg_arg_text(&args, x->path.email);
	pg_arg_text(&args, l.type);
	pg_arg_text(&args, l.url);
	pg_arg_text(&args, l.content_type);
	if (l.content)
		pg_arg_bytea(&args, l.content, l.len);
	else
		pg_arg_null(&args);
	pg_arg_text(&args, l.extra);
	if (!exchange_idempotency(x, &args))
		return;
	pg_arg_text(&args, x->req.remote);
	exchange_query(x, &post_stmt, &args, posted);
}

void mail_list(struct exchange *x)
{
	page_of_account(x, "/messages", &list_stmt);
}

static void patched(struct exchange *x, const struct pg_result *res)
{
	response_etag(&x->res, pgres_text(res, 0, "version"));
	response_json(&x->res, 200, pgres_text(res, 0, "doc"));
	exchange_answer(x);
}

void mail_patch(struct exchange *x)
{
	static const struct body_member table[] = {
		{"seen", JSON_BOOL, false, 0, 0, false},
	};
	const struct json *seen;
	const char *extra;
	struct pg_args args;

	if (!body_form(x, table, 1, &seen, &extra))
		return;
	exchange_args(x, &args);
	pg_arg_text(&args, x->path.email);
	pg_arg_int(&args, x->path.n);
	if (seen)
		pg_arg_bool(&args, seen->truth);
	else
		pg_arg_null(&args);
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

void mail_delete(struct exchange *x)
{
	struct pg_args args;

	exchange_args(x, &args);
	pg_arg_text(&args, x->path.email);
	pg_arg_int(&args, x->path.n);
	if (exchange_if_match(x, &args))
		exchange_query(x, &delete_stmt, &args, deleted);
}
