#include "worker/link.h"

#include <inttypes.h>
#include <string.h>

#include "common/hex.h"

enum {
	LINK_MAX = 4096,
};

void link_segment(struct buf *b, const char *s)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz"
				    "0123456789-._~!$&'()*+,;=:@";

	for (; *s; s++) {
		if (strchr(plain, *s))
			buf_char(b, *s);
		else
			buf_fmt(b, "%%%02X", (unsigned)(unsigned char)*s);
	}
}

const char *link_to(struct arena *a, const char *under, const char *email,
		    const char *more, int64_t n)
{
	const char *path = NULL;
	struct buf b;

	buf_init(&b, LINK_MAX);
	buf_str(&b, under);
	link_segment(&b, email ? email : "me");
	if (more)
		buf_str(&b, more);
	if (more && n >= 0)
		buf_fmt(&b, "%" PRId64, n);
	if (!b.failed)
		path = arena_mem(a, b.p, b.len);
	buf_free(&b);

	return path;
}

const char *link_unescape(struct arena *a, const char *s)
{
	char *out = arena_alloc(a, strlen(s) + 1);
	size_t n = 0;

	if (!out)
		return NULL;
	for (; *s; s++) {
		if (*s == '/')
			return NULL;
		if (*s != '%') {
			out[n++] = *s;
			continue;
		}
		const int high = hex_value(s[1]);
		const int low = high < 0 ? -1 : hex_value(s[2]);

		if (low < 0 || high + low == 0)
			return NULL;
		out[n++] = (char)(high * 16 + low);
		s += 2;
	}

	return out;
}
