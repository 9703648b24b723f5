/*
 * What a page may do in its user's name, and when a 401 asks for a password.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shared/browser.h"

enum {
	PARAMS_MAX = 8,
};

static const char basic[] = "HTTP_AUTHORIZATION=Basic YTpi";
static const char bearer[] = "HTTP_AUTHORIZATION=bearer abc";

struct row {
	const char *method, *param[5]; /* beside those of every request */
	const char *origins;
	bool opens, is_cross_site;
};

static const struct row rows[] = {
	/* no browser */
	{"POST", {NULL}, "", false, false},
	{"SEND", {basic}, "", false, false},
	{"GET", {basic}, "", true, false},
	/* what does nothing is for everybody to ask */
	{"GET", {"HTTP_SEC_FETCH_SITE=cross-site", basic}, "", false, false},
	{"HEAD", {"HTTP_SEC_FETCH_SITE=cross-site"}, "", false, false},
	{"OPTIONS", {"HTTP_ORIGIN=https://evil.example"}, "", false, false},
	{"GET", {"HTTP_ORIGIN=null"}, "", false, false},
	/* Sec-Fetch-Site is the browser's own word */
	{"POST", {"HTTP_SEC_FETCH_SITE=same-origin"}, "", false, false},
	{"POST", {"HTTP_SEC_FETCH_SITE=none", basic}, "", false, false},
	{"POST", {"HTTP_SEC_FETCH_SITE=same-site"}, "", false, true},
	{"POST", {"HTTP_SEC_FETCH_SITE=cross-site"}, "", false, true},
	{"POST", {"HTTP_SEC_FETCH_SITE="}, "", false, true},
	{"POST", {"HTTP_SEC_FETCH_SITE=cross-site", bearer}, "", false, true},
	{"POST",
	 {"HTTP_SEC_FETCH_SITE=cross-site", "HTTP_ORIGIN=http://a.net"},
	 "",
	 false,
	 true},
	{"PUT", {"HTTP_SEC_FETCH_SITE=cross-site"}, "", false, true},
	{"PATCH", {"HTTP_SEC_FETCH_SITE=cross-site"}, "", false, true},
	{"DELETE", {"HTTP_SEC_FETCH_SITE=cross-site"}, "", false, true},
	{"SEND", {"HTTP_SEC_FETCH_SITE=cross-site"}, "", false, true},
	{"CANCEL", {"HTTP_SEC_FETCH_SITE=cross-site"}, "", false, true},
	{"BREW", {"HTTP_SEC_FETCH_SITE=cross-site"}, "", false, true},
	/* streams */
	{"GET", {"HTTP_SEC_FETCH_SITE=cross-site"}, "", true, true},
	{"HEAD", {"HTTP_SEC_FETCH_SITE=cross-site"}, "", true, true},
	{"GET", {"HTTP_SEC_FETCH_SITE=same-origin"}, "", true, false},
	{"GET", {"HTTP_ORIGIN=https://evil.example"}, "", true, true},
	/* a method that stands for another */
	{"POST",
	 {"HTTP_SEC_FETCH_SITE=cross-site", "HTTP_X_HTTP_METHOD_OVERRIDE=SEND"},
	 "",
	 false,
	 true},
	{"POST",
	 {"HTTP_SEC_FETCH_SITE=cross-site", "HTTP_X_HTTP_METHOD_OVERRIDE=GET"},
	 "",
	 false,
	 false},
	{"GET",
	 {"HTTP_SEC_FETCH_SITE=cross-site", "HTTP_X_HTTP_METHOD_OVERRIDE=PUT"},
	 "",
	 false,
	 false},
	/* an older browser, or one that does not trust plain HTTP */
	{"POST", {"HTTP_ORIGIN=http://a.net"}, "", false, false},
	{"POST", {"HTTP_ORIGIN=http://A.net:80"}, "", false, false},
	{"POST", {"HTTP_ORIGIN=http://a.net:8080"}, "", false, true},
	{"POST", {"HTTP_ORIGIN=https://a.net"}, "", false, true},
	{"POST", {"HTTP_ORIGIN=http://a.net.evil"}, "", false, true},
	{"POST", {"HTTP_ORIGIN=http://evil/a.net"}, "", false, true},
	{"POST", {"HTTP_ORIGIN=null"}, "", false, true},
	{"POST", {"HTTP_ORIGIN="}, "", false, true},
	{"POST", {"HTTP_SEC_FETCH_MODE=cors"}, "", false, false},
	{"POST",
	 {"REQUEST_SCHEME=https", "HTTP_ORIGIN=https://a.net"},
	 "",
	 false,
	 false},
	{"POST",
	 {"REQUEST_SCHEME=https", "HTTP_ORIGIN=https://a.net:443"},
	 "",
	 false,
	 false},
	{"POST",
	 {"REQUEST_SCHEME=https", "HTTP_ORIGIN=http://a.net"},
	 "",
	 false,
	 true},
	{"POST",
	 {"HTTP_HOST=[::1]:8080", "HTTP_ORIGIN=http://[::1]:8080"},
	 "",
	 false,
	 false},
	{"POST", {"HTTP_HOST=", "HTTP_ORIGIN=http://"}, "", false, true},
	/* origins that may */
	{"POST",
	 {"HTTP_SEC_FETCH_SITE=cross-site", "HTTP_ORIGIN=https://b.net", basic},
	 "https://b.net",
	 false,
	 false},
	{"GET",
	 {"HTTP_SEC_FETCH_SITE=cross-site", "HTTP_ORIGIN=https://b.net"},
	 "https://c.net, https://b.net",
	 true,
	 false},
	{"POST",
	 {"HTTP_SEC_FETCH_SITE=cross-site", "HTTP_ORIGIN=https://b.net:1"},
	 "https://b.net",
	 false,
	 true},
	{"POST", {"HTTP_SEC_FETCH_SITE=cross-site"}, "*", false, true},
	{"POST",
	 {"HTTP_SEC_FETCH_SITE=cross-site", "HTTP_ORIGIN=https://b.net",
	  bearer},
	 "*",
	 false,
	 false},
	{"POST",
	 {"HTTP_SEC_FETCH_SITE=cross-site", "HTTP_ORIGIN=https://b.net"},
	 "*",
	 false,
	 false},
	{"POST",
	 {"HTTP_SEC_FETCH_SITE=cross-site", "HTTP_ORIGIN=https://b.net", basic},
	 "*",
	 false,
	 true},
	{"GET",
	 {"HTTP_SEC_FETCH_SITE=cross-site", "HTTP_ORIGIN=https://b.net",
	  "HTTP_AUTHORIZATION=bAsIc YTpi"},
	 "*",
	 true,
	 true},
	{"POST", {"HTTP_ORIGIN=*", basic}, "*", false, true},
	{"POST", {"HTTP_ORIGIN=null", basic}, "null", false, true},
	{"POST",
	 {"HTTP_SEC_FETCH_SITE=same-origin", "HTTP_ORIGIN=http://a.net", basic},
	 "*",
	 false,
	 false},
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

/* More params come first: the first of a name counts. */
static void take(struct request *req, struct arena *a, const char *method,
		 const char *uri, const char *const *more, size_t n)
{
	char **params = arena_alloc(a, (n + PARAMS_MAX) * sizeof(*params));
	const char *detail;
	size_t at = 0;

	assert_non_null(params);
	for (size_t i = 0; i < n && more[i]; i++)
		params[at++] = arena_str(a, more[i]);
	params[at++] = arena_fmt(a, "REQUEST_METHOD=%s", method);
	params[at++] = arena_fmt(a, "REQUEST_URI=%s", uri);
	params[at++] = arena_str(a, "REQUEST_SCHEME=http");
	params[at++] = arena_str(a, "HTTP_HOST=a.net");
	params[at] = NULL;
	assert_int_equal(request_parse(req, a, params, &detail), 0);
}

static void pages_of_other_sites_are_told_apart(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct row *r = &rows[i];
		struct request req;

		take(&req, *state, r->method, "/login/me", r->param, 5);
		if (browser_is_cross_site(&req, r->origins, r->opens) !=
		    r->is_cross_site)
			fail_msg("row %zu: %s %s %s", i, r->method,
				 r->param[0] ? r->param[0] : "",
				 r->param[1] ? r->param[1] : "");
	}
}

