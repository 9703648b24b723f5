/*
 * One stream, or one answer, on many resources (/watch): when it begins, what
 * ends one of them and what ends all, and what it can be resumed from. The
 * database, the loop and the stream are played.
 */
#include "tests/unit/stream_play.h"

#include <errno.h>

#include "stream/out/watch.h"

enum {
	LARGE = 17 << 20, /* more than FRAME_MAX */
};

static struct stream stream;
static const struct stream_ops *ops;
static void *ops_arg;
static struct watch *watch;
static int open_error;

/* What was written since. */
static void expect_text(const char *what)
{
	buf_char(&stream.text, '\0');
	assert_string_equal(stream.text.p, what);
	buf_reset(&stream.text);
}

static void on_refused(const struct pg_answer *why, void *arg)
{
	(void)arg;
	buf_fmt(&said, "refused %d %s", why->status, why->pointer);
	watch = NULL;
}

static int on_open(struct stream **out, const struct stream_ops *stream_ops,
		   void *stream_arg, void *arg)
{
	(void)arg;
	watch = NULL; /* it goes on by itself */
	if (open_error)
		return open_error;
	ops = stream_ops;
	ops_arg = stream_arg;
	*out = &stream;
	return 0;
}

static void on_waits(uint32_t ends_s, void *arg)
{
	(void)arg;
	(void)ends_s;
	buf_str(&said, "waits");
}

static void on_answer_many(const char *id, const char *docs, size_t n,
			   void *arg)
{
	(void)arg;
	buf_fmt(&said, "%s %.*s", id, (int)n, docs);
	watch = NULL;
}

static const struct outcome_ops outcome = {
	.refused = on_refused,
	.open = on_open,
	.waits = on_waits,
	.answer_many = on_answer_many,
};

static int setup(void **state)
{
	(void)state;
	memset(&stream, 0, sizeof(stream));
	buf_init(&stream.text, 1 << 16);
	buf_init(&said, 4096);
	ops = NULL;
	open_error = 0;
	play_begin();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	watch_free(watch);
	watch = NULL;
	if (ops)
		ops->closed(ops_arg);
	turn();
	assert_int_equal(viewers->count, 0);
	play_end();
	buf_free(&stream.text);
	buf_free(&said);
	return 0;
}

/* ---- asking ---- */

/* Calls 1 to n; with version 1 of each, or anew. */
static void come_as(size_t n, bool once, bool resume)
{
	static const uint8_t token[4] = "abc";
	static const struct principal who = {.proof = token, .proof_len = 4};
	static char names[WATCH_MAX][32];
	struct watch_one one[WATCH_MAX];

	for (size_t i = 0; i < n; i++) {
		(void)snprintf(names[i], sizeof(*names), "/call/%zu", i + 1);
		one[i] = (struct watch_one){
			.name = names[i],
			.ask =
				{
					.kind = kind_find("call"),
					.key = names[i] + strlen("/call/"),
					.who = &who,
					.format = FORMAT_NDJSON,
					.once = once,
					.resume = resume,
					.version = 1,
					.inbox = -1,
				},
		};
	}
	assert_int_equal(watch_new(&watch, viewers, one, n, &outcome, NULL), 0);
	turn();
}

static void come(size_t n)
{
	come_as(n, false, false);
}

/* The owner's login, twice; or a message that looks like a contact. */
static void come_to_login(size_t n, int64_t item)
{
	static const uint8_t token[4] = "abc";
	static const struct principal who = {.proof = token, .proof_len = 4};
	const struct watch_one one = {
		.name = "/login/me",
		.ask =
			{
				.kind = kind_find("login"),
				.key = "alice@example.net",
				.n = item,
				.who = &who,
				.format = FORMAT_NDJSON,
				.inbox = -1,
			},
	};
	const struct watch_one two[] = {one, one};

	assert_int_equal(watch_new(&watch, viewers, two, n, &outcome, NULL), 0);
	turn();
}

/* The next that asks may look at call n. */
static void open_nth(int n)
{
	char row[64];

	(void)snprintf(row, sizeof(row), "%d|%d|f|f|~|1|~|7|1", n, n);
	answer_rows(ask_of("watch_open"), OPENED, (const char *[]){row}, 1);
	turn();
}

