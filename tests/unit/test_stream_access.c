/*
 * A viewer that may look no more, one whose calls know that it is there, and
 * the database that goes and comes back.
 */
#include "tests/unit/stream_come.h"

/* ---- access ---- */

static void who_is_checked_is_told_nothing(void **state)
{
	struct viewer *v = reach_live();

	(void)state;
	buf_reset(&said);
	ring("session/7");
	assert_int_equal(v->state, VIEWER_CHECKING);
	ring("call/1");
	assert_int_equal(asks("watch_read"), 0);
	turn();
	open_call();
	assert_int_equal(v->state, VIEWER_READING);
	ANSWER("watch_read", READ, "2|1|{2}|f|~|f");
	expect("change 2 {2} ");
	assert_int_equal(v->state, VIEWER_LIVE);
}

static void what_changes_while_it_is_checked_is_checked_too(void **state)
{
	struct viewer *v = reach_live();

	(void)state;
	ring("session/7");
	turn();
	assert_int_equal(asks("watch_open"), 1);
	ring("session/7");
	ring("session/7");
	turn();
	assert_int_equal(asks("watch_open"), 1);
	open_call(); /* as it was before */
	turn();
	assert_int_equal(v->state, VIEWER_CHECKING);
	assert_int_equal(asks("watch_open"), 1);
	open_call();
	assert_int_equal(v->state, VIEWER_READING);
}

static void access_that_is_lost_ends_the_stream(void **state)
{
	struct viewer *v = reach_live();

	(void)state;
	buf_reset(&said);
	ring("session/7");
	turn();
	refuse("watch_open", 404, "not-found");
	expect("end access-ended ");
	assert_int_equal(v->state, VIEWER_ENDING);
}

static void a_session_that_is_lost_while_loading_is_refused(void **state)
{
	struct viewer *v = reach(VIEWER_LOADING);

	(void)state;
	ring("session/7");
	assert_int_equal(v->state, VIEWER_ASKING);
	assert_int_equal(asks("watch_read"), 0); /* nothing is shown of it */
	turn();
	refuse("watch_open", 401, "unauthorized");
	expect("refused 401 ");
	turn();
	assert_int_equal(viewers->count, 0);
}

static void what_no_bell_told_is_found_by_the_poll(void **state)
{
	struct viewer *v = reach_live();
	struct pg_query *q;

	(void)state;
	wait_for_poll();
	while (asks("watch_poll")) {
		q = ask_of("watch_poll");
		if (strstr(q->value[0], "session"))
			break;
		answer_rows(q, "place version", NULL, 0);
		wait_for_poll();
	}
	q = ask_of("watch_poll");
	answer_rows(q, "place version",
		    (const char *[]){strncmp(q->value[0], "{session", 8)
					     ? "2|2"
					     : "1|2"},
		    1);
	assert_int_equal(v->state, VIEWER_CHECKING);
	assert_int_equal(v->session.topic ? 1 : 0, 1);
}

static void a_change_that_may_end_access_is_not_shown(void **state)
{
	struct viewer *v = reach_live();

	(void)state;
	buf_reset(&said);
	ring("call/1");
	ANSWER("watch_read", READ, "2|1|{2}|f|{7}|f");
	expect("");
	assert_int_equal(v->state, VIEWER_CHECKING);
	turn();
	/* Another view of it: from the beginning. */
	ANSWER("watch_open", OPENED, "1|1|t|f|~|2|~|7|1");
	assert_string_equal(ask_of("watch_read")->value[2], "null");
	ANSWER("watch_read", READ, "2|~|{in}|f|~|f");
	expect("state 2 {in} ");
}

static void another_s_login_of_that_name_is_not_shown(void **state)
{
	struct viewer *v = come("login");

	(void)state;
	open_mine();
	answer_state();
	ANSWER("inbox_read", INBOX, "0|~|~|~|~|~|~");
	settle();
	buf_reset(&said);
	ring("session/7");
	turn();
	ANSWER("watch_open", OPENED, "alice@example.net|8|f|f|~|1|~|7|1");
	expect("end reopen ");
	assert_int_equal(v->state, VIEWER_ENDING);
}

/* ---- who is in a call by its streams ---- */

#define OPENED_PART OPENED " participant"

static struct viewer *take_part(void)
{
	struct viewer *v = come("call");

	ANSWER("watch_open", OPENED_PART, "1|1|t|f|~|1|~|7|1|9");
	answer_state();
	settle();
	assert_int_equal(v->state, VIEWER_LIVE);
	assert_non_null(v->part);
	return v;
}

/* How often it was said that nobody of them is there any more. */
static size_t parts_closed(void)
{
	size_t n = 0;

	for (size_t i = 0; i < nasked; i++)
		n += is_named(&asked[i], "watch_close") &&
		     !strcmp(asked[i].value[1], "participant") &&
		     !strcmp(asked[i].value[2], "9");
	return n;
}

