/*
 * A viewer from its request to its end: coming and going, slow readers,
 * differences, the owner, a long poll. The database, the loop and the outlet
 * are played.
 */
#include "tests/unit/stream_come.h"

#include <errno.h>

/* ---- coming and going ---- */

static void a_state_and_then_what_is_read_for_all(void **state)
{
	struct viewer *v = come("call");

	(void)state;
	assert_int_equal(v->state, VIEWER_ASKING);
	open_call();
	assert_int_equal(v->state, VIEWER_LOADING);
	answer_state();
	expect("begun state 1 {} ");
	assert_int_equal(v->state, VIEWER_LIVE);
	settle();
	ring("call/1");
	assert_int_equal(asks("watch_read"), 1);
	ANSWER("watch_read", READ, "2|1|{2}|f|~|f", "3|2|{3}|f|~|f");
	expect("change 2 {2} change 3 {3} ");
	assert_int_equal(asks("watch_read"), 0);
}

static void who_comes_back_gets_what_was_missed(void **state)
{
	struct viewer *v = come_back("call", false, false);

	(void)state;
	open_call();
	assert_string_equal(ask_of("watch_read")->value[2], "1");
	ANSWER("watch_read", READ, "2|1|{2}|f|~|t");
	expect("resumed change 2 {2} ");
	assert_int_equal(v->state, VIEWER_READING);
	assert_string_equal(ask_of("watch_read")->value[2], "2");
	answer_nothing();
	assert_int_equal(v->state, VIEWER_LIVE);
}

static void where_nothing_was_missed_the_stream_begins(void **state)
{
	struct viewer *v = come_back("call", false, false);

	(void)state;
	open_call();
	answer_nothing();
	expect("resumed ");
	assert_int_equal(v->state, VIEWER_LIVE);
}

static void who_may_not_look_is_refused(void **state)
{
	(void)state;
	(void)come("call");
	refuse("watch_open", 403, "forbidden");
	expect("refused 403 ");
	turn();
	assert_int_equal(viewers->count, 0);
}

static void an_answer_after_death_is_for_nobody(void **state)
{
	struct viewer *v = come("call");

	(void)state;
	viewer_free(v);
	turn();
	assert_int_equal(viewers->count, 0);
	open_call(); /* the row is there, and is closed again */
	expect("");
	assert_int_equal(asks("watch_close"), 2);
	v = come("call");
	open_call();
	viewer_free(v);
	assert_int_equal(asks("watch_read"), 0);
	turn();
	expect("");
	assert_int_equal(viewers->count, 0);
}

static void a_stream_that_does_not_begin_is_the_end(void **state)
{
	struct viewer *v = come("call");

	(void)state;
	begin_error = ECANCELED;
	open_call();
	answer_state();
	expect("");
	assert_int_equal(v->state, VIEWER_DEAD);
	turn();
	assert_int_equal(viewers->count, 0);
}

static void one_whose_turn_has_not_come_reads_later(void **state)
{
	struct viewer *v = come("call");

	(void)state;
	turn_has_come = false;
	open_call();
	assert_int_equal(v->state, VIEWER_TURN);
	assert_int_equal(asks("watch_read"), 0);
	turn_has_come = true;
	begin_error = EAGAIN;
	viewer_next(v);
	answer_state(); /* what was read before the stream is read again */
	assert_int_equal(v->state, VIEWER_TURN);
	viewer_next(v);
	begin_error = 0;
	answer_state();
	expect("begun state 1 {} ");
}

static void what_is_gone_ends_it(void **state)
{
	struct viewer *v = reach_live();

	(void)state;
	buf_reset(&said);
	ring("call/1");
	ANSWER("watch_read", READ, "2|1|~|t|~|f");
	expect("gone 2 end gone ");
	assert_int_equal(v->state, VIEWER_ENDING);
	turn();
	assert_null(v->seat.topic); /* it looks at nothing while that is sent */
	assert_int_equal(viewers->count, 1);
	viewer_closed(v);
	turn();
	assert_int_equal(viewers->count, 0);
}

static void one_may_be_freed_while_another_is_told(void **state)
{
	struct viewer *first, *second;

	(void)state;
	first = reach_live();
	second = come("call");
	open_call();
	answer_state();
	settle();
	assert_int_equal(second->state, VIEWER_LIVE);
	buf_reset(&said);
	victim = first; /* it would be told next */
	ring("call/1");
	ANSWER("watch_read", READ, "2|1|{2}|f|~|f");
	expect("change 2 {2} ");
	turn();
	assert_int_equal(viewers->count, 1);
}

/* ---- a slow reader ---- */

