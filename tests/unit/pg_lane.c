/*
 * A lane: who goes on which connection, and who waits for what how long.
 */
#include "tests/unit/pg_play.h"

static struct pg_lane *lane;

/* clang-format off */
static const struct pg_stmt two = STMT("select 2 as n");
static const struct pg_stmt nap = STMT("select 3 as n, pg_sleep(0.4)");
static const struct pg_stmt busy_30 = STMT("select 4 as n, pg_sleep(0.03)");
static const struct pg_stmt kill_self = STMT(
	"select pg_terminate_backend(pg_backend_pid())");
/* clang-format on */

static void on_up(void *arg)
{
	(void)arg;
	ups++;
	loop_stop(loop);
}

static void lane_open(struct pg_lane_conf conf)
{
	forget_all();
	conf.server = &server;
	conf.name = "lane";
	conf.limit_ms = LIMIT_MS;
	conf.late_ms = LIMIT_MS;
	conf.h.up = on_up;
	conf.h.lost = on_lost;
	assert_int_equal(pg_lane_new(&lane, &conf), 0);
	run_until(&ups, (unsigned)conf.conns);
}

static struct asked *lane_ask(const struct pg_stmt *stmt, uint64_t caller)
{
	struct asked *a = &asked[nasked++];
	const struct pg_ask q = {
		.stmt = stmt, .caller = caller, .h = answered, .arg = a};

	assert_int_equal(pg_lane_ask(NULL, lane, &q), 0);
	return a;
}

static void lane_close(void)
{
	pg_lane_free(lane);
	each_was_told_once();
}