static void state(void)
{
	ANSWER("watch_read", READ, "1|~|{}|f|~|f");
	turn();
}

static void settle(void)
{
	while (asks("watch_read")) {
		answer_rows(ask_of("watch_read"), READ, NULL, 0);
		turn();
	}
}

/* Two that keep up. */
static void begin(void)
{
	come(2);
	open_nth(1);
	open_nth(2);
	state();
	state();
	settle();
	buf_reset(&stream.text);
}

/* Where it stands now, as the next event would say. */
static void bell(const char *topic, const char *row)
{
	ring(topic);
	answer_rows(ask_of("watch_read"), READ, &row, 1);
	turn();
}

/* ---- one stream ---- */

static void it_begins_when_all_may_be_seen(void **unused)
{
	(void)unused;
	come(2);
	open_nth(1);
	assert_null(ops);
	assert_int_equal(asks("watch_read"), 0);
	open_nth(2);
	assert_non_null(ops);
	expect_text("\n");
	state();
	state();
	expect_text("{\"event\":\"state\",\"id\":\"1,\",\"data\":{\"resource\":"
		    "\"/call/1\",\"id\":\"1\",\"data\":{}}}\n"
		    "{\"event\":\"state\",\"id\":\"1,1\",\"data\":{\"resource\""
		    ":\"/call/2\",\"id\":\"1\",\"data\":{}}}\n");
}

static void only_a_few_read_at_a_time(void **unused)
{
	(void)unused;
	come(7);
	for (int i = 1; i <= 7; i++)
		open_nth(i);
	for (int left = 7; left; left--) {
		size_t n = asks("watch_read");

		assert_true(n <= 4 + 7); /* and those for all, once more */
		state();
	}
	settle();
	for (struct viewer *v = viewers->first; v; v = v->next)
		assert_int_equal(v->state, VIEWER_LIVE);
}

static void one_that_is_refused_is_pointed_at(void **unused)
{
	(void)unused;
	come(2);
	open_nth(1);
	refuse("watch_open", 403, "forbidden");
	expect("");
	turn();
	expect("refused 403 /r/1");
}

static void one_that_was_seen_before_is_gone(void **unused)
{
	(void)unused;
	come_as(2, false, true);
	open_nth(1);
	refuse("watch_open", 404, "not-found");
	turn();
	expect_text(
		"\n{\"event\":\"gone\",\"id\":\"1,-\",\"data\":{\"resource\""
		":\"/call/2\",\"data\":null}}\n");
}

static void one_that_goes_leaves_the_others(void **unused)
{
	(void)unused;
	begin();
	bell("call/1", "2|1|~|t|~|f");
	expect_text("{\"event\":\"gone\",\"id\":\"-,1\",\"data\":{\"resource\":"
		    "\"/call/1\",\"id\":\"1\",\"data\":null}}\n");
	bell("call/2", "2|1|{}|f|~|f");
	expect_text(
		"{\"event\":\"change\",\"id\":\"-,2\",\"data\":{\"resource\""
		":\"/call/2\",\"id\":\"2\",\"data\":{}}}\n");
	assert_false(stream.finished);
	bell("call/2", "3|2|~|t|~|f");
	assert_true(stream.finished);
}

static void one_whose_access_ends_says_so(void **unused)
{
	(void)unused;
	begin();
	bell("call/1", "2|1|{}|f|{7}|f");
	refuse("watch_open", 403, "forbidden");
	turn();
	expect_text("{\"event\":\"end\",\"id\":\"-,1\",\"data\":{\"resource\":"
		    "\"/call/1\",\"data\":{\"reason\":\"access-ended\"}}}\n");
	assert_false(stream.finished);
}

static void a_session_that_ends_ends_all(void **unused)
{
	(void)unused;
	begin();
	ring("session/7");
	turn();
	refuse("watch_open", 401, "unauthorized");
	expect_text("{\"event\":\"end\",\"data\":{\"reason\":"
		    "\"session-ended\"}}\n");
	assert_true(stream.finished);
}

static void who_is_slow_reads_on_each(void **unused)
{
	(void)unused;
	begin();
	stream.pending = STREAM_QUEUE_MAX + 1;
	bell("call/1", "2|1|{}|f|~|f");
	bell("call/2", "2|1|{}|f|~|f");
	expect_text("");
	stream.pending = 0;
	ops->moved(ops_arg);
	assert_int_equal(asks("watch_read"), 2);
}

