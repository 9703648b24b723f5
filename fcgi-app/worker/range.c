#include "worker/range.h"

#include <string.h>
#include <strings.h>

enum {
	DIGITS_MAX = 15,
};

/* Digits at *s, which then is behind them; -1: there are none, too many. */
static int64_t number(const char **s)
{
	const size_t n = strspn(*s, "0123456789");
	int64_t value = 0;

	if (n == 0 || n > DIGITS_MAX)
		return -1;
	for (size_t i = 0; i < n; i++)
		value = value * 10 + ((*s)[i] - '0');
	*s += n;

	return value;
}

struct range range_parse(const char *header)
{
	const struct range none = {.given = false};
	struct range r = {.given = true, .last = -1};
	const char *s = header;

	if (!s || strncasecmp(s, "bytes=", 6) != 0)
		return none;
	s += 6;
	r.suffix = *s == '-';
	if (!r.suffix) {
		r.first = number(&s);
		if (r.first < 0 || *s != '-')
			return none;
	}
	s++;
	if (*s || r.suffix)
		r.last = number(&s);
	else
		return r;
	if (*s || r.last < 0 || (!r.suffix && r.last < r.first))
		return none;

	return r;
}

bool range_resolve(const struct range *r, int64_t size, struct range_part *part)
{
	int64_t end;

	*part = (struct range_part){.first = 0, .length = size};
	if (!r->given)
		return true;
	part->partial = true;
	if (r->suffix) {
		part->length = r->last < size ? r->last : size;
		part->first = size - part->length;
		return part->length > 0;
	}
	if (r->first >= size)
		return false;
	end = r->last < 0 || r->last >= size ? size : r->last + 1;
	part->first = r->first;
	part->length = end - r->first;

	return true;
}
