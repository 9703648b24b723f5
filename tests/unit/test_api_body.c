/*
 * JSON from outside: what is taken and comes back with the same value, what
 * is refused and where.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/body_play.h"

/* What is written is the text, or form where it differs. */
static void assert_written(struct arena *a, const char *text, const char *form)
{
	const char *out = body_text(parse(a, text), a);

	assert_non_null(out);
	assert_string_equal(out, form ? form : text);
}

static void assert_refused_mem(struct arena *a, const char *text, size_t len,
			       const char *pointer)
{
	const struct json *v = NULL;
	struct body_error e;
	const int err = body_parse(&v, a, text, len, &e);

	if (err != EBADMSG)
		fail_msg("%s: %d", text, err);
	assert_null(v);
	assert_true(strlen(e.detail) > 0);
	if (pointer)
		assert_string_equal(e.pointer, pointer);
}

static void assert_refused(struct arena *a, const char *text,
			   const char *pointer)
{
	assert_refused_mem(a, text, strlen(text), pointer);
}

static void values_come_back_as_they_were(void **state)
{
	assert_written(*state, "null", NULL);
	assert_written(*state, "\xef\xbb\xbf[1]", "[1]");
	assert_written(*state, "true", NULL);
	assert_written(*state, "\"\"", NULL);
	assert_written(*state, "{}", NULL);
	assert_written(*state, "[]", NULL);
	assert_written(*state, "[1,[2,{\"a\":[]}],\"x\",false]", NULL);
	assert_written(*state, " [ 1 ,\t2\r\n] ", "[1,2]");
	assert_written(*state, "{\"\":\"\",\"a b\":{\"c\":null}}", NULL);
}

