/*
 * Which kind of media a session description is of: tests/data/sdp-kinds, which
 * app.sdp_kind is held against as well (tests/sql/30_relay.sql).
 */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "media/bridge.h"
#include "media/ng.h"
#include "media/seat.h"

/* As they are written there, for PostgreSQL's COPY */
static void unescape(char *text)
{
	static const char written[] = "rnt", meant[] = "\r\n\t";
	const char *found;
	char *to = text;

	for (; *text && *text != '\n'; text++) {
		found = *text == '\\' ? strchr(written, text[1]) : NULL;
		if (found)
			text++;
		*to++ = found ? meant[found - written] : *text;
	}
	*to = '\0';
}

static void test_kinds(void **state)
{
	FILE *f = fopen("tests/data/sdp-kinds", "r");
	char line[256];
	int n = 0;

	(void)state;
	assert_non_null(f);
	for (; fgets(line, sizeof(line), f); n++) {
		char *text = strchr(line, '\t');
		struct pl sdp;

		assert_non_null(text);
		*text++ = '\0';
		unescape(text);
		pl_set_str(&sdp, text);
		print_message("%s: %s\n", line, text);
		assert_int_equal(bridge_is_web(&sdp), !strcmp(line, "webrtc"));
		assert_int_equal(bridge_is_plain(&sdp), !strcmp(line, "rtp"));
	}
	fclose(f);
	assert_true(n > 10);
}

/* What is there already is counted, and refused to nobody */
static void test_sessions_of_an_account(void **state)
{
	enum { HERS = 1, HIS = 257 }; /* they share a bucket */
	struct bridge *bv[SEATS_MAX], *b = NULL;
	struct ng *n = NULL;
	struct sa sa;

	(void)state;
	assert_int_equal(libre_init(), 0);
	assert_int_equal(sa_set_str(&sa, "127.0.0.1", 9), 0);
	assert_int_equal(ng_alloc(&n, &sa, 1), 0);
	for (int i = 0; i < SEATS_MAX; i++)
		assert_int_equal(bridge_alloc(&bv[i], n, HERS, "x", true), 0);
	assert_int_equal(bridge_alloc(&b, n, HERS, "x", true), EDQUOT);
	assert_int_equal(bridge_alloc(&b, n, HIS, "x", true), 0);
	mem_deref(b);
	assert_int_equal(bridge_resume(&b, n, HERS, "127.0.0.1:9", "x", true),
			 0);
	mem_deref(bv[0]);
	assert_int_equal(bridge_alloc(&bv[0], n, HERS, "x", true), EDQUOT);
	mem_deref(b);
	assert_int_equal(bridge_alloc(&bv[0], n, HERS, "x", true), 0);
	mem_deref(n); /* whoever is the first to go */
	for (int i = 0; i < SEATS_MAX; i++)
		mem_deref(bv[i]);
	libre_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sessions_of_an_account),
		cmocka_unit_test(test_kinds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
