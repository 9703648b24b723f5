/*
 * What a source may get wrong, and what makes up for it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/log.h"
#include "gate/budget.h"

static const enum budget_proof HERE = BUDGET_CLAIMED;
enum { START_MS = 1000000, PLACES = 4096 * 4 };

static const struct budget_conf conf = {
	.bad_burst = 10,
	.bad_per_s = 5,
	.unproven_burst = 20,
	.unproven_per_s = 10,
	.most = {3, 2, UINT32_MAX},
	.total = {5, 5, UINT32_MAX},
};

static struct sa address(const char *text)
{
	struct sa sa;

	assert_int_equal(sa_set_str(&sa, text, 5060), 0);

	return sa;
}

static struct budget *make(void)
{
	struct budget *b = NULL;

	assert_int_equal(budget_alloc(&b, &conf), 0);

	return b;
}

static void who_sends_rubbish_is_not_heard_for_a_while(void **state)
{
	struct budget *b = make();
	const struct sa bad = address("192.0.2.1"), good = address("192.0.2.2");

	(void)state;
	for (unsigned i = 0; i < conf.bad_burst; i++) {
		assert_true(budget_may_speak(b, HERE, &bad, START_MS));
		budget_bad(b, HERE, &bad, START_MS);
	}
	assert_false(budget_may_speak(b, HERE, &bad, START_MS));
	assert_true(budget_may_speak(b, HERE, &good, START_MS));

	assert_false(budget_may_speak(b, HERE, &bad, START_MS + 199));
	assert_true(budget_may_speak(b, HERE, &bad, START_MS + 200));
	budget_bad(b, HERE, &bad, START_MS + 200);
	assert_false(budget_may_speak(b, HERE, &bad, START_MS + 200));
	mem_deref(b);
}

/* Who forges a source spends nothing of what it has shown to be its own */
static void what_is_claimed_costs_nothing_of_what_is_shown(void **state)
{
	struct budget *b = make();
	const struct sa src = address("192.0.2.1");

	(void)state;
	for (unsigned i = 0; i < conf.bad_burst; i++)
		budget_bad(b, BUDGET_CLAIMED, &src, START_MS);
	while (budget_unproven(b, BUDGET_CLAIMED, &src, START_MS))
		;
	assert_false(budget_may_speak(b, BUDGET_CLAIMED, &src, START_MS));
	assert_true(budget_may_speak(b, BUDGET_SHOWN, &src, START_MS));
	assert_true(budget_unproven(b, BUDGET_SHOWN, &src, START_MS));
	mem_deref(b);
}

static void it_never_has_more_than_the_burst(void **state)
{
	struct budget *b = make();
	const struct sa src = address("192.0.2.1");
	const uint64_t later = START_MS + UINT64_C(1) * 365 * 86400 * 1000;

	(void)state;
	budget_bad(b, HERE, &src, START_MS);
	for (unsigned i = 0; i < conf.bad_burst; i++) {
		assert_true(budget_may_speak(b, HERE, &src, later));
		budget_bad(b, HERE, &src, later);
	}
	assert_false(budget_may_speak(b, HERE, &src, later));
	mem_deref(b);
}

static void strangers_come_so_often(void **state)
{
	struct budget *b = make();
	const struct sa src = address("192.0.2.1");

	(void)state;
	for (unsigned i = 0; i < conf.unproven_burst; i++)
		assert_true(budget_unproven(b, HERE, &src, START_MS));
	assert_false(budget_unproven(b, HERE, &src, START_MS));
	assert_true(budget_may_speak(b, HERE, &src, START_MS));

	assert_true(budget_unproven(b, HERE, &src, START_MS + 100));
	assert_false(budget_unproven(b, HERE, &src, START_MS + 100));
	mem_deref(b);
}

static void a_good_proxy_is_never_a_stranger_for_long(void **state)
{
	struct budget *b = make();
	const struct sa src = address("192.0.2.1");

	(void)state;
	for (unsigned i = 0; i < 100 * conf.unproven_burst; i++) {
		assert_true(budget_unproven(b, HERE, &src, START_MS));
		budget_proven(b, HERE, &src, START_MS);
	}
	for (unsigned i = 0; i < conf.unproven_burst; i++)
		assert_true(budget_unproven(b, HERE, &src, START_MS));
	assert_false(budget_unproven(b, HERE, &src, START_MS));
	mem_deref(b);
}

static void a_network_of_ipv6_is_one_source(void **state)
{
	struct budget *b = make();
	const struct sa one = address("2001:db8::1"),
			two = address("2001:db8::ffff:2"),
			other = address("2001:db8:0:1::1"),
			mapped = address("::ffff:192.0.2.1"),
			v4 = address("192.0.2.1");

	(void)state;
	for (unsigned i = 0; i < conf.bad_burst; i++)
		budget_bad(b, HERE, i % 2 ? &one : &two, START_MS);
	assert_false(budget_may_speak(b, HERE, &one, START_MS));
	assert_false(budget_may_speak(b, HERE, &two, START_MS));
	assert_true(budget_may_speak(b, HERE, &other, START_MS));

	for (unsigned i = 0; i < conf.bad_burst; i++)
		budget_bad(b, HERE, &mapped, START_MS);
	assert_false(budget_may_speak(b, HERE, &v4, START_MS));
	mem_deref(b);
}

