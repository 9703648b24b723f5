/*
 * Which destinations have answered lately.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "transaction/destination.h"

static void assert_told(const struct destinations *ds, uint64_t now_ms,
			const char *expected)
{
	struct mbuf *mb = mbuf_alloc(64);

	assert_non_null(mb);
	assert_int_equal(destinations_print(mb, ds, now_ms), 0);
	assert_int_equal(mb->end, strlen(expected));
	assert_memory_equal(mb->buf, expected, mb->end);
	mem_deref(mb);
}

static void who_has_answered_is_told_while_it_is_busy(void **state)
{
	struct destinations *ds;
	struct destination *d, *again;

	(void)state;
	assert_int_equal(destinations_alloc(&ds), 0);
	assert_int_equal(destination_begin(&d, ds, "udp:a:1"), 0);
	assert_told(ds, 1000, "{}");
	destination_heard(d, true, 1000);
	assert_told(ds, 1000, "{\"udp:a:1\"}");
	destination_end(d);
	assert_told(ds, 1000, "{}");
	assert_int_equal(destination_begin(&again, ds, "udp:a:1"), 0);
	assert_ptr_equal(d, again);
	assert_told(ds, 1000, "{\"udp:a:1\"}");
	assert_told(ds, 1000 + DESTINATION_LATELY_MS, "{}");
	mem_deref(ds);
}

static void who_does_not_answer_any_more_is_not(void **state)
{
	struct destinations *ds;
	struct destination *d;

	(void)state;
	assert_int_equal(destinations_alloc(&ds), 0);
	assert_int_equal(destination_begin(&d, ds, "a"), 0);
	destination_heard(d, true, 1);
	assert_int_equal(destination_begin(&d, ds, "a"), 0);
	destination_heard(d, false, 2);
	destination_end(d);
	assert_told(ds, 2, "{}");
	destination_end(d); /* and is forgotten */
	destination_end(NULL);
	destination_heard(NULL, true, 1);
	mem_deref(ds);
}

static void a_name_may_hold_anything(void **state)
{
	struct destinations *ds;
	struct destination *d;

	(void)state;
	assert_int_equal(destinations_alloc(&ds), 0);
	assert_int_equal(destination_begin(&d, ds, "a\"b\\c,{}"), 0);
	destination_heard(d, true, 1);
	assert_int_equal(destination_begin(&d, ds, "b"), 0);
	destination_heard(d, true, 1);
	assert_told(ds, 1, "{\"a\\\"b\\\\c,{}\",\"b\"}");
	mem_deref(ds);
}

static void memory_is_bounded(void **state)
{
	struct destinations *ds;
	struct destination *d;
	char name[16];

	(void)state;
	assert_int_equal(destinations_alloc(&ds), 0);
	for (unsigned i = 0; i <= DESTINATIONS_MAX; i++) {
		(void)re_snprintf(name, sizeof(name), "%u", i);
		assert_int_equal(destination_begin(&d, ds, name), 0);
		destination_heard(d, true, 1);
		destination_end(d);
	}
	assert_int_equal(destination_begin(&d, ds, "0"), 0);
	assert_told(ds, 1, "{}"); /* the one that answered longest ago */
	assert_int_equal(destination_begin(&d, ds, "1"), 0);
	assert_told(ds, 1, "{\"1\"}");
	mem_deref(ds);
}

/* One that answers and is busy is told of, however many are. */
static void of_very_many_the_busiest_are_told(void **state)
{
	struct destinations *ds;
	struct destination *d;
	char name[16];

	(void)state;
	assert_int_equal(destinations_alloc(&ds), 0);
	for (unsigned i = 0; i < 2 * DESTINATIONS_TOLD_MAX; i++) {
		(void)re_snprintf(name, sizeof(name), "%u", i);
		assert_int_equal(destination_begin(&d, ds, name), 0);
		destination_heard(d, true, 1);
	}
	assert_told(ds, 1, "{}"); /* each has one under way, all far below 8 */
	for (int i = 0; i < 8; i++)
		assert_int_equal(destination_begin(&d, ds, "last"), 0);
	destination_heard(d, true, 1);
	assert_told(ds, 1, "{\"last\"}");
	for (int i = 0; i < 8; i++)
		destination_end(d);
	assert_told(ds, 1, "{}");
	mem_deref(ds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_has_answered_is_told_while_it_is_busy),
		cmocka_unit_test(who_does_not_answer_any_more_is_not),
		cmocka_unit_test(a_name_may_hold_anything),
		cmocka_unit_test(memory_is_bounded),
		cmocka_unit_test(of_very_many_the_busiest_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
