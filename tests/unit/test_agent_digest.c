/*
 * Digest authentication: the examples of the RFCs, and what must not parse.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "parse/digest.h"

static struct pl pl_from(const char *s)
{
	return (struct pl){s, strlen(s)};
}

static void check_vector(const char *hval, const char *username,
			 const char *realm, const char *password,
			 const char *method)
{
	const struct pl val = pl_from(hval), met = pl_from(method);
	char ha1[DIGEST_HEX_SIZE], response[DIGEST_HEX_SIZE];
	struct digest_auth auth;

	assert_int_equal(digest_parse(&auth, &val), 0);
	assert_string_equal(auth.username, username);
	assert_int_equal(digest_ha1(ha1, sizeof(ha1), auth.alg, username, realm,
				    password),
			 0);
	assert_int_equal(
		digest_response(response, sizeof(response), &auth, ha1, &met),
		0);
	assert_true(digest_equal(response, &auth.response));
}

static void rfc2617_example(void **state)
{
	(void)state;
	check_vector("Digest username=\"Mufasa\",\r\n"
		     " realm=\"testrealm@host.com\",\r\n"
		     " nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\",\r\n"
		     " uri=\"/dir/index.html\",\r\n"
		     " qop=auth,\r\n"
		     " nc=00000001,\r\n"
		     " cnonce=\"0a4f113b\",\r\n"
		     " response=\"6629fae49393a05397450978507c4ef1\",\r\n"
		     " opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"",
		     "Mufasa", "testrealm@host.com", "Circle Of Life", "GET");
}

static void rfc7616_example_md5(void **state)
{
	(void)state;
	check_vector("Digest username=\"Mufasa\", "
		     "realm=\"http-auth@example.org\", "
		     "uri=\"/dir/index.html\", algorithm=MD5, "
		     "nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", "
		     "nc=00000001, "
		     "cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", "
		     "qop=auth, "
		     "response=\"8ca523f5e9506fed4657c9700eebdbec\"",
		     "Mufasa", "http-auth@example.org", "Circle of Life",
		     "GET");
}

static void rfc7616_example_sha256(void **state)
{
	(void)state;
	check_vector(
		"Digest username=\"Mufasa\", "
		"realm=\"http-auth@example.org\", "
		"uri=\"/dir/index.html\", algorithm=SHA-256, "
		"nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", "
		"nc=00000001, "
		"cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", "
		"qop=auth, "
		"response=\"753927fa0e85d155564e2e272a28d1802ca10daf4496794"
		"697cf8db5856cb6c1\"",
		"Mufasa", "http-auth@example.org", "Circle of Life", "GET");
}

static void without_qop_the_short_form_counts(void **state)
{
	/* RFC 2069 section 2.4, with the response of its erratum 749 */
	(void)state;
	check_vector("Digest username=\"Mufasa\", "
		     "realm=\"testrealm@host.com\", "
		     "nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", "
		     "uri=\"/dir/index.html\", "
		     "response=\"1949323746fe6a43ef61f9606e7febea\"",
		     "Mufasa", "testrealm@host.com", "CircleOfLife", "GET");
}

static void an_escaped_username_is_read(void **state)
{
	const struct pl val = pl_from(
		"digest USERNAME=\"a\\\"b\\\\c\", realm=\"r\", "
		"nonce=\"n\", uri=\"sip:x\", response=\"00\"");
	struct digest_auth auth;

	(void)state;
	assert_int_equal(digest_parse(&auth, &val), 0);
	assert_string_equal(auth.username, "a\"b\\c");
	assert_int_equal(auth.alg, DIGEST_MD5);
	assert_false(auth.qop);
	assert_int_equal(auth.nc, 1);
}

static void a_wrong_response_is_not_equal(void **state)
{
	const char *hex = "8ca523f5e9506fed4657c9700eebdbec";
	const struct pl same = pl_from("8CA523F5E9506FED4657C9700EEBDBEC");
	const struct pl other = pl_from("8ca523f5e9506fed4657c9700eebdbed");
	const struct pl shorter = pl_from("8ca523f5e9506fed4657c9700eebdbe");
	const struct pl none = PL_INIT;

	(void)state;
	assert_true(digest_equal(hex, &same));
	assert_false(digest_equal(hex, &other));
	assert_false(digest_equal(hex, &shorter));
	assert_false(digest_equal(hex, &none));
}

