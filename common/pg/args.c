/*
 * Typed parameters of a statement.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "common/pg/pg.h"

static void arg_add(struct pg_args *a, const char *p, size_t n, int format)
{
	if (a->n >= PG_ARGS_MAX || n > INT_MAX) {
		a->failed = true;
		return;
	}
	a->value[a->n] = p;
	a->length[a->n] = (int)n;
	a->format[a->n] = format;
	a->n++;
}

void pg_arg_null(struct pg_args *a)
{
	arg_add(a, NULL, 0, 0);
}

void pg_arg_text(struct pg_args *a, const char *s)
{
	arg_add(a, s, s ? strlen(s) : 0, 0);
}

void pg_arg_int(struct pg_args *a, int64_t n)
{
	int len;

	if (a->n >= PG_ARGS_MAX) {
		a->failed = true;
		return;
	}
	len = snprintf(a->digits[a->n], sizeof(a->digits[0]), "%" PRId64, n);
	arg_add(a, a->digits[a->n], (size_t)len, 0);
}

void pg_arg_bool(struct pg_args *a, bool b)
{
	pg_arg_text(a, b ? "t" : "f");
}

void pg_arg_bytea(struct pg_args *a, const void *p, size_t n)
{
	arg_add(a, p, p ? n : 0, 1);
}

/** What the values point at is not copied, but for numbers. from may be null */
void pg_args_copy(struct pg_args *to, const struct pg_args *from)
{
	if (!from)
		return;
	*to = *from;
	for (int i = 0; i < to->n; i++)
		if (to->value[i] == from->digits[i])
			to->value[i] = to->digits[i];
}
