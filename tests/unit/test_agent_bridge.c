/*
 * Which kind of media a session description is of: tests/data/sdp-kinds, which
 * app.sdp_kind is held against as well (tests/sql/30_relay.sql).
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "media/bridge.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
