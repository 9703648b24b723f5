/*
 * JSON text: strings are escaped, members are separated.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/json_write.h"

static void assert_string(const char *p, size_t n, const char *json)
{
	struct buf b;

	buf_init(&b, 1000);
	json_str(&b, p, n);
	assert_false(b.failed);
	assert_string_equal(b.p, json);
	buf_free(&b);
}

static void strings_are_escaped(void **state)
{
	(void)state;
	assert_string("", 0, "\"\"");
	assert_string("abc", 3, "\"abc\"");
	assert_string("a\"b\\c/", 6, "\"a\\\"b\\\\c/\"");
	assert_string("\n", 1, "\"\\n\"");
	assert_string("\x01\x1f", 2, "\"\\u0001\\u001f\"");
	assert_string("a\0b", 3, "\"a\\u0000b\"");
	assert_string("\xc3\xa4\xf0\x9f\x98\x80", 6,
		      "\"\xc3\xa4\xf0\x9f\x98\x80\"");
}

static void members_have_commas_between_them(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	buf_char(&b, '{');
	json_member(&b, "a", "x");
	json_member(&b, "none", NULL);
	json_member_int(&b, "b", INT64_MIN);
	json_key(&b, "c");
	buf_str(&b, "{}");
	json_member_int(&b, "d", 0);
	buf_char(&b, '}');
	assert_string_equal(
		b.p,
		"{\"a\":\"x\",\"b\":-9223372036854775808,\"c\":{},\"d\":0}");
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_are_escaped),
		cmocka_unit_test(members_have_commas_between_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
