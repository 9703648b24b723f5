/*
 * Bytes that belong to somebody else.
 */

#include <string.h>
#include <strings.h>

#include "span.h"

struct span span_of(const char *s)
{
	return (struct span){.p = s, .len = s ? strlen(s) : 0};
}

bool span_equal(struct span a, struct span b)
{
	return a.len == b.len && (!a.len || !memcmp(a.p, b.p, a.len));
}

bool span_is(struct span a, const char *s)
{
	return a.p && span_equal(a, span_of(s));
}

bool span_is_nocase(struct span a, const char *s)
{
	return a.p && a.len == strlen(s) && !strncasecmp(a.p, s, a.len);
}
