/*
 * Which media type goes out, and what one that comes in says of itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shared/negotiate.h"

static const char *const types[] = {"application/json", "text/plain",
				    "text/uri-list", "application/pidf+xml",
				    NULL};

static void assert_picks(const char *accept, int place)
{
	const int got = negotiate_pick(accept, types);

	if (got != place)
		fail_msg("%s: %d, not %d", accept ? accept : "-", got, place);
}

static void without_a_wish_it_is_the_first(void **state)
{
	(void)state;
	assert_picks(NULL, 0);
	assert_picks("", 0);
	assert_picks(" , ", 0);
	assert_picks("*/*", 0);
	assert_picks("application/*", 0);
}

static void what_is_wished_is_picked(void **state)
{
	(void)state;
	assert_picks("text/plain", 1);
	assert_picks("TEXT/Plain", 1);
	assert_picks("text/*", 1);
	assert_picks("text/uri-list", 2);
	assert_picks("application/pidf+xml, text/html", 3);
	assert_picks("text/plain;q=0.5, text/uri-list", 2);
	assert_picks("text/html, text/plain;q=0.9, */*;q=0.1", 1);
	assert_picks("application/json;q=0, */*", 1);
	assert_picks("text/*;q=0.3, text/uri-list;q=0.7", 2);
	assert_picks("text/html,application/xhtml+xml,application/xml;q=0.9,"
		     "image/avif,*/*;q=0.8",
		     0);
	assert_picks("text/plain; charset=\"a,b;q=0\"", 1);
	assert_picks("text/plain ; q=1.000", 1);
}

static void xml_is_what_ends_with_xml(void **state)
{
	(void)state;
	assert_picks("application/xml", 3);
	assert_picks("TEXT/XML", 3);
	assert_picks("text/xml;q=0.5, text/plain;q=0.4", 3);
	assert_picks("text/xml;q=0.5, text/plain", 1);
	assert_picks(
		"application/xml, application/pidf+xml;q=0, text/plain;q=0.1",
		1); /* by its own name it is not wished */
	assert_picks("application/xml, text/html", -1); /* a browser */
	assert_picks("application/xm", -1);
}

/* As clients in the field write it: no member spoils the rest. */
static void what_is_malformed_is_read_or_left_out(void **state)
{
	(void)state;
	assert_picks("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", 0);
	assert_picks("*", 0);
	assert_picks("*/*;q=.2", 0);
	assert_picks("*/*;q=1.", 0);
	assert_picks("application/json;q=0.9999", 0);
	assert_picks("application/json;q=.2, text/plain;q=.25", 1);
	assert_picks("application/json;q=0.20001, text/plain;q=0.3", 1);
	assert_picks("application/json;q=, text/plain;q=0.1", 1);
	assert_picks("application/json;q=high, text/plain;q=0.1", 1);
	assert_picks("application/json;q=-1, text/plain;q=0.1", 1);
	assert_picks("application/json;q=1.0.0, text/plain;q=0.1", 1);
	assert_picks("application/json;q=00000000000000000000.00000000000001, "
		     "text/plain;q=0.1",
		     1);
	assert_picks(";q=1, =, \"\", text/plain", 1);
}

static void what_is_not_to_be_had_is_not_picked(void **state)
{
	(void)state;
	assert_picks("text/html", -1);
	assert_picks("application/json;q=0", -1);
	assert_picks("application/json;q=0.000, image/*", -1);
	assert_picks("application/jso", -1);
	assert_picks("nonsense", -1);
	assert_picks("*/json", -1);
	assert_picks("application/json;q=nonsense", -1);
	assert_picks("application/json;q=1.5", -1);
}

