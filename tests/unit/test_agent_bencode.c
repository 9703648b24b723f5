/*
 * What a media relay is asked, and what it answers.
 */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "media/bencode.h"

static void test_written(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 256);
	buf_char(&b, 'd');
	bencode_member(&b, "command", "offer");
	bencode_words(&b, "flags", "SDES-off generate-mid");
	bencode_str(&b, "sdp");
	bencode_mem(&b, "v=0\r\n", 5);
	buf_char(&b, 'e');
	assert_false(b.failed);
	assert_string_equal(b.p, "d7:command5:offer5:flagsl8:SDES-off"
				 "12:generate-mide3:sdp5:v=0\r\ne");
	buf_free(&b);
	buf_init(&b, 8);
	bencode_str(&b, "too long for it");
	assert_true(b.failed);
	buf_free(&b);
}

static int find(const char *dict, const char *key, struct pl *value)
{
	struct pl pl;

	pl_set_str(&pl, dict);
	*value = pl_null;

	return bencode_find(value, &pl, key);
}

static void test_found(void **state)
{
	static const struct {
		const char *dict, *key, *value;
	} cases[] = {
		{"d6:result4:ponge", "result", "pong"},
		{"d1:ai-12e3:sdp5:v=0\r\n6:result2:oke", "sdp", "v=0\r\n"},
		{"d1:ad1:bld1:c1:d2:xxi0eei1eee6:result2:oke", "result", "ok"},
		{"d1:ale1:bde6:result0:e", "result", ""},
		{"d1:a1:b1:a1:ce", "a", "b"},
		{"d1:ai1e1:a1:ce", "a", "c"}, /* the first that is a string */
	};
	struct pl value;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(find(cases[i].dict, cases[i].key, &value), 0);
		assert_int_equal(pl_strcmp(&value, cases[i].value), 0);
	}
	assert_int_equal(find("de", "a", &value), ENOENT);
	assert_int_equal(find("d1:ai1ee", "a", &value), ENOENT);
	assert_int_equal(find("d1:ad1:b1:cee", "b", &value), ENOENT);
}

static void test_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"d",
		"e",
		"le",
		"4:pong",
		"d6:result4:pong",
		"d6:result4:pongex",
		"d6:result4:pongede",
		"d6:result5:ponge",
		"d6:result99999999999999999999:ponge",
		"d6:resulti1",
		"d6:resultie",
		"d6:resulti-e",
		"d6:resulti1x",
		"di1e1:ae",
		"d1:ae",
		"d1:ald1:beee",
		"d1:adi1e1:bee",
		"d1:a-1:be",
		"d1:a1b",
	};
	char deep[128] = "d1:a";
	struct pl value;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(find(cases[i], "result", &value), EBADMSG);
	memset(deep + 4, 'l', 40);
	memset(deep + 44, 'e', 41);
	assert_int_equal(find(deep, "result", &value), EBADMSG);
	memset(deep + 4, 'l', 30);
	memset(deep + 34, 'e', 31);
	deep[65] = '\0';
	assert_int_equal(find(deep, "result", &value), ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_written),
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
