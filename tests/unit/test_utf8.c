/*
 * UTF-8: what is well-formed (RFC 3629).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/utf8.h"

static void well_formed_text_is_valid_to_its_end(void **state)
{
	static const char *const all[] = {
		"",
		"abc",
		"\xc2\x80",
		"\xdf\xbf",
		"\xe0\xa0\x80",
		"\xed\x9f\xbf",
		"\xee\x80\x80",
		"\xef\xbf\xbf",
		"\xf0\x90\x80\x80",
		"\xf4\x8f\xbf\xbf",
		"a\xc3\xa4z",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		assert_int_equal(utf8_valid(all[i], strlen(all[i])),
				 strlen(all[i]));
}

static void the_first_bad_byte_is_found(void **state)
{
	static const char *const all[] = {
		"\x80",
		"\xbf",
		"\xc0\x80",
		"\xc1\xbf",
		"\xc2",
		"\xc2z",
		"\xe0\x9f\xbf",
		"\xed\xa0\x80",
		"\xed\xbf\xbf",
		"\xe4\xb8",
		"\xe4z\x80",
		"\xf0\x8f\xbf\xbf",
		"\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80",
		"\xf0\x9f\x98",
		"\xff",
		"\xfe",
		"\xf8\x88\x80\x80\x80",
	};
	char text[16];

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		memcpy(text, "ab", 2);
		memcpy(text + 2, all[i], strlen(all[i]) + 1);
		assert_int_equal(utf8_valid(text, strlen(text)), 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(well_formed_text_is_valid_to_its_end),
		cmocka_unit_test(the_first_bad_byte_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
