/*
 * db_args.c: typed parameters of a statement.
 */
#include "shared/db.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static void arg_add(struct db_args *a, const char *p, size_t n, int format)
{
	if (a->n >= DB_ARGS_MAX || n > INT_MAX) {
		a->failed = true;
		return;
	}
	a->value[a->n] = p;
	a->length[a->n] = (int)n;
	a->format[a->n] = format;
	a->n++;
}

void db_arg_null(struct db_args *a)
{
	arg_add(a, NULL, 0, 0);
}

void db_arg_text(struct db_args *a, const char *s)
{
	arg_add(a, s, s ? strlen(s) : 0, 0);
}

void db_arg_int(struct db_args *a, int64_t n)
{
	int len;

	if (a->n >= DB_ARGS_MAX) {
		a->failed = true;
		return;
	}
	len = snprintf(a->digits[a->n], sizeof(a->digits[0]), "%" PRId64, n);
	arg_add(a, a->digits[a->n], (size_t)len, 0);
}

void db_arg_bool(struct db_args *a, bool b)
{
	db_arg_text(a, b ? "t" : "f");
}

void db_arg_bytea(struct db_args *a, const void *p, size_t n)
{
	arg_add(a, p, p ? n : 0, 1);
}
