/*
 * Keys of INFOs, as phones write them.
 */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "parse/dtmf.h"

#define RELAY "application/dtmf-relay"

static int read_of(const char *type, const char *body, char *key)
{
	struct pl t, b;

	pl_set_str(&t, type);
	pl_set_str(&b, body);
	*key = '?';

	return dtmf_read(key, &t, &b);
}

static void test_keys(void **state)
{
	static const struct {
		const char *type, *body;
		char key;
	} cases[] = {
		{RELAY, "Signal=5\r\nDuration=160\r\n", '5'},
		{RELAY, "Signal= 5\r\nDuration= 160", '5'},
		{RELAY, "Duration=160\nsignal = #", '#'},
		{RELAY "; charset=utf-8", "Signal=*", '*'},
		{"Application/DTMF-Relay ", "Signal=11", '#'},
		{RELAY, "Signal=d", 'D'},
		{"application/dtmf", "0", '0'},
		{"application/dtmf", " 10\r\n", '*'},
		{"application/dtmf", "15", 'D'},
	};
	char key;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(read_of(cases[i].type, cases[i].body, &key),
				 0);
		assert_int_equal(key, cases[i].key);
	}
}

static void test_what_is_none(void **state)
{
	static const struct {
		const char *type, *body;
		int err;
	} cases[] = {
		{RELAY, "", EBADMSG},
		{RELAY, "Duration=160", EBADMSG},
		{RELAY, "Signal", EBADMSG},
		{RELAY, "Signal=", EBADMSG},
		{RELAY, "Signal=16", EBADMSG}, /* flash */
		{RELAY, "Signal=\"", EBADMSG},
		{RELAY, "Signals=5", EBADMSG},
		{"application/dtmf", "55", EBADMSG},
		{"application/dtmf", "", EBADMSG},
		{"application/dtmf", "e", EBADMSG},
		{"text/plain", "5", ENOENT},
		{"", "5", ENOENT},
	};
	char key;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(read_of(cases[i].type, cases[i].body, &key),
				 cases[i].err);
		assert_int_equal(key, '?');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_what_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