static void numbers_keep_their_digits(void **state)
{
	static const char *const all[] = {
		"0",
		"-0",
		"1.0",
		"1e2",
		"1E+2",
		"0.1e-7",
		"123456789012345678901234567890.123456789012345678901234567890",
		"-9223372036854775809",
		"18446744073709551616",
		"1.10",
		"2.2250738585072014E-308",
		"1e400",
		"9007199254740993",
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		assert_written(*state, all[i], NULL);
}

static void numbers_that_jsonb_cannot_hold_are_refused(void **state)
{
	assert_refused(*state, "[0, 1e200000]", "/1");
	assert_refused(*state, "1e131073", "");
	assert_refused(*state, "1e-16384", "");
	assert_refused(*state, "1e99999999999999999999", "");
	assert_refused(*state, "-1e-99999999999999999999", "");
}

static void strings_are_unescaped_and_escaped_anew(void **state)
{
	const struct json *v = parse(*state, "\"\\u0061\\n\\u00e4\\ud83d\\ude00"
					     "\\/\\\"\\\\\"");

	assert_int_equal(v->len, 11);
	assert_memory_equal(v->text, "a\n\xc3\xa4\xf0\x9f\x98\x80/\"\\", 11);
	assert_written(*state, "\"\\u0001\\b\"", "\"\\u0001\\u0008\"");
	assert_written(*state, "\"\xf0\x9f\x98\x80\"", NULL);
}

static void what_is_no_json_is_refused(void **state)
{
	static const char *const all[] = {
		"",
		" ",
		"nul",
		"tru",
		"True",
		"{",
		"}",
		"[",
		"]",
		"[1",
		"[1,]",
		"[,1]",
		"[1 2]",
		"{\"a\"}",
		"{\"a\":}",
		"{a:1}",
		"{'a':1}",
		"{\"a\":1,}",
		"{,}",
		"\"a",
		"\"\\x\"",
		"\"\\u12\"",
		"01",
		"+1",
		".5",
		"1.",
		"-",
		"1e",
		"1e+",
		"0x1",
		"NaN",
		"Infinity",
		"-Infinity",
		"[1]x",
		"{} {}",
		"1 2",
		"// c\n1",
		"/* c */1",
		"\"\t\"",
		"\"\n\"",
		"\xef\xbb\xbf",
		"\xef\xbb\xbf\xef\xbb\xbf{}",
		"{\xef\xbb\xbf}",
		"[1}",
		"{\"a\":1]",
		"\"a\"\"b\"",
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		assert_refused(*state, all[i], NULL);
	assert_refused_mem(*state, NULL, 0, "");
}

static void text_that_is_not_utf8_is_refused(void **state)
{
	assert_refused(*state, "\"\xff\"", NULL);
	assert_refused(*state, "\"\xc3\"", NULL);
	assert_refused(*state, "\"\xed\xa0\x80\"", NULL);
	assert_refused(*state, "\"\xc0\xaf\"", NULL);
	assert_refused(*state, "{\"\xff\":1}", NULL);
}

static void nul_and_half_pairs_are_refused(void **state)
{
	assert_refused(*state, "{\"a\":\"\\u0000\"}", "/a");
	assert_refused(*state, "{\"a\\u0000\":1}", NULL);
	assert_refused_mem(*state, "\"a\0b\"", 5, NULL);
	assert_refused_mem(*state, "1\0", 2, NULL);
	assert_refused(*state, "[\"\\ud800\"]", "/0");
	assert_refused(*state, "[1,\"\\udc00\"]", "/1");
	assert_refused(*state, "\"\\ud800\\ud800\"", "");
	assert_refused(*state, "\"\\ud800x\"", "");
	assert_refused(*state, "\"\\udc00\\ud800\"", "");
	assert_refused(*state, "\"\\uD834\\\\uDD1E\"", "");
	/* an escaped backslash, then plain text */
	assert_written(*state, "\"\\\\ud800\"", NULL);
	assert_written(*state, "\"\\\\u0000\"", NULL);
}

static void a_name_twice_is_refused_wherever_it_is(void **state)
{
	assert_refused(*state, "{\"a\":1,\"a\":2}", "/a");
	assert_refused(*state, "{\"a\":1,\"\\u0061\":2}", "/a");
	assert_refused(*state, "[{\"x\":{\"b/~\":1,\"c\":2,\"b/~\":3}}]",
		       "/0/x/b~1~0");
	assert_written(*state, "{\"a\":{\"a\":1},\"b\":{\"a\":1}}", NULL);
	assert_refused(*state,
		       "{\"1\":0,\"2\":0,\"3\":0,\"4\":0,\"5\":0,\"6\":0,"
		       "\"7\":0,\"8\":0,\"9\":0,\"3\":0}",
		       "/3");
}

static char *nested(size_t depth)
{
	char *text = calloc(2 * depth + 2, 1);

	assert_non_null(text);
	memset(text, '[', depth);
	memset(text + depth, ']', depth);
	return text;
}

static void the_depth_is_at_most_32(void **state)
{
	char *text = nested(32);

	(void)parse(*state, text);
	free(text);
	text = nested(33);
	assert_refused(*state, text, NULL);
	free(text);
	text = nested(30000);
	assert_refused(*state, text, NULL);
	free(text);
}

static void the_size_is_at_most_64_kib(void **state)
{
	const struct json *v = NULL;
	struct body_error e;
	char *text = malloc(BODY_TEXT_MAX + 1);

	assert_non_null(text);
	memset(text, ' ', BODY_TEXT_MAX + 1);
	text[0] = '1';
	assert_int_equal(body_parse(&v, *state, text, BODY_TEXT_MAX, &e), 0);
	assert_int_equal(body_parse(&v, *state, text, BODY_TEXT_MAX + 1, &e),
			 EMSGSIZE);
	free(text);
}

static int size_of(struct arena *a, const char *text)
{
	const struct json *v = NULL;
	struct body_error e;

	return body_parse(&v, a, text, strlen(text), &e);
}

/* As jsonb writes it: `{"x": 1000}`, an array with ", ", six bytes of a
 * control character. */
static void what_is_written_out_is_at_most_64_kib(void **state)
{
	char *text = calloc(1, BODY_TEXT_MAX + 1);
	size_t len = 1;

	assert_int_equal(size_of(*state, "{\"x\":1e65528}"), 0);
	assert_int_equal(size_of(*state, "{\"x\":1e65529}"), EMSGSIZE);
	assert_int_equal(size_of(*state, "{\"x\":-1e65528}"), EMSGSIZE);
	assert_int_equal(size_of(*state, "[1e32000,1e-16000,1e16000]"), 0);
	assert_int_equal(size_of(*state, "[1e33000,1e-16000,1e17000]"),
			 EMSGSIZE);
	assert_int_equal(size_of(*state, "[0.000e16000,0e9]"), 0);
	assert_non_null(text);
	/* 3 * 21845 + 1 bytes: the brackets, digits, ", " between them */
	text[0] = '[';
	for (int i = 0; i < 21845; i++)
		len += (size_t)snprintf(text + len, 3, i ? ",1" : "1");
	text[len] = ']';
	assert_int_equal(size_of(*state, text), 0);
	(void)snprintf(text + len, 4, ",1]");
	assert_int_equal(size_of(*state, text), EMSGSIZE);
	memset(text, 0, BODY_TEXT_MAX + 1);
	for (int i = 0; i < 10922; i++) /* 6 bytes each */
		memcpy(text + 1 + 6 * i, "\\u0001", 6);
	text[0] = '"';
	text[1 + 6 * 10922] = '"';
	text[2 + 6 * 10922] = '\0';
	assert_int_equal(size_of(*state, text), 0);
	free(text);
}

static void many_members_are_compared_quickly(void **state)
{
	char *text = malloc(BODY_TEXT_MAX);
	size_t len = 1;

	assert_non_null(text);
	text[0] = '{';
	/* jsonb writes two blanks more of each */
	for (int i = 0; len < BODY_TEXT_MAX - 20 - 2 * (size_t)i; i++)
		len += (size_t)snprintf(text + len, 20, "%s\"%d\":0",
					i ? "," : "", i);
	text[len++] = '}';
	text[len] = '\0';
	(void)parse(*state, text);
	free(text);
}

static void assert_syntax(struct arena *a, const char *text, const char *said)
{
	const struct json *v = NULL;
	struct body_error e;

	assert_int_equal(body_parse(&v, a, text, strlen(text), &e), EBADMSG);
	if (!strstr(e.detail, said))
		fail_msg("%s: %s, not %s", text, e.detail, said);
}

static void where_the_syntax_is_wrong_is_said(void **state)
{
	assert_syntax(*state, "", "The body is empty");
	assert_syntax(*state, " \n", "The body is empty");
	assert_syntax(*state, "{\"a\":1", "too early, after 6 bytes");
	assert_syntax(*state, "{'a':1}", "read up to byte 2: lexical error");
	assert_syntax(*state, "{\"a\" 1}", "read up to byte 6: parse error");
	assert_syntax(*state, "[1,]", "read up to byte 4: parse error");
	assert_syntax(*state, "[1] x", "This is not JSON");
	assert_syntax(*state, "[\"\xff\"]", "UTF-8. (At byte 2 of the body.)");
	assert_syntax(*state, "{\"a\":\"\\ud800\"}",
		      "surrogate pair. (At byte");
}

static void a_long_pointer_is_cut_at_a_segment(void **state)
{
	const struct json *v = NULL;
	struct body_error e;
	char text[4000] = "";
	size_t len = 0;

	for (int i = 0; i < 20; i++) {
		memcpy(text + len, "{\"", 2);
		memset(text + len + 2, 'n', 60);
		memcpy(text + len + 62, "\":", 2);
		len += 64;
	}
	memcpy(text + len, "x", 2);
	assert_int_equal(body_parse(&v, *state, text, strlen(text), &e),
			 EBADMSG);
	assert_true(strlen(e.pointer) < BODY_POINTER_MAX);
	assert_int_equal(strlen(e.pointer) % 61, 0);
}

static void a_string_without_end_is_refused_wherever_it_stands(void **state)
{
	assert_refused(*state, "\"", NULL);
	assert_refused(*state, "{}\"", NULL);
	assert_refused(*state, "{}\"}", NULL);
	assert_refused(*state, "[1] \"x]", NULL);
	assert_refused(*state, "\"a\"\"", NULL);
	assert_refused(*state, "1 \"", NULL);
	assert_refused(*state, "\"a\\\"", NULL);
	assert_written(*state, "\"a\\\"\"", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_come_back_as_they_were),
		cmocka_unit_test(numbers_keep_their_digits),
		cmocka_unit_test(
			a_string_without_end_is_refused_wherever_it_stands),
		cmocka_unit_test(numbers_that_jsonb_cannot_hold_are_refused),
		cmocka_unit_test(strings_are_unescaped_and_escaped_anew),
		cmocka_unit_test(what_is_no_json_is_refused),
		cmocka_unit_test(text_that_is_not_utf8_is_refused),
		cmocka_unit_test(nul_and_half_pairs_are_refused),
		cmocka_unit_test(a_name_twice_is_refused_wherever_it_is),
		cmocka_unit_test(the_depth_is_at_most_32),
		cmocka_unit_test(the_size_is_at_most_64_kib),
		cmocka_unit_test(what_is_written_out_is_at_most_64_kib),
		cmocka_unit_test(many_members_are_compared_quickly),
		cmocka_unit_test(where_the_syntax_is_wrong_is_said),
		cmocka_unit_test(a_long_pointer_is_cut_at_a_segment),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
