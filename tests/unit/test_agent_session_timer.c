/*
 * Session-Expires and Min-SE, as phones write them.
 */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "parse/session_timer.h"

static int read_of(struct session_timer *st, const char *lines)
{
	struct mbuf *mb = mbuf_alloc(512);
	struct sip_msg *msg;
	int err;

	assert_non_null(mb);
	assert_int_equal(
		mbuf_printf(mb,
			    "INVITE sip:a SIP/2.0\r\n"
			    "Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\n"
			    "From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\n"
			    "Call-ID: x\r\nCSeq: 1 INVITE\r\n%s\r\n",
			    lines),
		0);
	mbuf_set_pos(mb, 0);
	assert_int_equal(sip_msg_decode(&msg, mb), 0);
	err = session_timer_read(st, msg);
	mem_deref(msg);
	mem_deref(mb);

	return err;
}

static void test_what_is_said(void **state)
{
	static const struct {
		const char *lines;
		struct session_timer st;
	} cases[] = {
		{"", {0, 0, REFRESHER_ANY}},
		{"Session-Expires: 1800\r\n", {1800, 0, REFRESHER_ANY}},
		{"x: 90;refresher=uac\r\n", {90, 0, REFRESHER_UAC}},
		{"session-expires:90 ; a=b ;refresher=UAS\r\n",
		 {90, 0, REFRESHER_UAS}},
		{"Session-Expires: 90;refresher=me\r\n",
		 {90, 0, REFRESHER_ANY}},
		{"Session-Expires: 0\r\n", {1, 0, REFRESHER_ANY}},
		{"Session-Expires: 99999999999999999999\r\nMin-SE: 120\r\n",
		 {UINT32_MAX, 120, REFRESHER_ANY}},
		{"Min-SE: 120;x\r\n", {0, 120, REFRESHER_ANY}},
	};
	struct session_timer st;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(read_of(&st, cases[i].lines), 0);
		assert_int_equal(st.s, cases[i].st.s);
		assert_int_equal(st.min_s, cases[i].st.min_s);
		assert_int_equal(st.refresher, cases[i].st.refresher);
	}
}

static void test_what_is_none(void **state)
{
	static const char *const cases[] = {
		"Session-Expires: \r\n",       "Session-Expires: -1\r\n",
		"Session-Expires: soon\r\n",   "Session-Expires: 90s\r\n",
		"Session-Expires: 90, 80\r\n", "Min-SE: ;x\r\n",
	};
	struct session_timer st;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(read_of(&st, cases[i]), EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_said),
		cmocka_unit_test(test_what_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
