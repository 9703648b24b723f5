#include "worker/body_form.h"

#include <errno.h>

#include "common/error.h"

void body_form_no_memory(struct exchange *x)
{
	exchange_error(x, APP_BUSY);
}

bool body_form_text(struct exchange *x, const struct json *v, const char **out)
{
	*out = v ? body_text(v, x->arena) : NULL;
	if (v && !*out)
		body_form_no_memory(x);

	return !v || *out;
}

void body_form_refuse(struct exchange *x, const char *pointer,
		      const char *detail)
{
	const struct app_err_info *info = app_err_info(APP_INVALID_MEMBER);

	exchange_problem_at(x, info->status, info->slug, detail, pointer);
}

void body_form_refuse_value(struct exchange *x, const char *pointer,
			    const char *is, const struct json *v)
{
	const char *tick = *pointer ? "`" : "";
	char shown[BODY_SHOWN_SIZE];

	body_form_refuse(x, pointer,
			 arena_fmt(x->arena, "%s%s%s is %s; this is %s.", tick,
				   *pointer ? pointer + 1 : "This", tick, is,
				   body_show(shown, v)));
}

static bool parse(struct exchange *x, const char *p, size_t n,
		  const struct json **out)
{
	const struct app_err_info *info;
	struct body_error e;

	switch (body_parse(out, x->arena, p, n, &e)) {
	case 0:
		return true;
	case EBADMSG:
		info = app_err_info(APP_INVALID_BODY);
		exchange_problem_at(x, info->status, info->slug, e.detail,
				    e.pointer);
		return false;
	case EMSGSIZE:
		info = app_err_info(APP_LENGTH);
		exchange_problem(x, info->status, info->slug,
				 "JSON has at most 65536 bytes, as it is sent "
				 "and as it is written out (1e9 is ten "
				 "digits).");
		return false;
	default:
		body_form_no_memory(x);
		return false;
	}
}

bool body_form_value(struct exchange *x, const struct json **out)
{
	return parse(x, x->body.p, x->body.len, out);
}

enum json_type body_form_type(struct exchange *x)
{
	const struct json *v;
	struct body_error e;

	return body_parse(&v, x->arena, x->body.p, x->body.len, &e) ? JSON_ANY
								    : v->type;
}

bool body_form_members(struct exchange *x, const struct json *object,
		       const char *at, const struct body_member *table,
		       size_t n, const struct json **found, const char **extra)
{
	struct body_error e;

	if (body_members(object, at, table, n, found, &e)) {
		body_form_refuse(x, e.pointer, e.detail);
		return false;
	}
	if (!extra)
		return true;
	*extra = body_extra(object, x->arena, table, n);
	if (!*extra)
		body_form_no_memory(x);

	return *extra != NULL;
}

bool body_form(struct exchange *x, const struct body_member *table, size_t n,
	       const struct json **found, const char **extra)
{
	const struct json *object;

	return body_form_value(x, &object) &&
	       body_form_members(x, object, "", table, n, found, extra);
}

bool body_form_or_empty(struct exchange *x, const struct body_member *table,
			size_t n, const struct json **found, const char **extra)
{
	const struct json *object;

	if (x->body.len)
		return body_form(x, table, n, found, extra);

	return parse(x, "{}", 2, &object) &&
	       body_form_members(x, object, "", table, n, found, extra);
}
