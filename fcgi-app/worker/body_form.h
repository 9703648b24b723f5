/*
 * body_form.h: from an exchange's body to known members and the rest, or to
 * the 400 that says what is wrong and where.
 */
#ifndef RESTSIP_BODY_FORM_H
#define RESTSIP_BODY_FORM_H

#include "shared/body.h"
#include "worker/exchange.h"

/** Parse the body as JSON. @return false: a problem has been answered */
bool body_form_value(struct exchange *x, const struct json **out);

/** Which JSON the body is; JSON_ANY: none. Nothing is answered. */
enum json_type body_form_type(struct exchange *x);

/**
 * Take an object's known members; see body_members().
 *
 * @param extra  the text of all others; null: they do not matter
 * @return false: a problem has been answered
 */
bool body_form_members(struct exchange *x, const struct json *object,
		       const char *at, const struct body_member *table,
		       size_t n, const struct json **found, const char **extra);

/** Both at once for a body that is one object. */
bool body_form(struct exchange *x, const struct body_member *table, size_t n,
	       const struct json **found, const char **extra);

/** The same where an empty body counts as `{}`. */
bool body_form_or_empty(struct exchange *x, const struct body_member *table,
			size_t n, const struct json **found,
			const char **extra);

/**
 * A member as the text that came, whatever it is.
 *
 * @param out  null where it is not there
 * @return false: a problem has been answered
 */
bool body_form_text(struct exchange *x, const struct json *v, const char **out);

/** 400 `invalid-member` at a place. */
void body_form_refuse(struct exchange *x, const char *pointer,
		      const char *detail);

/**
 * The same where a value is none that it can be.
 *
 * @param is  what it is to be: goes on behind "`name` is"
 * @param v   what came
 */
void body_form_refuse_value(struct exchange *x, const char *pointer,
			    const char *is, const struct json *v);

/** 503, for want of memory. */
void body_form_no_memory(struct exchange *x);

#endif
