/*
 * Addresses as they stand in From, To, Contact and Path.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "parse/nameaddr.h"

static void assert_pl(const struct pl *pl, const char *text)
{
	if (pl->l != strlen(text) || memcmp(pl->p, text, pl->l))
		fail_msg("'%.*s' is not '%s'", (int)pl->l, pl->p, text);
}

static struct nameaddr decode(const char *text)
{
	const struct pl val = {text, strlen(text)};
	struct nameaddr na;

	if (nameaddr_decode(&na, &val))
		fail_msg("not decoded: %s", text);

	return na;
}

static void a_name_addr_has_name_uri_and_parameters(void **state)
{
	struct nameaddr na = decode(
		"\"A. \\\"G\\\" Bell\" <sip:a@b;x=y?h=v> ; tag=1 ;q = 0.5");
	struct pl val;

	(void)state;
	assert_pl(&na.display, "\"A. \\\"G\\\" Bell\"");
	assert_pl(&na.uri, "sip:a@b;x=y?h=v");
	assert_true(na.brackets);
	assert_true(nameaddr_param(&na, "TAG", &val));
	assert_pl(&val, "1");
	assert_true(nameaddr_param(&na, "q", &val));
	assert_pl(&val, "0.5");
	assert_false(nameaddr_param(&na, "x", &val));
}

static void an_addr_spec_ends_at_the_semicolon(void **state)
{
	struct nameaddr na = decode("sip:a@b:5060;tag=x");
	struct pl val;

	(void)state;
	assert_pl(&na.uri, "sip:a@b:5060");
	assert_false(na.brackets);
	assert_true(nameaddr_param(&na, "tag", &val));
}

static void words_may_be_a_display_name(void **state)
{
	struct nameaddr na = decode("Mr. Watson<sip:w@b>");

	(void)state;
	assert_pl(&na.display, "Mr. Watson");
	assert_pl(&na.uri, "sip:w@b");
}

static void any_word_may_be_in_it(void **state)
{
	struct nameaddr na = decode("na\xc3\xafve (x) <sip:w@b>");

	(void)state;
	assert_pl(&na.display, "na\xc3\xafve (x)");
	assert_pl(&na.uri, "sip:w@b");
}

static void what_is_empty_is_not_there(void **state)
{
	struct nameaddr na = decode("<sip:w@b>;;q=; x=\"\";ob ;tag=a/b==;");
	struct pl val;

	(void)state;
	assert_false(nameaddr_param(&na, "q", &val));
	assert_false(nameaddr_param(&na, "x", &val));
	assert_true(nameaddr_param(&na, "ob", &val));
	assert_true(nameaddr_param(&na, "tag", &val));
	assert_pl(&val, "a/b==");
}

static void a_quoted_uri_is_only_a_name(void **state)
{
	struct nameaddr na = decode("\"<sip:alice@b>\" <sip:mallory@b>");

	(void)state;
	assert_pl(&na.uri, "sip:mallory@b");
}

static void a_parameter_may_be_quoted_or_without_value(void **state)
{
	struct nameaddr na = decode(
		"<sip:a@b>;ob;+sip.instance=\"<urn:uuid:1;2>\";expires=60");
	struct pl val;

	(void)state;
	assert_true(nameaddr_param(&na, "ob", &val));
	assert_null(val.p);
	assert_true(nameaddr_param(&na, "+sip.instance", &val));
	assert_pl(&val, "<urn:uuid:1;2>");
	assert_true(nameaddr_param(&na, "expires", &val));
	assert_pl(&val, "60");
}

static void a_list_is_taken_one_by_one(void **state)
{
	static const char text[] =
		" <sip:a,b@c;x=1>;q=1 ,\r\n \"x, y\" <sip:d@e>, sip:f@g ";
	static const char *const uris[] = {"sip:a,b@c;x=1", "sip:d@e",
					   "sip:f@g"};
	struct pl list = {text, sizeof(text) - 1};
	struct nameaddr na;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(nameaddr_take(&na, &list), 0);
		assert_pl(&na.uri, uris[i]);
	}
	assert_int_equal(nameaddr_take(&na, &list), ENOENT);
}

static void a_star_is_a_star(void **state)
{
	struct pl list = PL(" * "), more = PL("*, <sip:a@b>");
	struct nameaddr na;

	(void)state;
	assert_int_equal(nameaddr_take(&na, &list), 0);
	assert_true(na.star);
	if (!nameaddr_take(&na, &more))
		assert_false(na.star);
}

static void what_is_malformed_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"<>",
		"<sip:a@b",
		"<sip:a@b>>",
		"<sip:a@b> x",
		"<sip:a@b>;=1",
		"<sip:a@b>;q=\"1",
		"<sip:a@b>,",
		"<sip:a@b>, <sip:c@d>",
		"<sip:a @b>",
		"<sip:a\r\nX: y@b>",
		"<sip:a\x01@b>",
		"\"unbalanced <sip:a@b>",
		"\"ends in a backslash\\",
		"sip:a@b?Subject=x",
		"sip:a@b c",
		"na, ve <sip:a@b>",
		"na; ve <sip:a@b>",
		"na: ve <sip:a@b>",
		"na \"ve\" <sip:a@b>",
		"na\x01ve <sip:a@b>",
		"<sip:a@b>;q=a<b",
		"*",
	};
	struct nameaddr na;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		const struct pl val = {bad[i], strlen(bad[i])};

		if (!nameaddr_decode(&na, &val))
			fail_msg("decoded: %s", bad[i]);
	}
}

static void a_nul_never_passes(void **state)
{
	const struct pl quoted = PL("\"a\0b\" <sip:a@b>");
	const struct pl uri = PL("<sip:a\0@b>");
	const struct pl bare = PL("sip:a\0@b");
	struct nameaddr na;

	(void)state;
	assert_int_not_equal(nameaddr_decode(&na, &quoted), 0);
	assert_int_not_equal(nameaddr_decode(&na, &uri), 0);
	assert_int_not_equal(nameaddr_decode(&na, &bare), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_addr_has_name_uri_and_parameters),
		cmocka_unit_test(an_addr_spec_ends_at_the_semicolon),
		cmocka_unit_test(words_may_be_a_display_name),
		cmocka_unit_test(any_word_may_be_in_it),
		cmocka_unit_test(what_is_empty_is_not_there),
		cmocka_unit_test(a_quoted_uri_is_only_a_name),
		cmocka_unit_test(a_parameter_may_be_quoted_or_without_value),
		cmocka_unit_test(a_list_is_taken_one_by_one),
		cmocka_unit_test(a_star_is_a_star),
		cmocka_unit_test(what_is_malformed_is_refused),
		cmocka_unit_test(a_nul_never_passes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
