/*
 * Claiming, leases and settling, of a kind of the test's own.
 */
#include "agent_play.h"
#include "claimer_play.h"

static void a_row_is_sent_and_its_answer_settled(void **state)
{
	(void)state;
	claimer_kick(cl);
	assert_int_equal(askedc, 1);
	assert_string_equal(asked[0].name, "claim");
	assert_string_equal(asked[0].valv[0], "7");
	assert_string_equal(asked[0].valv[1], "3");
	assert_string_equal(asked[0].valv[2], "30");
	assert_string_equal(asked[0].valv[3], "f");
	assert_string_equal(asked[0].valv[4], "mine");

	CLAIM(4);
	assert_int_equal(last_claimed, 4);
	assert_int_equal(sentc, 1);
	phone_answers(0, 200);
	assert_int_equal(let_go, 1);
	assert_settling(1, "[{\"i\":0,\"tag\":40,\"code\":200,"
			   "\"reason\":\"So\"}]");
	assert_int_equal(claimer_drain(cl), 1);
	answer_settled(1, 1);
	assert_int_equal(settledc, 1);
	assert_int_equal(claimer_drain(cl), 0);
}

static void one_claim_is_under_way_at_a_time(void **state)
{
	(void)state;
	claimer_kick(cl);
	claimer_kick(cl);
	assert_int_equal(askedc, 1);
	CLAIM(1);
	assert_int_equal(askedc, 2); /* for the second kick */
	answer(1, NULL, 0);
	assert_int_equal(askedc, 2);
}

static void a_full_claim_is_followed_by_another(void **state)
{
	(void)state;
	claimer_kick(cl);
	CLAIM(1, 2, 3);
	assert_int_equal(askedc, 2);
	answer(1, NULL, 0);
	assert_int_equal(askedc, 2);
}

static void what_was_held_back_is_claimed_when_something_has_ended(void **state)
{
	(void)state;
	claimer_kick(cl);
	CLAIM(1, HELD);
	assert_int_equal(askedc, 2); /* its row said: again */
	for (size_t i = 1; i < CLAIMER_EMPTY_MAX; i++)
		CLAIM(HELD);
	assert_int_equal(askedc, 1 + CLAIMER_EMPTY_MAX);
	CLAIM(HELD);
	assert_int_equal(askedc, 1 + CLAIMER_EMPTY_MAX);
	assert_int_equal(sentc, 1);

	phone_answers(0, 200);
	assert_true(until_asked(2 + CLAIMER_EMPTY_MAX));
	answer_settled(askedc - 1, 1);
	assert_string_equal(asked[askedc - 1].name, "claim");
}

static void a_series_goes_on_when_one_has_ended(void **state)
{
	(void)state;
	plays.is_series = true;
	claimer_kick(cl);
	CLAIM(1);
	phone_answers(0, 200);
	assert_true(until_asked(2));
	answer_settled(1, 1);
	assert_int_equal(askedc, 3);
	assert_string_equal(asked[2].name, "claim");
}

static void there_is_no_room_for_more_bytes_than_may_be(void **state)
{
	(void)state;
	body_len = CLAIMER_BODY_MAX;
	claimer_kick(cl);
	CLAIM(1);
	claimer_kick(cl);
	assert_int_equal(askedc, 1);
	phone_answers(0, 200);
	claimer_kick(cl);
	assert_int_equal(askedc, 2);
	assert_string_equal(asked[1].name, "claim");
}

static void a_row_that_cannot_be_sent_is_refused(void **state)
{
	(void)state;
	claimer_kick(cl);
	CLAIM(BAD);
	assert_int_equal(sentc, 0);
	assert_settling(1, "[{\"i\":0,\"tag\":130,\"code\":400,\"reason\":"
			   "\"Cannot be written as a header\"}]");
	assert_int_equal(claimer_drain(cl), 1);
	answer_settled(1, 1);
	assert_int_equal(claimer_drain(cl), 0);
}

#define BUSY_1 "[{\"i\":0,\"tag\":10,\"code\":486,\"reason\":\"So\"}]"
#define BUSY_1_ALONE \
	"[{\"i\":0,\"tag\":10,\"code\":486,\"reason\":\"So\",\"waits\":true}]"

static void a_settlement_is_repeated_until_the_database_has_it(void **state)
{
	(void)state;
	claimer_kick(cl);
	CLAIM(1);
	phone_answers(0, 486);
	assert_settling(1, BUSY_1);
	answer_away(1);
	assert_settling(2, BUSY_1);
	query_err = EAGAIN;
	answer_away(2);
	assert_int_equal(claimer_drain(cl), 1);
	query_err = 0;
	assert_settling(3, BUSY_1);
	answer_settled(3, 1);
	assert_int_equal(settledc, 1);
}

static void what_ends_together_is_settled_together(void **state)
{
	(void)state;
	claimer_kick(cl);
	CLAIM(1, 2, HELD);
	answer_away(1);
	phone_answers(0, 200);
	phone_answers(1, 480);
	assert_settling(2, "[{\"i\":0,\"tag\":10,\"code\":200,"
			   "\"reason\":\"So\"},{\"i\":1,\"tag\":20,"
			   "\"code\":480,\"reason\":\"So\"}]");
	assert_int_equal(askedc, 3);
	answer_settled(2, 2);
	assert_int_equal(settledc, 2);
}

/* Somebody holds what it needs: the others are settled, and it waits by itself
   in a statement that is known for whose it is */
