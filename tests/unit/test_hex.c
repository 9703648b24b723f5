/*
 * Hexadecimal digits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/hex.h"

static void each_digit_has_its_value(void **state)
{
	static const char digits[] = "0123456789abcdefABCDEF";

	(void)state;
	for (int c = 1; c < 256; c++) {
		const char *at = strchr(digits, c);
		const int place = at ? (int)(at - digits) : -1;

		assert_int_equal(hex_value((char)c),
				 place < 16 ? place : place - 6);
	}
	assert_int_equal(hex_value('\0'), -1);
}

static void bytes_are_two_small_digits(void **state)
{
	const uint8_t bytes[] = {0x00, 0x0f, 0xf0, 0xab};
	char hex[2 * sizeof(bytes) + 1];

	(void)state;
	hex_encode(hex, bytes, sizeof(bytes));
	assert_string_equal(hex, "000ff0ab");
	hex_encode(hex, bytes, 0);
	assert_string_equal(hex, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_digit_has_its_value),
		cmocka_unit_test(bytes_are_two_small_digits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
