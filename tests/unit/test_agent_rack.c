/*
 * RSeq and RAck, as phones write them.
 */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "parse/rack.h"

static struct sip_msg *message(const char *line)
{
	struct mbuf *mb = mbuf_alloc(512);
	struct sip_msg *msg;

	assert_non_null(mb);
	assert_int_equal(
		mbuf_printf(mb,
			    "PRACK sip:a SIP/2.0\r\n"
			    "Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\n"
			    "From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\n"
			    "Call-ID: x\r\nCSeq: 2 PRACK\r\n%s\r\n",
			    line),
		0);
	mbuf_set_pos(mb, 0);
	assert_int_equal(sip_msg_decode(&msg, mb), 0);
	mem_deref(mb);

	return msg;
}

static void test_rack(void **state)
{
	static const struct {
		const char *line;
		int err;
	} cases[] = {
		{"RAck: 776656 1 INVITE\r\n", 0},
		{"rack:  776656\t1  INVITE \r\n", 0},
		{"", ENOENT},
		{"RAck: \r\n", EBADMSG},
		{"RAck: 776656 1\r\n", EBADMSG},
		{"RAck: 776656 1 INVITE x\r\n", EBADMSG},
		{"RAck: 776656 -1 INVITE\r\n", EBADMSG},
		{"RAck: 4294967296 1 INVITE\r\n", EBADMSG},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct sip_msg *msg = message(cases[i].line);
		struct rack r;

		assert_int_equal(rack_read(&r, msg), cases[i].err);
		if (!cases[i].err) {
			assert_int_equal(r.rseq, 776656);
			assert_int_equal(r.cseq, 1);
			assert_int_equal(pl_strcmp(&r.method, "INVITE"), 0);
		}
		mem_deref(msg);
	}
}

static void test_rseq(void **state)
{
	static const struct {
		const char *line;
		int err;
	} cases[] = {
		{"RSeq: 7\r\n", 0},
		{"RSeq: 7 \r\n", 0},
		{"", ENOENT},
		{"RSeq: 0\r\n", EBADMSG},
		{"RSeq: \r\n", EBADMSG},
		{"RSeq: 7 7\r\n", EBADMSG},
		{"RSeq: seven\r\n", EBADMSG},
		{"RSeq: 4294967296\r\n", EBADMSG},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct sip_msg *msg = message(cases[i].line);
		uint32_t rseq = 0;

		assert_int_equal(rack_read_rseq(&rseq, msg), cases[i].err);
		if (!cases[i].err)
			assert_int_equal(rseq, 7);
		mem_deref(msg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rack),
		cmocka_unit_test(test_rseq),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