static void what_is_left_out_is_settled_alone(void **state)
{
	(void)state;
	claimer_kick(cl);
	CLAIM(1, 2);
	phone_answers(1, 200);
	phone_answers(0, 486);
	assert_true(until_asked(2));
	assert_true(asked[1].whose == 0);
	answer_settled(1, 1);
	assert_int_equal(settledc, 1);
	assert_settling(2, BUSY_1_ALONE);
	assert_true(asked[2].whose == WHOSE);
	answer_settled(2, 1);
	assert_int_equal(settledc, 2);
	assert_int_equal(claimer_drain(cl), 0);
}

static void a_storm_of_ends_has_one_statement_under_way(void **state)
{
	size_t first;

	(void)state;
	claimer_kick(cl);
	for (int n = 0; n < STORM / ROWS_MAX; n++)
		CLAIM(3 * n + 20, 3 * n + 21, 3 * n + 22);
	answer(askedc - 1, NULL, 0);
	first = askedc;
	for (size_t i = 0; i < STORM; i++)
		phone_answers(i, 408);
	for (size_t left = STORM, n; left > 0; left -= n, first++) {
		assert_true(until_asked(first + 1));
		assert_int_equal(askedc, first + 1);
		assert_string_equal(asked[first].name, "settle");
		n = left < CLAIMER_SETTLE_MAX ? left : CLAIMER_SETTLE_MAX;
		answer_settled(first, (int)n);
	}
	assert_int_equal(settledc, STORM);
	assert_int_equal(askedc, first);
}

static void a_lost_flow_ends_what_went_over_it(void **state)
{
	(void)state;
	claimer_kick(cl);
	CLAIM(1, 2);
	claimer_flow_lost(cl, "flow2");
	assert_settling(1, "[{\"i\":0,\"tag\":20,\"code\":430,"
			   "\"reason\":\"Flow failed\"}]");
}

static void leases_are_renewed_before_more_is_claimed(void **state)
{
	(void)state;
	claimer_kick(cl);
	CLAIM(1, 2);
	phone_answers(0, 200);
	assert_true(until_asked(2));
	answer_away(1);
	ready = false;
	claimer_ready(cl);
	assert_int_equal(askedc, 2);
	ready = true;
	claimer_ready(cl);
	assert_int_equal(askedc, 5);
	assert_string_equal(asked[2].name, "renew");
	assert_string_equal(asked[2].valv[1], "{2}");
	assert_string_equal(asked[3].name, "renew"); /* not settled yet */
	assert_string_equal(asked[3].valv[1], "{1}");
	assert_string_equal(asked[4].name, "claim");
	answer_away(4);
}

static void a_poll_looks_for_what_was_lost(void **state)
{
	(void)state;
	assert_true(until_asked(1));
	assert_string_equal(asked[0].name, "claim");
	assert_string_equal(asked[0].valv[3], "t");
	answer_away(0);
}

static void what_is_held_is_renewed_before_that(void **state)
{
	(void)state;
	claimer_kick(cl);
	CLAIM(1);
	assert_true(until_asked(3));
	assert_string_equal(asked[1].name, "renew");
	assert_string_equal(asked[1].valv[1], "{1}");
	assert_string_equal(asked[2].name, "claim");
	assert_string_equal(asked[2].valv[3], "t");
	answer_away(1);
	answer_away(2);
}

static void what_has_no_answer_is_given_back(void **state)
{
	(void)state;
	claimer_kick(cl);
	CLAIM(1, 2);
	claimer_kick(cl); /* which brings something later */
	assert_int_equal(claimer_drain(cl), 3); /* with the claim */
	claimer_give_back(cl);
	assert_int_equal(let_go, 2);
	assert_settling(2, "[{\"i\":0,\"tag\":10,\"reason\":\"\"},"
			   "{\"i\":1,\"tag\":20,\"reason\":\"\"}]");
	answer_settled(2, 2);

	answer(1, (const int[]){3}, 1);
	assert_int_equal(sentc, 2); /* nothing more */
	assert_settling(3, "[{\"i\":0,\"tag\":30,\"reason\":\"\"}]");
	claimer_kick(cl);
	assert_int_equal(askedc, 4);
}

static void one_that_goes_while_the_database_works_leaves_nothing(void **state)
{
	(void)state;
	claimer_kick(cl);
	CLAIM(1, 2);
	phone_answers(0, 200);
	assert_true(until_asked(2));
	cl = mem_deref(cl);
	assert_int_equal(let_go, 2);
	answer_away(1);
	assert_int_equal(settledc, 0);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_row_is_sent_and_its_answer_settled),
		TEST(one_claim_is_under_way_at_a_time),
		TEST(a_full_claim_is_followed_by_another),
		TEST(what_was_held_back_is_claimed_when_something_has_ended),
		TEST(a_series_goes_on_when_one_has_ended),
		TEST(there_is_no_room_for_more_bytes_than_may_be),
		TEST(a_row_that_cannot_be_sent_is_refused),
		TEST(a_settlement_is_repeated_until_the_database_has_it),
		TEST(what_ends_together_is_settled_together),
		TEST(what_is_left_out_is_settled_alone),
		TEST(a_storm_of_ends_has_one_statement_under_way),
		TEST(a_lost_flow_ends_what_went_over_it),
		TEST(leases_are_renewed_before_more_is_claimed),
		TEST(a_poll_looks_for_what_was_lost),
		TEST(what_is_held_is_renewed_before_that),
		TEST(what_has_no_answer_is_given_back),
		TEST(one_that_goes_while_the_database_works_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, libre_begin, libre_end);
}