static void who_is_slow_reads_for_itself_until_it_keeps_up(void **state)
{
	struct viewer *v = reach_behind();

	(void)state;
	buf_reset(&said);
	ring("call/1"); /* nobody keeps up */
	assert_int_equal(asks("watch_read"), 0);
	stream_of(v)->pending = STREAM_QUEUE_LOW + 1;
	viewer_moved(v);
	assert_int_equal(v->state, VIEWER_BEHIND);
	stream_of(v)->pending = STREAM_QUEUE_LOW;
	viewer_moved(v);
	assert_int_equal(v->state, VIEWER_READING);
	assert_string_equal(ask_of("watch_read")->value[2], "1");
	ANSWER("watch_read", READ, "2|1|{2}|f|~|f", "3|2|{3}|f|~|f");
	expect("change 2 {2} change 3 {3} ");
	assert_int_equal(v->state, VIEWER_LIVE);
}

static void what_is_passed_over_may_end_access_all_the_same(void **state)
{
	struct viewer *v = reach_behind();

	(void)state;
	buf_reset(&said);
	stream_of(v)->pending = 0;
	viewer_moved(v);
	stream_of(v)->pending = STREAM_QUEUE_MAX + 1; /* shows the last alone */
	ANSWER("watch_read", READ, "2|1|{2}|f|{7}|f", "3|2|{3}|f|~|f");
	expect("");
	assert_int_equal(v->state, VIEWER_CHECKING);
}

static void what_the_database_cannot_take_is_asked_later(void **state)
{
	struct viewer *v = come("call");

	(void)state;
	db_is_full = true;
	answer_rows(ask_of("watch_open"), OPENED,
		    (const char *[]){"1|1|f|f|~|1|~|7|1"}, 1);
	assert_int_equal(v->state, VIEWER_TURN);
	db_is_full = false;
	wait_for_poll();
	assert_int_equal(v->state, VIEWER_LOADING);
	answer_state();
	assert_int_equal(v->state, VIEWER_LIVE);
}

static void a_read_that_fails_ends_nobody_who_has_a_stream(void **state)
{
	struct viewer *v = reach(VIEWER_READING);

	(void)state;
	buf_reset(&said);
	lose("watch_read");
	assert_int_equal(v->state, VIEWER_BEHIND);
	expect("");
	wait_for_poll();
	assert_int_equal(v->state, VIEWER_READING);
}

/* ---- differences ---- */

static void what_is_no_step_is_read_anew(void **state)
{
	struct viewer *v = come_back("profile", false, true);

	(void)state;
	open_call();
	ANSWER("watch_read", READ, "1|~|{\"a\":1}|f|~|f",
	       "2|1|{\"a\":2}|f|~|f");
	expect("resumed state 1 {\"a\":1} change 2 "
	       "[{\"op\":\"replace\",\"path\":\"/a\",\"value\":2}] ");
	assert_int_equal(v->state, VIEWER_LIVE);
	settle();
	ring("profile/1");
	ANSWER("watch_read", READ, "4|3|{\"a\":4}|f|~|f");
	expect("");
	assert_int_equal(v->state, VIEWER_READING);
	ANSWER("watch_read", READ, "4|~|{\"a\":4}|f|~|f");
	expect("state 4 {\"a\":4} ");
}

/* ---- the owner ---- */

static void the_owner_s_state_waits_for_the_number(void **state)
{
	struct viewer *v = come("login");

	(void)state;
	open_mine();
	answer_state();
	expect("");
	assert_int_equal(v->state, VIEWER_NUMBER);
	ANSWER("inbox_read", INBOX, "6|6|1|bob|text/plain|\\x78|now");
	buf_char(&said, '\0');
	assert_memory_equal(said.p, "begun state 1.5 {} message 1.6 ", 31);
	buf_reset(&said);
	assert_int_equal(v->mail->seat.at, 6);
	assert_null(v->mail->first_doc);
	assert_int_equal(asks("inbox_written"), 0);
	stream_of(v)->sent = stream_of(v)->position;
	viewer_moved(v);
	turn();
	assert_string_equal(ask_of("inbox_written")->value[2], "{6}");
}