#define GOOD "username=\"u\", realm=\"r\", nonce=\"n\", uri=\"sip:x\", "
#define RESP "response=\"00\""

static void usual_mistakes_are_taken_as_they_are(void **state)
{
	static const char *const all[] = {
		"Digest username=u, realm=r, nonce=n, uri=sip:x;y, response=00",
		"Digest ," GOOD ", " RESP ",",
		"Digest " GOOD RESP ", stale, opaque=\"\"",
		"Digest " GOOD RESP ", qop=auth, nc=1, cnonce=\"\"",
		"Digest " GOOD RESP ", qop=auth, nc=0000000001, cnonce=c",
		"Digest " GOOD RESP ", qop=\"\"",
	};
	struct digest_auth auth;

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		const struct pl val = pl_from(all[i]);

		if (digest_parse(&auth, &val))
			fail_msg("not parsed: %s", all[i]);
		assert_int_equal(auth.nc, 1);
		assert_int_equal(auth.qop, i == 3 || i == 4);
	}
}

static void what_is_not_well_formed_is_refused(void **state)
{
	static const char *const bad[] = {
		"Digest ",
		"Digest username",
		"Digest username=",
		"Digest " GOOD,
		"Digest " GOOD RESP "; stale",
		"Digest " GOOD RESP " " RESP,
		"Digest " GOOD RESP ", " RESP,
		"Digest " GOOD "response=\"00",
		"Digest " GOOD "response=\"00\\",
		"Digest " GOOD RESP ", qop=auth",
		"Digest " GOOD RESP ", qop=auth, nc=00000001",
		"Digest " GOOD RESP ", qop=auth, nc=00000000, cnonce=\"c\"",
		"Digest " GOOD RESP ", qop=auth, nc=100000000, cnonce=\"c\"",
		"Digest " GOOD RESP ", qop=auth, nc=, cnonce=\"c\"",
		"Digest " GOOD "response=",
		"Digest " GOOD RESP ", qop=auth, nc=0000000g, cnonce=\"c\"",
		"Digest " GOOD RESP ", qop=auth-int, nc=00000001, cnonce=\"c\"",
		"Digest " GOOD RESP ", algorithm=SHA-512",
		"Digest " GOOD RESP ", algorithm=MD5-sess",
		"Digest " GOOD RESP ", userhash=true",
		"Digest username=\"u\", realm=\"r\\\"\", nonce=\"n\", "
		"uri=\"x\", " RESP,
		"Digest username=\"a\x01\", realm=\"r\", nonce=\"n\", "
		"uri=\"x\", " RESP,
	};
	struct digest_auth auth;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		const struct pl val = pl_from(bad[i]);

		if (!digest_parse(&auth, &val))
			fail_msg("parsed: %s", bad[i]);
	}
}

static void another_scheme_is_no_digest(void **state)
{
	const struct pl val = pl_from("NoOneKnowsThisScheme opaque-data=here");
	const struct pl basic = pl_from("Basic dTpw");
	struct digest_auth auth;

	(void)state;
	assert_int_equal(digest_parse(&auth, &val), ENOENT);
	assert_int_equal(digest_parse(&auth, &basic), ENOENT);
}

static void a_long_username_is_refused(void **state)
{
	char text[600];
	struct digest_auth auth;
	struct pl val;

	(void)state;
	memset(text, 'u', sizeof(text));
	memcpy(text, "Digest username=\"", 17);
	memcpy(text + 400, "\", realm=\"r\", nonce=\"n\", uri=\"x\", " RESP,
	       sizeof("\", realm=\"r\", nonce=\"n\", uri=\"x\", " RESP));
	val = pl_from(text);
	assert_int_equal(digest_parse(&auth, &val), EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc2617_example),
		cmocka_unit_test(rfc7616_example_md5),
		cmocka_unit_test(rfc7616_example_sha256),
		cmocka_unit_test(without_qop_the_short_form_counts),
		cmocka_unit_test(an_escaped_username_is_read),
		cmocka_unit_test(a_wrong_response_is_not_equal),
		cmocka_unit_test(usual_mistakes_are_taken_as_they_are),
		cmocka_unit_test(what_is_not_well_formed_is_refused),
		cmocka_unit_test(another_scheme_is_no_digest),
		cmocka_unit_test(a_long_username_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
