/*
 * Points in time from outside (RFC 3339).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "worker/timestamp.h"

static int setup(void **state)
{
	*state = arena_new();

	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	arena_free(*state);

	return 0;
}

static void good_ones_stay_as_they_are(void **state)
{
	static const char *const good[] = {
		"2026-11-22T19:30:00Z",	     "2026-11-22t19:30:00z",
		"2026-11-22T19:30:00.5Z",    "2026-11-22T19:30:00.123456789Z",
		"2026-11-22T19:30:00+01:00", "2026-11-22T19:30:00-15:59",
		"2024-02-29T00:00:00Z",	     "2000-02-29T23:59:59Z",
		"2016-12-31T23:59:60Z",	     "0001-01-01T00:00:00Z",
		"9999-12-31T23:59:59Z",
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_string_equal(timestamp_check(*state, good[i]), good[i]);
}

static void a_blank_stands_for_a_plus(void **state)
{
	assert_string_equal(
		timestamp_check(*state, "2026-11-22T19:30:00.25 01:30"),
		"2026-11-22T19:30:00.25+01:30");
}

static void bad_ones_are_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"now",
		"infinity",
		"2026-11-22",
		"2026-11-22T19:30Z",
		"2026-11-22T19:30:00",
		"2026-11-22 19:30:00Z",
		"2026-11-22T19:30:00.Z",
		"2026-11-22T19:30:00.1234567890Z",
		"2026-11-22T19:30:00,5Z",
		"2026-11-22T19:30:00+0100",
		"2026-11-22T19:30:00+16:00",
		"2026-11-22T19:30:00+01:60",
		"2026-11-22T19:30:00ZZ",
		"2026-11-22T24:00:00Z",
		"2026-11-22T19:60:00Z",
		"2026-11-22T19:30:61Z",
		"2026-00-22T19:30:00Z",
		"2026-13-22T19:30:00Z",
		"2026-11-00T19:30:00Z",
		"2026-11-31T19:30:00Z",
		"2023-02-29T19:30:00Z",
		"2100-02-29T19:30:00Z",
		"0000-01-01T00:00:00Z",
		"-026-11-22T19:30:00Z",
		"2026-11-2xT19:30:00Z",
		"+2026-11-22T19:30:00Z",
		"12026-11-22T19:30:00Z",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_null(timestamp_check(*state, bad[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(good_ones_stay_as_they_are,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_blank_stands_for_a_plus,
						setup, teardown),
		cmocka_unit_test_setup_teardown(bad_ones_are_refused, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
