/*
 * Inflates what came with Content-Encoding: deflate (RFC 1950), up to a size.
 */
#ifndef INFLATE_H
#define INFLATE_H

#include <stddef.h>

int inflate_bytes(void *dst, size_t *len, size_t size, const void *src,
		  size_t n);

#endif
