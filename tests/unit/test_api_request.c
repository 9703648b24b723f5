/*
 * A request taken apart: path, query, headers, method, id.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "shared/request.h"

static int setup(void **state)
{
	*state = arena_new();
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	arena_free(*state);
	return 0;
}

static int parse(struct request *req, struct arena *a, const char *method,
		 const char *uri, const char *more)
{
	const char *detail = NULL;
	char **params = arena_alloc(a, 5 * sizeof(*params));
	int err;

	assert_non_null(params);
	params[0] = arena_fmt(a, "REQUEST_METHOD=%s", method);
	params[1] = arena_fmt(a, "REQUEST_URI=%s", uri);
	params[2] = arena_fmt(a, "REMOTE_ADDR=127.0.0.1");
	params[3] = more ? arena_str(a, more) : NULL;
	err = request_parse(req, a, params, &detail);
	if (err == EINVAL)
		assert_non_null(detail);
	return err;
}

static void get(struct request *req, struct arena *a, const char *uri)
{
	assert_int_equal(parse(req, a, "GET", uri, NULL), 0);
}

static void assert_refused(struct arena *a, const char *uri)
{
	struct request req;

	if (parse(&req, a, "GET", uri, NULL) != EINVAL)
		fail_msg("%s was taken", uri);
	/* what the answer needs is there all the same */
	assert_int_equal(req.method, METHOD_GET);
	assert_true(strlen(req.id) > 1);
	assert_string_equal(req.remote, "127.0.0.1");
}

static void a_path_is_split_and_decoded_once(void **state)
{
	struct request req;

	get(&req, *state, "/login/alice%40example.net/1?x");
	assert_int_equal(req.segments, 3);
	assert_string_equal(req.segment[0], "login");
	assert_string_equal(req.segment[1], "alice@example.net");
	assert_string_equal(req.segment[2], "1");
	get(&req, *state, "/a%2Fb/%252F/%c3%a4/a+b");
	assert_int_equal(req.segments, 4);
	assert_string_equal(req.segment[0], "a/b");
	assert_string_equal(req.segment[1], "%2F");
	assert_string_equal(req.segment[2], "\xc3\xa4");
	assert_string_equal(req.segment[3], "a+b");
}

static void slashes_and_dots(void **state)
{
	struct request req;

	get(&req, *state, "/");
	assert_int_equal(req.segments, 0);
	get(&req, *state, "/login/");
	assert_int_equal(req.segments, 1);
	get(&req, *state, "/login//x");
	assert_int_equal(req.segments, 3);
	assert_string_equal(req.segment[1], "");
	get(&req, *state, "/../login");
	assert_string_equal(req.segment[0], "..");
}

