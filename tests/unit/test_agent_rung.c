/*
 * What a call's ladder shows of a message, and what not.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "parse/rung.h"

static void is_written(const char *msg, const char *like)
{
	struct sa peer;
	struct rung r = {
		.out = true, .peer = &peer, .p = msg, .len = strlen(msg)};
	struct buf b;

	assert_int_equal(sa_set_str(&peer, "192.0.2.1", 5060), 0);
	buf_init(&b, 4096);
	rung_write(&b, &r, 17);
	assert_string_equal(b.len ? b.p : "", like);
	buf_free(&b);
}

#define HEAD \
	"{\"ms\":17,\"out\":true,\"peer\":\"UDP:192.0.2.1:5060\",\"start\":"

static void test_what_is_shown(void **state)
{
	(void)state;
	is_written("INVITE sip:bob@example.net SIP/2.0\r\n"
		   "Via: SIP/2.0/UDP x;branch=z9hG4bK1\r\n"
		   "cseq:1 INVITE\r\n"
		   "From: <sip:a@example.net>;tag=secret\r\n"
		   "Authorization: Digest response=\"secret\"\r\n"
		   "Reason : SIP;cause=200;text=\"a\"\r\n"
		   "\r\n"
		   "CSeq: 2 of a body\r\n",
		   HEAD "\"INVITE sip:bob@example.net SIP/2.0\",\"headers\":{"
			"\"CSeq\":\"1 INVITE\","
			"\"Reason\":\"SIP;cause=200;text=\\\"a\\\"\"}}");
	is_written("SIP/2.0 180 Ringing\r\nCSeq: 1 INVITE",
		   HEAD "\"SIP/2.0 180 Ringing\",\"headers\":{}}");
}

static void test_no_password(void **state)
{
	(void)state;
	is_written("INVITE sip:bob:hush@example.net:5060 SIP/2.0\r\n\r\n",
		   HEAD "\"INVITE sip:bob@example.net:5060 SIP/2.0\","
			"\"headers\":{}}");
	is_written("INVITE sip:example.net:5060 SIP/2.0\r\n\r\n",
		   HEAD "\"INVITE sip:example.net:5060 SIP/2.0\","
			"\"headers\":{}}");
}

static void test_what_is_none(void **state)
{
	(void)state;
	is_written("", "");
	is_written("INVITE sip:x SIP/2.0", "");
	is_written("INVITE sip:x SIP/2.0\r", "");
	is_written("OPTIONS \xff\xfe SIP/2.0\r\n\r\n",
		   HEAD "\"?\",\"headers\":{}}");
}

static void test_call_id(void **state)
{
	static const struct {
		const char *msg, *call_id;
	} cases[] = {
		{"BYE x SIP/2.0\r\nCall-ID: a@b\r\n\r\n", "a@b"},
		{"BYE x SIP/2.0\r\nVia: x\r\ni:c\r\n\r\n", "c"},
		{"BYE x SIP/2.0\r\nCALL-ID :d\r\n", "d"},
		{"BYE x SIP/2.0\r\nVia: x\r\n\r\nCall-ID: a", NULL},
		{"BYE x SIP/2.0\r\nCall-ID: a", NULL},
		{"", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *msg = cases[i].msg;
		struct pl pl;
		const bool found = rung_call_id(&pl, msg, strlen(msg));

		assert_int_equal(found, cases[i].call_id != NULL);
		if (found)
			assert_int_equal(pl_strcmp(&pl, cases[i].call_id), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_shown),
		cmocka_unit_test(test_no_password),
		cmocka_unit_test(test_what_is_none),
		cmocka_unit_test(test_call_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
