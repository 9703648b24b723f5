/*
 * Messages out of a stream of bytes, however it was cut.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "parse/framing.h"

#define ONE "OPTIONS sip:a SIP/2.0\r\nTo: a\r\nContent-Length: 0\r\n\r\n"
#define TWO "MESSAGE sip:a SIP/2.0\r\nL :  5\r\n\r\na\r\n\r\n"
#define NONE "ACK sip:a SIP/2.0\r\nTo: a\r\nl:0\r\n\r\n"

static struct mbuf *acc;
static char got[4096];
static size_t got_len;

static int setup(void **state)
{
	(void)state;
	acc = mbuf_alloc(0);
	got_len = 0;

	return acc ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	acc = mem_deref(acc);

	return 0;
}

/* What comes out is added to got; each time whole messages only */
static int feed(const char *p, size_t len)
{
	struct mbuf *in = mbuf_alloc(len);
	bool whole;
	int err;

	assert_int_equal(mbuf_write_mem(in, (const uint8_t *)p, len), 0);
	mbuf_set_pos(in, 0);
	err = framing_take(acc, in, &whole);
	if (!err && whole) {
		memcpy(got + got_len, mbuf_buf(in), mbuf_get_left(in));
		got_len += mbuf_get_left(in);
	}
	mem_deref(in);

	return err;
}

static void one_message_passes_at_once(void **state)
{
	(void)state;
	assert_int_equal(feed(TWO, strlen(TWO)), 0);
	assert_int_equal(got_len, strlen(TWO));
}

static void wherever_it_is_cut_it_comes_out_whole(void **state)
{
	static const char all[] = ONE "\r\n\r\n" TWO NONE ONE;
	const size_t len = sizeof(all) - 1;

	(void)state;
	for (size_t step = 1; step <= len; step++) {
		got_len = 0;
		for (size_t at = 0; at < len; at += step)
			assert_int_equal(feed(all + at, MIN(step, len - at)),
					 0);
		assert_int_equal(got_len, len);
		assert_memory_equal(got, all, len);
		assert_int_equal(mbuf_get_left(acc), 0);
	}
}

static void a_part_is_kept_back(void **state)
{
	(void)state;
	assert_int_equal(feed(ONE TWO, strlen(ONE TWO) - 1), 0);
	assert_int_equal(got_len, strlen(ONE));
	assert_int_equal(feed(TWO + strlen(TWO) - 1, 1), 0);
	assert_int_equal(got_len, strlen(ONE TWO));
}

/* As sanity.c reads it: else the two would see different messages */
static void a_length_may_be_folded_and_have_blanks(void **state)
{
	static const char *const heads[] = {
		"MESSAGE sip:a SIP/2.0\r\nContent-Length: 2 \r\n\r\n",
		"MESSAGE sip:a SIP/2.0\r\nContent-Length: 2\t\r\n\r\n",
		"MESSAGE sip:a SIP/2.0\r\nContent-Length: 2\r\n \r\n\r\n",
		"MESSAGE sip:a SIP/2.0\r\nl \t:\r\n\t2\r\nTo: a\r\n\r\n",
		"MESSAGE sip:a SIP/2.0\r\nContent-Length: 2\r\nl: 02\r\n\r\n",
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
		assert_true(re_snprintf(text, sizeof(text), "%sab", heads[i]) >
			    0);
		got_len = 0;
		assert_int_equal(feed(text, strlen(text)), 0);
		assert_int_equal(got_len, strlen(text));
	}
}

static void what_is_too_large_is_refused(void **state)
{
	static const char *const heads[] = {
		"MESSAGE sip:a SIP/2.0\r\nContent-Length: 131073\r\n\r\n",
		"MESSAGE sip:a SIP/2.0\r\nTo: a\r\n\r\n",
		"MESSAGE sip:a SIP/2.0\r\nContent-Length: 0\r\nl: 1\r\n\r\n",
		"MESSAGE sip:a SIP/2.0\r\nContent-Length: 1\r\n 2\r\n\r\n",
		"MESSAGE sip:a SIP/2.0\r\nContent-Length:\r\n\r\n",
		"MESSAGE sip:a SIP/2.0\r\nContent-Length: -1\r\n\r\n",
		"MESSAGE sip:a SIP/2.0\r\nContent-Length: 5x\r\n\r\n",
		"MESSAGE sip:a SIP/2.0\r\n"
		"Content-Length: 99999999999999999999999\r\n\r\n",
	};
	static char long_head[FRAMING_HEAD_MAX + 1];
	char line[1024];
	int err = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
		assert_int_not_equal(feed(heads[i], strlen(heads[i])), 0);
		mbuf_rewind(acc);
	}

	/* a head is too long whether its end has come or not */
	mbuf_rewind(acc);
	memset(long_head, 'x', sizeof(long_head));
	memcpy(long_head + sizeof(long_head) - 4, "\r\n\r\n", 4);
	assert_int_equal(feed(long_head, sizeof(long_head)), EMSGSIZE);
	mbuf_rewind(acc);
	assert_int_equal(feed(long_head + 1, sizeof(long_head) - 1), EPROTO);

	mbuf_rewind(acc);
	memset(line, 'x', sizeof(line));
	for (int i = 0; i < 40 && !err; i++)
		err = feed(line, sizeof(line));
	assert_int_equal(err, EMSGSIZE);
	assert_int_equal(got_len, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(one_message_passes_at_once),
		T(wherever_it_is_cut_it_comes_out_whole),
		T(a_part_is_kept_back),
		T(a_length_may_be_folded_and_have_blanks),
		T(what_is_too_large_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
