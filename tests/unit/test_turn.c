/*
 * Whose turn it is: callers in turn, bounds of one caller and one target, and
 * who is heavy.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/turn.h"

enum {
	MANY = 40,
};

static const struct turns_limits none;

static struct turns *make(const struct turns_limits *limits)
{
	struct turns *t = NULL;

	assert_int_equal(turns_new(&t, limits), 0);
	return t;
}

static void who_asks_once_is_next(void **state)
{
	struct turns *t = make(&none);
	struct turn many[MANY], once;

	(void)state;
	for (int i = 0; i < MANY; i++)
		assert_int_equal(turns_add(t, &many[i], 7, 0, 1), 0);
	assert_ptr_equal(turns_take(t, TURN_ANY, 1), &many[0]);
	assert_int_equal(turns_add(t, &once, 8, 0, 1), 0);
	assert_ptr_equal(turns_take(t, TURN_ANY, 1), &once);
	assert_ptr_equal(turns_take(t, TURN_ANY, 1), &many[1]);
	assert_int_equal(turns_waiting(t), MANY - 2);
	turns_free(t);
}

static void callers_come_by_what_they_cost(void **state)
{
	struct turns *t = make(&none);
	struct turn dear[3], cheap[MANY];
	int served = 0;

	(void)state;
	assert_int_equal(turns_add(t, &dear[0], 7, 0, 1), 0);
	assert_ptr_equal(turns_take(t, TURN_ANY, 1), &dear[0]);
	turns_done(t, &dear[0], 4000, 5); /* twenty times a cheap one */
	assert_int_equal(turns_add(t, &dear[1], 7, 0, 5), 0);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(turns_add(t, &cheap[i], 8, 0, 5), 0);
	for (struct turn *e; (e = turns_take(t, TURN_ANY, 5)) != &dear[1];)
		served++;
	assert_in_range(served, 15, 25);
	turns_free(t);
}

static void a_caller_has_a_bounded_queue_and_others_their_own(void **state)
{
	const struct turns_limits limits = {.waiting = 6, .caller_waiting = 3};
	struct turns *t = make(&limits);
	struct turn of7[4], of8[4];

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(turns_add(t, &of7[i], 7, 0, 1), 0);
	assert_int_equal(turns_add(t, &of7[3], 7, 0, 1), EBUSY);
	for (int i = 0; i < 3; i++)
		assert_int_equal(turns_add(t, &of8[i], 8, 0, 1), 0);
	assert_int_equal(turns_add(t, &of8[3], 9, 0, 1), EBUSY); /* all */
	turns_remove(t, &of7[1]);
	assert_int_equal(turns_add(t, &of7[1], 7, 0, 1), 0);
	turns_free(t);
}

static void who_has_most_makes_way_for_who_has_less(void **state)
{
	const struct turns_limits limits = {
		.waiting = 6, .caller_waiting = 4, .target_waiting = 4};
	struct turns *t = make(&limits);
	struct turn of7[4], of8[2], of9[2];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(turns_add(t, &of7[i], 7, 1, 1), 0);
	assert_null(turns_make_room(t, 7, 2)); /* as many as it may */
	assert_null(turns_make_room(t, 8, 2)); /* there is room */
	assert_int_equal(turns_add(t, &of8[0], 8, 1, 1), EBUSY);
	assert_ptr_equal(turns_make_room(t, 8, 1), &of7[3]);
	assert_int_equal(turns_add(t, &of8[0], 8, 1, 1), 0);
	assert_int_equal(turns_add(t, &of8[1], 8, 2, 1), 0);
	assert_int_equal(turns_add(t, &of9[0], 9, 2, 1), 0);
	assert_int_equal(turns_add(t, &of9[1], 9, 2, 1), EBUSY); /* all */
	assert_ptr_equal(turns_make_room(t, 9, 2), &of7[2]);
	assert_int_equal(turns_add(t, &of9[1], 9, 2, 1), 0);
	assert_null(turns_make_room(t, 9, 2)); /* nobody has more */
	assert_int_equal(turns_waiting(t), 6);
	turns_free(t);
}

