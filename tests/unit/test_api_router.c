/*
 * From method and path to an endpoint.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shared/router.h"

static const struct route table[] = {
	{.method = METHOD_GET, .pattern = "/login"},
	{.method = METHOD_GET, .pattern = "/login/{email}"},
	{.method = METHOD_SEND, .pattern = "/login/{email}"},
	{.method = METHOD_GET, .pattern = "/login/{email}/{n}"},
	{.method = METHOD_POST, .pattern = "/login/{email}/messages"},
	{.method = METHOD_DELETE, .pattern = "/call/{call}/{n}"},
	{.method = METHOD_GET, .pattern = "/problems/{slug}"},
	{.pattern = NULL},
};

struct found {
	const struct route *route;
	struct path_args args;
	const char *allow;
};

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

static enum route_result find(struct found *f, struct arena *a,
			      enum method method, const char *uri)
{
	char *const params[] = {arena_fmt(a, "REQUEST_URI=%s", uri), NULL};
	const char *detail = NULL;
	struct request req;

	*f = (struct found){.route = NULL};
	assert_int_equal(request_parse(&req, a, params, &detail), 0);
	req.method = method;
	return router_find(table, &req, a, &f->route, &f->args, &f->allow);
}

static void paths_find_their_routes(void **state)
{
	struct found f;

	assert_int_equal(find(&f, *state, METHOD_GET, "/login"), ROUTE_FOUND);
	assert_ptr_equal(f.route, &table[0]);
	assert_int_equal(find(&f, *state, METHOD_GET, "/login/"), ROUTE_FOUND);
	assert_ptr_equal(f.route, &table[0]);
	assert_int_equal(find(&f, *state, METHOD_GET, "/login/me"),
			 ROUTE_FOUND);
	assert_ptr_equal(f.route, &table[1]);
	assert_string_equal(f.args.email, "me");
	assert_int_equal(find(&f, *state, METHOD_SEND, "/login/a@B.Net"),
			 ROUTE_FOUND);
	assert_ptr_equal(f.route, &table[2]);
	assert_string_equal(f.args.email, "a@b.net");
	assert_int_equal(find(&f, *state, METHOD_GET, "/login/a%40b/17"),
			 ROUTE_FOUND);
	assert_ptr_equal(f.route, &table[3]);
	assert_int_equal(f.args.n, 17);
	assert_int_equal(find(&f, *state, METHOD_DELETE, "/call/5/6"),
			 ROUTE_FOUND);
	assert_int_equal(f.args.call, 5);
	assert_int_equal(f.args.n, 6);
	assert_int_equal(find(&f, *state, METHOD_GET, "/problems/any-thing"),
			 ROUTE_FOUND);
	assert_string_equal(f.args.slug, "any-thing");
}

static void message_is_messages(void **state)
{
	struct found f;

	assert_int_equal(find(&f, *state, METHOD_POST, "/login/me/message"),
			 ROUTE_FOUND);
	assert_ptr_equal(f.route, &table[4]);
	assert_int_equal(find(&f, *state, METHOD_POST, "/login/me/messages"),
			 ROUTE_FOUND);
	assert_ptr_equal(f.route, &table[4]);
}

static void head_finds_gets_route(void **state)
{
	struct found f;

	assert_int_equal(find(&f, *state, METHOD_HEAD, "/login"), ROUTE_FOUND);
	assert_ptr_equal(f.route, &table[0]);
}

static void what_is_not_there_is_not_found(void **state)
{
	static const char *const all[] = {
		"/",
		"/x",
		"/loginx",
		"/log",
		"/Login",
		"/login/me/0",
		"/login/me/-1",
		"/login/me/01",
		"/login/me/1/2",
		"/login/me/x",
		"/login/me/1x",
		"/login//1",
		"/login/me/9223372036854775808",
		"/call/x/1",
		"/call/1",
		"/problems",
		"/problems/a/b",
		"/login/me/+1",
		"/login/me/%31x",
	};
	struct found f;

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		const enum route_result r = find(&f, *state, METHOD_DELETE,
						 all[i]);

		if (r != ROUTE_NO_PATH && r != ROUTE_NO_USER)
			fail_msg("%s: %d", all[i], (int)r);
	}
	assert_int_equal(
		find(&f, *state, METHOD_GET, "/login/me/9223372036854775807"),
		ROUTE_FOUND);
	assert_true(f.args.n == INT64_MAX);
}

static void what_is_no_email_is_no_user(void **state)
{
	static const char *const all[] = {
		"/login/alice",	 "/login/a%40", "/login/%20", "/login/a@b@c",
		"/login/a%0a@b", "/login/ME",	"/login/x/5",
	};
	struct found f;

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		assert_int_equal(find(&f, *state, METHOD_GET, all[i]),
				 ROUTE_NO_USER);
}

static void another_method_is_told_which_there_are(void **state)
{
	struct found f;

	assert_int_equal(find(&f, *state, METHOD_PUT, "/login/me"),
			 ROUTE_NO_METHOD);
	assert_string_equal(f.allow, "GET, HEAD, SEND, OPTIONS");
	assert_int_equal(find(&f, *state, METHOD_OTHER, "/login"),
			 ROUTE_NO_METHOD);
	assert_string_equal(f.allow, "GET, HEAD, OPTIONS");
	assert_int_equal(find(&f, *state, METHOD_OPTIONS, "/call/1/2"),
			 ROUTE_OPTIONS);
	assert_string_equal(f.allow, "DELETE, OPTIONS");
}

static void assert_unknown(struct arena *a, const struct route *route,
			   const char *query, const char *expected)
{
	struct request req;
	const char *detail = NULL, *path = arena_fmt(a, "/x?%s", query);
	const char *why;

	assert_int_equal(request_parse_path(&req, a, path, &detail), 0);
	why = router_unknown_query(route, &req, a);
	if (expected)
		assert_string_equal(why, expected);
	else
		assert_null(why);
}

static void a_query_has_known_parameters(void **state)
{
	static const struct route list = {.query = "limit after",
					  .live = "stream wait"};
	static const struct route plain = {.query = ""};
	static const struct route live = {.query = "", .live = "stream"};

	assert_unknown(*state, &list, "limit=1&after=x&stream&wait=2&_=7",
		       NULL);
	assert_unknown(*state, &plain, "_", NULL);
	assert_unknown(*state, &list, "limits=1",
		       "There is no parameter `limits` here; there are: limit "
		       "after stream wait.");
	assert_unknown(*state, &list, "limi=1&limit=1",
		       "There is no parameter `limi` here; there are: limit "
		       "after stream wait.");
	assert_unknown(*state, &live, "=x",
		       "There is no parameter `` here; there are: stream.");
	assert_unknown(*state, &plain, "x",
		       "This takes no parameters; there is `x`.");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_find_their_routes),
		cmocka_unit_test(message_is_messages),
		cmocka_unit_test(head_finds_gets_route),
		cmocka_unit_test(what_is_not_there_is_not_found),
		cmocka_unit_test(what_is_no_email_is_no_user),
		cmocka_unit_test(another_method_is_told_which_there_are),
		cmocka_unit_test(a_query_has_known_parameters),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
