/*
 * Whom a call is handed on to (RFC 3515), and whose place is taken (RFC 3891).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <re.h>

#include "parse/refer.h"

static int read_to(struct refer_to *r, const char *text)
{
	struct pl pl;

	pl_set_str(&pl, text);

	return refer_to_read(r, &pl);
}

static void is(const struct pl *pl, const char *text)
{
	assert_int_equal(pl->l, strlen(text));
	assert_memory_equal(pl->p, text, pl->l);
}

static void a_target_is_read(void **state)
{
	static const struct {
		const char *text, *uri;
	} cases[] = {
		{"<sip:carol@example.net>", "sip:carol@example.net"},
		{"sip:carol@example.net", "sip:carol@example.net"},
		{"\"C, <x>\" <sips:c@[2001:db8::1]:5061>;x=y",
		 "sips:c@[2001:db8::1]:5061"},
		{"<sip:c?d@example.net>", "sip:c?d@example.net"},
		{"<sip:c@example.net;method=INVITE?Subject=x>",
		 "sip:c@example.net;method=INVITE"},
	};
	struct refer_to r;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(read_to(&r, cases[i].text), 0);
		is(&r.uri, cases[i].uri);
		assert_false(r.attended);
	}
}

static void a_dialog_in_it_is_read(void **state)
{
	struct refer_to r;

	(void)state;
	assert_int_equal(
		read_to(&r, "<sip:c@example.net?Subject=x&rePlaces=a%40b%3B"
			    "from-tag%3D1%3bTO-TAG=2;early-only>"),
		0);
	assert_true(r.attended);
	is(&r.uri, "sip:c@example.net");
	is(&r.replaces.call_id, "a@b");
	is(&r.replaces.from_tag, "1");
	is(&r.replaces.to_tag, "2");
	assert_true(r.replaces.early_only);
}

static void what_cannot_be_read_is_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"*",
		"nonsense",
		"<sip:c@example.net>, <sip:d@example.net>",
		"<sip:c@example.net?Replaces=>",
		"<sip:c@example.net?Replaces=a%3Bto-tag%3D1>",
		"<sip:c@example.net?Replaces=a;to-tag=1;to-tag=2;from-tag=3>",
		"<sip:c@example.net?Replaces=a%0D%0AX:;to-tag=1;from-tag=3>",
		"<sip:c@example.net?Replaces=a%4>",
		"<sip:c@example.net?Replaces=a%zz;to-tag=1;from-tag=2>",
		"<sip:c@example.net?Replaces=a;to-tag=1;from-tag=2&"
		"Replaces=a;to-tag=1;from-tag=2>",
	};
	struct refer_to r;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(read_to(&r, cases[i]), EBADMSG);
	assert_int_equal(read_to(&r, "<sip:c@example.net;method=BYE>"), ENOSYS);
}

static void what_is_too_long_is_refused(void **state)
{
	char text[2 * REFER_TEXT_MAX] = "<sip:c@example.net?Replaces=";
	const size_t len = strlen(text);
	struct refer_to r;

	(void)state;
	memset(text + len, 'a', REFER_TEXT_MAX + 1);
	strcpy(text + len + REFER_TEXT_MAX + 1, ";to-tag=1;from-tag=2>");
	assert_int_equal(read_to(&r, text), EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_target_is_read),
		cmocka_unit_test(a_dialog_in_it_is_read),
		cmocka_unit_test(what_cannot_be_read_is_refused),
		cmocka_unit_test(what_is_too_long_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
