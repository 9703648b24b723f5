/*
 * Inflating: whole, cut, too large, and what is none.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "common/inflate.h"

enum {
	PLAIN = 4096,
	DEFLATED_MAX = 256,
};

static size_t deflated(uint8_t *dst)
{
	uint8_t plain[PLAIN];
	uLongf n = DEFLATED_MAX;

	memset(plain, 'x', sizeof(plain));
	assert_int_equal(compress(dst, &n, plain, sizeof(plain)), Z_OK);

	return n;
}

static void what_fits_is_inflated(void **state)
{
	uint8_t in[DEFLATED_MAX], out[PLAIN];
	size_t n = deflated(in), len = 0;

	(void)state;
	assert_int_equal(inflate_bytes(out, &len, sizeof(out), in, n), 0);
	assert_int_equal(len, PLAIN);
	assert_int_equal(out[0], 'x');
	assert_int_equal(out[PLAIN - 1], 'x');
}

static void what_does_not_fit_is_too_large(void **state)
{
	uint8_t in[DEFLATED_MAX], out[PLAIN];
	size_t n = deflated(in), len = 7;

	(void)state;
	assert_int_equal(inflate_bytes(out, &len, PLAIN - 1, in, n), EMSGSIZE);
	assert_int_equal(len, 7);
}

static void what_is_not_whole_is_refused(void **state)
{
	uint8_t in[DEFLATED_MAX + 1], out[PLAIN + 1];
	size_t n = deflated(in), len = 0;

	(void)state;
	for (size_t i = 0; i < n; i++)
		assert_int_equal(inflate_bytes(out, &len, sizeof(out), in, i),
				 EBADMSG);
	in[n] = 0;
	assert_int_equal(inflate_bytes(out, &len, sizeof(out), in, n + 1),
			 EBADMSG);
	in[n / 2] ^= 0xff;
	assert_int_equal(inflate_bytes(out, &len, sizeof(out), in, n), EBADMSG);
	assert_int_equal(inflate_bytes(out, &len, sizeof(out), "hello", 5),
			 EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_fits_is_inflated),
		cmocka_unit_test(what_does_not_fit_is_too_large),
		cmocka_unit_test(what_is_not_whole_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
