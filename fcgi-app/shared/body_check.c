#include "shared/body_check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "common/utf8.h"

enum {
	/* NUMERIC's limits in the manual of PostgreSQL, section 8.1.2 */
	NUMERIC_BEFORE_MAX = 131072,
	NUMERIC_AFTER_MAX = 16383,
	EXPONENT_MAX = 1000000,
	SORT_SMALL = 8,
};

/* The four digits of \uXXXX at p, or -1. */
static int unit_at(const char *p, size_t n)
{
	int unit = 0;

	if (n < 6 || p[0] != '\\' || p[1] != 'u')
		return -1;
	for (size_t i = 2; i < 6; i++) {
		const int digit = hex_value(p[i]);

		if (digit < 0)
			return -1;
		unit = unit * 16 + digit;
	}

	return unit;
}

/* What is wrong with the escape at p; *len is how long it is. */
static const char *check_escape(const char *p, size_t n, size_t *len)
{
	const int unit = unit_at(p, n);

	*len = unit < 0 ? 2 : 6;
	if (unit == 0)
		return "A NUL cannot be kept.";
	if (unit >= 0xdc00 && unit <= 0xdfff)
		return "This is half of a surrogate pair.";
	if (unit < 0xd800 || unit > 0xdbff)
		return NULL;
	*len = 12;
	if (n < 12)
		return "This is half of a surrogate pair.";
	const int low = unit_at(p + 6, n - 6);

	return low >= 0xdc00 && low <= 0xdfff
		       ? NULL
		       : "This is half of a surrogate pair.";
}

size_t body_scan(const char *p, size_t n, const char **why)
{
	const size_t valid = utf8_valid(p, n);
	size_t i = 0, len;
	bool open = false; /* yajl overlooks a string without end at the end */

	*why = NULL;
	while (i < valid) {
		len = 1;
		open ^= p[i] == '"';
		if (p[i] == '\0')
			*why = "A NUL cannot be kept.";
		else if ((unsigned char)p[i] < ' ' && !strchr("\t\n\r", p[i]))
			*why = "A control character has to be escaped.";
		else if (p[i] == '\\')
			*why = check_escape(p + i, valid - i, &len);
		if (*why)
			return i;
		i += len;
	}
	if (valid < n)
		*why = "This is not UTF-8.";
	else if (open)
		*why = "A string has no end.";

	return valid;
}

/* The exponent behind `e`, as far as it matters. */
static long exponent_of(const char *p, size_t n)
{
	const bool minus = n && *p == '-';
	long value = 0;

	for (size_t i = 0; i < n; i++) {
		if (p[i] >= '0' && p[i] <= '9' && value <= EXPONENT_MAX)
			value = value * 10 + (p[i] - '0');
	}

	return minus ? -value : value;
}

bool body_number_fits(const char *p, size_t n, size_t *written)
{
	/* weight: the power of ten of the first digit that is not 0 */
	long weight = 0, after = 0, exponent = 0, before;
	bool point = false, zero = true;

	for (size_t i = 0; i < n; i++) {
		if (p[i] == 'e' || p[i] == 'E') {
			exponent = exponent_of(p + i + 1, n - i - 1);
			break;
		}
		if (p[i] == '.') {
			point = true;
			continue;
		}
		if (p[i] < '0' || p[i] > '9')
			continue;
		after += point;
		if (zero && p[i] != '0') {
			zero = false;
			weight = point ? -after : 0;
		} else if (!zero && !point) {
			weight++;
		}
	}
	if (exponent > EXPONENT_MAX || exponent < -EXPONENT_MAX)
		return false;
	before = zero || weight + exponent < 0 ? 1 : weight + exponent + 1;
	after = after - exponent < 0 ? 0 : after - exponent;
	*written = (size_t)before + (!zero && p[0] == '-');
	if (after)
		*written += 1 + (size_t)after;

	return before <= NUMERIC_BEFORE_MAX && after <= NUMERIC_AFTER_MAX;
}

size_t body_string_written(const char *p, size_t n)
{
	size_t written = 2;

	for (size_t i = 0; i < n; i++) {
		const unsigned char c = (unsigned char)p[i];

		if (c == '"' || c == '\\' || (c && strchr("\b\f\n\r\t", c)))
			written += 2;
		else
			written += c < ' ' ? 6 : 1;
	}

	return written;
}

static int compare_names(const void *a, const void *b)
{
	const struct json *x = *(const struct json *const *)a;
	const struct json *y = *(const struct json *const *)b;

	if (x->name_len != y->name_len)
		return x->name_len < y->name_len ? -1 : 1;

	return memcmp(x->name, y->name, x->name_len);
}

int body_find_twice(const struct json *object, const struct json **twice)
{
	const struct json *few[SORT_SMALL];
	const struct json **all = few;
	size_t n = 0;

	*twice = NULL;
	if (object->count > SORT_SMALL) {
		all = malloc(object->count * sizeof(*all));
		if (!all)
			return ENOMEM;
	}
	for (const struct json *v = object->first; v; v = v->next)
		all[n++] = v;
	qsort(all, n, sizeof(*all), compare_names);
	for (size_t i = 1; i < n && !*twice; i++) {
		if (!compare_names(&all[i - 1], &all[i]))
			*twice = all[i];
	}
	if (all != few)
		free(all);

	return 0;
}

void body_pointer_add(struct buf *b, const char *name, size_t n)
{
	const size_t len = b->len;

	buf_char(b, '/');
	for (size_t i = 0; i < n; i++) {
		if (name[i] == '~')
			buf_str(b, "~0");
		else if (name[i] == '/')
			buf_str(b, "~1");
		else
			buf_char(b, name[i]);
	}
	if (b->failed && b->p) {
		/* whole segments only */
		b->len = len;
		b->p[len] = '\0';
	}
}
