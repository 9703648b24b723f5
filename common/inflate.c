#include "common/inflate.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <zlib.h>

/* Not gzip: its checksum is a function whose name libre has taken. */
static int run(z_stream *z)
{
	switch (inflate(z, Z_FINISH)) {
	case Z_STREAM_END:
		return z->avail_in ? EBADMSG : 0;

	case Z_MEM_ERROR:
		return ENOMEM;

	default:
		return z->avail_out ? EBADMSG : EMSGSIZE;
	}
}

/**
 * Inflates a zlib stream.
 *
 * @param len   Set to the bytes written, on success only
 * @param size  Of dst
 * @return  0, EBADMSG (it is none, is cut, or more follows), EMSGSIZE (it
 *          fills dst and is not at its end), ENOMEM
 */
int inflate_bytes(void *dst, size_t *len, size_t size, const void *src,
		  size_t n)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)src,
		      .avail_in = (uInt)n,
		      .next_out = dst,
		      .avail_out = (uInt)size};
	int err;

	if (n > UINT_MAX || size > UINT_MAX)
		return EMSGSIZE;
	if (inflateInit(&z) != Z_OK)
		return ENOMEM;
	err = run(&z);
	(void)inflateEnd(&z); /* only frees */
	if (!err)
		*len = size - z.avail_out;

	return err;
}