static void a_message_that_does_not_fit_is_read_later(void **state)
{
	struct viewer *v = come_back("login", false, false);

	(void)state;
	open_mine();
	answer_nothing();
	ANSWER("inbox_read", INBOX, "5|5|1|bob|text/plain|\\x78|now");
	settle();
	while (asks("inbox_read"))
		ANSWER("inbox_read", INBOX, "5|~|~|~|~|~|~");
	assert_int_equal(v->state, VIEWER_LIVE);
	buf_reset(&said);
	stream_of(v)->pending = STREAM_QUEUE_MAX + 1;
	ring("login/alice@example.net");
	ANSWER("inbox_read", INBOX, "6|6|1|bob|text/plain|\\x78|now");
	expect("");
	assert_int_equal(v->state, VIEWER_BEHIND);
	settle();
	stream_of(v)->pending = 0;
	viewer_moved(v);
	while (asks("watch_read"))
		answer_nothing();
	assert_int_equal(v->state, VIEWER_READING);
	assert_string_equal(ask_of("inbox_read")->value[1], "5");
	ANSWER("inbox_read", INBOX, "6|6|1|bob|text/plain|\\x78|now");
	assert_int_equal(v->mail->seat.at, 6);
	assert_int_equal(v->state, VIEWER_LIVE);
}

static void what_was_written_is_said_even_at_the_end(void **state)
{
	struct viewer *v = come("login");

	(void)state;
	open_mine();
	answer_state();
	ANSWER("inbox_read", INBOX, "6|6|1|bob|text/plain|\\x78|now");
	viewer_end(v, "session-ended");
	turn();
	stream_of(v)->sent = stream_of(v)->position;
	viewer_closed(v);
	turn();
	assert_int_equal(viewers->count, 0);
	assert_string_equal(ask_of("inbox_written")->value[2], "{6}");
}

static void a_number_that_is_none_of_ours_is_not_believed(void **state)
{
	struct viewer *v = come_back("login", false, false);

	(void)state;
	open_mine();
	answer_nothing();
	expect("resumed ");
	ANSWER("inbox_read", INBOX, "3|~|~|~|~|~|~"); /* it came with 5 */
	while (asks("watch_read"))
		answer_nothing();
	ANSWER("inbox_read", INBOX, "3|~|~|~|~|~|~");
	assert_int_equal(v->mail->seat.at, 3);
}

/* ---- one answer ---- */

static void a_long_poll_is_answered_with_what_has_changed(void **state)
{
	struct viewer *v = come_back("call", true, false);

	(void)state;
	open_call();
	ANSWER("watch_read", READ, "3|2|{3}|f|~|f");
	expect("answer 3 {3} ");
	assert_int_equal(v->state, VIEWER_DEAD);
}

static void a_long_poll_waits_where_nothing_has(void **state)
{
	struct viewer *v = come_back("call", true, false);

	(void)state;
	open_call();
	answer_nothing();
	expect("waits ");
	assert_int_equal(v->state, VIEWER_HELD);
	settle();
	ring("call/1");
	ANSWER("watch_read", READ, "2|1|{2}|f|~|f");
	expect("answer 2 {2} ");
	turn();
	assert_int_equal(viewers->count, 0);
}

static void a_long_poll_may_get_a_difference(void **state)
{
	(void)state;
	(void)come_back("call", true, true);
	open_call();
	ANSWER("watch_read", READ, "1|0|{\"a\":1}|f|~|f",
	       "2|1|{\"a\":2}|f|~|f");
	expect("patch 2 [{\"op\":\"replace\",\"path\":\"/a\",\"value\":2}] ");
}

static void a_long_poll_of_what_is_gone_is_refused(void **state)
{
	struct viewer *v = reach(VIEWER_HELD);

	(void)state;
	buf_reset(&said);
	ring("call/1");
	ANSWER("watch_read", READ, "2|1|~|t|~|f");
	expect("refused 404 ");
	assert_int_equal(v->state, VIEWER_DEAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_state_and_then_what_is_read_for_all),
		TEST(who_comes_back_gets_what_was_missed),
		TEST(where_nothing_was_missed_the_stream_begins),
		TEST(who_may_not_look_is_refused),
		TEST(an_answer_after_death_is_for_nobody),
		TEST(a_stream_that_does_not_begin_is_the_end),
		TEST(one_whose_turn_has_not_come_reads_later),
		TEST(what_is_gone_ends_it),
		TEST(one_may_be_freed_while_another_is_told),
		TEST(who_is_slow_reads_for_itself_until_it_keeps_up),
		TEST(what_is_passed_over_may_end_access_all_the_same),
		TEST(what_the_database_cannot_take_is_asked_later),
		TEST(a_read_that_fails_ends_nobody_who_has_a_stream),
		TEST(what_is_no_step_is_read_anew),
		TEST(the_owner_s_state_waits_for_the_number),
		TEST(a_message_that_does_not_fit_is_read_later),
		TEST(what_was_written_is_said_even_at_the_end),
		TEST(a_number_that_is_none_of_ours_is_not_believed),
		TEST(a_long_poll_is_answered_with_what_has_changed),
		TEST(a_long_poll_waits_where_nothing_has),
		TEST(a_long_poll_may_get_a_difference),
		TEST(a_long_poll_of_what_is_gone_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
