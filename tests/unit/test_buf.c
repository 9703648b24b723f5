/*
 * Buffers that grow up to a named maximum, and a request's memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/arena.h"
#include "common/buf.h"

static void what_is_added_stands_there_with_a_nul(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	buf_str(&b, "ab");
	buf_char(&b, 'c');
	buf_add(&b, "d\0e", 3);
	buf_fmt(&b, "%d %s", 42, "x");
	assert_false(b.failed);
	assert_int_equal(b.len, 10);
	assert_memory_equal(b.p, "abcd\0e42 x", 11);
	buf_free(&b);
}

static void it_grows_and_keeps_what_was_there(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	for (int i = 0; i < 100000; i++)
		buf_char(&b, (char)('a' + i % 26));
	assert_int_equal(b.len, 100000);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(b.p[i], 'a' + i % 26);
	buf_free(&b);
}

static void the_maximum_holds_and_the_failure_stays(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 4);
	buf_add(&b, "abcd", 4);
	assert_false(b.failed);
	buf_char(&b, 'e');
	assert_true(b.failed);
	assert_int_equal(b.len, 4);
	buf_reset(&b);
	assert_false(b.failed);
	buf_fmt(&b, "%s", "fghij");
	assert_true(b.failed);
	buf_add(&b, "", 0);
	assert_true(b.failed);
	buf_free(&b);
	buf_init(&b, 4);
	buf_add(&b, "x", (size_t)-1);
	assert_true(b.failed);
	buf_free(&b);
}

static void a_long_format_is_whole(void **state)
{
	char text[5001];
	struct buf b;

	(void)state;
	memset(text, 'x', 5000);
	text[5000] = '\0';
	buf_init(&b, 10000);
	buf_fmt(&b, "<%s>", text);
	assert_int_equal(b.len, 5002);
	assert_int_equal(b.p[5001], '>');
	buf_free(&b);
}

static void an_arena_gives_zeroed_aligned_memory(void **state)
{
	struct arena *a = arena_new();

	(void)state;
	assert_non_null(a);
	for (size_t n = 1; n < 40000; n = n * 3 + 1) {
		unsigned char *p = arena_alloc(a, n);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % sizeof(max_align_t) % 16, 0);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xff, n);
	}
	arena_reset(a);
	assert_string_equal(arena_str(a, "text"), "text");
	assert_memory_equal(arena_mem(a, "a\0b", 3), "a\0b", 4);
	assert_string_equal(arena_fmt(a, "%d-%s", 7, "x"), "7-x");
	assert_null(arena_alloc(a, (size_t)-1));
	arena_free(a);
	arena_free(NULL);
}

static void a_reset_arena_gives_zeroed_memory_again(void **state)
{
	struct arena *a = arena_new();

	(void)state;
	for (int round = 0; round < 50; round++) {
		unsigned char *p = arena_alloc(a, 3000);

		assert_non_null(p);
		for (size_t i = 0; i < 3000; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xee, 3000);
		arena_reset(a);
	}
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_added_stands_there_with_a_nul),
		cmocka_unit_test(it_grows_and_keeps_what_was_there),
		cmocka_unit_test(the_maximum_holds_and_the_failure_stays),
		cmocka_unit_test(a_long_format_is_whole),
		cmocka_unit_test(an_arena_gives_zeroed_aligned_memory),
		cmocka_unit_test(a_reset_arena_gives_zeroed_memory_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
