/*
 * UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
 */

#include "common/utf8.h"

#include <string.h>

static int is_tail(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

size_t utf8_char(const char *p, size_t len)
{
	const unsigned char *u = (const unsigned char *)p;

	if (!len)
		return 0;
	if (u[0] < 0x80)
		return 1;
	if (u[0] >= 0xc2 && u[0] <= 0xdf)
		return len >= 2 && is_tail(u[1]) ? 2 : 0;
	if (u[0] >= 0xe0 && u[0] <= 0xef) {
		const unsigned char low = u[0] == 0xe0 ? 0xa0 : 0x80;
		const unsigned char high = u[0] == 0xed ? 0x9f : 0xbf;

		return len >= 3 && u[1] >= low && u[1] <= high && is_tail(u[2])
			       ? 3
			       : 0;
	}
	if (u[0] >= 0xf0 && u[0] <= 0xf4) {
		const unsigned char low = u[0] == 0xf0 ? 0x90 : 0x80;
		const unsigned char high = u[0] == 0xf4 ? 0x8f : 0xbf;

		return len >= 4 && u[1] >= low && u[1] <= high &&
				       is_tail(u[2]) && is_tail(u[3])
			       ? 4
			       : 0;
	}
	return 0;
}

size_t utf8_valid(const char *p, size_t len)
{
	size_t i = 0, n;

	for (; i < len; i += n) {
		n = utf8_char(p + i, len - i);
		if (!n)
			break;
	}
	return i;
}

int utf8_shown(const char *s, int max)
{
	return (int)utf8_valid(s, strnlen(s, (size_t)max));
}

size_t utf8_mark(const char *p, size_t len)
{
	return len >= 3 && !memcmp(p, "\xef\xbb\xbf", 3) ? 3 : 0;
}