static void of_one_caller_and_on_one_target_few_run(void **state)
{
	const struct turns_limits limits = {.caller_running = 2,
					    .target_running = 2};
	struct turns *t = make(&limits);
	struct turn a[3], b[2], c;

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(turns_add(t, &a[i], 7, 100, 1), 0);
	assert_ptr_equal(turns_take(t, TURN_ANY, 1), &a[0]);
	assert_ptr_equal(turns_take(t, TURN_ANY, 1), &a[1]);
	assert_null(turns_take(t, TURN_ANY, 1));
	/* Another caller, the same target: it waits. Another target: not. */
	assert_int_equal(turns_add(t, &b[0], 8, 100, 1), 0);
	assert_null(turns_take(t, TURN_ANY, 1));
	assert_int_equal(turns_add(t, &b[1], 8, 101, 1), 0);
	assert_ptr_equal(turns_take(t, TURN_ANY, 1), &b[1]);
	/* Nobody's, on nothing: whenever there is room. */
	assert_int_equal(turns_add(t, &c, 0, 0, 1), 0);
	assert_ptr_equal(turns_take(t, TURN_ANY, 1), &c);
	turns_done(t, &a[0], 100, 1);
	assert_ptr_equal(turns_take(t, TURN_ANY, 1), &b[0]);
	turns_done(t, &a[1], 100, 1);
	assert_ptr_equal(turns_take(t, TURN_ANY, 1), &a[2]);
	assert_int_equal(turns_waiting(t), 0);
	turns_free(t);
}

static void who_is_slow_is_heavy_until_it_is_made_up_for(void **state)
{
	struct turns *t = make(&none);
	struct turn e, light;
	const uint64_t slow_us = 1000 * 1000;
	const uint64_t heavy_ms = (slow_us - TURN_QUICK_US - TURN_HEAVY_US) /
				  1000 * TURN_FORGIVE;

	(void)state;
	assert_int_equal(turns_add(t, &e, 7, 0, 0), 0);
	assert_ptr_equal(turns_take(t, TURN_LIGHT, 0), &e);
	assert_false(e.heavy);
	turns_done(t, &e, slow_us, 1000);
	assert_int_equal(turns_add(t, &e, 7, 0, 1000), 0);
	assert_int_equal(turns_add(t, &light, 8, 0, 1000), 0);
	assert_ptr_equal(turns_take(t, TURN_LIGHT, 1000), &light);
	assert_null(turns_take(t, TURN_LIGHT, 1000));
	assert_null(turns_take(t, TURN_LIGHT, 1000 + heavy_ms - 1000));
	assert_ptr_equal(turns_take(t, TURN_HEAVY, 1000 + heavy_ms - 1000), &e);
	assert_true(e.heavy);
	turns_give_back(t, &e);
	assert_ptr_equal(turns_take(t, TURN_LIGHT, 1000 + heavy_ms + 1000), &e);
	assert_false(e.heavy);
	turns_free(t);
}

static void run(struct turns *t, uint64_t caller, uint64_t cost_us,
		uint64_t now_ms)
{
	struct turn e;

	assert_int_equal(turns_add(t, &e, caller, 0, now_ms), 0);
	e.rests = true;
	assert_ptr_equal(turns_take(t, TURN_ANY, now_ms), &e);
	turns_done(t, &e, cost_us, now_ms);
}

static void who_is_heavy_rests_and_others_do_not(void **state)
{
	struct turns *t = make(&none);
	struct turn heavy, light, other;

	(void)state;
	for (int i = 0; i < 4; i++)
		run(t, 7, 70000, 1); /* 200 ms in all are too much */
	assert_int_equal(turns_add(t, &heavy, 7, 0, 1), 0);
	heavy.rests = true;
	assert_ptr_equal(turns_take(t, TURN_ANY, 1), NULL);
	assert_int_equal(turns_add(t, &light, 8, 0, 1), 0);
	light.rests = true;
	assert_ptr_equal(turns_take(t, TURN_ANY, 1), &light);
	/* nor does what is not to */
	assert_int_equal(turns_add(t, &other, 7, 0, 1), 0);
	assert_ptr_equal(turns_take(t, TURN_ANY, 1), &other);
	assert_ptr_equal(turns_take(t, TURN_ANY, 300), NULL);
	assert_ptr_equal(turns_take(t, TURN_ANY, 500), &heavy);
	/* a second at most, however long it took */
	turns_done(t, &heavy, 60 * 1000 * 1000, 500);
	assert_int_equal(turns_add(t, &heavy, 7, 0, 500), 0);
	heavy.rests = true;
	assert_ptr_equal(turns_take(t, TURN_ANY, 499 + TURN_REST_MAX_MS), NULL);
	assert_ptr_equal(turns_take(t, TURN_ANY, 500 + TURN_REST_MAX_MS),
			 &heavy);
	turns_free(t);
}

