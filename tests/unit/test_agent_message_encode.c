/*
 * What a delivery looks like on the wire.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "message/message_encode.h"
#include "parse/uri.h"

static const struct message_parts usual = {
	.delivery = 17,
	.call_id = "0123456789abcdef0123456789abcdef-7@restsip",
	.contact = "sip:a@192.0.2.1:5062;ob",
	.sender = "bob@example.net",
	.recipient = "alice@example.net",
	.content_type = "text/plain;charset=utf-8",
	.sent_at = "2026-03-09T07:05:01.123Z",
	.request_id = "0123456789abcdef",
	.body = (const uint8_t *)"a\0b",
	.body_len = 3,
};

static char *encode(const struct message_parts *w)
{
	struct mbuf *mb;
	char *text = NULL;

	assert_int_equal(message_encode(&mb, w), 0);
	assert_int_equal(mbuf_strdup(mb, &text, mbuf_get_left(mb)), 0);
	mem_deref(mb);

	return text;
}

static void a_message_has_its_headers_and_its_body(void **state)
{
	struct mbuf *mb;
	char *text;

	(void)state;
	text = encode(&usual);
	assert_non_null(strstr(text, "To: <sip:alice@example.net>\r\n"));
	assert_non_null(strstr(text, "From: <sip:bob@example.net>;tag="));
	assert_non_null(strstr(text, "CSeq: 1 MESSAGE\r\n"));
	assert_non_null(
		strstr(text, "Date: Mon, 09 Mar 2026 07:05:01 GMT\r\n"));
	assert_non_null(strstr(text, "X-Request-ID: 0123456789abcdef\r\n"));
	assert_non_null(strstr(text, "Content-Length: 3\r\n\r\n"));
	assert_null(strstr(text, "Route:"));
	mem_deref(text);

	assert_int_equal(message_encode(&mb, &usual), 0);
	assert_memory_equal(mb->buf + mb->end - 3, "a\0b", 3);
	mem_deref(mb);
}

static void a_repeat_is_the_same(void **state)
{
	struct message_parts other = usual;
	char *first = encode(&usual), *again, *next;

	(void)state;
	other.contact = "sip:elsewhere@192.0.2.2";
	again = encode(&other);
	assert_string_equal(first, again);

	other.delivery = 18;
	next = encode(&other);
	assert_string_not_equal(strstr(first, "tag="), strstr(next, "tag="));
	mem_deref(first);
	mem_deref(again);
	mem_deref(next);
}

static void a_path_becomes_a_route(void **state)
{
	struct message_parts w = usual;
	char *text;

	(void)state;
	w.path = "<sip:p1;lr>, <sip:p2;lr>";
	text = encode(&w);
	assert_non_null(strstr(text, "Route: <sip:p1;lr>, <sip:p2;lr>\r\n"));
	mem_deref(text);
}

static void nothing_ends_a_header_line(void **state)
{
	static const char *const bad[] = {"a\r\nX: y", "a\nb", "a\rb", "a\x7f",
					  "a\x01"};
	struct mbuf *mb;
	char *uri;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct message_parts type = usual, sender = usual, to = usual;
		struct message_parts path = usual, call_id = usual;

		type.content_type = bad[i];
		sender.sender = bad[i];
		to.recipient = bad[i];
		path.path = bad[i];
		call_id.call_id = bad[i];
		assert_int_not_equal(message_encode(&mb, &type), 0);
		assert_int_not_equal(message_encode(&mb, &sender), 0);
		assert_int_not_equal(message_encode(&mb, &to), 0);
		assert_int_not_equal(message_encode(&mb, &path), 0);
		assert_int_not_equal(message_encode(&mb, &call_id), 0);
		assert_int_not_equal(uri_of_contact(&uri, bad[i]), 0);
	}
	assert_int_not_equal(uri_of_contact(&uri, "sip:a b"), 0);
	assert_int_not_equal(uri_of_contact(&uri, "sip:a>"), 0);
}

static void headers_in_a_contact_are_not_obeyed(void **state)
{
	char *uri;

	(void)state;
	assert_int_equal(uri_of_contact(&uri, "sip:a@b;x=1?Route=%3Csip:c%3E"),
			 0);
	assert_string_equal(uri, "sip:a@b;x=1");
	mem_deref(uri);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_has_its_headers_and_its_body),
		cmocka_unit_test(a_repeat_is_the_same),
		cmocka_unit_test(a_path_becomes_a_route),
		cmocka_unit_test(nothing_ends_a_header_line),
		cmocka_unit_test(headers_in_a_contact_are_not_obeyed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
