/*
 * Bytes that belong to somebody else: a pointer and a length, no NUL.
 */
#ifndef SPAN_H
#define SPAN_H

#include <stdbool.h>
#include <stddef.h>

/* Borrowed. p is NULL where there is nothing (not: something empty). */
struct span {
	const char *p;
	size_t len;
};

struct span span_of(const char *s);
bool span_equal(struct span a, struct span b);
bool span_is(struct span a, const char *s);
/* Without regard to the case of ASCII letters. */
bool span_is_nocase(struct span a, const char *s);

#endif