static void where_all_is_slow_nobody_is_heavy(void **state)
{
	struct turns *t = make(&none);
	struct turn e;

	(void)state;
	for (uint64_t i = 0; i < 1000; i++) /* the machine is busy */
		run(t, 100 + i, 50000, 1);
	for (int i = 0; i < 20; i++)
		run(t, 7, 50000, 1);
	assert_int_equal(turns_add(t, &e, 7, 0, 1), 0);
	assert_ptr_equal(turns_take(t, TURN_LIGHT, 1), &e);
	turns_free(t);
}

static void while_one_is_slow_its_caller_is_heavy(void **state)
{
	struct turns *t = make(&none);
	struct turn first, second;

	(void)state;
	assert_int_equal(turns_add(t, &first, 7, 0, 0), 0);
	assert_int_equal(turns_add(t, &second, 7, 0, 0), 0);
	assert_ptr_equal(turns_take(t, TURN_LIGHT, 0), &first);
	turns_is_slow(&first);
	turns_is_slow(&first);
	assert_null(turns_take(t, TURN_LIGHT, 0));
	turns_done(t, &first, 20000, 20);
	assert_ptr_equal(turns_take(t, TURN_LIGHT, 20), &second);
	turns_free(t);
}

static void who_has_waited_too_long_is_found(void **state)
{
	struct turns *t = make(&none);
	struct turn a, b;

	(void)state;
	assert_int_equal(turns_add(t, &a, 7, 0, 100), 0);
	assert_int_equal(turns_add(t, &b, 8, 0, 200), 0);
	assert_null(turns_overdue(t, 99));
	assert_ptr_equal(turns_overdue(t, 100), &a);
	turns_remove(t, &a);
	assert_null(turns_overdue(t, 199));
	assert_ptr_equal(turns_overdue(t, 5000), &b);
	turns_remove(t, &b);
	assert_null(turns_first(t));
	turns_free(t);
}

static void callers_that_are_gone_are_forgotten(void **state)
{
	struct turns *t = make(&none);
	struct turn e;

	(void)state;
	/* As many as wrong tokens are: each is served and done. */
	for (uint64_t key = 1; key < 10 * TURN_CALLERS_MAX; key++) {
		assert_int_equal(turns_add(t, &e, key, key + 1, key), 0);
		assert_ptr_equal(turns_take(t, TURN_ANY, key), &e);
		turns_done(t, &e, key % 3 ? 100 : 300 * 1000, key);
	}
	turns_free(t);
}

/* The key of a source as a process of its own has it. */
static uint64_t key_elsewhere(void)
{
	uint64_t key = 0;
	int fds[2], status = -1;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		key = turn_key_of_source("2001:db8::");
		_exit(write(fds[1], &key, sizeof(key)) != sizeof(key));
	}
	assert_int_equal(read(fds[0], &key, sizeof(key)), sizeof(key));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(close(fds[0]), 0);
	assert_int_equal(close(fds[1]), 0);
	return key;
}

/* Before any other, so that nothing of it is there yet to be inherited. */
static void no_stranger_can_reckon_a_key(void **state)
{
	(void)state;
	assert_true(key_elsewhere() != key_elsewhere());
}

static void keys_tell_things_apart(void **state)
{
	(void)state;
	assert_true(turn_key_of_source("192.0.2.1") !=
		    turn_key_of_source("192.0.2.2"));
	assert_true(turn_key_of('a', "x", 1) != turn_key_of('b', "x", 1));
	assert_true(turn_key_of_source("") != 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_stranger_can_reckon_a_key),
		cmocka_unit_test(who_asks_once_is_next),
		cmocka_unit_test(callers_come_by_what_they_cost),
		cmocka_unit_test(
			a_caller_has_a_bounded_queue_and_others_their_own),
		cmocka_unit_test(who_has_most_makes_way_for_who_has_less),
		cmocka_unit_test(of_one_caller_and_on_one_target_few_run),
		cmocka_unit_test(who_is_slow_is_heavy_until_it_is_made_up_for),
		cmocka_unit_test(who_is_heavy_rests_and_others_do_not),
		cmocka_unit_test(where_all_is_slow_nobody_is_heavy),
		cmocka_unit_test(while_one_is_slow_its_caller_is_heavy),
		cmocka_unit_test(who_has_waited_too_long_is_found),
		cmocka_unit_test(callers_that_are_gone_are_forgotten),
		cmocka_unit_test(keys_tell_things_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
