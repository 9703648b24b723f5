/*
 * json.h: a JSON value that came through body.h's door.
 */
#ifndef RESTSIP_JSON_H
#define RESTSIP_JSON_H

#include <stdbool.h>
#include <stddef.h>

enum json_type {
	JSON_ANY, /* only in a table: any type */
	JSON_NULL,
	JSON_BOOL,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
	JSON_INTEGER, /* only in a table: a number without a fraction */
	JSON_SECONDS, /* only in a table: the same, of seconds */
};

/** A value. Everything is borrowed from the arena. */
struct json {
	enum json_type type;
	bool truth;	  /* JSON_BOOL */
	const char *text; /* string: unescaped; number: as written */
	size_t len;
	const char *name; /* in an object; unescaped, with a NUL behind it */
	size_t name_len;
	size_t count;		  /* of children */
	const struct json *first; /* child, in order */
	const struct json *next;  /* sibling */
};

#endif
