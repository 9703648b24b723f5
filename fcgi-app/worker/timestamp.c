#include "worker/timestamp.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum {
	TIMESTAMP_MAX = 40,
	FRACTION_MAX = 9,
	OFFSET_HOURS_MAX = 15, /* PostgreSQL's */
	DATE_TIME = 19,	       /* characters of 2026-11-22T19:30:00 */
};

/* n digits at s as a number, or -1. */
static int number(const char *s, size_t n)
{
	int value = 0;

	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -1;
		value = value * 10 + (s[i] - '0');
	}

	return value;
}

static bool is_within(int n, int min, int max)
{
	return n >= min && n <= max;
}

static int days_of(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30,
				   31, 31, 30, 31, 30, 31};
	const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 && leap ? 29 : days[month - 1];
}

static bool is_date_time(const char *s)
{
	const int year = number(s, 4), month = number(s + 5, 2);

	return s[4] == '-' && s[7] == '-' && (s[10] == 'T' || s[10] == 't') &&
	       s[13] == ':' && s[16] == ':' && year >= 1 &&
	       is_within(month, 1, 12) &&
	       is_within(number(s + 8, 2), 1, days_of(year, month)) &&
	       is_within(number(s + 11, 2), 0, 23) &&
	       is_within(number(s + 14, 2), 0, 59) &&
	       is_within(number(s + 17, 2), 0, 60);
}

static bool is_offset(const char *s)
{
	if ((*s == 'Z' || *s == 'z') && !s[1])
		return true;

	return (*s == '+' || *s == '-' || *s == ' ') && strlen(s) == 6 &&
	       s[3] == ':' &&
	       is_within(number(s + 1, 2), 0, OFFSET_HOURS_MAX) &&
	       is_within(number(s + 4, 2), 0, 59);
}

const char *timestamp_check(struct arena *a, const char *s)
{
	const size_t n = strlen(s);
	const char *rest = s + DATE_TIME;
	char *copy;

	if (n <= DATE_TIME || n > TIMESTAMP_MAX || !is_date_time(s))
		return NULL;
	if (*rest == '.') {
		const size_t digits = strspn(rest + 1, "0123456789");

		if (!is_within((int)digits, 1, FRACTION_MAX))
			return NULL;
		rest += 1 + digits;
	}
	if (!is_offset(rest))
		return NULL;
	if (*rest != ' ')
		return s;
	copy = arena_mem(a, s, n);
	if (copy)
		copy[rest - s] = '+';

	return copy;
}