static void who_is_in_a_call_by_two_streams_leaves_with_the_last(void **state)
{
	struct viewer *first = take_part(), *last = take_part();

	(void)state;
	viewer_closed(first);
	turn();
	assert_int_equal(parts_closed(), 0);
	viewer_closed(last);
	turn();
	assert_int_equal(parts_closed(), 1);
}

static void who_is_put_out_is_watched_no_more(void **state)
{
	struct viewer *v = take_part();

	(void)state;
	ring("session/7");
	turn();
	open_call(); /* without it */
	assert_null(v->part);
	assert_int_equal(parts_closed(), 1);
}

static void who_is_in_a_call_still_is_after_the_database_was_away(void **state)
{
	struct viewer *v = take_part();

	(void)state;
	hub_lose();
	hub_begin();
	turn();
	ANSWER("watch_open", OPENED_PART, "1|1|t|f|~|1|~|7|1|9");
	settle();
	assert_int_equal(parts_closed(), 0);
	viewer_closed(v);
	turn();
	assert_int_equal(parts_closed(), 1);
}

static void a_watch_that_was_closed_meanwhile_is_opened_again(void **state)
{
	struct viewer *first = take_part(), *last = come("call");

	(void)state;
	turn(); /* its watch_open is on its way */
	viewer_closed(first);
	turn();
	assert_int_equal(parts_closed(), 1);
	ANSWER("watch_open", OPENED_PART, "1|1|t|f|~|1|~|7|1|9");
	assert_null(last->part);
	ANSWER("watch_open", OPENED_PART, "1|1|t|f|~|1|~|7|1|9");
	assert_non_null(last->part);
	assert_int_equal(parts_closed(), 1);
}

/* ---- the database goes, and comes back ---- */

static void who_waits_for_a_first_state_is_refused(void **state)
{
	(void)state;
	(void)reach(VIEWER_HELD);
	(void)reach(VIEWER_LOADING);
	(void)reach(VIEWER_ASKING);
	buf_reset(&said);
	hub_lose();
	expect("refused 503 refused 503 refused 503 ");
	turn();
	assert_int_equal(viewers->count, 0);
}

static void streams_outlive_the_connection(void **state)
{
	struct viewer *v = reach_live();

	(void)state;
	buf_reset(&said);
	hub_lose();
	assert_int_equal(v->state, VIEWER_LIVE);
	hub_begin();
	assert_int_equal(v->state, VIEWER_REOPENING);
	turn();
	/* What is read for all is told meanwhile. */
	ring("call/1");
	ANSWER("watch_read", READ, "2|1|{2}|f|~|f");
	expect("change 2 {2} ");
	open_call();
	assert_int_equal(v->state, VIEWER_LIVE);
	/* One read makes up for all that was not rung. */
	assert_int_equal(asks("watch_read"), 1);
	assert_string_equal(ask_of("watch_read")->st->name,
			    "watch_read_locked");
}

static void one_that_is_reopened_may_be_checked_too(void **state)
{
	struct viewer *v = reach(VIEWER_REOPENING);

	(void)state;
	turn();
	ring("session/7");
	assert_int_equal(v->state, VIEWER_CHECKING);
	assert_int_equal(asks("watch_open"), 1);
	open_call();
	assert_int_equal(v->state, VIEWER_CHECKING);
	turn();
	open_call();
	assert_int_equal(v->state, VIEWER_READING);
}

static void a_drain_ends_all(void **state)
{
	(void)state;
	(void)reach_live();
	(void)reach(VIEWER_LOADING);
	buf_reset(&said);
	viewers_drain(viewers);
	expect("refused 503 end restart ");
	turn();
	assert_int_equal(viewers->count, 1); /* until its end is out */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_is_checked_is_told_nothing),
		TEST(what_changes_while_it_is_checked_is_checked_too),
		TEST(access_that_is_lost_ends_the_stream),
		TEST(a_session_that_is_lost_while_loading_is_refused),
		TEST(what_no_bell_told_is_found_by_the_poll),
		TEST(a_change_that_may_end_access_is_not_shown),
		TEST(another_s_login_of_that_name_is_not_shown),
		TEST(who_is_in_a_call_by_two_streams_leaves_with_the_last),
		TEST(who_is_put_out_is_watched_no_more),
		TEST(who_is_in_a_call_still_is_after_the_database_was_away),
		TEST(a_watch_that_was_closed_meanwhile_is_opened_again),
		TEST(who_waits_for_a_first_state_is_refused),
		TEST(streams_outlive_the_connection),
		TEST(one_that_is_reopened_may_be_checked_too),
		TEST(a_drain_ends_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
