/*
 * A viewer of a list: its first page, single items as they are read for all,
 * and what it reads for itself. The database, the loop and the outlet are
 * played.
 */
#include "tests/unit/stream_outlet.h"

#define PAGE "doc upto missing last"
#define REST "doc key fits"
#define ITEMS "upto n xid doc gone seen_by was_seen_by stale reaches more"

/* Account 7; from a version on, or anew. */
static struct viewer *come(int64_t version, bool once)
{
	struct viewer_ask ask = {
		.kind = kind_find("list"),
		.key = "call",
		.once = once,
		.resume = version != 0,
		.version = version,
		.inbox = -1,
		.limit = 100,
	};
	struct viewer *v = come_as(&ask);

	ANSWER("watch_open", OPENED, "call|1|f|f|~|1|~|7|1");
	return v;
}

/* A window that ends at `upto`, with nothing in it. */
static void answer_nothing(const char *upto)
{
	char row[64];

	(void)snprintf(row, sizeof(row), "%s|~|~|~|~|~|~|f|t|f", upto);
	answer_rows(ask_of("list_read"), ITEMS, (const char *[]){row}, 1);
}

/* One that has the page, and keeps up from 10 on. */
static struct viewer *reach_live(void)
{
	struct viewer *v = come(0, false);

	ANSWER("list_page", PAGE, "[]|10|0|~");
	answer_nothing("10"); /* for all, once more */
	assert_int_equal(v->state, VIEWER_LIVE);
	buf_reset(&said);
	return v;
}

static void a_page_and_then_items(void **state)
{
	struct viewer *v = come(0, false);

	(void)state;
	assert_int_equal(v->state, VIEWER_LOADING);
	ANSWER("list_page", PAGE, "[]|10|0|~");
	expect("begun state 10 [] ");
	answer_nothing("10");
	ring("list/call");
	ANSWER("list_read", ITEMS, "20|1|11|{1}|\"1\"|~|~|f|t|f",
	       "20|2|12|{2}|\"2\"|{8}|{7}|f|t|f",
	       "20|3|13|{3}|\"3\"|{8}|{8}|f|t|f", "20|4|13|~|\"4\"|~|~|f|t|f");
	/* One that it may see, one that it may not any more, one that it never
	   might, and one that is gone. */
	expect("put 10.20.1 {1} remove 10.20.2 \"2\" remove 10.20.4 \"4\" ");
	assert_int_equal(v->seat.version, 20);
}

static void a_page_that_does_not_fit_comes_in_parts(void **state)
{
	struct viewer *v = come(0, false);

	(void)state;
	ANSWER("list_page", PAGE, "[1]|10|2|a");
	expect("begun state - [1] "); /* nobody can come back with that */
	assert_int_equal(v->state, VIEWER_READING);
	assert_string_equal(ask_of("list_rest")->value[3], "a");
	ANSWER("list_rest", REST, "{2}|b|t", "{3}|c|f");
	expect("put - {2} ");
	assert_string_equal(ask_of("list_rest")->value[3], "b");
	ANSWER("list_rest", REST, "{3}|c|t");
	expect("put 10 {3} ");
	assert_int_equal(v->state, VIEWER_LIVE);
}

static void who_comes_back_gets_what_was_missed(void **state)
{
	struct viewer *v = come(5, false);

	(void)state;
	assert_string_equal(ask_of("list_read")->value[2], "5");
	ANSWER("list_read", ITEMS, "10|1|6|{1}|\"1\"|~|~|f|t|f");
	expect("resumed put 5.10.1 {1} ");
	assert_int_equal(v->seat.version, 10);
	assert_int_equal(v->state, VIEWER_LIVE);
}

static void who_comes_back_too_late_begins_anew(void **state)
{
	struct viewer *v = come(5, false);

	(void)state;
	ANSWER("list_read", ITEMS, "~|~|~|~|~|~|~|f|f|f");
	expect("");
	assert_int_equal(v->state, VIEWER_LOADING);
	ANSWER("list_page", PAGE, "[]|10|0|~");
	expect("begun state 10 [] ");
}

