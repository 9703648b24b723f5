/*
 * Our own addresses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "worker/link.h"

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

static void what_may_stand_in_a_segment_stays(void **state)
{
	assert_string_equal(
		link_to(*state, "/login/", "a+b&c=d'!*@e.net", NULL, 0),
		"/login/a+b&c=d'!*@e.net");
	assert_string_equal(link_to(*state, "/login/", "a?b/c%d@e", "/", 7),
			    "/login/a%3Fb%2Fc%25d@e/7");
	assert_string_equal(link_to(*state, "/user/", "a@b", "/messages", -1),
			    "/user/a@b/messages");
	assert_string_equal(link_to(*state, "/user/", NULL, NULL, 0),
			    "/user/me");
}

static void a_segment_comes_back(void **state)
{
	assert_string_equal(link_unescape(*state, "a%3fb%2Fc%25d@e"),
			    "a?b/c%d@e");
	assert_string_equal(link_unescape(*state, ""), "");
	assert_null(link_unescape(*state, "a/b"));
	assert_null(link_unescape(*state, "%"));
	assert_null(link_unescape(*state, "%4"));
	assert_null(link_unescape(*state, "%4g"));
	assert_null(link_unescape(*state, "%g4"));
	assert_null(link_unescape(*state, "a%00b"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			what_may_stand_in_a_segment_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(a_segment_comes_back, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