static void what_is_open_is_counted(void **state)
{
	struct budget *b = make();
	const struct sa one = address("192.0.2.1"), two = address("192.0.2.2");

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		assert_true(budget_open(b, BUDGET_REQUESTS, &one, START_MS));
	assert_false(budget_open(b, BUDGET_REQUESTS, &one, START_MS));
	assert_true(budget_open(b, BUDGET_CONNECTIONS, &one, START_MS));

	assert_true(budget_open(b, BUDGET_REQUESTS, &two, START_MS));
	assert_true(budget_open(b, BUDGET_REQUESTS, &two, START_MS));
	assert_false(budget_open(b, BUDGET_REQUESTS, &two, START_MS)); /* all */

	budget_close(b, BUDGET_REQUESTS, &one);
	assert_true(budget_open(b, BUDGET_REQUESTS, &two, START_MS));
	mem_deref(b);
}

/* More sources than there are places: who is worst keeps his */
static void the_table_does_not_grow_and_the_worst_stay(void **state)
{
	struct budget *b = make();
	const struct sa bad = address("192.0.2.1");
	struct sa src;

	(void)state;
	for (unsigned i = 0; i < conf.bad_burst; i++)
		budget_bad(b, HERE, &bad, START_MS);
	assert_true(budget_open(b, BUDGET_CONNECTIONS, &bad, START_MS));

	sa_init(&src, AF_INET);
	for (uint32_t i = 1; i <= 4 * PLACES; i++) {
		sa_set_in(&src, 0x0a000000u + i, 5060);
		budget_bad(b, HERE, &src, START_MS);
		assert_true(budget_may_speak(b, HERE, &src, START_MS));
	}
	assert_false(budget_may_speak(b, HERE, &bad, START_MS));
	budget_close(b, BUDGET_CONNECTIONS, &bad);
	mem_deref(b);
}

/* Where all places of a set are in use, the rest share one */
static void without_a_place_it_is_counted_too(void **state)
{
	struct budget_conf wide = conf;
	struct budget *b = NULL;
	struct sa src;
	uint32_t opened = 0;

	(void)state;
	wide.total[BUDGET_CONNECTIONS] = 8 * PLACES;
	wide.most[BUDGET_CONNECTIONS] = 1000;
	assert_int_equal(budget_alloc(&b, &wide), 0);

	sa_init(&src, AF_INET);
	for (uint32_t i = 1; i <= 4 * PLACES; i++) {
		sa_set_in(&src, 0x0a000000u + i, 5060);
		opened += budget_open(b, BUDGET_CONNECTIONS, &src, START_MS);
	}
	assert_true(opened >= PLACES / 2 && opened <= PLACES + 1000);
	mem_deref(b);
}

static void lines_are_few(void **state)
{
	struct budget *b = make();
	uint32_t suppressed, lines = 0;

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		lines += budget_may_log(b, START_MS, &suppressed);
	assert_in_range(lines, 1, 100);
	assert_true(budget_may_log(b, START_MS + 1000, &suppressed));
	assert_int_equal(suppressed, 1000 - lines);
	mem_deref(b);
}

static void who_has_proved_who_it_is_is_known_for_a_while(void **state)
{
	struct budget *b = make();
	const struct sa src = address("192.0.2.1"),
			other = address("192.0.2.2");

	(void)state;
	assert_false(budget_is_known(b, &src, START_MS));
	assert_true(budget_unproven(b, HERE, &src, START_MS));
	assert_false(budget_is_known(b, &src, START_MS));
	budget_proven(b, HERE, &src, START_MS);
	assert_true(budget_is_known(b, &src, START_MS + 59999));
	assert_false(budget_is_known(b, &src, START_MS + 60000));
	assert_false(budget_is_known(b, &other, START_MS));
	mem_deref(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_sends_rubbish_is_not_heard_for_a_while),
		cmocka_unit_test(who_has_proved_who_it_is_is_known_for_a_while),
		cmocka_unit_test(
			what_is_claimed_costs_nothing_of_what_is_shown),
		cmocka_unit_test(it_never_has_more_than_the_burst),
		cmocka_unit_test(strangers_come_so_often),
		cmocka_unit_test(a_good_proxy_is_never_a_stranger_for_long),
		cmocka_unit_test(a_network_of_ipv6_is_one_source),
		cmocka_unit_test(what_is_open_is_counted),
		cmocka_unit_test(the_table_does_not_grow_and_the_worst_stay),
		cmocka_unit_test(without_a_place_it_is_counted_too),
		cmocka_unit_test(lines_are_few),
	};

	log_init("test", LOG_LEVEL_ERROR);

	return cmocka_run_group_tests(tests, NULL, NULL);
}
