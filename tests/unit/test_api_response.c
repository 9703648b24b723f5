/*
 * Answers: headers, validators, problems, CORS.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "shared/cors.h"
#include "shared/problem.h"
#include "shared/response.h"

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

/* A GET with one header more. */
static struct request with(struct arena *a, const char *header)
{
	char **params = arena_alloc(a, 4 * sizeof(*params));
	const char *detail = NULL;
	struct request req;

	params[0] = arena_str(a, "REQUEST_METHOD=GET");
	params[1] = arena_str(a, "REQUEST_URI=/");
	params[2] = header ? arena_fmt(a, "HTTP_%s", header) : NULL;
	assert_int_equal(request_parse(&req, a, params, &detail), 0);
	return req;
}

static const char *head_of(struct arena *a, const struct response *res)
{
	const char *text;
	struct buf b;

	buf_init(&b, RESPONSE_HEAD_MAX);
	response_head(res, &b);
	text = arena_str(a, b.p);
	buf_free(&b);
	return text;
}

static void an_answer_has_its_head(void **state)
{
	struct response res;
	const char *head;

	response_init(&res, *state);
	response_json(&res, 201, "{}");
	response_etag(&res, "17");
	response_location(&res, "/login/a@b/1");
	head = head_of(*state, &res);
	assert_ptr_equal(strstr(head, "Status: 201 Created\r\n"), head);
	assert_non_null(strstr(head, "\r\nContent-Type: application/json\r\n"));
	assert_non_null(strstr(head, "\r\nContent-Length: 2\r\n"));
	assert_non_null(strstr(head, "\r\nETag: \"17\"\r\n"));
	assert_non_null(strstr(head, "\r\nLocation: /login/a@b/1\r\n"));
	assert_non_null(strstr(head, "\r\nCache-Control: private, no-cache\r"));
	assert_string_equal(head + strlen(head) - 4, "\r\n\r\n");
	response_secret(&res);
	assert_non_null(strstr(head_of(*state, &res),
			       "\r\nCache-Control: no-store\r\n"));
	response_empty(&res, 204);
	head = head_of(*state, &res);
	assert_null(strstr(head, "\r\nContent-Length:"));
	assert_null(strstr(head, "\r\nContent-Type:"));
	response_free(&res);
}

static void no_value_can_start_another_header(void **state)
{
	struct response res;

	response_init(&res, *state);
	response_header(&res, "Location", "/x\r\nSet-Cookie: y");
	assert_true(res.failed);
	assert_int_equal(res.headers, 0);
	response_free(&res);
}

static void a_header_is_replaced_or_added(void **state)
{
	struct response res;

	response_init(&res, *state);
	response_header(&res, "Vary", "Accept");
	response_header(&res, "vary", "Origin");
	assert_int_equal(res.headers, 1);
	response_header_add(&res, "Vary", "Accept");
	assert_int_equal(res.headers, 2);
	for (int i = 0; i < 100; i++)
		response_header_add(&res, "X", "y");
	assert_true(res.failed);
	response_free(&res);
}

static bool not_modified(struct arena *a, const char *tags)
{
	const struct request req = with(a,
					arena_fmt(a, "IF_NONE_MATCH=%s", tags));

	return response_not_modified(&req, "17");
}

static void if_none_match_compares_weakly(void **state)
{
	assert_true(not_modified(*state, "\"17\""));
	assert_true(not_modified(*state, "W/\"17\""));
	assert_true(not_modified(*state, "\"1\", \"17\""));
	assert_true(not_modified(*state, "*"));
	assert_false(not_modified(*state, "\"1\""));
	assert_false(not_modified(*state, "17"));
	assert_false(not_modified(*state, "\"17"));
	assert_false(not_modified(*state, ""));
	assert_false(not_modified(*state, "\"170\""));
}

static int if_match(struct arena *a, const char *tags, bool *given,
		    int64_t *version)
{
	const struct request req = with(
		a, tags ? arena_fmt(a, "IF_MATCH=%s", tags) : NULL);

	return response_if_match(&req, given, version);
}