static void a_stream_is_for_those_who_prefer_it(void **state)
{
	static const struct {
		const char *accept;
		enum form form;
	} all[] = {
		{NULL, FORM_DOCUMENT},
		{"", FORM_DOCUMENT},
		{"*/*", FORM_DOCUMENT},
		{"text/*", FORM_DOCUMENT},
		{"text/html", FORM_DOCUMENT},
		{"text/event-stream", FORM_SSE},
		{"Text/Event-Stream ; charset=utf-8", FORM_SSE},
		{"application/x-ndjson", FORM_NDJSON},
		{"application/x-ndjson, text/event-stream", FORM_SSE},
		{"text/event-stream;q=0.5, application/x-ndjson", FORM_NDJSON},
		{"application/json, text/event-stream", FORM_DOCUMENT},
		{"text/event-stream, application/json", FORM_DOCUMENT},
		{"text/event-stream, */*", FORM_DOCUMENT},
		{"text/event-stream, text/plain", FORM_DOCUMENT},
		{"text/event-stream, text/html", FORM_SSE},
		{"text/event-stream;q=0.5, application/json", FORM_DOCUMENT},
		{"text/event-stream, application/json;q=0.9", FORM_SSE},
		{"text/event-stream, */*;q=0.1", FORM_SSE},
		{"text/event-stream, text/*;q=0.9, */*;q=0.1", FORM_SSE},
		{"*/*, application/json;q=0, text/plain;q=0, "
		 "text/uri-list;q=0, application/pidf+xml;q=0, "
		 "text/event-stream;q=0.1",
		 FORM_SSE},
		{"text/event-stream;q=0", FORM_DOCUMENT},
		{"text/event-stream;q=0, */*", FORM_DOCUMENT},
		{"text/event-stream;q=2", FORM_DOCUMENT},
		{"text/event-stream-x, application/x-ndjson2", FORM_DOCUMENT},
		{"text/plain;a=\",text/event-stream\"", FORM_DOCUMENT},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (negotiate_form(all[i].accept, false, types) != all[i].form)
			fail_msg("%s", all[i].accept ? all[i].accept : "-");
}

static void who_asks_for_a_stream_says_which(void **state)
{
	static const char *const none[] = {NULL};

	(void)state;
	for (int asked = 0; asked < 2; asked++) {
		/* asked for, or there is nothing else */
		const char *const *of = asked ? types : none;

		assert_int_equal(negotiate_form(NULL, asked, of), FORM_NDJSON);
		assert_int_equal(negotiate_form("*/*", asked, of), FORM_NDJSON);
		assert_int_equal(negotiate_form("application/json", asked, of),
				 FORM_NDJSON);
		assert_int_equal(negotiate_form("text/event-stream;q=0.1, */*",
						asked, of),
				 FORM_SSE);
		assert_int_equal(
			negotiate_form("text/event-stream;q=0", asked, of),
			FORM_NDJSON);
	}
}

static void types_that_may_be_kept_are_sound(void **state)
{
	static const char *const sound[] = {
		"text/plain",  "application/vnd.x+json; a=\"b c\"",
		"a/b;",	       "text/plain ;charset=utf-8",
		"x-a/x.b-c_d",
	};
	static const char *const bad[] = {
		"",
		"text",
		"/plain",
		"text/",
		"te xt/plain",
		"text/pl ain",
		"text/plain\r\nX: y",
		"text/plain\n",
		"text/\xc3\xa4",
		"text/plain; a=\"\x01\"",
		";text/plain",
		"text/plain/x",
	};
	char text[300] = "a/";

	(void)state;
	for (size_t i = 0; i < sizeof(sound) / sizeof(*sound); i++)
		if (!negotiate_type_is_sound(sound[i]))
			fail_msg("%s was refused", sound[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (negotiate_type_is_sound(bad[i]))
			fail_msg("%s was taken", bad[i]);
	memset(text + 2, 'x', 253);
	assert_true(negotiate_type_is_sound(text));
	text[255] = 'x';
	assert_false(negotiate_type_is_sound(text));
}

static void a_charset_is_read(void **state)
{
	(void)state;
	assert_true(negotiate_charset_is_utf8("text/plain"));
	assert_true(negotiate_charset_is_utf8("text/plain; charset=utf-8"));
	assert_true(negotiate_charset_is_utf8("text/plain;CHARSET=\"UTF-8\""));
	assert_true(
		negotiate_charset_is_utf8("text/plain; a=b;charset=US-ASCII"));
	assert_false(negotiate_charset_is_utf8("text/plain; charset=latin1"));
	assert_false(negotiate_charset_is_utf8("text/plain; charset=utf-16"));
	assert_false(negotiate_charset_is_utf8("text/plain; charset="));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_wish_it_is_the_first),
		cmocka_unit_test(what_is_wished_is_picked),
		cmocka_unit_test(xml_is_what_ends_with_xml),
		cmocka_unit_test(what_is_malformed_is_read_or_left_out),
		cmocka_unit_test(what_is_not_to_be_had_is_not_picked),
		cmocka_unit_test(a_stream_is_for_those_who_prefer_it),
		cmocka_unit_test(who_asks_for_a_stream_says_which),
		cmocka_unit_test(types_that_may_be_kept_are_sound),
		cmocka_unit_test(a_charset_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
