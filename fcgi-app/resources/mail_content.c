/*
 * mail_content.c: GET /user/{email}/messages/{n}: the content as it was
 * left, or a part of it, or its description as JSON, by Accept.
 *
 * Small content is fetched with the first statement. Large content waits until
 * this worker holds little enough, and is fetched by a second one.
 */
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "common/pgres.h"
#include "resources/handlers.h"
#include "worker/body_form.h"
#include "worker/range.h"

enum {
	SMALL_MAX = 64 << 10, /* bytes of the first call */
};

/* What is being fetched. */
struct fetch {
	struct range range;
	struct range_part part; /* once the size is known */
	int64_t first, length;	/* of the content in the present call */
};

static const struct pg_stmt get_stmt = {
	.name = "mail_get",
	.sql = "select version, doc, content_type, size, content "
	       "from api.mail_get($1, $2, $3, $4, $5, $6)",
	.nparams = 6,
};

static void ask(struct exchange *x, exchange_result_h *on_result)
{
	const struct fetch *f = x->state;
	struct pg_args args;

	exchange_args(x, &args);
	pg_arg_text(&args, x->path.email);
	pg_arg_int(&args, x->path.n);
	pg_arg_int(&args, f->first);
	pg_arg_int(&args, f->length);
	exchange_query(x, &get_stmt, &args, on_result);
}

/* Whether a browser only shows or plays it. Any type that ends in +xml may be a
   page, with scripts. */
static bool is_harmless(const char *type)
{
	size_t n = strcspn(type, "; \t");

	return (n == 10 && !strncasecmp(type, "text/plain", n)) ||
	       ((!strncasecmp(type, "audio/", 6) ||
		 !strncasecmp(type, "video/", 6)) &&
		!memchr(type, '+', n));
}

/* Anybody may leave mail, and its owner opens it in a browser that is signed
   in. */
static void keep_harmless(struct exchange *x, const char *type)
{
	response_header(&x->res, "Content-Security-Policy",
			RESPONSE_POLICY "; media-src 'self'; sandbox");
	if (!is_harmless(type))
		response_header(&x->res, "Content-Disposition", "attachment");
}

static void answer_content(struct exchange *x, const struct pg_result *res)
{
	const struct fetch *f = x->state;
	const struct range_part *part = &f->part;
	unsigned char *bytes;
	size_t n;

	bytes = pgres_bytes(res, 0, "content", &n);
	if (!bytes || n < (size_t)part->length) {
		body_form_no_memory(x);
		PQfreemem(bytes);
		return;
	}
	response_bytes(&x->res, part->partial ? 206 : 200,
		       pgres_text(res, 0, "content_type"), bytes,
		       (size_t)part->length);
	PQfreemem(bytes);
	x->res.exact = true;
	keep_harmless(x, pgres_text(res, 0, "content_type"));
	response_header(&x->res, "Accept-Ranges", "bytes");
	response_etag(&x->res, pgres_text(res, 0, "version"));
	if (part->partial)
		response_header_fmt(&x->res, "Content-Range",
				    "bytes %" PRId64 "-%" PRId64 "/%s",
				    part->first, part->first + part->length - 1,
				    pgres_text(res, 0, "size"));
	exchange_answer(x);
}

static void refuse_range(struct exchange *x, int64_t size)
{
	exchange_problem(x, 416, NULL,
			 arena_fmt(x->arena,
				   "Range names no byte of the %" PRId64
				   " that there are.",
				   size));
	response_header_fmt(&x->res, "Content-Range", "bytes */%" PRId64, size);
}

/* A part is only of use to the client if it is of the version that the client
   has. */
static bool wants_range(struct exchange *x, const char *version)
{
	const char *tag = request_header(&x->req, "If-Range");
	const size_t n = strlen(version);

	return !tag || (strlen(tag) == n + 2 && tag[0] == '"' &&
			tag[n + 1] == '"' && !memcmp(tag + 1, version, n));
}

static void ask_for_part(struct exchange *x)
{
	ask(x, answer_content);
}

static void got_content(struct exchange *x, const struct pg_result *res)
{
	const char *version = pgres_text(res, 0, "version");
	const int64_t size = pgres_int(res, 0, "size");
	struct fetch *f = x->state;

	if (response_not_modified(&x->req, version)) {
		response_empty(&x->res, 304);
		response_etag(&x->res, version);
		exchange_answer(x);
		return;
	}
	f->range.given = f->range.given && wants_range(x, version);
	if (!range_resolve(&f->range, size, &f->part)) {
		refuse_range(x, size);
		return;
	}
	if (f->part.first == f->first && f->part.length <= f->length &&
	    !PQgetisnull(res, 0, PQfnumber(res, "content"))) {
		answer_content(x, res);
		return;
	}
	f->first = f->part.first;
	f->length = f->part.length;
	if (f->part.length > SMALL_MAX)
		exchange_hold_large(x, ask_for_part);
	else
		ask_for_part(x);
}

/* Content comes first where there is some: it is the default. */
static void got(struct exchange *x, const struct pg_result *res)
{
	const char *content_type = pgres_text(res, 0, "content_type");
	const bool content = !pgres_null(res, 0, "content_type");
	const char *types[] = {"application/json", NULL, NULL};
	const char *type;

	if (content) {
		types[1] = types[0];
		types[0] = arena_mem(x->arena, content_type,
				     strcspn(content_type, "; \t"));
	}
	if (!types[0]) {
		body_form_no_memory(x);
		return;
	}
	type = exchange_accept(x, types);
	if (!type)
		return;
	if (content && type == types[0])
		got_content(x, res);
	else
		exchange_answer_doc(x, pgres_text(res, 0, "doc"),
				    pgres_text(res, 0, "version"), true);
}

void mail_get(struct exchange *x)
{
	struct fetch *f = arena_alloc(x->arena, sizeof(*f));

	if (!f) {
		body_form_no_memory(x);
		return;
	}
	x->state = f;
	f->range = range_parse(request_header(&x->req, "Range"));
	f->length = SMALL_MAX;
	if (f->range.suffix) {
		f->length = 0; /* where it begins is not known yet */
	} else if (f->range.given && f->range.first <= BODY_MAIL_MAX) {
		f->first = f->range.first;
	}
	ask(x, got);
}
