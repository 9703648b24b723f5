/*
 * Events as text, and ids as they come back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "stream/ask.h"
#include "stream/bytes/render.h"

static void check(struct buf *b, const char *expected)
{
	assert_false(b->failed);
	assert_string_equal(b->p, expected);
	buf_free(b);
}

static struct buf event(enum format f, const char *id, const char *data)
{
	struct buf b;

	buf_init(&b, 1024);
	render_event(&b, f, "state", id, data, strlen(data));
	return b;
}

static void an_event_of_sse_has_its_lines(void **state)
{
	struct buf b = event(FORMAT_SSE, "7.2", "[]");

	(void)state;
	check(&b, "event: state\nid: 7.2\ndata: []\n\n");
	b = event(FORMAT_SSE, NULL, "null");
	check(&b, "event: state\ndata: null\n\n");
}

static void an_event_of_ndjson_is_one_line(void **state)
{
	struct buf b = event(FORMAT_NDJSON, "7", "{\"a\":1}");

	(void)state;
	check(&b, "{\"event\":\"state\",\"id\":\"7\",\"data\":{\"a\":1}}\n");
	b = event(FORMAT_NDJSON, NULL, "null");
	check(&b, "{\"event\":\"state\",\"data\":null}\n");
}

static void lines_of_the_data_are_joined(void **state)
{
	struct buf b = event(FORMAT_SSE, "7", "[\n1,\r\n2]\n");

	(void)state;
	check(&b, "event: state\nid: 7\ndata: [ 1,  2] \n\n");
}

static void a_frame_that_is_too_large_fails(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 16);
	render_event(&b, FORMAT_SSE, "state", NULL, "[1,2,3]", 7);
	assert_true(b.failed);
	buf_free(&b);
}

static void an_id_is_the_version_and_the_inbox(void **state)
{
	char id[RENDER_ID_SIZE];

	(void)state;
	render_id(id, 12, -1);
	assert_string_equal(id, "12");
	render_id(id, 12, 0);
	assert_string_equal(id, "12.0");
	render_id(id, INT64_MAX, INT64_MAX);
	assert_string_equal(id, "9223372036854775807.9223372036854775807");
}

static void an_id_comes_back(void **state)
{
	int64_t version, inbox;

	(void)state;
	assert_int_equal(ask_parse_id("12", &version, &inbox), 0);
	assert_int_equal(version, 12);
	assert_int_equal(inbox, -1);
	assert_int_equal(ask_parse_id("12.34", &version, &inbox), 0);
	assert_int_equal(version, 12);
	assert_int_equal(inbox, 34);
}

static void what_is_no_id_is_refused(void **state)
{
	static const char *const bad[] = {"",
					  "x",
					  "-1",
					  "1.",
					  ".1",
					  "1.2.3",
					  "1 ",
					  " 1",
					  "1.-2",
					  "1e3",
					  "1234567890123456789",
					  "+1"};
	int64_t version, inbox;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_not_equal(ask_parse_id(bad[i], &version, &inbox), 0);
}

static struct buf message(const void *body, size_t n)
{
	const struct message m = {
		.n = 3,
		.from = "bob@example.net",
		.content_type = "text/plain",
		.sent_at = "2026-01-02T03:04:05.678Z",
		.body = body,
		.body_len = n,
	};
	struct buf b;

	buf_init(&b, 4096);
	render_message(&b, &m);
	return b;
}

#define HEAD \
	"{\"id\":3,\"from\":\"bob@example.net\"," \
	"\"content_type\":\"text/plain\"," \
	"\"sent_at\":\"2026-01-02T03:04:05.678Z\","

static void a_place_in_a_list_comes_back(void **state)
{
	char id[RENDER_ID_SIZE];
	int64_t version = 0, upto = 0, n = 0;

	(void)state;
	render_place(id, 12, 0, 0);
	assert_string_equal(id, "12");
	assert_int_equal(ask_parse_place(id, &version, &upto, &n), 0);
	assert_int_equal(version, 12);
	assert_int_equal(upto, 0);
	render_place(id, 999999999999999999, 999999999999999998,
		     999999999999999997);
	assert_int_equal(ask_parse_place(id, &version, &upto, &n), 0);
	assert_int_equal(version, 999999999999999999);
	assert_int_equal(upto, 999999999999999998);
	assert_int_equal(n, 999999999999999997);
}

static void what_is_no_place_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		".",
		"1.",
		"1.2",
		"1.2.",
		"1.2.3.",
		"1.2.3.4",
		"1..3",
		"-1.2.3",
		"1.2.3 ",
		"x",
		"1.2.x",
		"1.2.1234567890123456789",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		int64_t version = 7, upto = 7, n = 7;

		assert_int_not_equal(
			ask_parse_place(bad[i], &version, &upto, &n), 0);
		assert_int_equal(version + upto + n, 21);
	}
}

static void a_text_is_a_string(void **state)
{
	struct buf b = message("h\u00e9 \"\n", 6);

	(void)state;
	check(&b, HEAD "\"body\":\"h\u00e9 \\\"\\n\"}");
	b = message("", 0);
	check(&b, HEAD "\"body\":\"\"}");
}

static void other_bytes_are_base64(void **state)
{
	struct buf b = message("\xff", 1);

	(void)state;
	check(&b, HEAD "\"body_base64\":\"/w==\"}");
	b = message("a\0", 2);
	check(&b, HEAD "\"body_base64\":\"YQA=\"}");
	b = message("\0\x10\x83", 3);
	check(&b, HEAD "\"body_base64\":\"ABCD\"}");
	b = message("\xed\xa0\x80q", 4);
	check(&b, HEAD "\"body_base64\":\"7aCAcQ==\"}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_of_sse_has_its_lines),
		cmocka_unit_test(an_event_of_ndjson_is_one_line),
		cmocka_unit_test(lines_of_the_data_are_joined),
		cmocka_unit_test(a_frame_that_is_too_large_fails),
		cmocka_unit_test(an_id_is_the_version_and_the_inbox),
		cmocka_unit_test(an_id_comes_back),
		cmocka_unit_test(what_is_no_id_is_refused),
		cmocka_unit_test(a_place_in_a_list_comes_back),
		cmocka_unit_test(what_is_no_place_is_refused),
		cmocka_unit_test(a_text_is_a_string),
		cmocka_unit_test(other_bytes_are_base64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
