/*
 * call_join.c: POST /call/{id}: who joins a call, and until when.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/aor.h"
#include "common/pgres.h"
#include "resources/handlers.h"
#include "worker/body_form.h"
#include "worker/link.h"

enum {
	ADDRESS_MAX_BYTES = 4 * AOR_MAX,
	LIFETIME_MAX_BYTES = 16,
};

static const struct pg_stmt join_stmt = {
	.name = "call_join",
	.sql = "select n, version, doc, bell, created from api.call_join("
	       "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
	.nparams = 10,
	.write = true,
};

static void joined(struct exchange *x, const struct pg_result *res)
{
	response_header_fmt(&x->res, "Location", "/call/%lld/%s",
			    (long long)x->path.call, pgres_text(res, 0, "n"));
	response_etag(&x->res, pgres_text(res, 0, "version"));
	response_json(&x->res, pgres_bool(res, 0, "created") ? 201 : 200,
		      pgres_text(res, 0, "doc"));
	exchange_answer(x);
}

/* Who joins, and what it stays there with. */
struct joining {
	const char *who;    /* an email in its normal form, or `me` */
	int64_t contact_n;  /* it leaves with that contact; 0: none */
	bool by_its_stream; /* it leaves with its last stream */
};

/* Cut /login/{email}/{n} behind the email; false: its number is none. */
static bool cut_contact(char *path, int64_t *n)
{
	char *slash = strchr(path, '/');
	char *end = slash;

	if (!slash)
		return true;
	errno = 0;
	if (slash[1] >= '1' && slash[1] <= '9')
		*n = strtoll(slash + 1, &end, 10);
	*slash = '\0';

	return *n > 0 && !*end && !errno;
}

/* text: an email, or null: what came is none. @return false: answered */
static bool read_who(struct exchange *x, struct joining *j, const char *text,
		     const char *pointer, const char *is, const struct json *v)
{
	char aor[AOR_BUF];

	if (text && !strcmp(text, "me"))
		return true;
	if (!text || aor_parse(aor, text, strlen(text))) {
		body_form_refuse_value(x, pointer, is, v);
		return false;
	}
	j->who = arena_str(x->arena, aor);
	if (!j->who)
		body_form_no_memory(x);

	return j->who != NULL;
}

/* What comes in `url`. @return false: answered */
static bool read_url(struct exchange *x, struct joining *j,
		     const struct json *url)
{
	static const char under[] = "/login/";
	const size_t n = strlen(under);
	char *path = strncmp(url->text, under, n)
			     ? NULL
			     : arena_str(x->arena, url->text + n);
	const char *email = NULL;

	if (path && cut_contact(path, &j->contact_n))
		email = link_unescape(x->arena, path);

	return read_who(x, j, email, "/url",
			"a login such as /login/alice@example.net, or a "
			"contact such as /login/alice@example.net/3",
			url);
}

static bool read_lifetime(struct exchange *x, struct joining *j,
			  const struct json *lifetime)
{
	if (strcmp(lifetime->text, "stream") != 0) {
		body_form_refuse_value(x, "/lifetime",
				       "\"stream\", or not there", lifetime);
		return false;
	}
	if (j->contact_n) {
		body_form_refuse(
			x, "/lifetime",
			"Who names a contact leaves with that contact; "
			"for `lifetime` take the number off `url`.");
		return false;
	}
	j->by_its_stream = true;

	return true;
}

enum {
	URL,
	EMAIL,
	SESSION,
	LIFETIME,
	MEMBERS,
};
static const struct body_member table[MEMBERS] = {
	[URL] = {"url", JSON_STRING, false, 1, ADDRESS_MAX_BYTES, true},
	[EMAIL] = {"email", JSON_STRING, false, 1, ADDRESS_MAX_BYTES, true},
	[SESSION] = {"session", JSON_ANY, false, 0, 0, false},
	[LIFETIME] = {"lifetime", JSON_STRING, false, 1, LIFETIME_MAX_BYTES,
		      true},
};

/* @return false: answered */
static bool read_joining(struct exchange *x, struct joining *j,
			 const struct json *const *found)
{
	const struct json *email = found[EMAIL];

	*j = (struct joining){.who = "me"};
	if (email && found[URL]) {
		body_form_refuse(x, "/email",
				 "`url` says who joins, too: one of the two "
				 "is enough.");
		return false;
	}
	if (email && !read_who(x, j, email->text, "/email",
			       "an email such as alice@example.net", email))
		return false;
	if (found[URL] && !read_url(x, j, found[URL]))
		return false;

	return !found[LIFETIME] || read_lifetime(x, j, found[LIFETIME]);
}

void call_join(struct exchange *x)
{
	const struct json *found[MEMBERS];
	const char *extra, *session;
	struct joining j;
	struct pg_args args;

	if (!body_form_or_empty(x, table, MEMBERS, found, &extra) ||
	    !read_joining(x, &j, found) ||
	    !body_form_text(x, found[SESSION], &session))
		return;
	exchange_args(x, &args);
	pg_arg_int(&args, x->path.call);
	pg_arg_text(&args, j.who);
	pg_arg_text(&args, session);
	pg_arg_text(&args, extra);
	if (!exchange_idempotency(x, &args))
		return;
	if (j.contact_n)
		pg_arg_int(&args, j.contact_n);
	else
		pg_arg_null(&args);
	pg_arg_text(&args, j.by_its_stream ? "stream" : NULL);
	exchange_query(x, &join_stmt, &args, joined);
}