/* What is too much for one ends the other, which is told next. */
static void too_much_in_a_walk_ends_all(void **unused)
{
	char *row = malloc(LARGE + 64);

	(void)unused;
	come_to_login(2, 0);
	for (int i = 0; i < 2; i++) {
		open_mine();
		turn();
	}
	state();
	ANSWER("inbox_read", INBOX, "0|~|~|~|~|~|~");
	turn();
	for (int i = 0; i < 3 && asks("watch_read"); i++)
		state();
	settle();
	assert_non_null(ops);
	assert_int_equal(viewers->count, 2);
	assert_non_null(row);
	memset(row, ' ', LARGE + 64);
	memcpy(row, "2|1|{", 5);
	memcpy(row + LARGE, "}|f|~|f", 8);
	buf_reset(&stream.text);
	bell("login/alice@example.net", row);
	free(row);
	expect_text(
		"{\"event\":\"end\",\"data\":{\"reason\":\"too-large\"}}\n");
}

static void messages_come_with_one_of_them(void **unused)
{
	size_t n = 0;

	(void)unused;
	come_to_login(2, 0);
	open_mine();
	turn();
	open_mine();
	turn();
	for (struct viewer *v = viewers->first; v; v = v->next)
		n += v->mail != NULL;
	assert_int_equal(n, 1);
}

static void what_is_no_contact_may_be_a_message(void **unused)
{
	(void)unused;
	come_to_login(1, 3);
	assert_string_equal(ask_of("watch_open")->value[4], "login");
	refuse("watch_open", 404, "not-found");
	turn();
	turn();
	assert_string_equal(ask_of("watch_open")->value[4], "send");
	assert_string_equal(ask_of("watch_open")->value[5],
			    "alice@example.net/3");
}

static void who_goes_early_is_asked_for_no_more(void **unused)
{
	(void)unused;
	come(3);
	open_nth(1);
	watch_free(watch);
	watch = NULL;
	turn();
	assert_int_equal(viewers->count, 0);
	while (asks("watch_open"))
		open_nth(2);
	expect("");
}

static void a_stream_that_does_not_begin_is_the_end(void **unused)
{
	(void)unused;
	open_error = ECANCELED;
	come(2);
	open_nth(1);
	open_nth(2);
	turn();
	assert_int_equal(viewers->count, 0);
}

static void the_connection_goes_before_it_begins(void **unused)
{
	(void)unused;
	come(2);
	open_nth(1);
	hub_lose();
	turn();
	expect("refused 503 ");
}

/* ---- one answer ---- */

static void what_has_moved_is_the_answer(void **unused)
{
	(void)unused;
	come_as(2, true, true);
	open_nth(1);
	open_nth(2);
	ANSWER("watch_read", READ, "2|1|{2}|f|~|f");
	answer_rows(ask_of("watch_read"), READ, NULL, 0);
	expect("");
	turn();
	expect("2,1 [{\"resource\":\"/call/1\",\"id\":\"2\",\"data\":{2}}]");
}

static void where_nothing_has_it_waits(void **unused)
{
	(void)unused;
	come_as(2, true, true);
	open_nth(1);
	open_nth(2);
	settle();
	expect("waits");
	bell("call/2", "2|1|~|t|~|f");
	turn();
	expect("1,- [{\"resource\":\"/call/2\",\"gone\":true}]");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_begins_when_all_may_be_seen),
		TEST(only_a_few_read_at_a_time),
		TEST(one_that_is_refused_is_pointed_at),
		TEST(one_that_was_seen_before_is_gone),
		TEST(one_that_goes_leaves_the_others),
		TEST(one_whose_access_ends_says_so),
		TEST(a_session_that_ends_ends_all),
		TEST(who_is_slow_reads_on_each),
		TEST(too_much_in_a_walk_ends_all),
		TEST(messages_come_with_one_of_them),
		TEST(what_is_no_contact_may_be_a_message),
		TEST(who_goes_early_is_asked_for_no_more),
		TEST(a_stream_that_does_not_begin_is_the_end),
		TEST(the_connection_goes_before_it_begins),
		TEST(what_has_moved_is_the_answer),
		TEST(where_nothing_has_it_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
