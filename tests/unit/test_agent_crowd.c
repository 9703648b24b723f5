/*
 * Connections that wait: whose time is over, and who makes room.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/log.h"
#include "transport/crowd.h"

enum { START_MS = 1000000, MOST_MS = 8000, MEMBERS = 6 };

struct one {
	struct crowd_member member;
	struct sa peer;
	bool ended;
};

static struct budget *budget;
static struct crowd crowd;
static struct one ones[MEMBERS];

static void ended(void *arg, int err)
{
	struct one *o = arg;

	assert_int_not_equal(err, 0);
	assert_false(o->ended);
	o->ended = true;
	budget_close(budget, BUDGET_HANDSHAKES, &o->peer);
}

static int setup(void **state)
{
	static const struct budget_conf conf = {
		.most = {[BUDGET_HANDSHAKES] = 4},
		.total = {[BUDGET_HANDSHAKES] = MEMBERS},
	};

	(void)state;
	crowd = (struct crowd){
		.counter = BUDGET_HANDSHAKES, .most_ms = MOST_MS, .end = ended};
	memset(ones, 0, sizeof(ones));

	return budget_alloc(&crowd.budget, &conf) || !(budget = crowd.budget);
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < MEMBERS; i++)
		crowd_leave(&ones[i].member);
	budget = mem_deref(budget);

	return 0;
}

static void enter(size_t i, const char *address, uint64_t now_ms)
{
	struct one *o = &ones[i];

	assert_int_equal(sa_set_str(&o->peer, address, 5061), 0);
	assert_true(budget_open(budget, BUDGET_HANDSHAKES, &o->peer, now_ms));
	crowd_enter(&crowd, &o->member, &o->peer, o, now_ms);
}

static void time_is_over_for_those_who_wait_longest(void **state)
{
	(void)state;
	enter(0, "192.0.2.1", START_MS);
	enter(1, "192.0.2.2", START_MS + 1);
	enter(2, "192.0.2.3", START_MS + 2);
	crowd_touch(&crowd, &ones[0].member, START_MS + 3);
	crowd_sweep(&crowd, START_MS + MOST_MS + 1);
	assert_false(ones[0].ended);
	assert_true(ones[1].ended);
	assert_false(ones[2].ended);
}

static void who_has_most_makes_room(void **state)
{
	struct sa newcomer;

	(void)state;
	assert_int_equal(sa_set_str(&newcomer, "192.0.2.9", 1), 0);
	enter(0, "192.0.2.1", START_MS);
	enter(1, "192.0.2.2", START_MS);
	enter(2, "192.0.2.2", START_MS);
	assert_true(crowd_make_room(&crowd, &newcomer, false, START_MS));
	assert_true(ones[1].ended);
	/* all have one: who has had his time */
	assert_false(crowd_make_room(&crowd, &newcomer, false, START_MS));
	assert_true(crowd_make_room(&crowd, &newcomer, false,
				    START_MS + CROWD_ROOM_MS));
	assert_true(ones[0].ended);
}

static void a_source_makes_room_for_itself(void **state)
{
	struct sa own, other;

	(void)state;
	assert_int_equal(sa_set_str(&own, "192.0.2.2", 1), 0);
	assert_int_equal(sa_set_str(&other, "192.0.2.9", 1), 0);
	enter(0, "192.0.2.1", START_MS);
	enter(1, "192.0.2.2", START_MS);
	assert_false(crowd_make_room(&crowd, &other, true, START_MS));
	assert_true(crowd_make_room(&crowd, &own, true, START_MS));
	assert_true(ones[1].ended);
	assert_false(ones[0].ended);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(time_is_over_for_those_who_wait_longest),
		T(who_has_most_makes_room),
		T(a_source_makes_room_for_itself),
	};

	log_init("test", LOG_LEVEL_ERROR);

	return cmocka_run_group_tests(tests, NULL, NULL);
}
