/*
 * One range of bytes (RFC 9110, section 14.1.2).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/range.h"

enum { SIZE = 1000 };

static void is_part(const char *header, int64_t first, int64_t length)
{
	const struct range r = range_parse(header);
	struct range_part part;

	assert_true(range_resolve(&r, SIZE, &part));
	assert_true(part.partial);
	assert_int_equal(part.first, first);
	assert_int_equal(part.length, length);
}

static void is_whole(const char *header)
{
	const struct range r = range_parse(header);
	struct range_part part;

	assert_false(r.given);
	assert_true(range_resolve(&r, SIZE, &part));
	assert_false(part.partial);
	assert_int_equal(part.first, 0);
	assert_int_equal(part.length, SIZE);
}

static void is_nothing(const char *header, int64_t size)
{
	const struct range r = range_parse(header);
	struct range_part part;

	assert_true(r.given);
	assert_false(range_resolve(&r, size, &part));
}

static void a_part_is_cut_to_what_there_is(void **state)
{
	(void)state;
	is_part("bytes=0-0", 0, 1);
	is_part("bytes=0-99", 0, 100);
	is_part("bytes=999-999", 999, 1);
	is_part("bytes=990-2000", 990, 10);
	is_part("bytes=10-", 10, 990);
	is_part("bytes=-1", 999, 1);
	is_part("bytes=-1000", 0, 1000);
	is_part("bytes=-99999", 0, 1000);
	is_part("Bytes=5-6", 5, 2);
}

static void what_we_do_not_know_is_the_whole(void **state)
{
	static const char *const headers[] = {
		"",	      "bytes",	       "bytes=",
		"bytes=-",    "bytes=x-1",     "bytes=1",
		"bytes=5-4",  "bytes=0-1,3-4", "bytes=1-2-3",
		"bytes= 1-2", "lines=1-2",     "bytes=--1",
		"bytes=1-x",  "bytes=+1-+2",   "bytes=0-9999999999999999999",
	};

	(void)state;
	is_whole(NULL);
	for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++)
		is_whole(headers[i]);
}

static void there_may_be_no_such_part(void **state)
{
	(void)state;
	is_nothing("bytes=1000-", SIZE);
	is_nothing("bytes=1000-1001", SIZE);
	is_nothing("bytes=-0", SIZE);
	is_nothing("bytes=999999999999999-", SIZE);
	is_nothing("bytes=0-0", 0);
	is_nothing("bytes=-5", 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_part_is_cut_to_what_there_is),
		cmocka_unit_test(what_we_do_not_know_is_the_whole),
		cmocka_unit_test(there_may_be_no_such_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
