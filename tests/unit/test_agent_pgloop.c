/*
 * What goes to PostgreSQL as parameters, and how answers are taken.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pg/pgloop.h"
#include "pg/pgval.h"
#include "transaction/codes.h"

enum { VALUES = 3 };

/* What would be sent, and where it points into */
struct sent {
	struct pg_args args;
	char *data;
};

static int copy(struct sent *sent, const struct pg_val *valv)
{
	*sent = (struct sent){.data = NULL};

	return pg_vals_copy(&sent->data, &sent->args, valv, VALUES);
}

static void parameters_are_copied(void **state)
{
	char text[] = "text", bytes[] = "a\0\xff";
	const struct pl pl = {bytes, 3};
	const struct pg_val valv[] = {pg_text(text), pg_bytes(&pl), pg_int(-7)};
	struct sent sent;

	(void)state;
	assert_int_equal(copy(&sent, valv), 0);
	text[0] = bytes[0] = 'X';
	assert_int_equal(sent.args.n, VALUES);
	assert_string_equal(sent.args.value[0], "text");
	assert_int_equal(sent.args.format[0], 0);
	assert_memory_equal(sent.args.value[1], "a\0\xff", 3);
	assert_int_equal(sent.args.length[1], 3);
	assert_int_equal(sent.args.format[1], 1);
	assert_string_equal(sent.args.value[2], "-7");
	free(sent.data);
}

static void what_is_not_set_is_null(void **state)
{
	const struct pl empty = {"", 0}, unset = PL_INIT;
	const struct pg_val valv[] = {pg_null(), pg_pl(&unset), pg_pl(&empty)};
	struct sent sent;

	(void)state;
	assert_int_equal(copy(&sent, valv), 0);
	assert_null(sent.args.value[0]);
	assert_null(sent.args.value[1]);
	assert_string_equal(sent.args.value[2], "");
	free(sent.data);
}

static void what_is_no_text_is_refused(void **state)
{
	static const struct pl bad[] = {PL("a\0b"), PL("\xff"), PL("\xc3"),
					PL("\xed\xa0\x80"), PL("\xc0\x80")};
	struct sent sent;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		const struct pg_val valv[] = {pg_pl(&bad[i]), pg_null(),
					      pg_null()};

		assert_int_equal(copy(&sent, valv), EILSEQ);
		assert_null(sent.data);
	}
}

static void each_refusal_has_its_code(void **state)
{
	static const struct {
		struct pg_answer ans;
		uint16_t scode;
	} cases[] = {
		{{.end = PG_OK}, 200},
		{{.end = PG_AWAY}, 503},
		{{.end = PG_BUG}, 500},
		{{.end = PG_REFUSED, .status = 403}, 403},
		{{.end = PG_REFUSED, .status = 404}, 404},
		{{.end = PG_REFUSED, .status = 409}, 480},
		{{.end = PG_REFUSED, .status = 429}, 480},
		{{.end = PG_REFUSED, .status = 507}, 480},
		{{.end = PG_REFUSED, .status = 418}, 500},
		{{.end = PG_REFUSED, .status = -1}, 500},
		{{.end = PG_REFUSED, .status = 10000}, 500},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(codes_of_answer(&cases[i].ans),
				 cases[i].scode);
}

/* However it is written: a MESSAGE names its recipient as its sender likes */
static void an_account_has_one_turn(void **state)
{
	(void)state;
	assert_int_equal(pgloop_whose("aLICE@example.net"),
			 pgloop_whose("Alice@example.net"));
	assert_int_not_equal(pgloop_whose("alice@example.net"),
			     pgloop_whose("bob@example.net"));
	assert_int_equal(pgloop_whose(NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parameters_are_copied),
		cmocka_unit_test(what_is_not_set_is_null),
		cmocka_unit_test(what_is_no_text_is_refused),
		cmocka_unit_test(each_refusal_has_its_code),
		cmocka_unit_test(an_account_has_one_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