static void nobody_waits_behind_a_slow_read(void **state)
{
	const struct asked *slow_one, *quick[3];

	(void)state;
	lane_open((struct pg_lane_conf){.conns = 3,
					.depth = 16,
					.reads = true,
					.fair = true,
					.wait_ms = LIMIT_MS});
	slow_one = lane_ask(&nap, 1);
	for (int i = 0; i < 3; i++)
		quick[i] = lane_ask(&two, 2);
	wanted = 3;
	loop_after(loop, &deadline, DEADLINE_MS, too_late, NULL);
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(slow_one->times, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(quick[i]->n, 2);
	assert_true(pg_lane_stats(lane)->moved >= 3);
	run_until_answered();
	assert_int_equal(slow_one->n, 3);
	lane_close();
}

static void who_waits_too_long_for_a_turn_is_told(void **state)
{
	const struct asked *first, *second;

	(void)state;
	lane_open((struct pg_lane_conf){.conns = 1, .depth = 1, .wait_ms = 50});
	first = lane_ask(&nap, 0);
	second = lane_ask(&two, 0);
	run_until_answered();
	assert_int_equal(first->end, PG_OK);
	assert_int_equal(second->err, APP_BUSY);
	assert_int_equal(pg_lane_stats(lane)->busy, 1);
	lane_close();
}

static void who_waits_too_long_for_an_answer_is_told(void **state)
{
	const struct asked *first, *second;

	(void)state;
	lane_open((struct pg_lane_conf){
		.conns = 1, .depth = 8, .wait_ms = LIMIT_MS, .answer_ms = 100});
	first = lane_ask(&nap, 0);
	run_until_answered();
	assert_int_equal(first->err, APP_OUTCOME_UNKNOWN);
	do { /* the first still runs, for a while */
		second = lane_ask(&two, 0);
		run_until_answered();
	} while (second->end != PG_OK && nasked < ASKED_MAX);
	assert_int_equal(second->n, 2);
	lane_close();
}

static void nobody_is_put_behind_one_that_is_stuck(void **state)
{
	struct loop_timer timer = {.runs = false};
	const struct asked *stuck;

	(void)state;
	lane_open((struct pg_lane_conf){
		.conns = 2, .depth = 8, .wait_ms = LIMIT_MS});
	stuck = lane_ask(&nap, 0);
	loop_after(loop, &timer, 100, too_late, NULL);
	assert_int_equal(loop_run(loop), 0);
	for (int i = 0; i < 8; i++)
		lane_ask(&two, 0);
	wanted = 8;
	loop_after(loop, &deadline, DEADLINE_MS, too_late, NULL);
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(stuck->times, 0);
	run_until_answered();
	lane_close();
}

/* Where the whole server is slow, to ask once more helps nobody. */
static void a_slow_server_is_not_asked_again_and_again(void **state)
{
	enum { READS = 48 };

	(void)state;
	lane_open((struct pg_lane_conf){.conns = 3,
					.depth = 16,
					.reads = true,
					.fair = true,
					.wait_ms = LIMIT_MS});
	for (int i = 0; i < READS; i++)
		lane_ask(&busy_30, (uint64_t)i + 1);
	run_until_answered();
	for (int i = 0; i < READS; i++)
		assert_int_equal(asked[i].n, 4);
	assert_true(pg_lane_stats(lane)->moved <= 2 * READS);
	lane_close();
}

static void who_makes_room_is_told_later(void **state)
{
	const struct asked *mine, *other;
	struct pg_query *handle = NULL;
	struct pg_ask q;

	(void)state;
	lane_open((struct pg_lane_conf){.conns = 1,
					.depth = 1,
					.wait_ms = LIMIT_MS,
					.turns = {.waiting = 3}});
	lane_ask(&two, 1);
	mine = lane_ask(&two, 1);
	q = (struct pg_ask){.stmt = &two, .caller = 1, .h = answered};
	assert_int_equal(pg_lane_ask(&handle, lane, &q), 0);
	other = lane_ask(&two, 2);
	assert_int_equal(mine->times, 0);
	assert_true(pg_query_forget(handle)); /* it was refused already */
	lane_ask(&two, 3);
	assert_int_equal(mine->times, 0);
	run_until_answered();
	assert_int_equal(mine->err, APP_BUSY);
	assert_int_equal(other->end, PG_OK);
	assert_int_equal(pg_lane_stats(lane)->busy, 2);
	lane_close();
}

static void what_waits_goes_with_the_next_connection(void **state)
{
	const struct asked *second;

	(void)state;
	lane_open((struct pg_lane_conf){
		.conns = 1, .depth = 1, .wait_ms = LIMIT_MS});
	lane_ask(&kill_self, 0);
	second = lane_ask(&two, 0);
	run_until_answered();
	assert_int_equal(second->n, 2);
	lane_close();
}

static void who_is_in_a_hurry_waits_for_no_connection(void **state)
{
	const struct asked *second;

	(void)state;
	lane_open((struct pg_lane_conf){
		.conns = 1, .depth = 1, .hasty = true, .wait_ms = LIMIT_MS});
	lane_ask(&kill_self, 0);
	second = lane_ask(&two, 0);
	run_until_answered();
	assert_int_equal(second->err, APP_UNAVAILABLE);
	lane_close();
}

static void all_are_told_at_the_end(void **state)
{
	(void)state;
	lane_open((struct pg_lane_conf){
		.conns = 1, .depth = 1, .wait_ms = LIMIT_MS});
	lane_ask(&nap, 0);
	lane_ask(&two, 0);
	lane_close();
	assert_int_equal(asked[1].err, APP_UNAVAILABLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_waits_behind_a_slow_read),
		cmocka_unit_test(who_waits_too_long_for_a_turn_is_told),
		cmocka_unit_test(who_waits_too_long_for_an_answer_is_told),
		cmocka_unit_test(nobody_is_put_behind_one_that_is_stuck),
		cmocka_unit_test(a_slow_server_is_not_asked_again_and_again),
		cmocka_unit_test(who_makes_room_is_told_later),
		cmocka_unit_test(what_waits_goes_with_the_next_connection),
		cmocka_unit_test(who_is_in_a_hurry_waits_for_no_connection),
		cmocka_unit_test(all_are_told_at_the_end),
	};
	int err;

	if (!play_begin())
		return 2;
	err = cmocka_run_group_tests(tests, NULL, NULL);
	play_end();
	return err;
}
