/*
 * What goes wrong: every error has its status and name, and SQLSTATEs theirs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/error.h"

static void every_error_is_described(void **state)
{
	(void)state;
	for (int e = 0; e < APP_ERR_COUNT; e++) {
		const struct app_err_info *i = app_err_info((enum app_err)e);

		assert_non_null(i->slug);
		assert_non_null(i->detail);
		assert_in_range(i->status, 200, 599);
		assert_int_equal(strspn(i->slug, "abcdefghijklmnopqrstuvwxyz-"),
				 strlen(i->slug));
	}
	assert_int_equal(app_err_info((enum app_err)999)->status, 500);
	assert_int_equal(app_err_info(APP_OUTCOME_UNKNOWN)->status, 503);
}

static void sqlstates_have_a_status(void **state)
{
	static const struct {
		const char *sqlstate;
		int status;
	} all[] = {
		{"RS401", 401}, {"RS404", 404}, {"RS412", 412}, {"RS507", 507},
		{"RS200", 500}, {"RS999", 500}, {"RSxyz", 500}, {"RS", 500},
		{"08006", 503}, {"57P01", 503}, {"57014", 503}, {"53300", 503},
		{"40001", 503}, {"40P01", 503}, {NULL, 503},	{"42601", 500},
		{"XX000", 500}, {"", 500},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (sqlstate_status(all[i].sqlstate) != all[i].status)
			fail_msg("%s: %d", all[i].sqlstate,
				 sqlstate_status(all[i].sqlstate));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_error_is_described),
		cmocka_unit_test(sqlstates_have_a_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
