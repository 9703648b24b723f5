#include "common/json_write.h"

#include <inttypes.h>
#include <string.h>

/** A quoted string; p is UTF-8 that has been checked */
void json_str(struct buf *b, const char *p, size_t n)
{
	size_t from = 0;

	buf_char(b, '"');
	for (size_t i = 0; i < n; i++) {
		const unsigned char c = (unsigned char)p[i];

		if (c >= ' ' && c != '"' && c != '\\')
			continue;
		buf_add(b, p + from, i - from);
		from = i + 1;
		if (c == '"' || c == '\\')
			buf_fmt(b, "\\%c", c);
		else if (c == '\n')
			buf_str(b, "\\n");
		else
			buf_fmt(b, "\\u%04x", c);
	}
	buf_add(b, p + from, n - from);
	buf_char(b, '"');
}

void json_cstr(struct buf *b, const char *s)
{
	json_str(b, s, strlen(s));
}

void json_int(struct buf *b, int64_t n)
{
	buf_fmt(b, "%" PRId64, n);
}

/** A member's name and the colon; a comma before it unless it is the first */
void json_key(struct buf *b, const char *key)
{
	if (b->len && b->p[b->len - 1] != '{')
		buf_char(b, ',');
	json_cstr(b, key);
	buf_char(b, ':');
}

/** A member with a string; NULL: no member */
void json_member(struct buf *b, const char *key, const char *value)
{
	if (!value)
		return;
	json_key(b, key);
	json_cstr(b, value);
}

void json_member_int(struct buf *b, const char *key, int64_t value)
{
	json_key(b, key);
	json_int(b, value);
}
