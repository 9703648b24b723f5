/*
 * Hexadecimal text to bytes.
 */
#ifndef HEX_H
#define HEX_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include <re.h>

/** Exactly len bytes from 2 * len digits of either case */
static inline int hex_decode(uint8_t *dst, size_t len, const char *hex)
{
	for (size_t i = 0; i < 2 * len; i++) {
		const char c = hex[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
		      (c >= 'A' && c <= 'F')))
			return EBADMSG;
		if (i % 2)
			dst[i / 2] = (uint8_t)(dst[i / 2] | ch_hex(c));
		else
			dst[i / 2] = (uint8_t)(ch_hex(c) << 4);
	}

	return 0;
}

#endif
