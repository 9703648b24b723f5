/*
 * libre's timers on the wheel: each is called at its time and in its order,
 * however far ahead, whatever is stopped and started meanwhile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <re.h>

#include "transport/timers.h"

enum {
	TIMERS = 2000,
	STEPS = 20000,
};

static uint64_t now = UINT64_C(0x1ffffff05); /* spans of all levels end soon */

/* In the place of the agent's */
uint64_t tmr_jiffies(void)
{
	return now;
}

struct timed {
	struct tmr tmr;
	uint64_t due;	/* ms; 0: it does not run */
	uint64_t order; /* in which it was started */
};

static struct timed timed[TIMERS];
static uint64_t last_due, last_order, started;
static unsigned called;

static void on_time(void *arg)
{
	struct timed *t = arg;

	assert_true(t->due);
	assert_true(t->due <= now);
	assert_true(t->due > last_due ||
		    (t->due == last_due && t->order > last_order));
	assert_false(tmr_isrunning(&t->tmr));
	last_due = t->due;
	last_order = t->order;
	t->due = 0;
	called++;
}

static void run(struct timed *t, uint64_t delay)
{
	t->due = now + delay;
	t->order = ++started;
	tmr_start(&t->tmr, delay, on_time, t);
}

static uint64_t first_due(void)
{
	uint64_t first = UINT64_MAX;

	for (unsigned i = 0; i < TIMERS; i++)
		if (timed[i].due && timed[i].due < first)
			first = timed[i].due;

	return first;
}

static void poll_all(void)
{
	last_due = last_order = 0;
	tmr_poll(NULL);
	assert_true(first_due() > now);
}

/* As the loop does, which may wait for less, and never for longer */
static void wait_for_next(void)
{
	const uint64_t ms = tmr_next_timeout(NULL), first = first_due();

	if (first == UINT64_MAX) {
		assert_int_equal(ms, 0);
		return;
	}
	assert_true(ms >= 1);
	assert_true(now + ms <= first || ms == 1);
	now += ms;
	poll_all();
}

static uint64_t any_delay(void)
{
	static const uint64_t common[] = {0, 1, 500, 4000, 5000, 32000, 900000};
	const unsigned up_to = 1 + (unsigned)random() % 34; /* bits */

	if (random() % 2)
		return common[(unsigned)random() %
			      (sizeof(common) / sizeof(*common))];

	return 1 + (uint64_t)random() % (UINT64_C(1) << up_to);
}

static void test_any(void **state)
{
	(void)state;
	srandom(3261);
	for (unsigned step = 0; step < STEPS; step++) {
		struct timed *t = &timed[(unsigned)random() % TIMERS];

		switch (random() % 8) {
		case 0:
			tmr_cancel(&t->tmr);
			t->due = 0;
			break;
		case 1:
			now += (uint64_t)random() % 700; /* it was busy */
			poll_all();
			break;
		case 2:
			wait_for_next();
			break;
		default:
			run(t, any_delay());
			assert_int_equal(tmr_get_expire(&t->tmr), t->due - now);
		}
	}
	while (first_due() != UINT64_MAX)
		wait_for_next();
	assert_int_equal(tmr_next_timeout(NULL), 0);
	assert_true(called > STEPS / 4);
}

/* The last in its millisecond */
static void test_at_once(void **state)
{
	(void)state;
	run(&timed[0], 10);
	now += 10;
	run(&timed[1], 0);
	run(&timed[2], 0);
	assert_int_equal(tmr_next_timeout(NULL), 1);
	poll_all();
	assert_int_equal(timed[0].due + timed[1].due + timed[2].due, 0);
}

static void again(void *arg)
{
	struct tmr *tmr = arg;

	called++;
	tmr_start(tmr, 1, again, tmr);
}

/* One that starts itself anew is not called for time that has not come */
static void test_again(void **state)
{
	struct tmr tmr;

	(void)state;
	tmr_init(&tmr);
	called = 0;
	tmr_start(&tmr, 1, again, &tmr);
	for (unsigned i = 0; i < 1000; i++) {
		now++;
		tmr_poll(NULL);
	}
	assert_int_equal(called, 1000);
	now += 1000; /* late: once */
	tmr_poll(NULL);
	assert_int_equal(called, 1001);
	tmr_cancel(&tmr);
	assert_int_equal(tmr_next_timeout(NULL), 0);
}

static void test_after_long(void **state)
{
	(void)state;
	now += UINT64_C(100) * 24 * 3600 * 1000; /* nothing ran */
	run(&timed[0], UINT64_C(60) * 24 * 3600 * 1000);
	now += UINT64_C(60) * 24 * 3600 * 1000 - 1;
	tmr_poll(NULL);
	assert_true(timed[0].due);
	now++;
	poll_all();
	assert_int_equal(timed[0].due, 0);
}

static void test_libre_calls_it(void **state)
{
	(void)state;
	assert_true(timers_check());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any),
		cmocka_unit_test(test_at_once),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_after_long),
		cmocka_unit_test(test_libre_calls_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
