/*
 * body_check.h: what yajl lets pass and we do not; body.c's own, but for
 * pointers.
 */
#ifndef RESTSIP_BODY_CHECK_H
#define RESTSIP_BODY_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "shared/json.h"

/**
 * Find the first byte that cannot be in a JSON text of ours: no UTF-8, NUL,
 * \u0000, half of a surrogate pair.
 *
 * @param why  a constant sentence; null if all is well
 * @return offset of it
 */
size_t body_scan(const char *p, size_t n, const char **why);

/**
 * Whether PostgreSQL's numeric can hold a number (JSON's syntax): 131072
 * digits before the point, 16383 after it.
 *
 * @param written  bytes that jsonb writes of it: without an exponent
 */
bool body_number_fits(const char *p, size_t n, size_t *written);

/** Bytes that jsonb writes of a string, unescaped here: quotes and escapes. */
size_t body_string_written(const char *p, size_t n);

/**
 * Find a name that is twice in an object.
 *
 * @param twice  the second one; null if there is none
 * @return 0 or ENOMEM
 */
int body_find_twice(const struct json *object, const struct json **twice);

/** Add `/name`, escaped as in RFC 6901. */
void body_pointer_add(struct buf *b, const char *name, size_t n);

#endif
