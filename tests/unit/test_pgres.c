/*
 * Values out of a result, which libpq lets us make without a server.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <libpq-fe.h>

#include <cmocka.h>

#include "common/pgres.h"

static int setup(void **state)
{
	static char n_name[] = "n", s_name[] = "s", b_name[] = "b",
		    x_name[] = "x";
	static char n[] = "-9007199254740993", s[] = "text", t[] = "t",
		    x[] = "\\x00ff61";
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	PGresAttDesc columns[] = {{.name = n_name},
				  {.name = s_name},
				  {.name = b_name},
				  {.name = x_name}};

	if (!res || !PQsetResultAttrs(res, 4, columns) ||
	    !PQsetvalue(res, 0, 0, n, (int)strlen(n)) ||
	    !PQsetvalue(res, 0, 1, s, (int)strlen(s)) ||
	    !PQsetvalue(res, 0, 2, t, 1) ||
	    !PQsetvalue(res, 0, 3, x, (int)strlen(x)) ||
	    !PQsetvalue(res, 1, 0, NULL, -1) ||
	    !PQsetvalue(res, 1, 1, NULL, -1) ||
	    !PQsetvalue(res, 1, 2, NULL, -1) ||
	    !PQsetvalue(res, 1, 3, NULL, -1))
		return -1;
	*state = res;
	return 0;
}

static int teardown(void **state)
{
	PQclear(*state);
	return 0;
}

static void values_are_read_by_their_columns(void **state)
{
	unsigned char *bytes;
	size_t len;

	assert_true(pgres_int(*state, 0, "n") == -9007199254740993);
	assert_string_equal(pgres_text(*state, 0, "s"), "text");
	assert_true(pgres_bool(*state, 0, "b"));
	bytes = pgres_bytes(*state, 0, "x", &len);
	assert_non_null(bytes);
	assert_int_equal(len, 3);
	assert_memory_equal(bytes,
			    "\0\xff"
			    "a",
			    3);
	PQfreemem(bytes);
}

static void null_is_null_zero_or_false(void **state)
{
	size_t len = 9;

	assert_true(pgres_null(*state, 1, "n"));
	assert_int_equal(pgres_int(*state, 1, "n"), 0);
	assert_null(pgres_text(*state, 1, "s"));
	assert_false(pgres_bool(*state, 1, "b"));
	assert_null(pgres_bytes(*state, 1, "x", &len));
	assert_int_equal(len, 0);
}

static void what_is_not_there_is_null(void **state)
{
	assert_true(pgres_null(*state, 0, "no_such"));
	assert_true(pgres_null(*state, 2, "n"));
	assert_null(pgres_text(*state, 2, "s"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_read_by_their_columns),
		cmocka_unit_test(null_is_null_zero_or_false),
		cmocka_unit_test(what_is_not_there_is_null),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