static void one_that_keeps_up_may_have_to_begin_anew(void **state)
{
	struct viewer *v = reach_live();

	(void)state;
	ring("list/call");
	ANSWER("list_read", ITEMS, "~|~|~|~|~|~|~|f|f|f");
	assert_int_equal(v->state, VIEWER_READING);
	ANSWER("list_page", PAGE, "[]|30|0|~");
	expect("state 30 [] ");
}

static void what_has_not_ended_yet_is_asked_for_again(void **state)
{
	struct viewer *v = come(0, false);

	(void)state;
	ANSWER("list_page", PAGE, "~|10|0|~");
	assert_int_equal(v->state, VIEWER_TURN);
	assert_int_equal(asks("list_page"), 0);
	now_ms += 25;
	turn();
	assert_int_equal(v->state, VIEWER_LOADING);
	ANSWER("list_page", PAGE, "[]|10|0|~");
	expect("begun state 10 [] ");
}

static void who_is_slow_reads_on_from_the_last_item(void **state)
{
	struct viewer *v = reach_live();

	(void)state;
	ring("list/call");
	stream_of(v)->pending = STREAM_QUEUE_MAX + 1;
	ANSWER("list_read", ITEMS, "20|1|11|{1}|\"1\"|~|~|f|t|f");
	expect("");
	assert_int_equal(v->state, VIEWER_BEHIND);
	stream_of(v)->pending = 0;
	viewer_moved(v);
	assert_string_equal(ask_of("list_read")->value[2], "10");
	ANSWER("list_read", ITEMS, "20|1|11|{1}|\"1\"|~|~|f|t|f");
	expect("put 10.20.1 {1} ");
	assert_int_equal(v->state, VIEWER_LIVE);
}

static void access_that_ends_ends_it(void **state)
{
	struct viewer *v = reach_live();

	(void)state;
	ring("session/7");
	assert_int_equal(v->state, VIEWER_CHECKING);
	ring("list/call");
	assert_int_equal(asks("list_read"), 0);
	turn();
	refuse("watch_open", 401, "unauthorized");
	expect("end session-ended ");
}

static void a_long_poll_is_answered_with_the_page(void **state)
{
	struct viewer *v = come(10, true);

	(void)state;
	answer_nothing("12");
	expect("waits ");
	assert_int_equal(v->state, VIEWER_HELD);
	answer_nothing("12");
	ring("list/call");
	/* Not for those who may not see it. */
	ANSWER("list_read", ITEMS, "20|1|13|{1}|\"1\"|{8}|{8}|f|t|f");
	assert_int_equal(v->state, VIEWER_HELD);
	ring("list/call");
	ANSWER("list_read", ITEMS, "30|1|21|{1}|\"1\"|~|~|f|t|f");
	assert_int_equal(v->state, VIEWER_LOADING);
	ANSWER("list_page", PAGE, "[1]|30|0|~");
	expect("answer 30 [1] ");
	assert_int_equal(v->state, VIEWER_DEAD);
}

static void a_long_poll_that_missed_something_is_answered(void **state)
{
	struct viewer *v = come(10, true);

	(void)state;
	ANSWER("list_read", ITEMS, "20|1|13|{1}|\"1\"|~|~|f|t|f");
	assert_int_equal(v->state, VIEWER_LOADING);
	ANSWER("list_page", PAGE, "[1]|20|0|~");
	expect("answer 20 [1] ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_page_and_then_items),
		TEST(a_page_that_does_not_fit_comes_in_parts),
		TEST(who_comes_back_gets_what_was_missed),
		TEST(who_comes_back_too_late_begins_anew),
		TEST(one_that_keeps_up_may_have_to_begin_anew),
		TEST(what_has_not_ended_yet_is_asked_for_again),
		TEST(who_is_slow_reads_on_from_the_last_item),
		TEST(access_that_ends_ends_it),
		TEST(a_long_poll_is_answered_with_the_page),
		TEST(a_long_poll_that_missed_something_is_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
