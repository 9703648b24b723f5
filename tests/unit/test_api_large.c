/*
 * Who may hold much at once: few, each caller in turn, one of an address.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>

#include <cmocka.h>

#include "worker/large.h"

enum {
	STEP_MS = 20,
};

struct fixture {
	struct loop *loop;
	struct larges *larges;
};

/* One who asks. */
struct asker {
	struct large large;
	int held, refused;
};

static int setup(void **state)
{
	static struct fixture f;

	if (loop_new(&f.loop) || larges_new(&f.larges, f.loop))
		return -1;
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	larges_free(f->larges);
	loop_free(f->loop);
	return 0;
}

static void done(bool held, void *arg)
{
	struct asker *a = arg;

	a->held += held;
	a->refused += !held;
}

static int ask(struct fixture *f, struct asker *a, uint64_t caller,
	       const char *source)
{
	int err;

	*a = (struct asker){0};
	err = large_begin(f->larges, &a->large, caller, source, done, a);
	a->held = a->large.state == LARGE_HOLDS;
	return err;
}

static void stop(void *arg)
{
	loop_stop(arg);
}

static void run_for(struct fixture *f, uint64_t ms)
{
	struct loop_timer end = {0};

	loop_after(f->loop, &end, ms, stop, f->loop);
	assert_int_equal(loop_run(f->loop), 0);
}

static void one_of_an_address_holds_and_another_is_let_in(void **state)
{
	struct fixture *f = *state;
	struct asker many[6], other, third;

	for (uint64_t i = 0; i < 6; i++)
		assert_int_equal(ask(f, &many[i], 7 + i, "192.0.2.7"), 0);
	assert_int_equal(many[0].held, 1);
	run_for(f, STEP_MS);
	for (int i = 1; i < 6; i++)
		assert_int_equal(many[i].held + many[i].refused, 0);
	assert_int_equal(ask(f, &other, 100, "192.0.2.100"), 0);
	run_for(f, STEP_MS);
	assert_int_equal(other.held, 1);
	/* All places are taken: then it waits, and is let in when one ends. */
	assert_int_equal(ask(f, &third, 101, "192.0.2.101"), 0);
	run_for(f, STEP_MS);
	assert_int_equal(third.held + third.refused, 0);
	large_end(f->larges, &other.large);
	run_for(f, STEP_MS);
	assert_int_equal(third.held, 1);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(many[i].held, 1);
		large_end(f->larges, &many[i].large);
		run_for(f, STEP_MS);
	}
	large_end(f->larges, &third.large);
}

static void the_queue_of_a_caller_has_an_end(void **state)
{
	struct fixture *f = *state;
	struct asker many[LARGE_CALLER_QUEUE + 1], more, other;

	for (int i = 0; i <= LARGE_CALLER_QUEUE; i++)
		assert_int_equal(ask(f, &many[i], 7, "192.0.2.7"), 0);
	assert_int_equal(ask(f, &more, 7, "192.0.2.7"), EBUSY);
	assert_int_equal(more.large.state, LARGE_NONE);
	assert_true(larges_retry_s(f->larges) > 1);
	assert_true(larges_retry_s(f->larges) <= LARGE_RETRY_MAX_S);
	assert_int_equal(ask(f, &other, 8, "192.0.2.8"), 0);
	run_for(f, STEP_MS);
	assert_int_equal(other.held, 1);
	large_end(f->larges, &other.large);
	for (int i = LARGE_CALLER_QUEUE; i >= 0; i--)
		large_end(f->larges, &many[i].large);
	run_for(f, STEP_MS);
	assert_int_equal(larges_retry_s(f->larges), 1);
}

static void who_gives_way_is_told_by_the_loop(void **state)
{
	enum { CALLERS = LARGE_SOURCE_QUEUE / LARGE_CALLER_QUEUE };
	struct fixture *f = *state;
	struct asker first, many[LARGE_SOURCE_QUEUE], more[2];
	int refused = 0;

	assert_int_equal(ask(f, &first, 100, "192.0.2.7"), 0);
	for (uint64_t i = 0; i < LARGE_SOURCE_QUEUE; i++)
		assert_int_equal(ask(f, &many[i], 1 + i % CALLERS, "192.0.2.7"),
				 0);
	for (uint64_t i = 0; i < 2; i++)
		assert_int_equal(ask(f, &more[i], 200 + i, "192.0.2.7"), 0);
	for (int i = 0; i < LARGE_SOURCE_QUEUE; i++)
		assert_int_equal(many[i].refused, 0);
	for (int i = 0; i < LARGE_SOURCE_QUEUE; i++)
		if (many[i].large.state == LARGE_REFUSED && !refused++)
			large_end(f->larges, &many[i].large);
	assert_int_equal(refused, 2);
	run_for(f, STEP_MS);
	for (int i = 0; i < LARGE_SOURCE_QUEUE; i++)
		refused -= many[i].refused;
	assert_int_equal(refused, 1); /* who has left is not told */
	for (int i = 0; i < LARGE_SOURCE_QUEUE; i++)
		large_end(f->larges, &many[i].large);
	for (int i = 0; i < 2; i++)
		large_end(f->larges, &more[i].large);
	large_end(f->larges, &first.large);
}

static void who_waits_too_long_is_told(void **state)
{
	struct fixture *f = *state;
	struct asker first, second, late;

	assert_int_equal(ask(f, &first, 7, "192.0.2.7"), 0);
	assert_int_equal(ask(f, &second, 7, "192.0.2.7"), 0);
	assert_int_equal(ask(f, &late, 7, "192.0.2.7"), 0);
	large_end(f->larges, &late.large); /* its peer has hung up */
	run_for(f, LARGE_WAIT_MS + 1000);
	assert_int_equal(second.held, 0);
	assert_int_equal(second.refused, 1);
	assert_int_equal(second.large.state, LARGE_NONE);
	assert_int_equal(late.held + late.refused, 0);
	large_end(f->larges, &second.large);
	large_end(f->larges, &first.large);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			one_of_an_address_holds_and_another_is_let_in, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			the_queue_of_a_caller_has_an_end, setup, teardown),
		cmocka_unit_test_setup_teardown(
			who_gives_way_is_told_by_the_loop, setup, teardown),
		cmocka_unit_test_setup_teardown(who_waits_too_long_is_told,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
