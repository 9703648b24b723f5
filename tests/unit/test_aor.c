/*
 * Emails as addresses-of-record: what is one, and its one form.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/aor.h"

static void assert_form(const char *text, const char *form)
{
	char out[AOR_BUF] = "untouched";
	const int err = aor_parse(out, text, strlen(text));

	if (err || strcmp(out, form))
		fail_msg("%s became %s (%d), not %s", text, out, err, form);
}

static void assert_refused_mem(const char *text, size_t len)
{
	char out[AOR_BUF] = "untouched";

	if (!aor_parse(out, text, len))
		fail_msg("%s was taken as %s", text, out);
	assert_string_equal(out, "untouched");
}

static void assert_refused(const char *text)
{
	assert_refused_mem(text, strlen(text));
}

static void plain_emails_stay_as_they_are(void **state)
{
	static const char *const all[] = {
		"alice@example.net",  "a@b",	      "a.b.c@x.example.net",
		"A.B@example.net",    "o_o~x@e.net",  "a-b+c=d@e.net",
		"!$&*?/@example.net", "42@127.0.0.1", "x@1.2",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		assert_form(all[i], all[i]);
}

static void the_domain_is_lower_cased_and_the_local_part_is_not(void **state)
{
	(void)state;
	assert_form("Alice@EXAMPLE.Net", "Alice@example.net");
}

static void the_dot_of_the_root_goes(void **state)
{
	(void)state;
	assert_form("alice@example.net.", "alice@example.net");
	assert_form("a@B\xc3\x9c"
		    "CHER.",
		    "a@xn--bcher-kva");
	assert_refused("a@.");
}

static void what_is_not_ascii_in_a_domain_becomes_idna(void **state)
{
	(void)state;
	assert_form("a@b\xc3\xbc"
		    "cher.example",
		    "a@xn--bcher-kva.example");
	assert_form("a@B\xc3\x9c"
		    "CHER.example",
		    "a@xn--bcher-kva.example");
	assert_form("a@fa\xc3\x9f.de", "a@xn--fa-hia.de");
	assert_form("a@XN--BCHER-KVA.example", "a@xn--bcher-kva.example");
}

static void what_is_no_address_is_refused(void **state)
{
	static const char *const all[] = {
		"",	   "a",	      "@",	    "a@",     "@b",
		"a@b@c",   ".a@b",    "a.@b",	    "a..b@c", "a b@c",
		"a@b c",   "a@b\n",   "a\r\n@b",    "a\tb@c", "\"a\"@b",
		"a<b>@c",  "<a@b>",   "a%40b@c",    "a@b%2e", "a(x)@b",
		"a,b@c",   "a:b@c",   "a;b@c",	    "a\\b@c", "a@[::1]",
		"a@-b",	   "a@b-",    "a@b-.c",	    "a@.b",   "a@b..",
		"a@b..c",  "a@b_c",   "\xc3\xa4@b", "a@\xff", "a@\xc0\xaf",
		"sip:a@b", "a#b@c",   "a{b}@c",	    "a|b@c",  "a@b/c",
		"a@b\x01", "a\x7f@b", "a`b@c",	    "a^b@c",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		assert_refused(all[i]);
}

static void a_nul_is_refused_wherever_it_stands(void **state)
{
	(void)state;
	assert_refused_mem("a\0b@c", 5);
	assert_refused_mem("a@b\0c", 5);
	assert_refused_mem("a@b\0", 4);
	assert_refused_mem("\0a@b", 4);
}

/* local 'a's, '@', then domain bytes in labels of at most 63. */
static char *make(size_t local, size_t domain)
{
	char *text = calloc(local + domain + 2, 1);

	assert_non_null(text);
	memset(text, 'a', local);
	text[local] = '@';
	for (size_t i = 0; i < domain; i++)
		text[local + 1 + i] = i % 64 == 63 ? '.' : 'd';
	return text;
}

static void limits_are_64_for_the_local_part_and_254_in_all(void **state)
{
	char *text = make(64, 189);

	(void)state;
	assert_int_equal(strlen(text), AOR_MAX);
	assert_form(text, text);
	free(text);
	text = make(65, 10);
	assert_refused(text);
	free(text);
	text = make(64, 190);
	assert_refused(text);
	free(text);
	text = make(1, 5000);
	assert_refused(text);
	free(text);
}

static void a_label_has_at_most_63_bytes(void **state)
{
	char text[80] = "a@";

	(void)state;
	memset(text + 2, 'd', 63);
	assert_form(text, text);
	text[65] = 'd';
	assert_refused(text);
}

static void the_domain_of_an_address(void **state)
{
	(void)state;
	assert_string_equal(aor_domain("a@b.c"), "b.c");
}

static void the_normal_form_is_its_own_normal_form(void **state)
{
	const char *text = "a@B\xc3\x9c"
			   "CHER.example";
	char once[AOR_BUF];

	(void)state;
	assert_int_equal(aor_parse(once, text, strlen(text)), 0);
	assert_form(once, once);
}

static void case_of_the_local_part_tells_nobody_apart(void **state)
{
	char folded[] = "A.b-C@example.net";

	(void)state;
	assert_true(aor_same("Alice@example.net", "aLICE@example.net"));
	assert_true(aor_same("a@b", "a@b"));
	assert_false(aor_same("alice@example.net", "alice@example.ne"));
	assert_false(aor_same("alice@example.ne", "alice@example.net"));
	assert_false(aor_same("a[@b", "a{@b"));
	aor_fold(folded);
	assert_string_equal(folded, "a.b-c@example.net");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_emails_stay_as_they_are),
		cmocka_unit_test(
			the_domain_is_lower_cased_and_the_local_part_is_not),
		cmocka_unit_test(the_dot_of_the_root_goes),
		cmocka_unit_test(what_is_not_ascii_in_a_domain_becomes_idna),
		cmocka_unit_test(what_is_no_address_is_refused),
		cmocka_unit_test(a_nul_is_refused_wherever_it_stands),
		cmocka_unit_test(
			limits_are_64_for_the_local_part_and_254_in_all),
		cmocka_unit_test(a_label_has_at_most_63_bytes),
		cmocka_unit_test(the_domain_of_an_address),
		cmocka_unit_test(the_normal_form_is_its_own_normal_form),
		cmocka_unit_test(case_of_the_local_part_tells_nobody_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
