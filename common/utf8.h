/*
 * UTF-8 (RFC 3629).
 */
#ifndef UTF8_H
#define UTF8_H

#include <stddef.h>

/* How many bytes from p on are well-formed: len if all of them are. */
size_t utf8_valid(const char *p, size_t len);

/* Bytes of whole, well-formed characters from s on, at most max: for %.*s. */
int utf8_shown(const char *s, int max);

/* Bytes of a byte order mark at the beginning, with which some editors save:
 * 3 or 0. */
size_t utf8_mark(const char *p, size_t len);

/* Bytes of the well-formed character at p, 0 where there is none. */
size_t utf8_char(const char *p, size_t len);

#endif