static void bad_paths_and_queries_are_refused(void **state)
{
	static const char *const all[] = {
		"",	      "login",	       "/%",
		"/%4",	      "/%zz",	       "/%00",
		"/a%00b",     "/%ff",	       "/%c3",
		"/%ed%a0%80", "/x?a=%",	       "/x?a=%00",
		"/x?%ff=1",   "/x?a=%c0%af",   "/1/2/3/4/5/6/7/8/9",
		"*",	      "http://host/x",
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		assert_refused(*state, all[i]);
}

static void a_query_is_decoded(void **state)
{
	struct request req;
	long long n = 0;

	get(&req, *state, "/x?a=1&b=x%26y+z&c&&d=&a=2&%65=%3d=");
	assert_int_equal(req.queries, 6);
	assert_string_equal(request_query(&req, "a"), "1");
	assert_string_equal(request_query(&req, "b"), "x&y z");
	assert_string_equal(request_query(&req, "c"), "");
	assert_string_equal(request_query(&req, "d"), "");
	assert_string_equal(request_query(&req, "e"), "==");
	assert_null(request_query(&req, "z"));
	assert_int_equal(request_query_int(&req, "a", 1, 9, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(request_query_int(&req, "a", 2, 9, &n), EINVAL);
	assert_int_equal(request_query_int(&req, "b", 1, 9, &n), EINVAL);
	assert_int_equal(request_query_int(&req, "d", 1, 9, &n), EINVAL);
	assert_int_equal(request_query_int(&req, "z", 1, 9, &n), ENOENT);
	get(&req, *state, "/x?a=99999999999999999999&b=+1&c=1%20&d=-3");
	assert_int_equal(request_query_int(&req, "a", 1, 9, &n), EINVAL);
	assert_int_equal(request_query_int(&req, "b", 1, 9, &n), EINVAL);
	assert_int_equal(request_query_int(&req, "c", 1, 9, &n), EINVAL);
	assert_int_equal(request_query_int(&req, "d", -9, 9, &n), 0);
	assert_int_equal(n, -3);
}

static void too_many_parameters_are_refused(void **state)
{
	char uri[4 * (REQUEST_QUERY_MAX + 1) + 4] = "/x?";
	struct request req;

	for (size_t i = 0; i < REQUEST_QUERY_MAX; i++)
		memcpy(uri + 3 + 4 * i, "a=1&", 5);
	get(&req, *state, uri);
	assert_int_equal(req.queries, REQUEST_QUERY_MAX);
	memcpy(uri + 3 + 4 * REQUEST_QUERY_MAX, "a=1", 4);
	assert_refused(*state, uri);
}

static void methods_of_http_and_ours_are_known(void **state)
{
	static const char *const all[] = {"GET",  "HEAD",   "POST",
					  "PUT",  "PATCH",  "DELETE",
					  "SEND", "CANCEL", "OPTIONS"};
	struct request req;

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		assert_int_equal(parse(&req, *state, all[i], "/x", NULL), 0);
		assert_string_equal(method_name(req.method), all[i]);
	}
	assert_int_equal(parse(&req, *state, "TRACE", "/x", NULL), 0);
	assert_int_equal(req.method, METHOD_OTHER);
	assert_int_equal(method_of("get"), METHOD_OTHER);
	assert_int_equal(method_of(""), METHOD_OTHER);
}

static void a_post_may_stand_for_another_method(void **state)
{
	static const char send[] = "HTTP_X_HTTP_METHOD_OVERRIDE=SEND";
	struct request req;

	assert_int_equal(parse(&req, *state, "POST", "/x", send), 0);
	assert_int_equal(req.method, METHOD_SEND);
	assert_int_equal(parse(&req, *state, "GET", "/x", send), 0);
	assert_int_equal(req.method, METHOD_GET);
	assert_int_equal(parse(&req, *state, "POST", "/x",
			       "HTTP_X_HTTP_METHOD_OVERRIDE=NONSENSE"),
			 0);
	assert_int_equal(req.method, METHOD_OTHER);
	/* whose answer has no body, which whoever sent a POST waits for */
	assert_int_equal(parse(&req, *state, "POST", "/x",
			       "HTTP_X_HTTP_METHOD_OVERRIDE=HEAD"),
			 0);
	assert_int_equal(req.method, METHOD_OTHER);
}

static void headers_are_found_by_their_names(void **state)
{
	struct request req;

	assert_int_equal(
		parse(&req, *state, "GET", "/x", "HTTP_IF_NONE_MATCH=\"5\""),
		0);
	assert_string_equal(request_header(&req, "If-None-Match"), "\"5\"");
	assert_string_equal(request_header(&req, "if-none-match"), "\"5\"");
	assert_null(request_header(&req, "If-Match"));
	assert_null(request_header(&req, "If-None-Matc"));
	assert_int_equal(parse(&req, *state, "PUT", "/x",
			       "CONTENT_TYPE= Application/JSON; charset=x"),
			 0);
	assert_string_equal(request_media_type(&req, *state),
			    "application/json");
	assert_string_equal(request_header(&req, "Content-Type"),
			    " Application/JSON; charset=x");
}

static void an_id_is_nginxs_or_made(void **state)
{
	struct request req;

	assert_int_equal(
		parse(&req, *state, "GET", "/x", "REQUEST_ID=0123456789abcdef"),
		0);
	assert_string_equal(req.id, "0123456789abcdef");
	assert_int_equal(
		parse(&req, *state, "GET", "/x", "REQUEST_ID=bad\nline"), 0);
	assert_int_equal(strlen(req.id), 32);
	assert_int_equal(strspn(req.id, "0123456789abcdef"), 32);
}

static void a_request_of_no_parameters_is_refused_and_no_crash(void **state)
{
	char *const none[] = {NULL};
	const char *detail = NULL;
	struct request req;

	assert_int_equal(request_parse(&req, *state, none, &detail), EINVAL);
	assert_int_equal(req.method, METHOD_OTHER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_is_split_and_decoded_once),
		cmocka_unit_test(slashes_and_dots),
		cmocka_unit_test(bad_paths_and_queries_are_refused),
		cmocka_unit_test(a_query_is_decoded),
		cmocka_unit_test(too_many_parameters_are_refused),
		cmocka_unit_test(methods_of_http_and_ours_are_known),
		cmocka_unit_test(a_post_may_stand_for_another_method),
		cmocka_unit_test(headers_are_found_by_their_names),
		cmocka_unit_test(an_id_is_nginxs_or_made),
		cmocka_unit_test(
			a_request_of_no_parameters_is_refused_and_no_crash),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