static void if_match_is_a_version(void **state)
{
	int64_t version = 0;
	bool given;

	assert_int_equal(if_match(*state, NULL, &given, &version), 0);
	assert_false(given);
	assert_int_equal(if_match(*state, "*", &given, &version), 0);
	assert_false(given);
	assert_int_equal(if_match(*state, "\"17\"", &given, &version), 0);
	assert_true(given);
	assert_int_equal(version, 17);
	assert_int_equal(if_match(*state, "W/\"17\"", &given, &version),
			 EINVAL);
	assert_int_equal(if_match(*state, "\"x\"", &given, &version), EINVAL);
	assert_int_equal(if_match(*state, "17", &given, &version), EINVAL);
	assert_int_equal(
		if_match(*state, "\"99999999999999999999\"", &given, &version),
		EINVAL);
	assert_int_equal(if_match(*state, "\"-1\"", &given, &version), EINVAL);
}

static void a_problem_says_all_of_it(void **state)
{
	const struct problem p = {
		.status = 400,
		.slug = "invalid-member",
		.detail = "It is \"wrong\".",
		.pointer = "/a~1b",
		.request_id = "abc",
		.extra = "\"more\":[1]",
	};
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	problem_json(&b, &p);
	assert_non_null(strstr(b.p, "\"type\":\"/problems/invalid-member\""));
	assert_non_null(strstr(b.p, "\"status\":400"));
	assert_non_null(strstr(b.p, "\"detail\":\"It is \\\"wrong\\\".\""));
	assert_non_null(strstr(b.p, "\"errors\":[{\"pointer\":\"/a~1b\""));
	assert_non_null(strstr(b.p, "\"request_id\":\"abc\""));
	assert_non_null(strstr(b.p, "\"more\":[1]"));
	assert_null(strstr(b.p, ",,"));
	buf_free(&b);
}

static void problems_come_with_their_headers(void **state)
{
	struct problem p = {.status = 401, .ask = true};
	struct response res;
	const char *head;

	response_init(&res, *state);
	response_header(&res, "ETag", "\"1\"");
	problem_answer(&res, &p);
	head = head_of(*state, &res);
	assert_null(strstr(head, "ETag"));
	assert_non_null(strstr(head, "Content-Type: application/problem+json"));
	assert_non_null(strstr(head, "WWW-Authenticate: Basic realm="));
	assert_non_null(strstr(head, "WWW-Authenticate: Bearer"));
	assert_non_null(strstr(head, "Cache-Control: no-store"));
	p.ask = false;
	problem_answer(&res, &p);
	head = head_of(*state, &res);
	assert_null(strstr(head, "Basic"));
	assert_non_null(strstr(head, "WWW-Authenticate: Bearer"));
	p.status = 429;
	p.retry_s = 17;
	problem_answer(&res, &p);
	assert_non_null(strstr(head_of(*state, &res), "Retry-After: 17\r\n"));
	p.retry_s = 0;
	p.status = 503;
	problem_answer(&res, &p);
	head = head_of(*state, &res);
	assert_non_null(strstr(head, "Retry-After: 1\r\n"));
	assert_null(strstr(head, "WWW-Authenticate"));
	response_free(&res);
}

static void only_listed_origins_are_allowed(void **state)
{
	static const char list[] = "https://a.net, https://b.net:8443";

	(void)state;
	assert_true(cors_allows(list, "https://a.net"));
	assert_true(cors_allows(list, "https://b.net:8443"));
	assert_false(cors_allows(list, "https://b.net"));
	assert_false(cors_allows(list, "https://a.net.evil.example"));
	assert_false(cors_allows(list, "http://a.net"));
	assert_false(cors_allows(list, "null"));
	assert_false(cors_allows(list, ""));
	assert_false(cors_allows("", "https://a.net"));
	assert_true(cors_allows("*", "https://any.net"));
}

static void a_path_segment_is_encoded(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	uri_encode(&b, "a@b.net/?#%&+ \xc3\xa4!");
	assert_null(strpbrk(b.p, "/?# \xc3"));
	assert_non_null(strstr(b.p, "a@b.net%2F%3F%23%25"));
	assert_non_null(strstr(b.p, "%20%C3%A4!"));
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_has_its_head),
		cmocka_unit_test(no_value_can_start_another_header),
		cmocka_unit_test(a_header_is_replaced_or_added),
		cmocka_unit_test(if_none_match_compares_weakly),
		cmocka_unit_test(if_match_is_a_version),
		cmocka_unit_test(a_problem_says_all_of_it),
		cmocka_unit_test(problems_come_with_their_headers),
		cmocka_unit_test(only_listed_origins_are_allowed),
		cmocka_unit_test(a_path_segment_is_encoded),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