static bool may_ask(struct arena *a, const char *uri, const char *one,
		    const char *two)
{
	const char *const more[] = {one, two};
	struct request req;

	take(&req, a, "GET", uri, more, 2);
	return browser_may_ask(&req);
}

static void only_people_are_asked_for_a_password(void **state)
{
	static const char navigate[] = "HTTP_SEC_FETCH_MODE=navigate";
	static const char cors[] = "HTTP_SEC_FETCH_MODE=cors";

	assert_true(may_ask(*state, "/", NULL, NULL));
	assert_true(may_ask(*state, "/", basic, NULL));
	assert_true(may_ask(*state, "/", navigate, NULL));
	assert_true(may_ask(*state, "/", navigate, bearer));
	assert_false(may_ask(*state, "/", bearer, NULL));
	assert_false(may_ask(*state, "/?ticket=x", NULL, NULL));
	assert_false(may_ask(*state, "/", cors, NULL));
	assert_false(may_ask(*state, "/", cors, basic));
	assert_false(may_ask(*state, "/", "HTTP_SEC_FETCH_MODE=no-cors", NULL));
	assert_false(
		may_ask(*state, "/", "HTTP_SEC_FETCH_MODE=same-origin", NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			pages_of_other_sites_are_told_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(
			only_people_are_asked_for_a_password, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
