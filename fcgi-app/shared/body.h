/*
 * body.h: JSON from outside (RFC 8259), by yajl's stream parser and checks of
 * our own. This is the only way in: whatever passes it can be held by jsonb and
 * comes back with the same value.
 *
 *   at most 32 deep; strict UTF-8; no NUL, raw or as \u0000; no half of a
 *   surrogate pair; no name twice in an object; numbers as they are written,
 *   unless PostgreSQL's numeric cannot hold them; nothing behind the value;
 *   as large at most when it is written out as when it was sent
 */
#ifndef RESTSIP_BODY_H
#define RESTSIP_BODY_H

#include <stdbool.h>
#include <stddef.h>

#include "common/arena.h"
#include "common/buf.h"
#include "shared/json.h"

enum {
	BODY_DEPTH_MAX = 32,
	BODY_OWN_DEPTH_MAX = 64, /* such a body, and what is around it */
	BODY_TEXT_MAX = 64 << 10,
	/* the same as jsonb gives it back: numbers without an exponent */
	BODY_WRITTEN_MAX = BODY_TEXT_MAX,
	BODY_POINTER_MAX = 512,
	BODY_DETAIL_SIZE = 400,
	BODY_SHOWN_SIZE = 80, /* of a value in a sentence */
	BODY_MEMBERS_MAX = 8, /* in a table */
};

/** Why not. */
struct body_error {
	char pointer[BODY_POINTER_MAX]; /* RFC 6901; "": the whole */
	/* a sentence: what it is to be, and what came */
	char detail[BODY_DETAIL_SIZE];
};

/** A member that an endpoint knows. */
struct body_member {
	const char *name;
	enum json_type type;
	bool required;
	/* bytes of a string, value of an integer, elements of an array;
	 * max 0: no limit */
	long long min, max;
	bool nullable; /* null is taken as if it were not there */
};

/**
 * Parse a JSON text.
 *
 * @param out  the value, in a
 * @param e    why not, when EBADMSG
 * @return 0, EBADMSG, EMSGSIZE (more than BODY_TEXT_MAX, or written out more
 *         than BODY_WRITTEN_MAX), ENOMEM
 */
int body_parse(const struct json **out, struct arena *a, const char *p,
	       size_t n, struct body_error *e);

/**
 * Parse a JSON text of our own making, by none of these rules but for its
 * depth. Of a name that is there twice, both stay.
 *
 * @return 0, EBADMSG, ENOMEM
 */
int body_parse_own(const struct json **out, struct arena *a, const char *p,
		   size_t n);

/**
 * Find the known members of an object and check them.
 *
 * @param at     pointer of the object itself, "" for the whole body
 * @param found  n places; null where a member is not there
 * @return 0, or EBADMSG
 */
int body_members(const struct json *object, const char *at,
		 const struct body_member *table, size_t n,
		 const struct json **found, struct body_error *e);

/** All other members as the text of one object. Borrowed; null: no memory. */
const char *body_extra(const struct json *object, struct arena *a,
		       const struct body_member *table, size_t n);

/**
 * A value in a sentence: `the string "x"`, `an array of 3`. Cut where it is
 * long; never what a member `password` holds.
 *
 * @return out
 */
const char *body_show(char out[static BODY_SHOWN_SIZE], const struct json *v);

/** A value as JSON text, numbers as they were. */
void body_write(struct buf *b, const struct json *v);

/** The same in the arena. Borrowed; null: no memory. */
const char *body_text(const struct json *v, struct arena *a);

/** A member by its name, or null. */
const struct json *body_get(const struct json *object, const char *name);

/** An integer's value; JSON_INTEGER of a table was checked already. */
bool body_integer(const struct json *v, long long *out);

#endif
