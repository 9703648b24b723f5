/*
 * negotiate.h: which media type goes out (RFC 9110, section 12.5.1), and
 * what one that comes in says of itself (section 8.3.1).
 */
#ifndef RESTSIP_NEGOTIATE_H
#define RESTSIP_NEGOTIATE_H

#include <stdbool.h>
#include <stddef.h>

struct exchange;

enum {
	NEGOTIATE_RANGES_MAX = 32, /* more of Accept is not looked at */
};

/**
 * Choose among types.
 *
 * @param accept  the header, or null: then the first type it is
 * @param types   n of them, in lower case and in order of preference
 * @return its place, or -1: none will do
 */
int negotiate_pick(const char *accept, const char *const *types, size_t n);

/**
 * The same for a request; Vary: Accept is set.
 *
 * @return -1: 406 with what is possible has been answered
 */
int negotiate_accept(struct exchange *x, const char *const *types, size_t n);

/**
 * Whether a Content-Type may be kept and given again: no control characters,
 * `type/subtype`, at most 255 bytes.
 */
bool negotiate_type_is_sound(const char *type);

/** Whether its charset is UTF-8 or a part of that, or not there. */
bool negotiate_charset_is_utf8(const char *type);

#endif
