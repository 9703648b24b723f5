/*
 * JSON from outside: the members that an endpoint knows, and what is said of
 * those that are wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/body_play.h"

static const struct body_member table[] = {
	{"name", JSON_STRING, true, 1, 5, false},
	{"n", JSON_INTEGER, false, 1, 100, true},
	{"list", JSON_ARRAY, false, 1, 2, false},
	{"any", JSON_ANY, false, 0, 0, false},
	{"on", JSON_BOOL, false, 0, 0, false},
};

enum { MEMBERS = 5 };

static void assert_member(struct arena *a, const char *text,
			  const char *pointer)
{
	const struct json *found[MEMBERS];
	struct body_error e;

	assert_int_equal(
		body_members(parse(a, text), "/x", table, MEMBERS, found, &e),
		EBADMSG);
	assert_string_equal(e.pointer, pointer);
	assert_true(strlen(e.detail) > 0);
}

static void assert_said(struct arena *a, const char *text, const char *said)
{
	const struct json *found[MEMBERS];
	struct body_error e;

	assert_int_equal(
		body_members(parse(a, text), "", table, MEMBERS, found, &e),
		EBADMSG);
	assert_string_equal(e.detail, said);
}

static void it_is_said_what_was_expected_and_what_came(void **state)
{
	assert_said(
		*state, "[]",
		"This is to be an object, {\"name\": value}; it is an array "
		"of 0.");
	assert_said(*state, "{}", "`name` is missing: a string.");
	assert_said(*state, "{\"name\":7}", "`name` is a string; this is 7.");
	assert_said(*state, "{\"name\":null}",
		    "`name` is a string; this is null.");
	assert_said(*state, "{\"name\":\"abcdef\"}",
		    "`name` has 1 to 5 bytes; this has 6.");
	assert_said(*state, "{\"name\":\"a\",\"n\":101}",
		    "`n` is 1 to 100; this is 101.");
	assert_said(*state, "{\"name\":\"a\",\"n\":1.5}",
		    "`n` is an integer; this is 1.5.");
	assert_said(*state, "{\"name\":\"a\",\"list\":[1,2,3]}",
		    "`list` has 1 to 2 elements; this has 3.");
	assert_said(*state, "{\"name\":\"a\",\"on\":\"yes\"}",
		    "`on` is true or false; this is the string \"yes\".");
	assert_said(
		*state,
		"{\"name\":\"a\",\"on\":\"0123456789012345678901234567890123456"
		"78\xc3\xb6y\"}",
		"`on` is true or false; this is the string \"01234567890123456"
		"7890123456789012345678\xe2\x80\xa6\".");
}

static void what_a_password_was_is_not_said(void **state)
{
	static const struct body_member secret[] = {
		{"password", JSON_STRING, false, 1, 5, false},
	};
	const struct json *found[1];
	struct body_error e;

	assert_int_equal(body_members(parse(*state, "{\"password\":12345678}"),
				      "", secret, 1, found, &e),
			 EBADMSG);
	assert_string_equal(e.detail,
			    "`password` is a string; this is a number.");
}

static void known_members_are_found(void **state)
{
	const struct json *found[MEMBERS];
	struct body_error e;
	long long n = 0;
	const struct json *v = parse(
		*state, "{\"z\":1.50,\"n\":42,\"name\":\"abc\",\"any\":[{}],"
			"\"y\":\"q\\\"\"}");

	assert_int_equal(body_members(v, "", table, MEMBERS, found, &e), 0);
	assert_string_equal(found[0]->text, "abc");
	assert_true(body_integer(found[1], &n));
	assert_int_equal(n, 42);
	assert_null(found[2]);
	assert_int_equal(found[3]->type, JSON_ARRAY);
	assert_null(found[4]);
	assert_string_equal(body_extra(v, *state, table, MEMBERS),
			    "{\"z\":1.50,\"y\":\"q\\\"\"}");
	assert_string_equal(
		body_extra(parse(*state, "{\"n\":1}"), *state, table, MEMBERS),
		"{}");
}

static void members_that_are_wrong_are_pointed_at(void **state)
{
	assert_member(*state, "{}", "/x/name");
	assert_member(*state, "{\"name\":null}", "/x/name");
	assert_member(*state, "{\"name\":1}", "/x/name");
	assert_member(*state, "{\"name\":\"\"}", "/x/name");
	assert_member(*state, "{\"name\":\"abcdef\"}", "/x/name");
	assert_member(*state, "{\"name\":\"a\",\"n\":\"1\"}", "/x/n");
	assert_member(*state, "{\"name\":\"a\",\"n\":0}", "/x/n");
	assert_member(*state, "{\"name\":\"a\",\"n\":101}", "/x/n");
	assert_member(*state, "{\"name\":\"a\",\"n\":1.5}", "/x/n");
	assert_member(*state, "{\"name\":\"a\",\"n\":1e1}", "/x/n");
	assert_member(*state,
		      "{\"name\":\"a\",\"n\":99999999999999999999999999}",
		      "/x/n");
	assert_member(*state, "{\"name\":\"a\",\"list\":[]}", "/x/list");
	assert_member(*state, "{\"name\":\"a\",\"list\":[1,2,3]}", "/x/list");
	assert_member(*state, "{\"name\":\"a\",\"list\":{}}", "/x/list");
	assert_member(*state, "{\"name\":\"a\",\"on\":\"true\"}", "/x/on");
	assert_member(*state, "[]", "/x");
	assert_member(*state, "\"name\"", "/x");
}

static void null_counts_as_missing_where_that_is_allowed(void **state)
{
	const struct json *found[MEMBERS];
	struct body_error e;

	assert_int_equal(
		body_members(parse(*state, "{\"name\":\"a\",\"n\":null}"), "",
			     table, MEMBERS, found, &e),
		0);
	assert_null(found[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_said_what_was_expected_and_what_came),
		cmocka_unit_test(what_a_password_was_is_not_said),
		cmocka_unit_test(known_members_are_found),
		cmocka_unit_test(members_that_are_wrong_are_pointed_at),
		cmocka_unit_test(null_counts_as_missing_where_that_is_allowed),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
